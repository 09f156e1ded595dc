"""From the parse of a text to the tree of the definition, with the place of each part.

Rule: every part made here has its place; no recursion, for a text may nest as deep as its length allows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar

from segue.compute.mistakes import Mistake, Mistaken, shortened
from segue.compute.paths import segments
from segue.compute.tree import (
    SYMBOLS,
    AllUsers,
    And,
    AnyUser,
    Audience,
    Between,
    Compare,
    Condition,
    Context,
    Date,
    Definition,
    Duration,
    Event,
    Not,
    Number,
    Op,
    Operand,
    Or,
    Part,
    Property,
    Reduce,
    Scalar,
    Session,
    Span,
    Text,
    Trait,
    Within,
)
from segue.compute.values import read_number

if TYPE_CHECKING:
    from lark import Token, Tree

AnyPart = TypeVar("AnyPart", bound=Part)
Field: TypeAlias = Trait | Context | Property
Place: TypeAlias = tuple[int, int]
"""Line and column, from 1."""

RELATIONS: dict[str, Op] = {"==": "equals", **{symbol: op for op, symbol in SYMBOLS.items()}}
PREFIXES: dict[str, type[Not | AnyUser | AllUsers]] = {"NOT": Not, "ANY": AnyUser, "ALL": AllUsers}
FILTER_NAMES = {
    "exclude_sources": "list of sources",
    "window": "window of time",
    "parent_window": "window after the parent",
}
_ESCAPES = {"'": re.compile(r"\\(['\\])"), '"': re.compile(r'\\(["\\])')}


class Filter(NamedTuple):
    """One filter of a stream: the slot of the event that it fills, and what with."""

    token: Token
    slot: str
    content: Any


class Reducer(NamedTuple):
    """A reducer that does not have its stream yet."""

    token: Token
    arguments: dict[str, Any]


class Comparison(NamedTuple):
    """A comparator that does not have its left side yet."""

    op: Op
    args: tuple[Any, ...]


class Builder:
    """Turns one parse into one tree. `place` gives line and column of any part of it."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._made: list[Part] = []  # keeps each part alive, so that no other takes its id

    def build(self, parse: Tree[Token]) -> Definition:
        """The tree. Raises Mistaken for what the grammar lets through and no tree can hold."""
        built: dict[int, Any] = {}
        for branch in parse.iter_subtrees():  # what a branch holds comes before it
            children = [built.get(id(child), child) for child in branch.children]
            built[id(branch)] = getattr(self, f"_{branch.data}")(*children)
        root: Definition = built[id(parse)]
        return root

    def place(self, part: Part) -> Place:
        """Where a part of the tree begins in the text."""
        return self._places[id(part)]

    def _at(self, start: Token | Part, part: AnyPart) -> AnyPart:
        """The part, with the place where it begins."""
        place = (start.line or 0, start.column or 0) if isinstance(start, str) else self.place(start)
        self._places[id(part)] = place
        self._made.append(part)
        return part

    def _definition(self, root: Definition) -> Definition:
        return root

    def _condition(self, *items: Condition) -> Condition:
        return self._joined(Or, items)

    def _conjunction(self, *items: Condition) -> Condition:
        return self._joined(And, items)

    def _joined(self, junction: type[And | Or], items: Sequence[Condition]) -> Condition:
        """One junction of them all: one of the same kind that stood in parentheses means the same without them."""
        if len(items) == 1:
            return items[0]
        flat = [part for item in items for part in (item.items if isinstance(item, junction) else (item,))]
        return self._at(items[0], junction(items=tuple(flat)))

    def _prefixed(self, prefix: Token, item: Condition) -> Condition:
        return self._at(prefix, PREFIXES[prefix.upper()](item=item))

    def _compare(self, left: Scalar, comparison: Comparison) -> Condition:
        return self._at(left, Compare(left=left, op=comparison.op, args=comparison.args))

    def _audience(self, word: Token, key: Token) -> Condition:
        return self._at(word, Audience(key=_text(key)))

    def _trait(self, word: Token, path: Token) -> Trait:
        return self._at(word, Trait(path=segments(_text(path))))

    def _context(self, word: Token, path: Token) -> Context:
        return self._at(word, Context(path=segments(_text(path))))

    def _property(self, word: Token, parent: Token | None, path: Token) -> Property:
        return self._at(word, Property(path=segments(_text(path)), parent=parent is not None))

    def _reduction(self, stream: Event, reducer: Reducer) -> Reduce:
        return self._at(reducer.token, Reduce(stream=stream, **reducer.arguments))

    def _stream(self, word: Token, name: Token, *filters: Filter) -> Event:
        if word == "entity":
            raise _mistaken(word, "entity needs a data graph, which this space lacks")
        slots: dict[str, Any] = {}
        for token, slot, content in filters:
            if slot not in slots:
                slots[slot] = content
            elif slot == "where":
                slots[slot] = self._joined(And, (slots[slot], content))
            else:
                raise _mistaken(token, f"{token} is one more {FILTER_NAMES[slot]}, where one is the most")
        return self._at(word, Event(name=_text(name), **slots))

    def _where(self, token: Token, condition: Condition) -> Filter:
        return Filter(token, "where", condition)

    def _sources(self, token: Token, *sources: Token) -> Filter:
        return Filter(token, "exclude_sources", tuple(map(_text, sources)))

    def _within(self, token: Token, parent: Token | None, to: Span) -> Filter:
        return Filter(token, "parent_window" if parent else "window", self._at(token, Within(to=to)))

    def _between(self, token: Token, parent: Token | None, near: Span, far: Span) -> Filter:
        window = self._at(token, Between(from_=near, to=far))
        return Filter(token, "parent_window" if parent else "window", window)

    def _session(self, token: Token, to: Span) -> Filter:
        return Filter(token, "window", self._at(token, Session(to=to)))

    def _count(self, token: Token) -> Reducer:
        return Reducer(token, {"by": "count"})

    def _field_reducer(self, token: Token, field: Field) -> Reducer:
        return Reducer(token, {"by": _method(token), "field": field})

    def _extreme(self, token: Token, field: Field, kind: Token | None) -> Reducer:
        return Reducer(token, {"by": _method(token), "field": field, "as_": kind and str(kind)})

    def _mode(self, token: Token, field: Field, kind: Token | None, least: Token | None) -> Reducer:
        arguments = {"by": "mode", "field": field, "as_": kind and str(kind)}
        return Reducer(token, arguments if least is None else {**arguments, "min": _whole(least)})

    def _unique(self, token: Token, field: Field, count: Token | None) -> Reducer:
        return Reducer(token, {"by": "unique_count" if count else "unique", "field": field})

    def _relation(self, token: Token, operand: Operand) -> Comparison:
        return Comparison(RELATIONS.get(str(token)) or _method(token), (operand,))

    def _literals(self, token: Token, *literals: Operand) -> Comparison:
        return Comparison(_method(token), literals)

    def _number(self, token: Token) -> Number:
        return self._at(token, Number(value=_number(token)))

    def _text(self, token: Token) -> Text:
        return self._at(token, Text(value=_text(token) if token.type == "STRING" else str(token)))

    def _date(self, token: Token) -> Date:
        return self._at(token, Date(value=str(token)))

    def _span(self, n: Token, unit: Token) -> Span:
        return self._at(n, Span(_whole(n), _unit(unit)))

    def _duration(self, n: Token, unit: Token) -> Duration:
        return self._at(n, Duration(_whole(n), _unit(unit)))


def _mistaken(token: Token, message: str) -> Mistaken:
    return Mistaken([Mistake(message=message, line=token.line or 0, column=token.column or 0, found=str(token))])


def _method(token: Token) -> Any:
    """The name of a method, without its dot."""
    return token[1:].strip()


def _text(token: Token) -> str:
    """What a text in quotes says. A backslash before anything but its quote or a backslash is itself."""
    return _ESCAPES[token[0]].sub(r"\1", token[1:-1])


def _number(token: Token) -> int | float:
    number = read_number(token)
    if number is not None:
        return number
    digits = token.lstrip("-").lstrip("0")
    if len(digits) + token.count("-") < len(token):
        raise _mistaken(token, f"{shortened(token)} begins with a zero; write {shortened(digits) or '0'}")
    raise _mistaken(token, f"{shortened(token)} is beyond the largest number")


def _whole(token: Token) -> int:
    number = _number(token)
    if isinstance(number, int) and token.isdigit():
        return number
    raise _mistaken(token, f"{shortened(token)} is no whole number; fractions and signs have no meaning here")


def _unit(token: Token) -> Any:
    """The unit, in the singular."""
    return token.removesuffix("s")
