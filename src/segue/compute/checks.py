"""What must hold of a definition beyond its grammar, for a tree from a text and from the builder's JSON alike.

Rule: what passes can be computed by both evaluators, and prints to a text that reads back as the same tree; a mistake
is said in the words of the text form, with the path of its part.

Source: Segment's "Query language" and "Computed traits" for what may stand where and for 50 leaves; other bounds are
PROPOSED. What a later version computes (funnels, accounts) is known here and refused with "not supported yet".
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple, TypeAlias

from segue.compute.comparisons import check_args
from segue.compute.keys import is_key
from segue.compute.mistakes import Mistake
from segue.compute.paths import can_be_written
from segue.compute.printing import print_definition
from segue.compute.references import unknown_audiences
from segue.compute.spans import check_session, check_window
from segue.compute.tree import (
    AllUsers,
    And,
    AnyUser,
    Audience,
    Compare,
    Condition,
    Context,
    Date,
    Definition,
    Event,
    Not,
    Or,
    Property,
    Reduce,
    Scalar,
    Session,
    Text,
    Trait,
    parts,
)

Kind: TypeAlias = Literal["audience", "trait"]
"""What a definition is of."""
Found: TypeAlias = Iterator[tuple[str, str]]
"""(path, what is wrong there)."""

TEXT_BYTES_MOST = 16 * 1024
LEAVES_MOST = 50
PARTS_MOST = 10_000
"""The most parts of a tree, literals included: what 16 KiB of text may hold, and no more work than that."""
DEPTH_MOST = 64
"""How many parts may stand inside each other."""
TOO_DEEP = f"nested deeper than {DEPTH_MOST}; split the definition, and name its parts with audience('…')"
EVENTS_MOST = 3
"""How many events may stand inside each other, the outer one included."""
STRING_CHARACTERS_MOST = 1_000
PATH_NAMES_MOST = 16
LIST_MOST = 1_000
FREQUENCY_MOST = 1_000_000_000


class Where(NamedTuple):
    """Where a part stands: the kind of its definition, and how many events stand around it."""

    kind: Kind
    events: int = 0
    top: bool = False
    reduced: bool = False


def check(tree: Definition, kind: Kind, *, audiences: Collection[str] | None = None) -> list[Mistake]:
    """All that is wrong with a definition of this kind; empty where it may be used.

    `audiences`: the keys that `audience('…')` may name; None where they are not known yet.
    """
    found = list(_size(tree))
    if not found:  # else the rest would be too much work
        found = [*_root(tree, kind), *_any(tree, "", Where(kind, top=True)), *_length(tree)]
    mistakes = [Mistake(message=message, path=path) for path, message in found]
    return mistakes or ([] if audiences is None else unknown_audiences(tree, audiences))


def _size(tree: Definition) -> Found:
    leaves = 0
    for number, (path, part, depth) in enumerate(parts(tree), 1):
        if depth > DEPTH_MOST or number > PARTS_MOST:
            yield path, TOO_DEEP if depth > DEPTH_MOST else f"more than {PARTS_MOST} parts"
            return
        leaves += isinstance(part, Compare | Audience)
        if leaves > LEAVES_MOST:
            yield path, f"more than {LEAVES_MOST} conditions, those inside where included; split the definition"
            return


def _length(tree: Definition) -> Found:
    size_bytes = len(print_definition(tree).encode("utf-8", "surrogatepass"))
    if size_bytes > TEXT_BYTES_MOST:
        yield "", f"the definition has {size_bytes} bytes as text, {TEXT_BYTES_MOST // 1024} KiB is the most"


def _root(tree: Definition, kind: Kind) -> Found:
    if kind == "audience" and not isinstance(tree, Condition):
        yield "", "an audience ends in true or false; compare this value, for example with >= 1"
    elif kind == "trait" and isinstance(tree, Condition):
        yield "", "a computed trait ends in a value, and this is true or false; make it an audience"
    elif kind == "trait" and isinstance(tree, Trait):
        yield "", "this is a trait already; use it as it is"
    # A property or context by itself is refused below, as everywhere outside an event.


def _any(tree: Definition, path: str, where: Where) -> Found:
    if isinstance(tree, Condition):
        yield from _condition(tree, path, where)
    else:
        yield from _scalar(tree, path, where)


def _condition(tree: Condition, path: str, where: Where) -> Found:
    inner = where._replace(top=False)
    match tree:
        case And() | Or():
            yield from _items(tree, path)
            for index, item in enumerate(tree.items):
                yield from _condition(item, _below(path, f"items[{index}]"), inner)
        case Not():
            yield from _condition(tree.item, _below(path, "item"), inner)
        case AnyUser() | AllUsers():
            yield path, "ANY and ALL ask about the users of an account; audiences of accounts are not supported yet"
        case Audience():
            if not is_key(tree.key):
                yield path, f"{tree.key!r} is no key of an audience: 1 to 255 of a-z, 0-9 and _"
        case Compare():
            yield from _compare(tree, path, inner)


def _items(tree: And | Or, path: str) -> Found:
    name = "AND" if isinstance(tree, And) else "OR"
    if len(tree.items) < 2:
        yield path, f"{name} joins two conditions or more"
    for index, item in enumerate(tree.items):
        if type(item) is type(tree):
            yield _below(path, f"items[{index}]"), f"{name} directly inside {name}: put its items into the outer one"


def _compare(tree: Compare, path: str, where: Where) -> Found:
    yield from _scalar(tree.left, _below(path, "left"), where)
    if isinstance(tree.left, Reduce) and tree.left.by == "unique":
        yield _below(path, "left"), "a list of unique values cannot be compared; add .count() or use .mode(…)"
    for index, arg in enumerate(tree.args):
        at = _below(path, f"args[{index}]")
        if isinstance(arg, Trait | Context | Property | Reduce):
            yield from _scalar(arg, at, where)
            if isinstance(arg, Reduce) and arg.by == "unique":
                yield at, "a list of unique values cannot be compared; add .count() or use .mode(…)"
        elif isinstance(arg, Text | Date):
            yield from _string(arg.value, at)
    if len(tree.args) > LIST_MOST:
        yield path, f"a list of {len(tree.args)} values, {LIST_MOST} is the most"
    for name, message in check_args(tree):
        yield _below(path, name) if name else path, message


def _scalar(tree: Scalar, path: str, where: Where) -> Found:
    match tree:
        case Trait():
            yield from _path(tree.path, path)
            if where.reduced:
                yield path, "a trait of whoever acted is for traits of accounts, which are not supported yet"
        case Property():
            yield from _path(tree.path, path)
            yield from _property(tree, path, where)
        case Context():
            yield from _path(tree.path, path)
            if not where.events:
                yield path, "context('…') is of an event: use it in .where(…) or in a reducer"
            if tree.path[:1] == ("traits",):
                yield path, "context('traits') cannot be used; use trait('…')"
        case Reduce():
            yield from _reduce(tree, path, where)


def _property(tree: Property, path: str, where: Where) -> Found:
    if tree.parent and (where.reduced or where.events < 2):
        yield path, "parent: has no parent here; it stands in the where of an event that is inside another's where"
    elif not where.events:
        yield path, "property('…') is of an event: use it in .where(…) or in a reducer"


def _reduce(tree: Reduce, path: str, where: Where) -> Found:
    yield from _event(tree.stream, _below(path, "stream"), where)
    if tree.field is not None:
        inside = where._replace(events=where.events + 1, top=False, reduced=True)
        yield from _scalar(tree.field, _below(path, "field"), inside)
    if (tree.field is None) != (tree.by == "count"):
        yield path, f".{tree.by} takes " + ("nothing" if tree.by == "count" else "a property or context")
    if tree.as_ is not None and (tree.by not in ("min", "max", "mode") or (tree.as_ == "array" and tree.by != "mode")):
        yield path, f".{tree.by} has no `as {tree.as_}`"
    if tree.min is not None and tree.by != "mode":
        yield path, f".{tree.by} has no least frequency"
    elif tree.min is not None and not 1 <= tree.min <= FREQUENCY_MOST:
        yield path, f"the least frequency of .mode is 1 to {FREQUENCY_MOST}"


def _event(tree: Event, path: str, where: Where) -> Found:
    events = where.events + 1
    if not tree.name:
        yield path, "the event has no name"
    yield from _string(tree.name, path)
    if events > EVENTS_MOST:
        yield path, f"events stand {events} deep in each other, {EVENTS_MOST} is the most"
    elif events == 2:
        yield path, "an event inside another's where (a funnel) is not supported yet"
    if len(tree.exclude_sources) > LIST_MOST:
        yield path, f"a list of {len(tree.exclude_sources)} sources, {LIST_MOST} is the most"
    for source in tree.exclude_sources:
        yield from _string(source, path)
        if not source:
            yield path, "a source to exclude has no id"
    if tree.where is not None:
        yield from _condition(tree.where, _below(path, "where"), where._replace(events=events, top=False))
    yield from _windows(tree, path, where)


def _windows(tree: Event, path: str, where: Where) -> Found:
    at = _below(path, "window")
    if isinstance(tree.window, Session):
        if where.kind != "trait" or not where.top:
            yield at, ".expires_after(…) is for computed traits only, on their own event"
        yield from check_session(tree.window, at)
    elif tree.window is not None:
        yield from check_window(tree.window, at)
    if tree.parent_window is not None:
        at = _below(path, "parent_window")
        if not where.events:
            yield at, "parent: has no parent here; it stands on an event that is inside another's where"
        yield from check_window(tree.parent_window, at)


def _path(names: tuple[str, ...], path: str) -> Found:
    if not all(names) or not names:
        yield path, "a name is empty; write names with single dots between them, such as 'address.city'"
    elif len(names) > PATH_NAMES_MOST:
        yield path, f"{len(names)} names deep, {PATH_NAMES_MOST} is the most"
    elif not can_be_written(names):
        yield path, "a name with a backslash right before a dot cannot be reached"
    yield from _string(".".join(names), path)


def _string(text: str, path: str) -> Found:
    if len(text) > STRING_CHARACTERS_MOST:
        yield path, f"a text of {len(text)} characters, {STRING_CHARACTERS_MOST} is the most"


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
