"""The queue of heads: who goes next, whom a probe takes, and that nobody is held up."""

from __future__ import annotations

import pytest

from segue.deliver.lanes import Item
from segue.deliver.queue import Queue, lane_of


def item(number: int, *, job: int = 0, due_at: int | None = None, alone: bool = False) -> Item:
    made = Item(number, "web", f"m{number}", 0, (f"u:{number}",), None, job)
    made.arrival, made.alone = number, alone
    if due_at is not None:
        made.parked, made.due_at = True, due_at
    return made


def queue(*items: Item, rate: float | None = None) -> Queue:
    made = Queue(rate)
    for each in items:
        made.offer(each)
    return made


def drained(made: Queue, now: int = 1_000, concurrency: int = 50) -> list[int]:
    found = []
    while (taken := made.next(now, concurrency)) is not None:
        found.append(taken.offset)
    return found


def test_each_item_is_given_once_and_live_ones_in_order() -> None:
    made = queue(*(item(number) for number in range(5)), item(9, due_at=0), item(8, job=1), item(7, due_at=5_000))
    found = drained(made)
    assert sorted(found) == [0, 1, 2, 3, 4, 8, 9]
    assert [offset for offset in found if offset < 5] == [0, 1, 2, 3, 4]
    assert made.next_at(1_000) == 5_000
    assert drained(made, 5_000) == [7]
    assert len(made) == 0
    assert made.next_at(5_000) is None


def test_neither_live_nor_due_nor_replayed_ones_are_held_up_by_many_of_the_others() -> None:
    live, due = [item(number) for number in range(20)], [item(number, due_at=0) for number in range(20, 40)]
    for crowd, one in ((live, item(99, due_at=0)), (live, item(99, job=1)), (due, item(99)), (due, item(99, job=1))):
        assert drained(queue(*crowd, one)).index(99) <= 3


def test_the_earliest_due_goes_first_and_one_put_back_before_it() -> None:
    made = queue(item(1, due_at=500), item(2, due_at=300))
    made.offer_first(item(3, due_at=900))
    assert drained(made) == [3, 2, 1]


def test_replays_take_half_of_the_concurrency_and_of_the_rate_at_most() -> None:
    made = queue(*(item(number, job=1) for number in range(10)))
    made.aside_flying = 5
    assert made.next(0, 10) is None
    made.aside_flying = 4
    assert made.next(0, 10) is not None
    made = queue(*(item(number, job=1) for number in range(10)), rate=2.0)
    assert made.next(10_000, 50) is not None
    assert made.next(10_000, 50) is None
    assert made.next_at(10_000) == pytest.approx(11_000, abs=1)
    assert made.next(11_000, 50) is not None


def test_a_concurrency_of_one_still_lets_replays_go() -> None:
    assert drained(queue(item(1, job=1)), concurrency=1) == [1]


def test_a_probe_takes_another_lane_than_the_last_where_there_is_one() -> None:
    for others in ([item(2)], [item(2, due_at=99_999)], [item(2, job=1)]):
        for first in (item(1), item(1, due_at=0), item(1, job=1)):
            made = queue(first, *others)
            found = made.probe("u:1")
            assert found is not None
            assert found.offset == 2
            assert len(made) == 1


def test_a_probe_takes_the_same_lane_where_there_is_no_other() -> None:
    for only in (item(1), item(1, due_at=99_999), item(1, job=1)):
        made = queue(only)
        assert made.probe("u:1") is only
        assert len(made) == 0
    assert queue().probe("") is None


def test_after_a_probe_the_retries_are_still_in_order() -> None:
    made = queue(*(item(number, due_at=number) for number in (5, 3, 1, 4, 2)))
    assert made.probe("u:1").offset == 2  # type: ignore[union-attr]
    assert drained(made) == [1, 3, 4, 5]


def test_a_batch_is_filled_with_live_heads_up_to_one_that_goes_alone() -> None:
    made = queue(item(2), item(3), item(4, alone=True), item(5))
    items = [item(1)]
    made.fill(items, 10)
    assert [each.offset for each in items] == [1, 2, 3]
    made = queue(item(2), item(3), item(4))
    items = [item(1)]
    made.fill(items, 3)
    assert len(items) == 3


def test_an_item_without_keys_is_a_lane_of_its_own() -> None:
    assert lane_of(Item(7, "web", "m", 0, (), None)) == "7"
