"""What the collector must know of an event: the typed reading of the fields that a rule or a stamp looks at.

Rule: reading never fails; a field of the wrong type reads as `WRONG`, one that is null or absent as None.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from segue.collect.limits import MESSAGE_ID_MOST
from segue.collect.parse import Fields, decode_fields

WRONG: Any = object()
"""Stands in a field whose value is of another type than the Spec says."""

ABSENT = Raw(b"")

Text = Annotated[str, Meta(min_length=1)]


class Object(Struct, gc=False):
    """Any JSON object; its members are passed over."""


class Library(Struct, gc=False):
    """`context.library`."""

    name: str | None = None


class Context(Struct, gc=False):
    """`context`. `ip` is ABSENT where it was not sent at all."""

    library: Library | None = None
    ip: Raw = ABSENT
    direct: bool | None = None


class Facts(Struct, gc=False, rename="camel"):
    """An event's top level, as far as the Spec gives it types. One reading costs less than testing field by field."""

    type: str | None = None
    message_id: Annotated[str, Meta(max_length=MESSAGE_ID_MOST)] | None = None
    user_id: Text | None = None
    anonymous_id: Text | None = None
    event: str | None = None
    name: Text | None = None
    category: Text | None = None
    group_id: Text | None = None
    previous_id: Text | None = None
    properties: Object | None = None
    traits: Object | None = None
    context: Context | None = None
    integrations: Object | None = None
    timestamp: datetime | None = None
    original_timestamp: datetime | None = None
    sent_at: datetime | None = None


_decode = msgspec.json.Decoder(Facts).decode


def facts_of(event: bytes | Raw) -> Facts:
    """The facts of an event, which must be a JSON object."""
    try:
        return _decode(event)
    except msgspec.ValidationError:
        facts: Facts = _field_by_field(Facts, decode_fields(event))
        return facts


def context_of(raw: Raw) -> Context:
    """The facts of a context alone; of null, one without any."""
    found = _value(Context | None, raw)
    return Context() if found is None or found is WRONG else found


def _field_by_field(kind: type[Any], members: Fields) -> Any:
    found = kind()
    for field in msgspec.structs.fields(kind):
        raw = members.get(field.encode_name)
        if raw is not None:
            setattr(found, field.name, _value(field.type, raw))
    return found


def _value(kind: Any, raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError:
        nested = _NESTED.get(kind)
        return _field_by_field(nested, decode_fields(raw)) if nested and is_object(raw) else WRONG


# Where an object is right and one of its members is not, the other members still count.
_NESTED: dict[Any, type[Struct]] = {Context | None: Context, Library | None: Library}


def is_object(raw: Raw) -> bool:
    """Whether a JSON value is an object."""
    return bytes(raw)[0] == 0x7B
