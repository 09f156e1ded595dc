"""The outbox: rows in order, each read bounded, a number never given twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.errors import Unavailable
from segue.state.computed_rows import ComputedDelta, ComputeState
from segue.state.outbox import OutboxRow
from segue.state.outbox_reader import OutboxReader, OutboxReaders
from segue.state.profiles import ProfileWriter

from .test_profiles import delta


def message(number: int, body: bytes = b'{"type":"identify"}') -> OutboxRow:
    return OutboxRow(f"personas_{number}", "identify", "u1", "7", 1_000 + number, body)


class Outbox:
    """The outbox of a space, and what reads it."""

    def __init__(self, path: Path) -> None:
        self.writer = ProfileWriter(path)
        self.reader = OutboxReader(path)

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def write(self, *rows: OutboxRow, moved: tuple[str, ...] = ()) -> None:
        computed = ComputedDelta(state=ComputeState(), outbox=list(rows), moved=list(moved))
        self.writer.commit([delta(computed=computed)])

    def numbers(self, after: int = 0, *, count: int = 1_000, size: int = 1_000_000) -> list[int]:
        return [seq for seq, _ in self.reader.rows(after, count=count, size=size)]


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    made = Outbox(tmp_path / "profiles.db")
    yield made
    made.close()


def test_rows_are_read_in_the_order_in_which_they_were_written(outbox: Outbox) -> None:
    rows = [message(number) for number in (3, 1, 2)]
    outbox.write(*rows)
    assert outbox.reader.rows(0, count=10, size=1_000) == list(enumerate(rows, 1))
    assert outbox.numbers(1) == [2, 3]
    assert (outbox.reader.count(), outbox.reader.last()) == (3, 3)
    assert outbox.reader.next_id(1) == (2, "personas_1")
    assert outbox.reader.next_id(3) is None


def test_what_is_in_the_log_goes_and_its_number_is_not_given_again(outbox: Outbox) -> None:
    outbox.write(message(1), message(2))
    outbox.write(moved=("personas_1", "personas_2", "of no row"))
    assert (outbox.reader.count(), outbox.reader.last()) == (0, 0)
    outbox.write(message(3))
    assert outbox.numbers() == [3]


def test_a_message_that_waits_already_is_not_written_twice(outbox: Outbox) -> None:
    outbox.write(message(1))
    outbox.write(message(1), message(2))
    assert outbox.reader.count() == 2


def test_a_row_written_and_moved_in_one_commit_goes(outbox: Outbox) -> None:
    outbox.write(message(1), moved=("personas_1",))
    assert outbox.reader.count() == 0


@given(sizes=st.lists(st.integers(0, 9), max_size=12), count=st.integers(1, 5), size=st.integers(0, 20))
def test_a_read_is_bounded_and_reads_on_to_the_end(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], count: int, size: int
) -> None:
    outbox = Outbox(tmp_path_factory.mktemp("space") / "profiles.db")
    outbox.write(*(message(number, b"x" * length) for number, length in enumerate(sizes)))
    after, seen = 0, 0
    while rows := outbox.reader.rows(after, count=count, size=size):
        assert len(rows) <= count
        assert len(rows) == 1 or sum(len(row.body) for _, row in rows) <= size
        after, seen = rows[-1][0], seen + len(rows)
    assert seen == len(sizes)
    outbox.close()


def test_a_space_that_was_not_begun_has_no_outbox_yet(tmp_path: Path) -> None:
    readers = OutboxReaders(lambda space: tmp_path / str(space) / "profiles.db")
    assert readers.get(1) is None
    with pytest.raises(Unavailable):
        OutboxReader(tmp_path / "none.db")
    (tmp_path / "1").mkdir()
    ProfileWriter(tmp_path / "1" / "profiles.db").close()
    found = readers.get(1)
    assert found is not None and found.count() == 0
    readers.close()
