"""The ledger: every outcome once, answers stored once, and bounds of what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segue.core.destination import Response
from segue.core.errors import Unavailable
from segue.core.event import Event
from segue.deliver.lanes import Item
from segue.deliver.ledger import ANSWERS_REMEMBERED, DAY_MS, NO_ANSWER_KEPT, Answers, Ledger, keys_of, keys_text
from segue.deliver.limits import LIMITS, Limits
from segue.state.deliveries import DeliveryReader, DeliveryWriter, DestinationState, ReplayState

BODY = b'{"type": "track", "messageId": "m", "userId": "u"}'


class Stored:
    """Answers on disk."""

    def __init__(self) -> None:
        self.ids: dict[bytes, int] = {}
        self.fails = False

    def answer_id(self, body: bytes) -> int | None:
        if self.fails:
            raise Unavailable("the disk is gone")
        return self.ids.get(body)

    def last_answer_id(self) -> int:
        return max(self.ids.values(), default=0)


def ledger(limits: Limits = LIMITS, answers: Answers | None = None, number: int = 1) -> Ledger:
    return Ledger(number, DestinationState(position=0, passed={}), answers or Answers(Stored()), limits)


def item(offset: int, *, job: int = 0, parked: bool = False) -> Item:
    made = Item(offset, "web", f"m{offset}", 0, ("u:u",), Event(BODY), job)
    made.parked = parked
    return made


def plain(body: bytes) -> bytes:
    return body


# -- answers -----------------------------------------------------------------------------------------------------------


def test_equal_answers_have_one_id_also_before_they_are_committed_and_across_destinations() -> None:
    answers, one, other = Answers(Stored()), list[tuple[int, bytes, int]](), list[tuple[int, bytes, int]]()
    first = answers.intern(1, b"ok", 0, plain, one)
    assert answers.intern(1, b"ok", 5, plain, one) == first
    assert answers.intern(2, b"ok", 5, plain, other) == first
    assert one == [(first, b"ok", 0)]
    assert other == [(first, b"ok", 5)], "each destination's commit holds what it refers to"


def test_long_answers_that_differ_only_beyond_what_is_kept_are_one() -> None:
    answers, new = Answers(Stored()), list[tuple[int, bytes, int]]()
    ids = {answers.intern(1, b"x" * 512 + b"%d" % number, 0, plain, new) for number in range(5)}
    assert len(ids) == 1


def test_an_answer_is_masked_before_it_is_compared_and_stored() -> None:
    answers, new = Answers(Stored()), list[tuple[int, bytes, int]]()
    answers.intern(1, b"key=abc", 0, lambda body: body.replace(b"abc", b"***"), new)
    answers.intern(2, b"key=xyz", 0, lambda body: body.replace(b"xyz", b"***"), new)
    assert [(number, body) for number, body, _ in new] == [(1, b"key=***"), (1, b"key=***")]


def test_one_that_is_stored_keeps_its_id_and_is_noted_again_each_day() -> None:
    stored = Stored()
    stored.ids[b"ok"] = 40
    answers, new = Answers(stored), list[tuple[int, bytes, int]]()
    for now in (0, DAY_MS - 1, DAY_MS, DAY_MS + 5):
        assert answers.intern(1, b"ok", now, plain, new) == 40
    assert [now for *_, now in new] == [0, DAY_MS]
    assert answers.intern(1, b"else", 0, plain, new) == 41


def test_when_the_state_cannot_be_read_the_outcome_counts_without_its_answer() -> None:
    stored = Stored()
    stored.fails = True
    new = list[tuple[int, bytes, int]]()
    assert Answers(stored).intern(1, b"ok", 0, plain, new) == NO_ANSWER_KEPT
    assert new == []


def test_what_is_remembered_of_answers_is_bounded() -> None:
    stored = Stored()
    answers, new = Answers(stored), list[tuple[int, bytes, int]]()
    for number in range(3 * ANSWERS_REMEMBERED):
        answers.intern(1, b"%d" % number, 0, plain, new)
    answers.stored(new)
    assert len(answers._known) == ANSWERS_REMEMBERED
    assert not answers._fresh


def test_every_line_of_a_delivery_finds_its_answer_on_disk(tmp_path: Path) -> None:
    writer, reader = DeliveryWriter(tmp_path / "state.db"), DeliveryReader(tmp_path / "state.db")
    answers = Answers(reader)
    ledgers = [ledger(answers=answers, number=number) for number in (1, 2)]
    for turn in range(3):
        for offset, body in enumerate((b"ok", b"x" * 600 + b"%d" % turn, b"%d" % turn)):
            for each in ledgers:
                each.delivered(item(turn * 10 + offset), Response(status=200, body=body), 0, 5, plain)
        writer.commit([each.take([]) for each in ledgers])
        for each in ledgers:
            each.committed()
    for number in (1, 2):
        for offset in (0, 1, 2, 10, 11, 12, 20, 21, 22):
            found = reader.delivered(number, offset)
            assert found is not None
            assert found[1] != b""
    assert reader._rows("SELECT count(*) FROM answer") == [(5,)]
    reader.close()
    writer.close()


# -- counts ------------------------------------------------------------------------------------------------------------


def test_a_parked_event_is_found_with_its_newest_attempts_until_it_is_on_disk() -> None:
    class NoRows:
        def retry_row(self, destination: int, job: int, offset: int) -> None:
            return None

    held, waiting = ledger(), item(3, parked=True)
    held.parked(waiting, Event(BODY))
    assert held.body_and_history(waiting, NoRows()) == (BODY, b"[]")
    held.take([])
    waiting.history = [{"at": 1}]
    held.retried(waiting)
    assert held.body_and_history(waiting, NoRows()) == (BODY, b'[{"at":1}]')
    held.take([])
    with pytest.raises(AssertionError, match="offset 3"):
        held.body_and_history(waiting, NoRows())


def test_what_was_parked_and_ended_between_two_commits_leaves_no_row() -> None:
    held, waiting = ledger(), item(3, parked=True)
    held.parked(waiting, Event(BODY))
    held.retried(waiting)
    held.refused(waiting, "RETRY", BODY, 0)
    delta = held.take([])
    assert (delta.parked, delta.updated, len(delta.dead)) == ([], [], 1)
    assert (delta.state.retrying, delta.state.retry_bytes, delta.state.refused) == (0, 0, {"RETRY": 1})


def test_a_replays_events_are_outside_the_balance_but_inside_the_bounds() -> None:
    held = ledger()
    held.replays[9] = ReplayState(position=0, end=5)
    waiting = item(3, job=9, parked=True)
    held.parked(waiting, Event(BODY))
    assert (held.state.retrying, held.retry_rows(), held.state.retry_bytes) == (0, 1, len(BODY + b"[]"))
    held.delivered(waiting, Response(status=200), 0, 0, plain)
    assert (held.replays[9].delivered, held.replays[9].retrying, held.retry_rows(), held.state.retry_bytes) == (
        1,
        0,
        0,
        0,
    )
    assert held.state.delivered == 0


def test_a_delta_does_not_change_with_what_comes_after_it() -> None:
    held = ledger()
    held.replays[9] = ReplayState(position=0, end=5)
    held.filtered("UNSUPPORTED_EVENT_TYPE")
    delta = held.take([1])
    held.filtered("UNSUPPORTED_EVENT_TYPE")
    held.lost(3)
    held.replays[9].matched = 4
    held.take([2])
    assert (delta.state.filtered, delta.state.refused, delta.state.unfinished) == (
        {"UNSUPPORTED_EVENT_TYPE": 1},
        {},
        [1],
    )
    assert delta.replays[9].matched == 0


def test_changes_of_retry_rows_wait_for_their_commit_as_outcomes_do() -> None:
    held, waiting = ledger(), item(3, parked=True)
    held.parked(waiting, Event(BODY))
    held.retried(waiting)
    assert held.outcomes == 2


def test_attempts_count_as_bytes_of_retry_rows_and_at_the_bound_only_the_newest_is_kept_without_its_request() -> None:
    held, waiting = ledger(Limits(retry_bytes=2_000)), item(3, parked=True)
    waiting.history = [{"at": "1", "request": "x" * 900}]
    held.parked(waiting, Event(BODY))
    (row,) = held.take([]).parked
    assert held.state.retry_bytes == waiting.size == len(row.body + row.history) > 900
    waiting.history = [{"at": "1"}, {"at": "2", "request": "x" * 2_000}]
    held.retried(waiting)
    assert held.state.retry_bytes == len(BODY + held.take([]).updated[0].history) > 2_000
    waiting.history = [{"at": "1"}, {"at": "2"}, {"at": "3", "request": "x" * 2_000}]
    held.retried(waiting)
    assert held.take([]).updated[0].history == b'[{"at":"3"}]'
    assert held.state.retry_bytes == len(BODY) + len(b'[{"at":"3"}]')
    held.delivered(waiting, Response(status=200), 0, 0, plain)
    assert held.state.retry_bytes == 0


def test_dead_letters_of_replays_take_no_place_from_the_others() -> None:
    held = ledger(Limits(dead_letters=3))
    held.replays[9] = ReplayState(position=0, end=9)
    cuts = []
    for offset, job in enumerate((9, 9, 0, 9, 0, 0, 9, 0)):
        held.refused(item(offset, job=job), "BAD_REQUEST", BODY, 0)
        delta = held.take([])
        cuts.append((delta.dead_cut, delta.replayed_dead_cut))
    assert cuts == [(0, 0), (0, 0), (0, 0), (0, 1), (0, 1), (0, 1), (0, 1), (1, 0)]
    state = held.state
    assert (state.dead_letters, state.replayed_dead_letters, state.dead_letters_cut) == (3, 0, 5)


def test_lines_of_deliveries_beyond_their_bytes_are_in_excess_the_history_counted() -> None:
    held = ledger(Limits(delivered_bytes=10_000))
    long = item(0)
    long.history = [{"at": "x" * 9_000}]
    held.delivered(long, Response(status=200), 0, 0, plain)
    for offset in range(1, 10):
        held.delivered(item(offset), Response(status=200), 0, 0, plain)
    assert held.delivered_excess() == 0
    for offset in range(10, 100):
        held.delivered(item(offset), Response(status=200), 0, 0, plain)
    excess = held.delivered_excess()
    assert 0 < excess < 100
    held.delivered_cut(excess)
    assert held.delivered_excess() == 0
    assert held.state.delivered_rows == 100 - excess
    held.delivered_cut(1_000)
    assert (held.state.delivered_rows, held.state.delivered_bytes) == (0, 0)


def test_order_keys_are_stored_exactly() -> None:
    keys = ('u:"\u00e9', "a:\u0001")
    assert keys_of(keys_text(keys)) == keys
    assert json.loads(keys_text(keys)) == list(keys)
