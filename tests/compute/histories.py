"""Histories of one profile: written by hand for examples, generated for what must hold of all of them.

`WORDS` gives generated definitions the names, values and lengths of time that generated histories have, so that events
stand on the edges of windows and dates on those of comparators.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from segue.compute.dates import read_date
from segue.compute.evaluate import value
from segue.compute.history import Absence, History, Occurrence
from segue.compute.parse import parse
from segue.compute.timers import next_change
from segue.compute.tree import (
    And,
    By,
    Compare,
    Condition,
    Definition,
    Duration,
    Event,
    Not,
    Number,
    Property,
    Reduce,
    Relation,
    Scalar,
    Session,
    Span,
    Trait,
    parts,
)
from segue.compute.values import Value
from segue.compute.windows import WHOLE, Reach
from segue.core.profile import Cause, ExternalId
from segue.core.profile import Trait as Version
from tests.compute.definitions import Place, Words, conditions, fields, windows

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
T0 = 1_773_144_000_000
"""2026-03-10T12:00:00.000Z."""

U1 = (ExternalId("user_id", "u1"),)


def ms(moment: str) -> int:
    """A moment in ms since 1970."""
    return round(datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp() * 1000)


def track(name: str, t: int, properties: Mapping[str, Any] | None = None, **more: Any) -> Occurrence:
    """A track call that was received when it happened, with its instant as messageId unless another is given."""
    fields = {"received_at": t, "message_id": f"{name}-{t}", "source": "web", "type": "track", **more}
    return Occurrence(t=t, name=name, properties=json.dumps(properties or {}), **fields)


def version(value: Any, t: int = 0, *, received_at: int | None = None, message_id: str = "m") -> Version:
    """A trait that an identify call has set."""
    cause = Cause(0, t if received_at is None else received_at, t, message_id, "web")
    return Version(json.dumps(value, ensure_ascii=False, separators=(",", ":")), cause)


def profile(*occurrences: Occurrence, traits: Mapping[str, Any] | None = None, **more: Any) -> History:
    """A profile; its traits are values that always held, or lists of versions."""
    versions = {
        name: found if isinstance(found, list) and found and isinstance(found[0], Version) else [version(found)]
        for name, found in (traits or {}).items()
    }
    return History(occurrences=occurrences, traits=versions, **{"ids": U1, **more})


def is_true(text: str, history: History, at_ms: int = T0, reach: Reach = WHOLE) -> bool:
    """Whether the definition of an audience is true."""
    found = value(parse(text, "audience"), history, at_ms, reach)
    assert isinstance(found, bool)
    return found


def computed(text: str, history: History, at_ms: int = T0, reach: Reach = WHOLE) -> Value | Absence:
    """The value of a computed trait."""
    return value(parse(text, "trait"), history, at_ms, reach)


def changes(text: str, history: History, at_ms: int = T0, reach: Reach = WHOLE) -> int | None:
    """When the definition of an audience first says something else, found by waking as its timers say."""
    tree = parse(text, "audience")
    before, instant = value(tree, history, at_ms, reach), next_change(tree, history, at_ms, reach)
    while instant is not None and value(tree, history, instant, reach) == before:
        assert instant > at_ms
        at_ms, instant = instant, next_change(tree, history, instant, reach)
    return instant


EVENTS = ("A", "B", "Page Viewed")
PROPERTIES = ("p", "q", "tags", "items")
TRAITS = ("x", "y", "when")
AUDIENCES = ("aud", "other", "spend")
SPANS_MS = (HOUR, 2 * HOUR, DAY, 3 * DAY)

DATES = ("2026-03-10", "2026-03-10T12:00:00Z", "2026-03-10T11:00", "2026-03-07T12:00:00.001Z", "2026-03-13")
dates = st.sampled_from(DATES)
plain: SearchStrategy[Any] = st.one_of(
    st.sampled_from([None, "", "5", "05", "5.0", "a", "b", True, 5, 7.5, 0.1, 2**53 + 1, float(2**53), -1, 10**18]),
    st.integers(0, 6),
    dates,
)
values: SearchStrategy[Any] = st.one_of(
    plain, plain, st.lists(plain, max_size=3), st.fixed_dictionaries({}, optional={"p": plain, "q": plain})
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "p": values,
        "q": st.integers(0, 3) | dates | plain,
        "tags": st.lists(plain, max_size=3),
        "items": st.lists(st.fixed_dictionaries({}, optional={"p": plain}), max_size=2),
        "page_name": plain,
    },
)
instants = st.builds(
    lambda span, minutes, near: T0 - span - minutes * MINUTE + near,
    st.sampled_from((0, 0, *SPANS_MS)),
    st.sampled_from([0, 0, 20, 30, 60, 90]),
    st.sampled_from([-1, 0, 0, 1]),
)
"""When things happen: days and windows before T0, on the edge and one millisecond off."""

WORDS = Words(
    events=st.sampled_from(EVENTS),
    traits=st.sampled_from([("x",), ("y",), ("when",), ("x", "p"), ("y", "$"), *((key,) for key in AUDIENCES)]),
    properties=st.sampled_from([("p",), ("q",), ("p", "q"), ("tags", "$"), ("items", "$", "p"), ("page_name",)]),
    contexts=st.sampled_from([("p",), ("q",), ("tags", "$")]),
    audiences=st.sampled_from(AUDIENCES),
    sources=st.sampled_from(["web", "app"]),
    texts=st.sampled_from(["5", "a", "b", "true", ""]),
    numbers=st.one_of(st.integers(-1, 6), st.sampled_from([0.1, 7.5, 2**53])),
    dates=dates,
    spans=st.sampled_from([(1, "hour"), (2, "hour"), (24, "hour"), (1, "day"), (3, "day")]),
)


class Facts(NamedTuple):
    """What a history is made of, in the order of arrival."""

    occurrences: list[dict[str, Any]]
    versions: list[tuple[str, Version]]

    def history(self, order: Iterable[int] | None = None) -> History:
        """The profile, after the events came in this order."""
        occurrences = [Occurrence(**fields) for fields in self.occurrences]
        versions = self.versions
        if order is not None:
            occurrences = [occurrences[index] for index in order]
            versions = versions[::-1]
        traits: dict[str, list[Version]] = {}
        for name, each in versions:
            traits.setdefault(name, []).append(each)
        return History(occurrences=occurrences, traits=traits, ids=U1)

    def edges(self, *spans_ms: int) -> list[int]:
        """Instants at which something may change: times of events, ends of dates, a span before or after; +-1 ms."""
        times = {fields[name] for fields in self.occurrences for name in ("t", "received_at")}
        times |= {each.cause.t for _, each in self.versions}
        times |= {end for text in DATES for end in read_date(text) or ()}
        found = {at + span + near for at in times for span in (0, *spans_ms) for near in (-1, 0, 1)}
        return sorted(found | {at - span + near for at in times for span in spans_ms for near in (-1, 0, 1)})


def spans_of(*trees: Definition) -> set[int]:
    """The lengths of time that definitions name, in ms."""
    return {part.ms for tree in trees for _, part, _ in parts(tree) if isinstance(part, Span)}


@st.composite
def facts(draw: st.DrawFn, most: int = 6) -> Facts:
    """Events of a few names, on edges, some late, some at the same instant; and versions of traits."""
    occurrences = []
    for number in range(draw(st.integers(0, most))):
        t = draw(instants)
        type_ = draw(st.sampled_from(["track"] * 5 + ["page"]))
        occurrences.append(
            {
                "t": t,
                "received_at": t + draw(st.sampled_from([0, 0, 1, HOUR, DAY])),
                "message_id": f"m{number}",
                "source": draw(st.sampled_from(["web", "app"])),
                "type": type_,
                "name": draw(st.sampled_from(["A", "A", "A", "B", ""])),
                "properties": json.dumps(draw(objects)),
                "context": json.dumps(draw(objects)),
            }
        )
    versions = [
        (draw(st.sampled_from(TRAITS)), version(draw(values), draw(instants), message_id=f"i{number}"))
        for number in range(draw(st.integers(0, 3)))
    ]
    return Facts(occurrences, versions)


floors = instants.map(lambda at: at - 2 * DAY)
reaches = st.one_of(
    st.just(WHOLE),
    st.just(WHOLE),
    st.sampled_from(SPANS_MS).map(lambda span: Reach(retention_ms=span)),
    st.builds(Reach, retention_ms=st.none() | st.just(3 * DAY), received_from_ms=floors, from_ms=st.none() | floors),
)


@st.composite
def busy_reductions(draw: st.DrawFn, *, listed: bool = False) -> Reduce:
    """A reducer that has something to do: a window over the event that most generated events are."""
    place = Place(WORDS, later=False, junctions=1, events=1)
    window = draw(st.none() | windows(WORDS) | windows(WORDS))
    if listed and draw(st.booleans()):
        window = Session(to=Span(draw(st.sampled_from([1800, 3600, 7200])), "second"))
    filters = st.none() | st.none() | conditions(place) | st.builds(_sliding, fields(place), draw_span)
    stream = Event(name="A", where=draw(filters), window=window)
    by = draw(st.sampled_from(["count", *(name for name in get_args(By) if listed or name != "unique")]))
    if by == "count":
        return Reduce(stream=stream, by=by)
    as_ = draw(st.sampled_from([None, "number", "string"])) if by in ("min", "max", "mode") else None
    field = draw(st.just(Property(path=("q",))) | fields(place))
    return Reduce(stream=stream, by=by, field=field, as_=as_, min=1 if by == "mode" and draw(st.booleans()) else None)


draw_span = st.sampled_from([("within_last", 1), ("within_next", 2), ("before_last", 1), ("after_next", 3)])


def _sliding(left: Scalar, op: tuple[Any, int]) -> Compare:
    return Compare(left=left, op=op[0], args=(Duration(op[1], "day"),))


@st.composite
def busy_audiences(draw: st.DrawFn) -> Condition:
    """A comparison of such a reducer, or two of them, with numbers that it reaches; or a date that slides by."""
    left: Any = draw(busy_reductions() | WORDS.traits.map(lambda path: Trait(path=path)))
    numbers = st.integers(-1, 4).map(lambda n: Number(value=n))
    leaf = st.one_of(
        st.builds(lambda op, n: Compare(left=left, op=op, args=(n,)), st.sampled_from(get_args(Relation)), numbers),
        st.builds(lambda op: _sliding(left, op), draw_span),
        st.builds(lambda other: Compare(left=left, op="equals", args=(other,)), busy_reductions()),
    )
    found: Condition = draw(leaf)
    kind = draw(st.sampled_from(["one", "one", "not", "and"]))
    if kind == "not":
        return Not(item=found)
    return And(items=(found, draw(conditions(Place(WORDS, later=False, junctions=0))))) if kind == "and" else found
