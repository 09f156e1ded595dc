"""The kinds of leaves: how each keeps the events of a profile that fall into it.

A leaf is one reducer of a definition. Which kind it is depends on the definition alone: what counts for ever is only
summed up; what stops counting is kept until it does; what other things decide about is kept to be read again (`kept`).

Rule: after any events in any order, and after merges, the value at an instant is that of the plain evaluator; no event
stays in memory longer than an answer may need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from segue.compute.accumulators import Extreme, Order, Present, Share, accumulator
from segue.compute.entries import Chunks, Place, Run
from segue.compute.history import Occurrence
from segue.compute.leaves import LeafState
from segue.compute.ready import Truth, field_reader
from segue.compute.reducers import reduce, takes_part
from segue.compute.timers import Threshold
from segue.compute.tree import Reduce, Trait
from segue.compute.values import Value
from segue.compute.windows import FOREVER, WHOLE, Reach, stay, timed_window

CAPPED_AT = 1_000
"""Up to such a threshold only as many of the events as it asks for are kept."""


class Facts(NamedTuple):
    """What a leaf is made from. `tested`: its `where`, or as much of it as an event alone decides; None: always true.

    `root`: whether the value of a computed trait is that of the leaf, so that it must be known whether there is one.
    `threshold`: all that is asked of it, where that is the size of a count.
    """

    id: int
    tree: Reduce
    reach: Reach
    tested: Truth[Occurrence] | None
    root: bool
    threshold: Threshold | None


class Leaf(ABC):
    """What all kinds share."""

    def __init__(self, facts: Facts) -> None:
        self.id = facts.id
        self.tree = tree = facts.tree
        self.root = facts.root
        self.threshold = facts.threshold
        self.nothing: Value = reduce(tree, []).value
        """The value of no event."""
        self._counts_all = tree.by == "count"
        self._tested = facts.tested
        self._reach = facts.reach
        self._endless = facts.reach == WHOLE
        self._excluded = frozenset(tree.stream.exclude_sources)
        self._window = timed_window(tree.stream)
        self._given = _reader(tree)

    def add(self, states: dict[int, LeafState], chunks: Chunks, profile: int, occurrence: Occurrence) -> bool:
        """Take an event of the stream's name; gives whether anything may be another now."""
        if occurrence.source in self._excluded or (self._tested is not None and not self._tested(occurrence)):
            return False
        until_ms = FOREVER
        if not self._endless:
            from_ms, until_ms = stay(occurrence, None, self._reach)
            if from_ms >= FOREVER:
                return False
        given = self._given(occurrence)
        part = self._counts_all or takes_part(self.tree, given)
        if not part and not self.keeps_all:
            return False
        state = states.get(self.id)
        if state is None:
            state = states[self.id] = LeafState(figures=self.start())
        if part and until_ms > state.until_ms:
            state.until_ms = until_ms
        self.take(state, self.place(chunks, profile, state), occurrence, given)
        return True

    def place(self, chunks: Chunks, profile: int, state: LeafState) -> Place:
        """Where the chunks of a state are."""
        return Place(chunks, profile, self.id, state)

    keeps_all = False
    """Whether events without a value for the reducer matter."""

    def start(self) -> list[Any]:
        """The figures of no event."""
        return []

    @abstractmethod
    def take(self, state: LeafState, place: Place, occurrence: Occurrence, given: Sequence[Value]) -> None:
        """Note an event that passes."""

    @abstractmethod
    def join(self, state: LeafState, place: Place, other: LeafState, others: Place) -> None:
        """Take over all that another profile's state holds, and leave no chunk of it behind."""

    @abstractmethod
    def advance(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> None:
        """Let begin and end what does until an instant, which is not before that of any call."""

    def next(self, state: LeafState, at_ms: int) -> int | None:
        """When after such an instant the value, or what is asked of it, may be another."""
        return None

    def is_over(self, state: LeafState, at_ms: int) -> bool:
        """Whether the state says no more than none does."""
        return not state.counting and not state.waiting and (not self.root or state.until_ms <= at_ms)


class Decided(Leaf):
    """A leaf whose own events decide its value, with nothing beside them."""

    def advance(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> None:
        """Nothing begins or ends, unless the kind has events that do."""

    @abstractmethod
    def value(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> Value:
        """The value at an instant that `advance` was told."""


class Folded(Decided):
    """Events that count for ever: figures alone."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._accumulator = accumulator(self.tree, leaving=False)

    def start(self) -> list[Any]:
        """Those of the reducer."""
        return self._accumulator.start()

    def take(self, state: LeafState, place: Place, occurrence: Occurrence, given: Sequence[Value]) -> None:
        """Add it up."""
        share = self._accumulator.share(given, order_of(occurrence))
        if share is not None:
            self._accumulator.add(state.figures, share)

    def join(self, state: LeafState, place: Place, other: LeafState, others: Place) -> None:
        """Add them up."""
        self._accumulator.join(state.figures, other.figures)

    def value(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> Value:
        """That of the figures."""
        return self._accumulator.value(state.figures)

    def is_over(self, state: LeafState, at_ms: int) -> bool:
        """Never: there is always an event that counts."""
        return False


class Windowed(Decided):
    """Events that stop counting, in the order in which they do: [until, share]; and those that wait to begin.

    Those that wait are [from, until, share], in the order in which they begin.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._accumulator = accumulator(self.tree, leaving=True)

    def start(self) -> list[Any]:
        """Those of the reducer."""
        return self._accumulator.start()

    def take(self, state: LeafState, place: Place, occurrence: Occurrence, given: Sequence[Value]) -> None:
        """Keep it until it has counted. At its receipt or later it is asked about, so that till then all may go on."""
        now_ms = occurrence.received_at
        from_ms, until_ms = stay(occurrence, self._window, self._reach)
        self._go_on(state, place, now_ms)
        if until_ms <= now_ms or from_ms >= FOREVER:
            return
        share = self._accumulator.share(given, order_of(occurrence))
        if share is None:
            return
        if from_ms <= now_ms:
            self.begin(state, place, until_ms, share)
            return
        if state.waiting is None:
            state.waiting = Run()
        state.waiting.insert([from_ms, until_ms, share], place)

    def advance(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> None:
        """Those that wait begin, those that count end."""
        if (state.counting.head and state.counting.head[0][0] <= at_ms) or state.waiting:
            self._go_on(state, self.place(chunks, profile, state), at_ms)

    def _go_on(self, state: LeafState, place: Place, at_ms: int) -> None:
        waiting = state.waiting
        while waiting and waiting.first[0] <= at_ms:
            _, until_ms, share = waiting.pop_first(place)
            if until_ms > at_ms:
                self.begin(state, place, until_ms, share)
        counting = state.counting
        while counting and counting.first[0] <= at_ms:
            self.end(state, counting.pop_first(place)[1])

    def begin(self, state: LeafState, place: Place, until_ms: int, share: Share) -> None:
        """An event begins to count."""
        self._accumulator.add(state.figures, share)
        state.counting.insert([until_ms, share], place)

    def end(self, state: LeafState, share: Share) -> None:
        """An event has stopped counting."""
        self._accumulator.remove(state.figures, share)

    def join(self, state: LeafState, place: Place, other: LeafState, others: Place) -> None:
        """Put in those that count and those that wait."""
        for until_ms, share in other.counting.drain(others):
            self.begin(state, place, until_ms, share)
        if other.waiting:
            if state.waiting is None:
                state.waiting = Run()
            for entry in other.waiting.drain(others):
                state.waiting.insert(entry, place)

    def value(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> Value:
        """That of the figures, or of the entries where those do not tell."""
        counter = self._accumulator
        if isinstance(counter, Present) and counter.overflows(state.figures):
            place = self.place(chunks, profile, state)
            return counter.earliest([share for _, share in state.counting.ascending(place)])
        return counter.value(state.figures)

    def next(self, state: LeafState, at_ms: int) -> int | None:
        """When the next one begins or ends; of a threshold, when enough of them have."""
        begin_ms: int | None = state.waiting.first[0] if state.waiting else None
        end_ms: int | None = state.counting.first[0] if state.counting else None
        if self.threshold is not None:
            least, n = self.threshold.at_least, state.figures[0]
            if n >= least:
                return self._leaving(state.counting, n, least) if least >= 1 else None
            if not (self.threshold.exactly and n == least - 1):
                return begin_ms
        return earlier(begin_ms, end_ms)

    @staticmethod
    def _leaving(counting: Run, n: int, least: int) -> int:
        """When the one leaves that makes them too few, or as late an instant before as is at hand."""
        far = counting.tail or counting.head
        found: int = (far[-least] if least <= len(far) else counting.head[min(n - least, len(counting.head) - 1)])[0]
        return found


class Capped(Windowed):
    """A count of which no more is asked than whether it reaches a number: so many are kept, those that end last."""

    def begin(self, state: LeafState, place: Place, until_ms: int, share: Share) -> None:
        """Of more than enough, the one that ends first need not be counted."""
        assert self.threshold is not None
        super().begin(state, place, until_ms, share)
        if state.figures[0] > self.threshold.at_least:
            self.end(state, state.counting.pop_first(place)[1])


class Front(Windowed):
    """Extremes of a window: [until, (rank, value)] of those that no better one outlives.

    Ascending in the time of their end they become worse, so that the first is the value.
    """

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        self._extreme = Extreme(self.tree)

    def begin(self, state: LeafState, place: Place, until_ms: int, share: Share) -> None:
        """Leave out what a better one outlives: the new event, or those that it is better than."""
        counting, better = state.counting, self._extreme.better
        later = []
        while counting and counting.last[0] > until_ms:
            later.append(counting.pop_last(place))
        if not later or better(share[0], later[-1][1][0]):
            while counting and not better(counting.last[1][0], share[0]):
                counting.pop_last(place)
            if not counting or counting.last[0] < until_ms:
                counting.insert([until_ms, share], place)
        for entry in reversed(later):
            counting.insert(entry, place)

    def end(self, state: LeafState, share: Share) -> None:
        """The next one is the value."""

    def value(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> Value:
        """The best of those that count."""
        return self._extreme.value(state.counting.first[1]) if state.counting else None


def order_of(occurrence: Occurrence) -> Order:
    """The total order of a profile's events, as msgpack holds it."""
    return [occurrence.t, occurrence.received_at, occurrence.message_id]


def earlier(one: int | None, other: int | None) -> int | None:
    """The earlier of two instants, of which either may be never."""
    if one is None or (other is not None and other < one):
        return other
    return one


def _reader(tree: Reduce) -> Callable[[Occurrence], list[Value]]:
    """How the field of a reducer is read off an event."""
    if tree.field is None:
        return lambda occurrence: []
    assert not isinstance(tree.field, Trait), "checks lets no trait stand in a reducer"
    return field_reader(tree.field)
