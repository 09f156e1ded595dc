"""The tree of a definition: what the text form and the builder's JSON both mean.

Each node is a closed object with its `kind`; lists keep their order; where something stood in a text is no part of it.
What goes without saying is left out: `as: number` of a least value, `min: 2` of the most frequent one; a number is held
as the value readings hold it, so that `5.0` is `5`.

Rule: `from_json(to_json(tree)) == tree`, and two trees that print the same text are equal.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from segue.compute.mistakes import Mistake, Mistaken
from segue.compute.values import plain_number

JSON_BYTES_MOST = 256 * 1024
"""The longest JSON form: what 16 KiB of text may become (PROPOSED)."""
MODE_MIN = 2
"""How often the most frequent value must occur where nothing is said (Segment, "Computed traits")."""

Unit = Literal["second", "hour", "day"]
UNIT_MS: dict[Unit, int] = {"second": 1_000, "hour": 3_600_000, "day": 86_400_000}

Relation = Literal["equals", "differs", "greater_than", "at_least", "less_than", "at_most"]
SYMBOLS: dict[Relation, str] = {
    "equals": "=",
    "differs": "!=",
    "greater_than": ">",
    "at_least": ">=",
    "less_than": "<",
    "at_most": "<=",
}
Existence = Literal["exists", "absent"]
Match = Literal["contains", "omits", "one_of", "none_of"]
Affix = Literal["starts_with", "ends_with"]
Dated = Literal["before_date", "after_date"]
Relative = Literal["within_last", "within_next", "before_last", "after_next"]
Op = Literal[Relation, Existence, Match, Affix, Dated, Relative]

By = Literal["count", "sum", "avg", "min", "max", "mode", "first", "last", "unique", "unique_count"]
As = Literal["number", "string", "array"]
AS_DEFAULT: dict[By, As] = {"min": "number", "max": "number", "mode": "string"}


class Node(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True, tag_field="kind"):
    """What all nodes share: closed, compared by what they hold."""


class And(Node, frozen=True, tag="and"):
    """True where every item is."""

    items: tuple[Condition, ...]


class Or(Node, frozen=True, tag="or"):
    """True where one item is."""

    items: tuple[Condition, ...]


class Not(Node, frozen=True, tag="not"):
    """True where the item is false."""

    item: Condition


class AnyUser(Node, frozen=True, tag="any"):
    """True of an account where the item is true of a user of it."""

    item: Condition


class AllUsers(Node, frozen=True, tag="all"):
    """True of an account where it has users and the item is true of each."""

    item: Condition


class Audience(Node, frozen=True, tag="audience"):
    """Membership of another audience of the space."""

    key: str


class Trait(Node, frozen=True, tag="trait"):
    """A value of the profile."""

    path: tuple[str, ...]


class Context(Node, frozen=True, tag="context"):
    """A value of the event's context."""

    path: tuple[str, ...]


class Property(Node, frozen=True, tag="property", omit_defaults=False):
    """A value of the event's properties; with `parent`, of the event around it."""

    path: tuple[str, ...]
    parent: bool = False


class Span(Struct, frozen=True, forbid_unknown_fields=True):
    """A length of time."""

    n: int
    unit: Unit

    @property
    def ms(self) -> int:
        """The length in milliseconds: hours and days are fixed, whatever a calendar does."""
        return self.n * UNIT_MS[self.unit]


class Within(Node, frozen=True, tag="within"):
    """Events younger than `to`."""

    to: Span


class Between(Node, frozen=True, tag="between"):
    """Events at least as old as `from` and younger than `to`."""

    from_: Span = msgspec.field(name="from")
    to: Span


class Session(Node, frozen=True, tag="session"):
    """Events of the session that has not yet been quiet for as long as `to`."""

    to: Span


class Event(Node, frozen=True, tag="event"):
    """The events of one name that pass the filters."""

    name: str
    where: Condition | None = None
    exclude_sources: tuple[str, ...] = ()
    window: Within | Between | Session | None = None
    parent_window: Within | Between | None = None


