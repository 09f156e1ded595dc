"""Lanes: who may be sent now, who is parked with whom, checked against a slow and plain oracle."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from segue.deliver.lanes import Item, Lanes

KEYS = st.lists(st.sampled_from("abcd"), min_size=0, max_size=2, unique=True).map(tuple)


def item(offset: int, *keys: str, job: int = 0) -> Item:
    return Item(offset, "web", f"m{offset}", 0, keys, None, job)


class Oracle:
    """All items in order of arrival; everything else is asked anew each time."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def before(self, of: Item) -> list[Item]:
        """Those that stand before it and share a key with it."""
        return [each for each in self.items[: self.items.index(of)] if set(each.keys) & set(of.keys)]

    def is_head(self, of: Item) -> bool:
        return not self.before(of)

    def parked_with(self, first: Item, parked: set[Item]) -> list[Item]:
        """`first`, and each that stands behind a parked one that it shares a key with, until there are no more."""
        found = {first}
        while True:
            more = {each for each in self.items if each not in found | parked and found & set(self.before(each))}
            if not more:
                return [each for each in self.items if each in found - parked]
            found |= more


class LanesAgainstOracle(RuleBasedStateMachine):
    """Any order of adding, parking heads, bringing back parked ones, and removing."""

    standing = Bundle("standing")

    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.oracle = Oracle()
        self.parked: set[Item] = set()
        self.count = 0

    @rule(target=standing, keys=KEYS, parked=st.booleans())
    def add(self, keys: tuple[str, ...], parked: bool) -> Item:
        self.count += 1
        added = item(self.count, *keys)
        added.parked = parked  # as a row that was redriven, or read back after a start
        self.oracle.items.append(added)
        if parked or self.parked & set(self.oracle.before(added)):
            self.parked.add(added)
        assert self.lanes.add(added) == self.oracle.is_head(added)
        return added

    @rule(which=standing)
    def park(self, which: Item) -> None:
        if self.oracle.is_head(which) and which not in self.parked:
            expected = self.oracle.parked_with(which, self.parked)
            assert self.lanes.park_followers(which) == expected
            self.parked.update(expected)

    @rule(which=consumes(standing))
    def remove(self, which: Item) -> None:
        heads = {each for each in self.oracle.items if self.oracle.is_head(each)}
        self.oracle.items.remove(which)
        self.parked.discard(which)
        new = self.lanes.remove(which)
        assert len(new) == len(set(new))
        assert set(new) == {each for each in self.oracle.items if self.oracle.is_head(each)} - heads

    @invariant()
    def agrees(self) -> None:
        for each in self.oracle.items:
            assert self.lanes.is_head(each) == self.oracle.is_head(each)
            assert each.parked == (each in self.parked)
        assert len(self.lanes) == len({key for each in self.oracle.items for key in each.keys})


TestLanesAgainstOracle = LanesAgainstOracle.TestCase
TestLanesAgainstOracle.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_behind_a_parked_event_stand_only_parked_ones_of_its_lanes() -> None:
    lanes = Lanes()
    first, other, behind, far, alone = item(1, "a"), item(2, "b"), item(3, "a", "b"), item(4, "b", "c"), item(5, "d")
    for each in (first, other, behind, far, alone):
        lanes.add(each)
    assert lanes.park_followers(first) == [first, behind, far]
    assert not other.parked
    assert not alone.parked
    late = item(6, "c")
    assert not lanes.add(late)
    assert late.parked


def test_an_event_without_keys_waits_for_nobody() -> None:
    lanes = Lanes()
    assert lanes.add(item(1))
    assert lanes.add(item(2))
    assert len(lanes) == 0


def test_an_event_becomes_a_head_once_though_it_waits_in_two_lanes() -> None:
    lanes = Lanes()
    one, two, both = item(1, "a"), item(2, "b"), item(3, "a", "b")
    for each in (one, two, both):
        lanes.add(each)
    assert lanes.remove(one) == []
    assert lanes.remove(two) == [both]


def test_arrivals_that_are_reserved_are_given_to_nobody_else() -> None:
    lanes = Lanes()
    first = lanes.reserve(10)
    late = item(1, "a")
    lanes.add(late)
    assert late.arrival >= first + 10


@given(st.lists(KEYS, max_size=30))
def test_the_longest_lanes_are_named_first(all_keys: list[tuple[str, ...]]) -> None:
    lanes = Lanes()
    for number, keys in enumerate(all_keys):
        lanes.add(item(number, *keys))
    sizes = [size for _, size in lanes.longest(3)]
    assert sizes == sorted((sum(key in keys for keys in all_keys) for key in "abcd"), reverse=True)[: len(sizes)]
    assert len(sizes) <= 3
