"""Why a definition is what it is of one profile: its tree with the value of each part, and the events that count.

Rule: the value at the root is the one that `evaluate` gives; how much is shown has a bound, what is true has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from segue.compute.evaluate import Evaluation
from segue.compute.history import Absence, History, Occurrence
from segue.compute.printing import print_definition
from segue.compute.tree import And, Compare, Condition, Definition, Not, Operand, Or, Reduce, Scalar, Trait
from segue.compute.values import Value
from segue.compute.windows import WHOLE, Reach

MESSAGE_IDS_MOST = 20
"""How many of the events that count are named, the newest first."""
VALUES_MOST = 20
"""How many of the values that a path with `$` leads to are shown."""


class Traced(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of a definition, in the normal form, with what it is at the instant.

    Of a condition `truth` is set; its `parts` are conditions, of a leaf the values that it compares. Of a value,
    `values` are what was read: one, or several under `$`; `present` is false where there is none, not even null.
    `events` is how many count, `message_ids` are the newest of them; of a custom trait, that of the event that set it.
    `skipped` values are no numbers, too large or of another type, where the reducer asks for some.
    """

    text: str
    truth: bool | None = None
    parts: tuple[Traced, ...] = ()
    values: tuple[Value, ...] = ()
    values_in_all: int = 0
    present: bool = True
    events: int = 0
    message_ids: tuple[str, ...] = ()
    skipped: int = 0


def trace(tree: Definition, history: History, at_ms: int, reach: Reach = WHOLE) -> Traced:
    """The definition with what each of its parts is at an instant, in ms since 1970."""
    evaluation = Evaluation(history, at_ms, reach)
    if isinstance(tree, Condition):
        return _condition(evaluation, tree)
    assert isinstance(tree, Reduce), "a definition ends in a condition or in a reducer"
    computed = evaluation.computed(tree)
    if isinstance(computed, Absence):
        return Traced(text=print_definition(tree), present=False)
    return _stream(evaluation, tree)


def _condition(evaluation: Evaluation, tree: Condition) -> Traced:
    parts: tuple[Traced, ...] = ()
    match tree:
        case And() | Or():
            parts = tuple(_condition(evaluation, item) for item in tree.items)
        case Not():
            parts = (_condition(evaluation, tree.item),)
        case Compare():
            operands: tuple[Operand, ...] = (tree.left, *tree.args)
            parts = tuple(_scalar(evaluation, each) for each in operands if isinstance(each, Scalar))
    return Traced(text=print_definition(tree), truth=evaluation.truth(tree), parts=parts)


def _scalar(evaluation: Evaluation, tree: Scalar) -> Traced:
    if isinstance(tree, Reduce):
        return _stream(evaluation, tree)
    values = evaluation.values(tree)
    cause = _cause(evaluation, tree) if isinstance(tree, Trait) else None
    return Traced(
        text=print_definition(tree),
        values=tuple(values[:VALUES_MOST]),
        values_in_all=len(values),
        events=0 if cause is None else 1,
        message_ids=() if cause is None else (cause,),
    )


def _stream(evaluation: Evaluation, tree: Reduce) -> Traced:
    counted = evaluation.counted(tree.stream)
    reduced = evaluation.reduced(tree)
    return Traced(
        text=print_definition(tree),
        values=(reduced.value,),
        values_in_all=1,
        events=len(counted),
        message_ids=_newest(counted),
        skipped=reduced.skipped,
    )


def _newest(occurrences: Sequence[Occurrence]) -> tuple[str, ...]:
    return tuple(each.message_id for each in reversed(occurrences[-MESSAGE_IDS_MOST:]))


def _cause(evaluation: Evaluation, tree: Trait) -> str | None:
    """The event that set a custom trait; a computed one has none of its own."""
    name, at_ms, history = tree.path[0], evaluation.at_ms, evaluation.history
    version = None if history.is_computed(name, at_ms) else history.custom_trait(name, at_ms)
    return None if version is None else version.cause.message_id
