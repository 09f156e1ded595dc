"""The state of deliveries on disk: one transaction a commit, redrive in one, and bounds that are kept in pieces."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.errors import Damaged, Unavailable
from segue.state.database import open_database
from segue.state.deliveries import (
    CUT_DEAD,
    CUT_REPLAYED_DEAD,
    DELETE_REDRIVEN,
    MIGRATIONS,
    PARKED,
    DeadLetter,
    DeliveredRow,
    DeliveryReader,
    DeliveryWriter,
    Delta,
    DestinationState,
    Redrive,
    ReplayState,
    RetryRow,
    RetryUpdate,
)

TABLES = ("destination", "replay", "retry", "dead_letter", "delivered", "answer", "disabled_span")


class Store:
    """The writer and a reader of one file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.writer = DeliveryWriter(path)
        self.reader = DeliveryReader(path)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def rows(self) -> dict[str, list[Any]]:
        return {table: self.reader._rows(f"SELECT * FROM {table}") for table in TABLES}

    def count(self, table: str, destination: int = 1) -> int:
        return int(self.reader._rows(f"SELECT count(*) FROM {table} WHERE destination = ?", (destination,))[0][0])


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.db")
    yield made
    made.close()


def state(**others: Any) -> DestinationState:
    return DestinationState(**({"position": 0, "passed": {}} | others))


def retry(offset: int, *, destination: int = 1, job: int = 0, arrival: int = 0, body: bytes = b"{}") -> RetryRow:
    return RetryRow(
        destination, job, offset, "web", f"m{offset}", 0, '["u:u"]', arrival or offset, 5, 1, 2, 3, b"[]", body, 4
    )


def letter(
    offset: int, reason: str = "BAD_REQUEST", *, destination: int = 1, job: int = 0, body: bytes = b"{}"
) -> DeadLetter:
    return DeadLetter(destination, job, offset, "web", f"m{offset}", 0, '["u:u"]', 9, reason, b"[]", body)


def line(offset: int, at: int = 0, answer: int = 1, *, destination: int = 1) -> DeliveredRow:
    return DeliveredRow(destination, offset, at, 3, 200, answer, None)


def everything(destination: int = 1) -> Delta:
    """A delta with something for every table."""
    return Delta(
        destination=destination,
        state=state(position=9, passed={"web": 9}, refused={"BAD_REQUEST": 1}),
        parked=[retry(1, destination=destination), retry(2, destination=destination)],
        updated=[RetryUpdate(77, 4, 5, 6, 7, b'[{"at":1}]', destination, 0, 1)],
        unparked=[(destination, 0, 2)],
        dead=[letter(3, destination=destination)],
        delivered=[line(4, destination=destination)],
        answers=[(1, b"ok", 8)],
        disabled=[(destination, 5, 6)],
        replays={destination * 10: ReplayState(position=1, end=2)},
    )


# -- commits -----------------------------------------------------------------------------------------------------------


def test_a_commit_writes_all_of_it(store: Store) -> None:
    store.writer.commit([everything()])
    assert [len(rows) for rows in store.rows().values()] == [1] * len(TABLES)
    row = store.reader.retry_row(1, 0, 1)
    assert row is not None
    assert (row.due_at, row.attempts, row.first_at, row.stopped_at, row.open_at) == (77, 4, 5, 6, 7)
    assert row.history == b'[{"at":1}]'
    assert store.reader.destinations()[1].position == 9
    assert store.reader.delivered(1, 4) == (line(4), b"ok")
    assert store.reader.replays(1) == {10: ReplayState(position=1, end=2)}
    assert store.reader.replays(2) == {}
    (parked,) = store.reader.parked_rows(1)
    assert (parked.stopped_at, parked.open_at, parked.size) == (6, 7, len(b"{}" + row.history))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_commit_that_fails_anywhere_writes_nothing_and_the_next_one_can(store: Store, place: int) -> None:
    good = [everything(1), everything(2)]
    broken = Delta(destination=3, state=state(), dead=[letter(1)._replace(offset="x")])  # type: ignore[arg-type]
    with pytest.raises(sqlite3.Error):
        store.writer.commit([*good[:place], broken, *good[place:]])
    assert not any(store.rows().values())
    store.writer.commit(good)
    assert len(store.reader.destinations()) == 2


def test_a_commit_repeated_after_its_success_was_not_heard_of_changes_nothing_but_dead_letters(store: Store) -> None:
    delta = everything()
    delta.dead = []
    store.writer.commit([delta])
    before = store.rows()
    store.writer.commit([delta])
    assert store.rows() == before