class Reduce(Node, frozen=True, tag="reduce"):
    """One value of many events."""

    stream: Event
    by: By
    field: Trait | Context | Property | None = None
    as_: As | None = msgspec.field(default=None, name="as")
    min: int | None = None

    def __post_init__(self) -> None:
        """Leave out what goes without saying."""
        if self.as_ == AS_DEFAULT.get(self.by, ""):
            force_setattr(self, "as_", None)
        if self.by == "mode" and self.min == MODE_MIN:
            force_setattr(self, "min", None)


class Number(Node, frozen=True, tag="number"):
    """A number. Raises ValueError for one that no double holds."""

    value: int | float

    def __post_init__(self) -> None:
        """Hold the number as a reading of a value does."""
        try:
            number = plain_number(self.value)
        except OverflowError:
            raise ValueError("a number out of range") from None
        force_setattr(self, "value", number)


class Text(Node, frozen=True, tag="text"):
    """A text; `true` and `false` too."""

    value: str


class Date(Node, frozen=True, tag="date"):
    """A day or a moment, as it was written."""

    value: str


class Duration(Span, frozen=True, tag="duration", tag_field="kind", forbid_unknown_fields=True):
    """A length of time that a value is compared with."""


class Compare(Node, frozen=True, tag="compare"):
    """A leaf: one value against what it is compared with."""

    left: Scalar
    op: Op
    args: tuple[Operand, ...] = ()


Literal_: TypeAlias = Number | Text | Date
"""What is written out."""
Scalar: TypeAlias = Trait | Context | Property | Reduce
"""What has one value, or under `$` several."""
Operand: TypeAlias = Literal_ | Duration | Scalar
"""What a value is compared with."""
Condition: TypeAlias = And | Or | Not | AnyUser | AllUsers | Audience | Compare
"""What is true or false."""
Definition: TypeAlias = Condition | Scalar
"""The root: of an audience a condition, of a computed trait a `Reduce`."""
Part: TypeAlias = Definition | Event | Within | Between | Session | Span | Literal_
"""Whatever a tree is made of (a `Duration` is a `Span`)."""

_decoder: msgspec.json.Decoder[Definition] = msgspec.json.Decoder(Definition)


def to_json(tree: Definition) -> bytes:
    """The JSON form; what goes without saying is left out, but for `parent`."""
    return msgspec.json.encode(tree)


def from_json(body: bytes | str) -> Definition:
    """The tree of a JSON form.

    Raises Mistaken, with the path of the node, where a kind or a field is unknown or missing, and where it is longer
    or nested deeper than any definition is. What else must hold is for `checks` to say.
    """
    if len(body) > JSON_BYTES_MOST:
        raise Mistaken([Mistake(message=f"the definition is longer than {JSON_BYTES_MOST // 1024} KiB")])
    try:
        return _decoder.decode(body)
    except RecursionError:
        raise Mistaken([Mistake(message="the definition is nested too deep")]) from None
    except msgspec.DecodeError as error:
        message, _, path = str(error).partition(" - at `$")
        message = message[:1].lower() + message[1:]
        raise Mistaken([Mistake(message=message, path=path.rstrip("`").lstrip("."))]) from None


def parts(tree: Definition) -> Iterator[tuple[str, Part, int]]:
    """Each part with its path in the JSON form and its depth, from 1: a part before what it holds, left before right.

    No recursion: a tree nested as deep as a decoder lets through can still be measured.
    """
    waiting: list[tuple[str, Part, int]] = [("", tree, 1)]
    while waiting:
        path, part, depth = waiting.pop()
        yield path, part, depth
        front = f"{path}." if path else ""
        held = [(f"{front}{name}", child, depth + 1) for name, child in _held(part)]
        waiting.extend(reversed(held))


def _held(part: Part) -> Iterator[tuple[str, Part]]:
    """The parts right below one, by the name in the JSON form."""
    for attribute, name in zip(part.__struct_fields__, part.__struct_encode_fields__, strict=True):
        value = getattr(part, attribute)
        if isinstance(value, Part):
            yield name, value
        elif isinstance(value, tuple):
            yield from ((f"{name}[{index}]", item) for index, item in enumerate(value) if isinstance(item, Part))
