"""Runs of entries: sorted whatever was put in when, with few of them at hand."""

from __future__ import annotations

import bisect
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segue.compute.entries import Chunks, Place, Run
from segue.compute.leaves import LeafState
from segue.core.errors import Damaged
from tests.compute.worlds import Rows, Sizes, sizes


class Stored:
    """A run with its chunks, which are written out from time to time."""

    def __init__(self) -> None:
        self.rows = Rows()
        self.chunks = Chunks(self.rows)
        self.state = LeafState()
        self.run = Run()

    @property
    def place(self) -> Place:
        return Place(self.chunks, 7, 1, self.state)

    def take_chunks(self) -> Any:
        return self.chunks.take()

    def store(self) -> None:
        self.rows.keep(self)  # type: ignore[arg-type]
        self.run = msgspec.msgpack.decode(msgspec.msgpack.encode(self.run), type=Run)


moves = st.one_of(
    *[st.tuples(st.just("insert"), st.integers(0, 50))] * 4,
    st.tuples(st.sampled_from(["first", "last", "store"]), st.just(0)),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(moves, max_size=80), st.sampled_from([1, 2, 3, 7]))
def test_a_run_is_a_sorted_list(moves, size):
    with sizes(Sizes(chunk=size)):
        stored, expected, numbers = Stored(), [], 0
        for move, key in moves:
            run, place = stored.run, stored.place
            if move == "insert":
                numbers += 1
                bisect.insort(expected, key)
                run.insert([key, numbers], place)
            elif move == "store":
                stored.store()
            elif expected:
                assert run.pop_first(place)[0] == expected.pop(0) if move == "first" else True
                assert run.pop_last(place)[0] == expected.pop() if move == "last" else True
            run = stored.run
            assert bool(run) == bool(expected)
            if expected:
                assert (run.first[0], run.last[0]) == (expected[0], expected[-1])
                assert len(run.head) <= size and len(run.tail) <= size
        run, place = stored.run, stored.place
        assert [entry[0] for entry in run.ascending(place)] == expected
        assert [entry[0] for entry in run.descending(place)] == expected[::-1]
        for key in expected:
            assert run.floor(key, place)[0] == key
        assert [entry[0] for entry in run.drain(place)] == expected
        stored.store()
        assert not stored.rows.bodies


def test_what_is_at_hand_of_a_long_run_stays_small():
    stored = Stored()
    for n in range(100_000):
        stored.run.insert([n], stored.place)
        if n % 1_000 == 0:
            stored.store()
    stored.store()
    assert len(msgspec.msgpack.encode(stored.run)) < 20_000
    assert max(len(body) for body in stored.rows.bodies.values()) < 10_000


def test_a_late_entry_changes_one_chunk():
    stored = Stored()
    for n in range(0, 20_000, 2):
        stored.run.insert([n], stored.place)
    stored.store()
    stored.run.insert([9_999], stored.place)
    writes, deletes = stored.chunks.take()
    assert len(writes) <= 2 and not deletes


def test_a_chunk_that_was_lost_is_damage():
    stored = Stored()
    for n in range(2_000):
        stored.run.insert([n], stored.place)
    stored.store()
    stored.chunks.take()
    stored.rows.bodies.clear()
    with pytest.raises(Damaged, match="profile 7"):
        list(stored.run.ascending(stored.place))
