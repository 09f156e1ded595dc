"""The events of a stream as rows of SQL, and what its reducer says of them.

Rule: a row is an event that passes the filters at the instant; the properties that conditions and reducers read are
taken out of their JSON once an event.

Source: audiences.md 3.2, 4.5, 4.6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sqlglot import exp

from segue.compute.sql.definitions import bounds
from segue.compute.sql.found import Found, at_path
from segue.compute.sql.reductions import ORDER, ORDERED, reduced
from segue.compute.sql.terms import Term, both, call, case, column, is_there, name, number, opposite, table, text
from segue.compute.tree import Audience, Between, Context, Definition, Property, Reduce, Session, Trait, parts
from segue.compute.windows import Reach, timed_window
from segue.lake.columns import PROPERTY
from segue.lake.relations import EventTable

Fields = Mapping[Property | Context, Found]
"""Where the properties and contexts of the event in hand stand."""
Truth = Callable[[Definition, Fields], Term]
"""A condition of the event in hand."""


class Stream:
    """One stream at an instant; `people` is the relation that has the traits and audiences of its definition."""

    def __init__(self, tree: Reduce, *, reach: Reach, at_ms: int, events: EventTable, people: str) -> None:
        self._tree = tree
        self._stream = tree.stream
        self._reach = reach
        self._at_ms = at_ms
        self._events = events
        self._people = people
        read = [part for _, part, _ in parts(tree) if isinstance(part, Property | Context)]
        self._columns = {each: f"x{place}" for place, each in enumerate(dict.fromkeys(read))}
        self._shapes = {each: self._taken_out(each).shape for each in self._columns}

    def events(self, *, whole: bool) -> exp.Select:
        """The events that the window, where it bounds what is read, and all filters but `where` let through."""
        session = isinstance(self._stream.window, Session)
        names = ["profile"]
        names += ["t"] if session or (whole and self._window_of_rows() is not None) else []
        names += ORDER if self._tree.by in ORDERED else []
        selected: list[Term] = [column(each, "event") for each in dict.fromkeys(names)]
        selected += [exp.alias_(self._taken_out(each).term, name(alias)) for each, alias in self._columns.items()]
        found = exp.select(*selected, copy=False).from_(table(self._events.name, "event"), copy=False)
        return found.where(both(self._bounds(whole=whole)), copy=False)

    @property
    def reads_json(self) -> bool:
        """Whether something is taken out of JSON, which is to be done once."""
        return bool(self._columns)

    def reduced(self, source: str, truth: Truth, *, whole: bool) -> exp.Select:
        """profile, value. `source` is the relation that `events` made.

        `whole`: a profile has a row as soon as an event outside of the window has a value, as computed traits have.
        """
        rows = self._passing(source, truth)
        inside: Term | None = None
        if isinstance(self._stream.window, Session):
            rows, inside = self._of_session(rows, self._stream.window), self._in_session()
        elif whole:
            inside = self._window_of_rows()
        return reduced(self._tree, self._with_values(rows, inside), counts=inside is not None)

    def _taken_out(self, tree: Property | Context) -> Found:
        """Where a value stands in the relation of events."""
        first = tree.path[0]
        if isinstance(tree, Property) and first in self._events.properties:
            return at_path(column(PROPERTY + first, "event"), tree.path[1:])
        return at_path(column("properties" if isinstance(tree, Property) else "context", "event"), tree.path)

    def _fields(self, source: str) -> Fields:
        return {each: Found(column(alias, source), self._shapes[each]) for each, alias in self._columns.items()}

    def _bounds(self, *, whole: bool) -> list[Term]:
        stream, window = self._stream, None if whole else timed_window(self._stream)
        want = bounds(stream, self._reach, self._at_ms, windowed=not whole)
        near_ms = window.from_.ms if isinstance(window, Between) else 0
        conditions: list[Term] = [
            exp.EQ(this=column("event", "event"), expression=text(stream.name)),
            is_there(column("profile", "event")),
            exp.LTE(this=column("t", "event"), expression=number(self._at_ms - near_ms)),
        ]
        if want.t_after is not None:
            conditions.append(exp.GT(this=column("t", "event"), expression=number(want.t_after)))
        if want.received_after is not None:
            conditions.append(exp.GT(this=column("received_at", "event"), expression=number(want.received_after)))
        if stream.exclude_sources:
            sources = [text(each) for each in stream.exclude_sources]
            conditions.append(opposite(exp.In(this=column("source_id", "event"), expressions=sources)))
        return conditions

    def _window_of_rows(self) -> Term | None:
        """Whether a row is inside the window, where rows outside of it are read too."""
        window = timed_window(self._stream)
        if window is None:
            return None
        near_ms = window.from_.ms if isinstance(window, Between) else 0
        t = column("t", "event")
        younger = exp.GT(this=t, expression=number(self._at_ms - window.to.ms))
        return both([younger, exp.LTE(this=t.copy(), expression=number(self._at_ms - near_ms))])

    def _passing(self, source: str, truth: Truth) -> exp.Select:
        """The rows that pass `where`, as relation `event`."""
        found = exp.select(exp.Column(this=exp.Star(), table=name("event"))).from_(table(source, "event"), copy=False)
        where = self._stream.where
        if where is None:
            return found
        if any(isinstance(part, Trait | Audience) for _, part, _ in parts(where)):
            same = exp.EQ(this=column("profile", "event"), expression=column("profile", "people"))
            found = found.join(table(self._people, "people"), on=same, copy=False)
        return found.where(truth(where, self._fields("event")), copy=False)

    def _of_session(self, rows: exp.Select, session: Session) -> exp.Select:
        """With the newest event of the profile, and when the run that it ends began."""
        star = exp.Column(this=exp.Star(), table=name("event"))
        profile, t = column("profile", "event"), column("t", "event")
        before = exp.Window(this=call("lag", t), partition_by=[profile], order=exp.Order(expressions=[t.copy()]))
        gapped = exp.select(star, exp.alias_(exp.Sub(this=t.copy(), expression=before), name("gap")), copy=False)
        gapped = gapped.from_(rows.subquery(name("event"), copy=False), copy=False)
        gap = column("gap", "event")
        breaks = exp.or_(opposite(is_there(gap)), exp.GTE(this=gap.copy(), expression=number(session.to.ms)))
        began = exp.Window(this=call("max", case((breaks, t.copy()))), partition_by=[profile.copy()])
        newest = exp.Window(this=call("max", t.copy()), partition_by=[profile.copy()])
        columns = [star.copy(), exp.alias_(began, name("began")), exp.alias_(newest, name("newest"))]
        return exp.select(*columns, copy=False).from_(gapped.subquery(name("event"), copy=False), copy=False)

    def _in_session(self) -> Term:
        assert isinstance(self._stream.window, Session)
        quiet = exp.GT(this=column("newest", "event"), expression=number(self._at_ms - self._stream.window.to.ms))
        return both([quiet, exp.GTE(this=column("t", "event"), expression=column("began", "event"))])

    def _with_values(self, rows: exp.Select, inside: Term | None) -> exp.Select:
        """profile, value, and what else the reducer asks for; without events that have no value."""
        tree = self._tree
        selected: list[Term] = [column("profile", "event")]
        selected += [column(each, "event") for each in (ORDER if tree.by in ORDERED else ())]
        selected += [] if inside is None else [exp.alias_(inside, name("counts"))]
        if tree.field is not None:
            assert isinstance(tree.field, Property | Context), "checks lets no trait be reduced"
            selected.append(exp.alias_(self._value(self._fields("event")[tree.field]), name("value")))
        found = exp.select(*selected, copy=False).from_(rows.subquery(name("event"), copy=False), copy=False)
        if tree.field is None:
            return found
        star = exp.Column(this=exp.Star(), table=name("given"))
        given = exp.select(star).from_(found.subquery(name("given"), copy=False), copy=False)
        return given.where(is_there(column("value", "given")), copy=False)

    def _value(self, found: Found) -> Term:
        """One value of an event; of entries each by itself, or the one that the reducer takes, or all as one."""
        if found.shape != "many":
            return found.term
        match self._tree.by:
            case "first":
                return call("list_extract", found.term, number(1))
            case "last":
                return call("list_extract", found.term, number(-1))
            case "mode" if self._tree.as_ == "array":
                filled = exp.GT(this=call("len", found.term), expression=number(0))
                joined = call("array_to_string", found.term.copy(), text(","))
                return case((filled, call("concat", text("["), joined, text("]"))))
        return call("unnest", found.term)