def test_a_reader_sees_nothing_of_a_transaction_under_way(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO destination VALUES (1, x'7b7d')")
    assert store.reader.destinations() == {}
    other.execute("ROLLBACK")
    other.close()


# -- redrive -----------------------------------------------------------------------------------------------------------


def test_reads_of_a_snapshot_see_one_commit(store: Store) -> None:
    store.writer.commit([Delta(destination=1, state=state(position=1, unfinished=[0]))])
    with store.reader.snapshot():
        assert store.reader.destinations()[1].unfinished == [0]
        store.writer.commit([Delta(destination=1, state=state(position=1, delivered=1), delivered=[line(0)])])
        assert store.reader.delivered(1, 0) is None
    assert store.reader.delivered(1, 0) is not None


def redriven(store: Store, reasons: str = "[]", message_ids: str = "[]", *, rows: int = 100, size: int = 10**6) -> Any:
    found = store.reader.redrivable(1, reasons, message_ids, rows=rows, size=size)
    redrive = Redrive(1, found.last_id, reasons, message_ids, 50, 7)
    store.writer.commit([Delta(destination=1, state=state(), redriven=[redrive])])
    return found


def test_a_redrive_moves_dead_letters_to_retry_rows_in_one_commit(store: Store) -> None:
    letters = [letter(1), letter(2, "RETRY"), letter(3), letter(4, "RETRY", job=6)]
    store.writer.commit([Delta(destination=1, state=state(), dead=[*letters, letter(1, destination=2)])])
    found = redriven(store, '["BAD_REQUEST"]')
    assert (found.reasons, found.jobs, found.size) == ({"BAD_REQUEST": 2}, {}, 8)
    rows = store.reader.parked_rows(1, first=50, last=51)
    assert [(row.offset, row.arrival, row.due_at, row.attempts, row.first_at) for row in rows] == [
        (1, 50, 7, 0, 0),
        (3, 51, 7, 0, 0),
    ]
    assert [each.offset for _, each in store.reader.dead_letters(1, limit=9)] == [2, 4]
    assert store.count("dead_letter", 2) == 1


def test_what_a_replay_sent_becomes_its_retry_row_again_and_is_counted_apart(store: Store) -> None:
    letters = [letter(1, "RETRY"), letter(1, job=6), letter(2, job=6), letter(3, job=7)]
    store.writer.commit([Delta(destination=1, state=state(), dead=letters)])
    found = redriven(store)
    assert (found.reasons, found.jobs, found.rows) == ({"RETRY": 1}, {6: 2, 7: 1}, 4)
    assert [(row.job, row.offset) for row in store.reader.parked_rows(1)] == [(0, 1), (6, 1), (6, 2), (7, 3)]
    assert store.count("dead_letter") == 0


def test_a_redrive_does_not_take_letters_of_its_own_commit(store: Store) -> None:
    store.writer.commit([Delta(destination=1, state=state(), dead=[letter(1)])])
    found = store.reader.redrivable(1, "[]", "[]", rows=9, size=99)
    redrive = Redrive(1, found.last_id, "[]", "[]", 50, 7)
    store.writer.commit([Delta(destination=1, state=state(), dead=[letter(2)], redriven=[redrive])])
    assert [row.offset for row in store.reader.parked_rows(1)] == [1]


@given(
    letters=st.lists(st.tuples(st.sampled_from(("BAD_REQUEST", "RETRY")), st.integers(0, 30)), max_size=12),
    reasons=st.sampled_from(("[]", '["RETRY"]')),
    rows=st.integers(-2, 8),
    size=st.integers(-5, 120),
)
def test_what_is_counted_is_what_is_moved(
    tmp_path_factory: Any, letters: Any, reasons: str, rows: int, size: int
) -> None:
    store = Store(tmp_path_factory.mktemp("redrive") / "state.db")
    dead = [letter(offset, reason, body=b"x" * length) for offset, (reason, length) in enumerate(letters)]
    store.writer.commit([Delta(destination=1, state=state(), dead=dead)])
    found = redriven(store, reasons, rows=rows, size=size)
    moved = store.reader.parked_rows(1)
    assert sum(found.reasons.values()) == len(moved) <= max(0, rows)
    assert found.size == sum(row.size for row in moved) <= max(0, size)
    assert len(moved) + store.count("dead_letter") == len(letters)
    store.close()


# -- bounds ------------------------------------------------------------------------------------------------------------


def whole(store: Store, destination: int = 1) -> list[tuple[int, int]]:
    """Job and offset of the dead letters that still have a body."""
    return [(each.job, each.offset) for _, each in store.reader.dead_letters(destination, limit=99) if each.body]


def test_the_oldest_dead_letters_lose_their_body_in_the_commit_that_says_so(store: Store) -> None:
    dead = [letter(offset) for offset in range(5)]
    store.writer.commit([Delta(destination=2, state=state(), dead=[letter(9, destination=2)])])
    store.writer.commit([Delta(destination=1, state=state(), dead=dead, dead_cut=2)])
    store.writer.commit([Delta(destination=1, state=state(), dead_cut=1)])
    assert whole(store) == [(0, 3), (0, 4)]
    assert whole(store, 2) == [(0, 9)]
    (cut,) = store.reader.dead_letters_of(1, 2)
    assert cut == letter(2)._replace(body=b"", history=b"")


def test_those_of_replays_lose_it_apart_from_the_others_those_of_the_oldest_replay_first(store: Store) -> None:
    dead = [letter(0), letter(1, job=8), letter(2, job=7), letter(3), letter(4, job=7)]
    store.writer.commit([Delta(destination=1, state=state(), dead=dead, dead_cut=1, replayed_dead_cut=2)])
    assert whole(store) == [(8, 1), (0, 3)]


def test_a_redrive_passes_over_dead_letters_without_a_body(store: Store) -> None:
    dead = [letter(offset) for offset in range(4)]
    store.writer.commit([Delta(destination=1, state=state(), dead=dead, dead_cut=3)])
    assert redriven(store).rows == 1
    assert [row.offset for row in store.reader.parked_rows(1)] == [3]
    assert [each.offset for _, each in store.reader.dead_letters(1, limit=9)] == [0, 1, 2]


def test_what_explains_events_that_the_log_no_longer_holds_goes_in_pieces(store: Store) -> None:
    dead = [letter(offset) for offset in range(30)]
    spans = [(1, first, first + 1) for first in range(0, 30, 2)]
    store.writer.commit([Delta(destination=1, state=state(), dead=dead, dead_cut=20, disabled=spans)])
    store.writer.commit([Delta(destination=2, state=state(), disabled=[(2, 0, 5)])])
    assert store.writer.cut_expired(1, 15, most=10) == 10
    assert store.writer.cut_expired(1, 15, most=10) == 5
    assert store.writer.cut_expired(1, 15, most=10) == 0
    assert [each.offset for _, each in store.reader.dead_letters(1, limit=99)] == [*range(15, 30)]
    assert [store.reader.disabled_at(1, offset) for offset in (13, 14, 15)] == [False, True, True]
    assert store.writer.cut_expired(1, 99) == 8
    assert [each.offset for _, each in store.reader.dead_letters(1, limit=99)] == [*range(20, 30)], "with a body"
    assert store.count("disabled_span", 2) == 1


def test_jobs_are_cut_by_their_number(store: Store) -> None:
    store.writer.commit([everything(1), everything(2)])
    store.writer.cut_jobs([10])
    assert set(store.reader.replays()) == {20}


@pytest.mark.parametrize(
    ("statement", "given", "index"),
    [
        (CUT_DEAD, 2, "dead_letter_whole"),
        (CUT_REPLAYED_DEAD, 2, "dead_letter_whole"),
        (DELETE_REDRIVEN, 4, "dead_letter_whole"),
        (PARKED, 3, "retry_arrival"),
    ],
)
def test_what_a_commit_or_a_redrive_looks_up_is_found_by_an_index(
    store: Store, statement: str, given: int, index: str
) -> None:
    plan = store.reader._rows(f"EXPLAIN QUERY PLAN {statement}", (1,) * given)
    assert any(index in step[3] for step in plan), plan


def test_old_lines_and_those_in_excess_are_cut_in_pieces(store: Store) -> None:
    lines = [line(offset, at=offset) for offset in range(100)]
    store.writer.commit([Delta(destination=1, state=state(), delivered=[*lines, line(1, destination=2)])])
    assert store.writer.cut_delivered(1, before_ms=25, excess=0, most=10) == 10
    assert store.writer.cut_delivered(1, before_ms=25, excess=0, most=10) == 10
    assert store.writer.cut_delivered(1, before_ms=25, excess=0, most=10) == 5
    assert store.writer.cut_delivered(1, before_ms=25, excess=0, most=10) == 0
    assert store.writer.cut_delivered(1, before_ms=0, excess=7) == 7
    assert store.reader._rows("SELECT min(offset), count(*) FROM delivered WHERE destination = 1") == [(32, 68)]
    assert store.count("delivered", 2) == 1


def test_answers_not_used_for_long_and_those_in_excess_are_cut_the_least_used_first(store: Store) -> None:
    answers = [(number, b"%d" % number, 1_000 - number) for number in range(1, 11)]
    store.writer.commit([Delta(destination=1, state=state(), answers=answers)])
    assert store.writer.cut_answers(992, keep=100, most=1) == 1
    assert store.writer.cut_answers(992, keep=100) == 1
    assert store.writer.cut_answers(0, keep=100) == 0
    assert store.writer.cut_answers(0, keep=3) == 5
    assert sorted(row[0] for row in store.reader._rows("SELECT id FROM answer")) == [1, 2, 3]


def test_an_answer_that_is_noted_again_is_used_again(store: Store) -> None:
    for used_at in (5, 900, 7):
        store.writer.commit([Delta(destination=1, state=state(), answers=[(1, b"ok", used_at)])])
    assert store.reader._rows("SELECT used_at FROM answer") == [(900,)]
    assert (store.reader.answer_id(b"ok"), store.reader.last_answer_id()) == (1, 1)


def test_a_line_whose_answer_is_gone_still_says_its_status(store: Store) -> None:
    store.writer.commit([everything()])
    store.writer.cut_answers(10**15)
    assert store.reader.delivered(1, 4) == (line(4), b"")


def test_what_is_left_of_a_destination_is_dropped_in_pieces(store: Store) -> None:
    lines = [line(offset, destination=2) for offset in range(25)]
    store.writer.commit([everything(1), everything(2), Delta(destination=2, state=state(), delivered=lines)])
    kept = {table: store.count(table) for table in TABLES if table not in ("answer", "destination")}
    calls = 0
    while not store.writer.forget([1], most=10):
        calls += 1
        assert 2 in store.reader.destinations(), "it goes last, so that a crash leaves nothing behind"
    assert calls == 2
    assert set(store.reader.destinations()) == {1}
    for table, count in kept.items():
        assert (store.count(table), store.count(table, 2)) == (count, 0)


def test_to_forget_that_fails_blocks_no_later_commit(store: Store) -> None:
    store.writer.commit([everything(2)])
    run = store.writer._connection.execute
    run("CREATE TEMP TRIGGER no BEFORE DELETE ON retry BEGIN SELECT raise(FAIL, 'no'); END")
    with pytest.raises(sqlite3.Error):
        store.writer.forget([])
    run("DROP TRIGGER no")
    store.writer.commit([everything(1)])
    assert set(store.reader.destinations()) == {1, 2}


def test_spans_while_disabled_grow_and_are_found_by_offset(store: Store) -> None:
    for last in (4, 9, 6):
        store.writer.commit([Delta(destination=1, state=state(), disabled=[(1, 2, last)])])
    assert [store.reader.disabled_at(1, offset) for offset in (1, 2, 9, 10)] == [False, True, True, False]
    assert not store.reader.disabled_at(2, 5)


# -- the file ----------------------------------------------------------------------------------------------------------


def test_a_file_of_another_version_is_refused(store: Store) -> None:
    store.writer._connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    for open_it in (DeliveryWriter, DeliveryReader):
        with pytest.raises(Damaged, match="version"):
            open_it(store.path)


def test_a_reader_of_a_file_that_is_not_there_or_broken_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        DeliveryReader(tmp_path / "none.db")
    (tmp_path / "broken.db").write_bytes(b"this is no database, and long enough to be seen as none" * 20)
    with pytest.raises(Damaged):
        DeliveryReader(tmp_path / "broken.db")


def test_a_file_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    old = open_database(tmp_path / "state.db", MIGRATIONS[:1])
    body = msgspec.json.encode({"position": 7, "passed": {"web": 7}, "dead_letters": 3, "open_ms": 5})
    old.execute("INSERT INTO destination VALUES (1, ?)", (body,))
    old.execute("INSERT INTO retry VALUES (1, 0, 9, 'web', 'm9', 0, '[]', 4, 5, 1, 2, 3, x'5b5d', x'7b7d')")
    for job in (0, 0, 6):
        old.execute(
            "INSERT INTO dead_letter VALUES (NULL, 1, ?, 3, 'web', 'm', 0, '[]', 9, 'X', x'5b5d', x'7b')", (job,)
        )
    old.close()
    made = Store(tmp_path / "state.db")
    found = made.reader.destinations()[1]
    assert (found.position, found.passed, found.dead_letters, found.replayed_dead_letters) == (7, {"web": 7}, 2, 1)
    assert made.reader.parked_rows(1)[0].size == 4
    made.close()
