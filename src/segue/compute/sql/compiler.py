"""Definitions to queries: a relation for each definition that is read, one query over them all.

Rule: one query says of all profiles what `compute.answers.Answers` says of each; each leaf is true or false before NOT,
AND or OR is put around it.

Source: audiences.md; that an audience has the value false for those who were once in it is PROPOSED. An event that is
in the relation twice counts twice, as it does where definitions are computed event by event; events of accounts only
(profile NULL) count nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from sqlglot import exp

from segue.compute.sql.definitions import Defined, needed
from segue.compute.sql.found import NULL, Found, Shape, at_path
from segue.compute.sql.leaves import compared, related
from segue.compute.sql.reductions import COUNTING, EMPTY
from segue.compute.sql.streams import Fields, Stream
from segue.compute.sql.terms import (
    FALSE,
    Term,
    both,
    call,
    case,
    column,
    either,
    is_there,
    name,
    number,
    opposite,
    table,
    text,
)
from segue.compute.tree import (
    And,
    Audience,
    Compare,
    Context,
    Definition,
    Not,
    Operand,
    Or,
    Property,
    Reduce,
    Scalar,
    Trait,
    parts,
)
from segue.lake.relations import HOLDINGS, PROFILES, EventTable, Tables

NO_FIELDS: Fields = {}
ANY_EVENTS = EventTable()


class Query(Struct, frozen=True):
    """One query: of an audience it gives (profile) of each member, of a computed trait (profile, value), the value as
    canonical JSON, of each profile that has it.
    """

    sql: str
    is_audience: bool


def compile_query(definitions: Mapping[str, Defined], key: str, at_ms: int, *, tables: Tables | None = None) -> Query:
    """The query of one definition at an instant, in ms since 1970, with those that it refers to.

    The relations are those of `relations`; `tables` has those of some events under other names. The definitions are
    such that `checks` lets through, and do not refer to each other in a circle.
    """
    compiler = _Compiler(definitions, at_ms, tables or {})
    for each in needed(definitions, key):
        compiler.define(each)
    return Query(compiler.query(key).sql("duckdb"), definitions[key].is_audience)


class _Compiler:
    """The relations of one query, in the order in which they are made."""

    def __init__(self, definitions: Mapping[str, Defined], at_ms: int, tables: Tables) -> None:
        self.definitions = definitions
        self.at_ms = at_ms
        self.tables = tables
        self.relations: dict[str, str] = {}
        """Of each definition."""
        self._made: list[tuple[str, exp.Select, bool | None]] = []

    def add(self, kind: str, select: exp.Select, *, once: bool | None = None) -> str:
        """A relation; `once`: it is worked out once, and as it stands. Gives its name."""
        alias = f"{kind}_{len(self._made)}"
        self._made.append((alias, select, once))
        return alias

    def define(self, key: str) -> None:
        """The relation of a definition, those it refers to being defined."""
        defined = self.definitions[key]
        select = _held(defined) if defined.frozen else _Definition(self, defined).select()
        self.relations[key] = self.add("definition", select)

    def query(self, key: str) -> exp.Select:
        """What is asked for."""
        found = exp.select("*").from_(table(self.relations[key], "found"), copy=False)
        for alias, select, once in self._made:
            found = found.with_(name(alias), as_=select, materialized=once, copy=False)
        return found


def _held(defined: Defined) -> exp.Select:
    """What a disabled definition said last."""
    own = exp.EQ(this=column("computation", "held"), expression=number(defined.id))
    if defined.is_audience:
        found, true = exp.select(column("profile", "held")), text("true")
        condition = both([own, exp.EQ(this=column("value", "held"), expression=true)])
    else:
        found = exp.select(column("profile", "held"), column("value", "held"))
        condition = both([own, is_there(column("value", "held"))])
    return found.from_(table(HOLDINGS, "held"), copy=False).where(condition, copy=False)


class _Definition:
    """One definition: what it needs of profiles (`people`), its streams, and what is asked of both."""

    def __init__(self, compiler: _Compiler, defined: Defined) -> None:
        self._compiler = compiler
        self._defined = defined
        self._columns: dict[Trait | Audience, Found] = {}
        people = self._of_people()
        self._people = compiler.add("people", people, once=True if self._columns else None)
        self._streams: dict[Reduce, tuple[str, Found]] = {}

    def select(self) -> exp.Select:
        """The members, or those who have a value with it."""
        tree = self._defined.tree
        if isinstance(tree, Reduce):
            relation = self._reduced(tree, whole=True)
            value = column("value", "found")
            given: Term = exp.cast(value, "VARCHAR") if tree.by in COUNTING else call("coalesce", value, text("null"))
            columns = [column("profile", "found"), exp.alias_(given, name("value"))]
            return exp.select(*columns, copy=False).from_(table(relation, "found"), copy=False)
        truth = self._truth(tree, NO_FIELDS)
        found = exp.select(column("profile", "people")).from_(table(self._people, "people"), copy=False)
        for relation, _ in self._streams.values():
            found = _beside(found, relation, relation)
        return found.where(both([column("eligible", "people"), truth]), copy=False)

    def _of_people(self) -> exp.Select:
        """Each profile with the traits that are named and the audiences it is in."""
        source = "profile"
        named = [part for _, part, _ in parts(self._defined.tree) if isinstance(part, Trait | Audience)]
        eligible: Term = column("eligible", source)
        if self._defined.include_anonymous:
            eligible = exp.Paren(this=exp.or_(eligible, column("anonymous", source)))
        selected: list[Term] = [column("profile", source), exp.alias_(eligible, name("eligible"))]
        joined: dict[str, Term | None] = {}
        for place, part in enumerate(dict.fromkeys(named)):
            found = self._of_profile(part, source, joined)
            selected.append(exp.alias_(found.term, name(f"y{place}")))
            self._columns[part] = Found(column(f"y{place}", "people"), found.shape)
        select = exp.select(*selected, copy=False).from_(table(PROFILES, source), copy=False)
        for alias, condition in joined.items():
            select = _beside(select, HOLDINGS if condition is not None else alias, alias, condition, source)
        return select

    def _of_profile(self, part: Trait | Audience, source: str, joined: dict[str, Term | None]) -> Found:
        """Where a trait or membership is found, and what is to be joined for it."""
        definitions, relations = self._compiler.definitions, self._compiler.relations
        key = part.key if isinstance(part, Audience) else part.path[0]
        defined = definitions.get(key)
        if isinstance(part, Audience):
            if defined is None or not defined.is_audience:
                return Found(FALSE.copy())
            joined[relations[key]] = None
            return Found(is_there(column("profile", relations[key])))
        if defined is None:
            return at_path(column("traits", source), part.path)
        joined[relations[key]] = None
        if not defined.is_audience:
            return at_path(column("value", relations[key]), part.path[1:])
        if part.path[1:]:
            return NULL
        once = f"once_{defined.id}"
        joined[once] = both(
            [exp.EQ(this=column("computation", once), expression=number(defined.id)), column("once", once)]
        )
        is_in, was_in = is_there(column("profile", relations[key])), is_there(column("profile", once))
        return Found(case((is_in, text("true")), (was_in, text("false"))))

    def _truth(self, tree: Definition, fields: Fields) -> Term:
        """A condition of a profile, or in `where` of the event in hand."""
        match tree:
            case And():
                return exp.Paren(this=both(self._truth(item, fields) for item in tree.items))
            case Or():
                return exp.Paren(this=either(self._truth(item, fields) for item in tree.items))
            case Not():
                return opposite(self._truth(tree.item, fields))
            case Audience():
                return self._columns[tree].term.copy()
            case Compare():
                return self._compare(tree, fields)
        raise AssertionError(f"checks lets no {tree} through")

    def _compare(self, tree: Compare, fields: Fields) -> Term:
        left = self._scalar(tree.left, fields)
        if len(tree.args) == 1 and isinstance(tree.args[0], Scalar):
            return related(tree.op, left, self._scalar(tree.args[0], fields))
        return compared(tree.op, left, tree.args, self._compiler.at_ms)

    def _scalar(self, tree: Operand, fields: Fields) -> Found:
        match tree:
            case Trait():
                return self._columns[tree]
            case Property() | Context():
                return fields[tree]
            case Reduce():
                if tree not in self._streams:
                    self._streams[tree] = self._value(tree)
                return self._streams[tree][1]
        raise AssertionError(f"{tree} is no scalar")

    def _value(self, tree: Reduce) -> tuple[str, Found]:
        """The relation of a stream, and its value for a profile that is not in it too."""
        relation = self._reduced(tree, whole=False)
        value = column("value", relation)
        shape: Shape = "count" if tree.by in COUNTING else "one"
        if shape == "count":
            return relation, Found(call("coalesce", value, number(0)), shape)
        return relation, Found(call("coalesce", value, text(EMPTY[tree.by])) if tree.by in EMPTY else value)

    def _reduced(self, tree: Reduce, *, whole: bool) -> str:
        compiler = self._compiler
        events = compiler.tables.get(tree.stream.name, ANY_EVENTS)
        stream = Stream(tree, reach=self._defined.reach, at_ms=compiler.at_ms, events=events, people=self._people)
        # Conditions name what was taken out of JSON many times: it is to stand there, not to be taken out again.
        source = compiler.add("events", stream.events(whole=whole), once=True if stream.reads_json else None)
        return compiler.add("stream", stream.reduced(source, self._truth, whole=whole))


def _beside(
    select: exp.Select, relation: str, alias: str, condition: Term | None = None, source: str = "people"
) -> exp.Select:
    """With the row of the same profile of another relation, where it has one."""
    same: Term = exp.EQ(this=column("profile", alias), expression=column("profile", source))
    on = same if condition is None else both([same, condition])
    return select.join(table(relation, alias), on=on, join_type="left", copy=False)
