"""Leaves that keep their events as they were: sessions, and what an instant or other values decide about.

Rule: nothing is kept of an event but its order and the members that the definition names; what is read again is read
by the plain evaluator itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from segue.compute.accumulators import accumulator
from segue.compute.comparators import Comparator
from segue.compute.entries import Chunks, Place
from segue.compute.evaluate import Evaluation
from segue.compute.history import ABSENT, History, Occurrence
from segue.compute.kinds import Decided, Facts, Leaf, order_of
from segue.compute.leaves import LeafState
from segue.compute.timers import Timers
from segue.compute.tree import Context, Event, Property, Session, parts
from segue.compute.values import Value
from segue.compute.windows import FOREVER, Reach, stay

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class CurrentSession(Decided):
    """The newest run of events: [order, share] of all, and figures of those in the run.

    All are kept: one that comes late may join the run to any that was before it.
    """

    keeps_all = True

    def __init__(self, facts: Facts) -> None:
        super().__init__(facts)
        session = self.tree.stream.window
        assert isinstance(session, Session)
        self._span_ms = session.to.ms
        self._accumulator = accumulator(self.tree, leaving=False)

    def start(self) -> list[Any]:
        """Those of the reducer."""
        return self._accumulator.start()

    def take(self, state: LeafState, place: Place, occurrence: Occurrence, given: Sequence[Value]) -> None:
        """Go on with the run, begin another, or count again where it comes late."""
        order = order_of(occurrence)
        share = self._accumulator.share(given, order)
        kept, late = state.counting, False
        if kept:
            late = order < kept.last[0]
            if not late and order[0] - kept.last[0][0] >= self._span_ms:
                state.figures = self.start()
        kept.insert([order, share], place)
        if late:
            self._count_again(state, place)
        elif share is not None:
            self._accumulator.add(state.figures, share)

    def join(self, state: LeafState, place: Place, other: LeafState, others: Place) -> None:
        """Put in all of the other and count again."""
        for entry in other.counting.drain(others):
            state.counting.insert(entry, place)
        self._count_again(state, place)

    def value(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> Value:
        """That of the figures, unless it has been quiet for long enough."""
        over = not state.counting or at_ms - state.counting.last[0][0] >= self._span_ms
        return self.nothing if over else self._accumulator.value(state.figures)

    def next(self, state: LeafState, at_ms: int) -> int | None:
        """The end of the session."""
        if not state.counting:
            return None
        end_ms: int = state.counting.last[0][0] + self._span_ms
        return end_ms if end_ms > at_ms else None

    def _count_again(self, state: LeafState, place: Place) -> None:
        state.figures = self.start()
        following: int | None = None
        for order, share in state.counting.descending(place):
            if following is not None and following - order[0] >= self._span_ms:
                return
            following = order[0]
            if share is not None:
                self._accumulator.add(state.figures, share)


class Kept(Leaf):
    """Events that what is not theirs decides about: [order, properties, context], as JSON with the named members."""

    def __init__(self, facts: Facts, comparators: dict[int, Comparator]) -> None:
        super().__init__(facts)
        self.keeps_all = isinstance(self.tree.stream.window, Session)
        self._comparators = comparators
        found = [part for _, part, _ in parts(self.tree)]
        self._properties = frozenset(part.path[0] for part in found if isinstance(part, Property))
        self._contexts = frozenset(part.path[0] for part in found if isinstance(part, Context))
        # Whether there is a computed trait is asked of events that have left the window, too.
        self._gone_with = None if self.root else self._window

    def take(self, state: LeafState, place: Place, occurrence: Occurrence, given: Sequence[Value]) -> None:
        """Keep what may be asked of it."""
        properties = _encode(_members(occurrence.properties, self._properties)) if self._properties else "{}"
        context = _encode(_members(occurrence.context, self._contexts)) if self._contexts else "{}"
        self._forget(state, place, occurrence.received_at)
        state.counting.insert([order_of(occurrence), properties, context], place)

    def join(self, state: LeafState, place: Place, other: LeafState, others: Place) -> None:
        """Put in all of the other."""
        for entry in other.counting.drain(others):
            state.counting.insert(entry, place)

    def advance(self, state: LeafState, chunks: Chunks, profile: int, at_ms: int) -> None:
        """Forget the oldest as far as none of them can count again; what has gone may stand behind what stays."""
        self._forget(state, self.place(chunks, profile, state), at_ms)

    def _forget(self, state: LeafState, place: Place, at_ms: int) -> None:
        kept = state.counting
        while kept and self._until_ms(kept.first) <= at_ms:
            kept.pop_first(place)

    def evaluation(
        self, state: LeafState, place: Place, at_ms: int, seen: Callable[[Sequence[Occurrence]], History]
    ) -> Evaluation:
        """The events at an instant, with the traits and other definitions that `seen` puts beside them."""
        occurrences = [_occurrence(entry) for entry in state.counting.ascending(place)]
        return _Once(seen(occurrences), at_ms, self._reach, self._comparators)

    def asked(self, evaluation: Evaluation) -> tuple[Value, bool, int | None]:
        """The value, whether a computed trait has one, and when either may be another."""
        timers = Timers(evaluation)
        if self.root:
            value = evaluation.computed(self.tree)
            instants = timers.of_computed(self.tree)
        else:
            value = evaluation.reduced(self.tree).value
            instants = timers.of_value(self.tree, self.threshold)
        due = min((instant for instant in instants if evaluation.at_ms < instant < FOREVER), default=None)
        return (None, False, due) if value is ABSENT else (value, True, due)

    def _until_ms(self, entry: list[Any]) -> int:
        return stay(_occurrence(entry), self._gone_with, self._reach).until_ms


class _Once(Evaluation):
    """What decides about an event of one stream is worked out once, for the value and for when it may change."""

    def __init__(self, history: History, at_ms: int, reach: Reach, comparators: dict[int, Comparator]) -> None:
        super().__init__(history, at_ms, reach, comparators)
        self._passed: dict[int, bool] = {}

    def passes(self, stream: Event, occurrence: Occurrence) -> bool:
        """Whether an event meets the `where`; the history holds the events for as long."""
        key = id(occurrence)
        if key not in self._passed:
            self._passed[key] = super().passes(stream, occurrence)
        return self._passed[key]


def _members(document: Value, names: frozenset[str]) -> Value:
    if not isinstance(document, dict):
        return document
    return {name: document.get(name) for name in names if name in document}


def _occurrence(entry: list[Any]) -> Occurrence:
    (t, received_at, message_id), properties, context = entry
    return Occurrence(
        t=t,
        received_at=received_at,
        message_id=message_id,
        source="",
        type="track",
        properties=properties,
        context=context,
    )
