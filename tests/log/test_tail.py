"""The cache of the newest records: it gives what the log holds, also while retention takes the beginning away."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.errors import OffsetExpired
from segue.core.event import Record
from segue.log.tail import BLOCK, BLOCKS_MOST, Tail


class Numbers:
    """A log whose records say no more than their offset."""

    def __init__(self, end: int = 0) -> None:
        self.begin = 0
        self.last = end
        self.reads = 0

    def start(self, partition: int) -> int:
        return self.begin

    def read(self, partition: int, offset: int, limit: int) -> list[Record]:
        self.reads += 1
        if offset < self.begin:
            raise OffsetExpired(self.begin)
        return self.get(range(offset, min(offset + limit, self.last)))

    def get(self, offsets: Iterable[int]) -> list[Record]:
        body = b'{"type": "track", "messageId": "m", "userId": "u"}'
        return [
            Record(n, 0, 0, "web", n + 1, "track", "", f"m{n}", None, body)
            for n in offsets
            if self.begin <= n < self.last
        ]

    def ordinals_before(self, offset: int) -> dict[str, int]:
        return {"web": offset}


def read(tail: Tail, offset: int) -> list[int]:
    return [record.offset for record, _ in tail.read(offset)]


def test_records_come_in_order_to_the_end_of_their_block() -> None:
    tail = Tail(Numbers(BLOCK + 10))
    assert read(tail, 0) == list(range(BLOCK))
    assert read(tail, BLOCK - 1) == [BLOCK - 1]
    assert read(tail, BLOCK) == list(range(BLOCK, BLOCK + 10))
    assert read(tail, BLOCK + 10) == []


def test_a_block_is_read_once_for_all() -> None:
    log = Numbers(BLOCK)
    tail = Tail(log)
    for offset in (0, 5, 200):
        read(tail, offset)
    assert log.reads == 1


def test_a_block_that_ends_at_the_end_of_the_log_grows_with_it() -> None:
    log = Numbers(3)
    tail = Tail(log)
    assert read(tail, 0) == [0, 1, 2]
    log.last = 5
    assert read(tail, 3) == [3, 4]
    assert read(tail, 0) == [0, 1, 2, 3, 4]


def test_an_offset_before_the_beginning_of_a_known_block_has_expired() -> None:
    log = Numbers(200)
    log.begin = 100
    tail = Tail(log)
    assert read(tail, 100)[0] == 100
    with pytest.raises(OffsetExpired) as expired:
        tail.read(40)
    assert expired.value.start == 100


def test_a_known_block_whose_next_records_are_gone_is_begun_anew() -> None:
    log = Numbers(8)
    tail = Tail(log)
    read(tail, 0)
    log.last, log.begin = 40, 20
    assert read(tail, 20) == list(range(20, 40))


def test_one_that_is_told_looks_for_new_records_only_when_the_log_has_grown() -> None:
    log = Numbers(3)
    tail = Tail(log, told=True)
    assert read(tail, 0) == [0, 1, 2]
    reads, log.last = log.reads, 5
    assert read(tail, 3) == []
    assert log.reads == reads
    tail.grown()
    assert read(tail, 3) == [3, 4]


def test_the_cache_is_bounded() -> None:
    log = Numbers(BLOCK * (BLOCKS_MOST + 5))
    tail = Tail(log)
    for number in range(BLOCKS_MOST + 5):
        read(tail, number * BLOCK)
    assert len(tail._blocks) == BLOCKS_MOST


@given(
    st.lists(st.tuples(st.sampled_from(("read", "append", "expire")), st.integers(0, 600)), max_size=40), st.booleans()
)
def test_it_gives_what_the_log_holds(steps: list[tuple[str, int]], told: bool) -> None:
    log = Numbers()
    tail = Tail(log, told=told)
    for step, number in steps:
        if step == "append":
            log.last += number
            tail.grown()
        elif step == "expire":
            log.begin = max(log.begin, min(number, log.last))
        else:
            offset = min(number, log.last)
            try:
                found = read(tail, offset)
            except OffsetExpired as expired:
                assert offset < expired.start <= log.begin
                continue
            assert found == list(range(offset, offset + len(found)))
            assert found or offset == log.last
            assert found[-1:] == [] or found[-1] < log.last
