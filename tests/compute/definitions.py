"""Definitions of every form, generated: for whatever must hold of all of them.

`audiences(words)` and `computed_traits(words)` give well-formed trees; with `later=True` also the forms that are read
and refused (ANY, ALL, events inside where, `parent:`, traits in reducers). `Words` says which names and literals they
use: by default anything that can be written; for two evaluators over generated events, the names that those have.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple, get_args

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from segue.compute import tree
from segue.compute.checks import LEAVES_MOST, STRING_CHARACTERS_MOST
from segue.compute.dates import read_date
from segue.compute.paths import can_be_written
from segue.compute.tree import (
    AllUsers,
    And,
    AnyUser,
    Audience,
    Between,
    Compare,
    Condition,
    Context,
    Date,
    Duration,
    Event,
    Not,
    Number,
    Or,
    Property,
    Reduce,
    Session,
    Span,
    Text,
    Trait,
    Within,
    parts,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = texts.filter(bool)
keys = st.text("abcxyz0189_", min_size=1, max_size=12)


def paths(name: SearchStrategy[str] = names) -> SearchStrategy[tuple[str, ...]]:
    """Paths of one to four names, some with `$`."""
    found = st.lists(st.one_of(name, st.just("$")), min_size=1, max_size=4).map(tuple)
    return found.filter(lambda path: can_be_written(path) and len(".".join(path)) <= STRING_CHARACTERS_MOST)


def moments() -> SearchStrategy[str]:
    """Dates as they are written without quotes: days, and moments with and without seconds, fraction and zone."""
    zones = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    when = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1))
    zoned = st.builds(lambda at, zone: at.replace(tzinfo=zone).isoformat(), when, zones)
    written = st.one_of(
        when.map(lambda at: at.date().isoformat()),
        when.map(lambda at: at.isoformat(timespec="minutes")),
        when.map(lambda at: at.isoformat(timespec="milliseconds") + "Z"),
        zoned,
    )
    return written.filter(lambda text: read_date(text) is not None)


class Words(NamedTuple):
    """What a generated definition may name, and the literals it may hold."""

    events: SearchStrategy[str] = names
    traits: SearchStrategy[tuple[str, ...]] = paths()
    properties: SearchStrategy[tuple[str, ...]] = paths()
    contexts: SearchStrategy[tuple[str, ...]] = paths().filter(lambda path: path[0] != "traits")
    audiences: SearchStrategy[str] = keys
    sources: SearchStrategy[str] = names
    texts: SearchStrategy[str] = texts
    numbers: SearchStrategy[int | float] = st.one_of(
        st.integers(-20, 20), st.integers(-(10**40), 10**40), st.floats(allow_nan=False, allow_infinity=False)
    )
    dates: SearchStrategy[str] = moments()
    spans: SearchStrategy[tuple[int, tree.Unit]] = st.one_of(
        st.tuples(st.integers(1, 3650), st.just("day")), st.tuples(st.integers(1, 87_600), st.just("hour"))
    )


ANY_WORDS = Words()


class Place(NamedTuple):
    """Where a generated part stands: how many junctions may still be inside it, how many events are around it."""

    words: Words
    later: bool
    junctions: int
    events: int = 0


def audiences(words: Words = ANY_WORDS, *, later: bool = False, junctions: int = 2) -> SearchStrategy[Condition]:
    """Definitions of audiences."""
    return conditions(Place(words, later, junctions)).filter(_is_small)


def computed_traits(words: Words = ANY_WORDS, *, later: bool = False) -> SearchStrategy[Reduce]:
    """Definitions of computed traits."""
    place = Place(words, later, junctions=1)
    sessions = spans(words, session=True).map(lambda to: Session(to=to))
    return reductions(place, listed=True, sessions=sessions).filter(_is_small)


def _is_small(definition: tree.Definition) -> bool:
    return sum(isinstance(part, Compare | Audience) for _, part, _ in parts(definition)) <= LEAVES_MOST


@st.composite
def conditions(draw: st.DrawFn, place: Place, inside: type | None = None) -> Condition:
    """A condition; directly inside a junction, none of the same kind."""
    kinds: list[Any] = [Compare, Compare, Compare, Audience, Not]
    if place.junctions:
        kinds += [kind for kind in (And, Or) if kind is not inside]
    if place.later and place.events == 0:
        kinds += [AnyUser, AllUsers]
    kind = draw(st.sampled_from(kinds))
    if kind is Compare:
        return draw(comparisons(place))
    if kind is Audience:
        return Audience(key=draw(place.words.audiences))
    deeper = place._replace(junctions=max(place.junctions - 1, 0))
    if kind in (And, Or):
        return kind(items=tuple(draw(st.lists(conditions(deeper, kind), min_size=2, max_size=3))))
    return kind(item=draw(conditions(deeper)))


@st.composite
def comparisons(draw: st.DrawFn, place: Place) -> Compare:
    """A leaf with any comparator."""
    words = place.words
    op = draw(st.sampled_from(get_args(tree.Op)))
    left = draw(scalars(place))
    if op in get_args(tree.Existence):
        return Compare(left=left, op=op)
    if op in get_args(tree.Relative):
        span = draw(spans(words))
        return Compare(left=left, op=op, args=(Duration(span.n, span.unit),))
    return Compare(left=left, op=op, args=tuple(draw(_args(place, op))))


def _args(place: Place, op: tree.Op) -> SearchStrategy[list[Any]]:
    words = place.words
    numbers = words.numbers.map(lambda value: Number(value=value))
    dates = words.dates.map(lambda value: Date(value=value))
    quoted_dates = words.dates.map(lambda value: Text(value=value))
    text = words.texts.map(lambda value: Text(value=value))
    some_text = words.texts.filter(bool).map(lambda value: Text(value=value))
    literals = st.one_of(numbers, dates, text, st.sampled_from([Text(value="true"), Text(value="false")]))
    if op in ("equals", "differs"):
        return _one(literals, scalars(place))
    if op in get_args(tree.Relation):
        quoted_numbers = st.integers(-99, 99).map(lambda value: Text(value=str(value)))
        return _one(numbers, dates, quoted_dates, quoted_numbers, scalars(place))
    if op in get_args(tree.Affix):
        return _one(some_text)
    if op in get_args(tree.Dated):
        return _one(dates, quoted_dates)
    values = literals if op in ("one_of", "none_of") else st.one_of(numbers, dates, some_text)
    return st.lists(values, min_size=1, max_size=3)


def _one(*of: SearchStrategy[Any]) -> SearchStrategy[list[Any]]:
    return st.one_of(*of).map(lambda value: [value])


def scalars(place: Place) -> SearchStrategy[tree.Scalar]:
    """A value: of the profile, of the event in hand, or of a stream of events."""
    found: list[SearchStrategy[tree.Scalar]] = [place.words.traits.map(lambda path: Trait(path=path))]
    if place.events:
        found += [fields(place)] * 3
    if place.events == 0 or (place.later and place.events < 3):
        found += [reductions(place._replace(junctions=min(place.junctions, 1)))] * 2
    return st.one_of(*found)


def fields(place: Place, *, reduced: bool = False) -> SearchStrategy[Any]:
    """A property or a context of an event."""
    words = place.words
    properties = words.properties.map(lambda path: Property(path=path))
    contexts = words.contexts.map(lambda path: Context(path=path))
    if place.later and reduced:
        return st.one_of(properties, contexts, words.traits.map(lambda path: Trait(path=path)))
    if place.later and place.events > 1:
        return st.one_of(properties, contexts, words.properties.map(lambda path: Property(path=path, parent=True)))
    return st.one_of(properties, contexts)


@st.composite
def reductions(
    draw: st.DrawFn,
    place: Place,
    *,
    listed: bool = False,
    sessions: SearchStrategy[Session] | None = None,
) -> Reduce:
    """A stream with a reducer; `listed`: also `unique`, which only a computed trait may end in."""
    by = draw(st.sampled_from([name for name in get_args(tree.By) if listed or name != "unique"]))
    stream = draw(streams(place, sessions=sessions))
    if by == "count":
        return Reduce(stream=stream, by=by)
    field = draw(fields(place, reduced=True))
    if by in ("min", "max"):
        return Reduce(stream=stream, by=by, field=field, as_=draw(st.sampled_from([None, "number", "string"])))
    if by == "mode":
        kind = draw(st.sampled_from([None, *get_args(tree.As)]))
        return Reduce(stream=stream, by=by, field=field, as_=kind, min=draw(st.none() | st.integers(1, 4)))
    return Reduce(stream=stream, by=by, field=field)


@st.composite
def streams(draw: st.DrawFn, place: Place, *, sessions: SearchStrategy[Session] | None = None) -> Event:
    """The events of one name with any filters."""
    words = place.words
    inner = place._replace(events=place.events + 1, junctions=max(place.junctions - 1, 0))
    window = windows(words) if sessions is None else windows(words) | sessions
    parent_windows = windows(words) if place.events else st.none()
    return Event(
        name=draw(words.events),
        where=draw(st.none() | conditions(inner)),
        exclude_sources=tuple(draw(st.lists(words.sources, max_size=2))),
        window=draw(st.none() | window),
        parent_window=draw(st.none() | parent_windows),
    )


def windows(words: Words) -> SearchStrategy[Within | Between]:
    """A window of time; one in six of those between two ages begins now."""
    near = spans(words) | st.just(Span(0, "day")) | st.just(Span(0, "hour"))
    between = st.builds(lambda near, far: Between(from_=near, to=far), near, spans(words))
    return st.one_of(
        spans(words).map(lambda to: Within(to=to)), between.filter(lambda window: window.from_.ms < window.to.ms)
    )


def spans(words: Words, *, session: bool = False) -> SearchStrategy[Span]:
    """A length of time."""
    found = words.spans.map(lambda span: Span(*span))
    return found | st.integers(1800, 100_000).map(lambda n: Span(n, "second")) if session else found
