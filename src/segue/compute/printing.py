"""The normal form: the one text of a definition.

One line (but for a line break inside a text), single quotes, symbols for the six relations, parentheses only where they
change the meaning, and after NOT, ANY and ALL.

Rule: reading what is printed gives the same tree, and printing that gives the same text.
"""

from __future__ import annotations

from collections.abc import Sequence

from segue.compute.paths import path_text
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
    Event,
    Not,
    Number,
    Operand,
    Or,
    Property,
    Reduce,
    Scalar,
    Session,
    Span,
    Text,
    Trait,
    Within,
)
from segue.compute.values import number_text

_PREFIXES = {Not: "NOT", AnyUser: "ANY", AllUsers: "ALL"}


def print_definition(tree: Definition) -> str:
    """The text of a definition. The tree is one that `checks` does not call too deep."""
    return _condition(tree) if isinstance(tree, Condition) else _scalar(tree)


def _condition(tree: Condition) -> str:
    match tree:
        case And():
            return " AND ".join(map(_conjunct, tree.items))
        case Or():
            return " OR ".join(map(_condition, tree.items))
        case Not() | AnyUser() | AllUsers():
            item = _condition(tree.item)
            bare = isinstance(tree.item, Not | AnyUser | AllUsers)
            return f"{_PREFIXES[type(tree)]} {item if bare else f'({item})'}"
        case Audience():
            return f"audience({_quoted(tree.key)})"
        case Compare():
            return _compare(tree)


def _conjunct(tree: Condition) -> str:
    return f"({_condition(tree)})" if isinstance(tree, Or) else _condition(tree)


def _compare(tree: Compare) -> str:
    left = _scalar(tree.left)
    args = ", ".join(map(_operand, tree.args))
    return f"{left} {SYMBOLS[tree.op]} {args}" if tree.op in SYMBOLS else f"{left}.{tree.op}({args})"


def _operand(tree: Operand) -> str:
    match tree:
        case Number():
            return number_text(tree.value)
        case Text():
            return _quoted(tree.value)
        case Date():
            return tree.value
        case Span():
            return _span(tree)
        case _:
            return _scalar(tree)


def _scalar(tree: Scalar) -> str:
    match tree:
        case Trait():
            return f"trait({_path(tree.path)})"
        case Context():
            return f"context({_path(tree.path)})"
        case Property():
            return f"property({'parent: ' if tree.parent else ''}{_path(tree.path)})"
        case Reduce():
            return f"{_stream(tree.stream)}{_reducer(tree)}"


def _reducer(tree: Reduce) -> str:
    field = "" if tree.field is None else _scalar(tree.field)
    kind = "" if tree.as_ is None else f" as {tree.as_}"
    least = "" if tree.min is None else f", {tree.min}"
    if tree.by == "unique_count":
        return f".unique({field}).count()"
    return f".{tree.by}({field}{kind}{least})"


def _stream(tree: Event) -> str:
    filters = []
    if tree.where is not None:
        filters.append(f".where({_condition(tree.where)})")
    if tree.exclude_sources:
        filters.append(f".sources(exclude: {', '.join(map(_quoted, tree.exclude_sources))})")
    if tree.window is not None:
        filters.append(_window(tree.window, ""))
    if tree.parent_window is not None:
        filters.append(_window(tree.parent_window, "parent: "))
    return f"event({_quoted(tree.name)}){''.join(filters)}"


def _window(tree: Within | Between | Session, parent: str) -> str:
    match tree:
        case Within():
            return f".within({parent}{_span(tree.to)})"
        case Between():
            return f".between({parent}{_span(tree.from_)}, {_span(tree.to)})"
        case Session():
            return f".expires_after({_span(tree.to)})"


def _span(tree: Span) -> str:
    return f"{tree.n} {tree.unit}" if tree.n == 1 else f"{tree.n} {tree.unit}s"


def _path(path: Sequence[str]) -> str:
    return _quoted(path_text(path))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
