"""What an event is: the record that the log keeps, and the decoded view that route and destinations read.

Rule: `Record.body` is the event's JSON as it was accepted; every other shape is derived from it and nothing writes it.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

CALL_TYPES = ("identify", "track", "page", "screen", "group", "alias")

JSONValue = None | bool | int | float | str | list["JSONValue"] | dict[str, "JSONValue"]


class NewRecord(NamedTuple):
    """What collect hands to the log. `destinations` limits the event to these destination ids, comma-separated."""

    source: str
    type: str
    user_key: str
    message_id: str
    received_at: int
    body: bytes
    destinations: str | None = None


class Record(NamedTuple):
    """What the log gives back. Times are milliseconds since 1970; `ordinal` counts within the source, from 1."""

    offset: int
    received_at: int
    appended_at: int
    source: str
    ordinal: int
    type: str
    user_key: str
    message_id: str
    destinations: str | None
    body: bytes


class _Fields(Struct, gc=False, frozen=True, rename={"metadata": "_metadata"}):
    """The top level of a body, undecoded below it. Absent and null are alike where both are None."""

    type: str
    messageId: str
    userId: str | None = None
    anonymousId: str | None = None
    event: str | None = None
    timestamp: str | None = None
    name: Raw = Raw(b"null")
    groupId: Raw = Raw(b"null")
    previousId: Raw = Raw(b"null")
    traits: Raw = Raw(b"null")
    properties: Raw = Raw(b"null")
    context: Raw = Raw(b"null")
    integrations: Raw = Raw(b"null")
    metadata: Raw = Raw(b"null")


_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


def raw_object(raw: Raw) -> dict[str, Raw]:
    """The members of a JSON object, their values undecoded and exact; of anything else, none."""
    return _decode_object(raw) if bytes(memoryview(raw)[:1]) == b"{" else {}


class Event:
    """One accepted event, decoded as far as it is asked for.

    The plain attributes are decoded once; `traits`, `properties` and `context` on first use.
    """

    def __init__(self, body: bytes) -> None:
        self.body = body
        fields = _decode_fields(body)
        self.fields = fields
        self.type = fields.type
        self.message_id = fields.messageId
        self.user_id = fields.userId or None
        self.anonymous_id = fields.anonymousId or None
        self.event = fields.event
        self.timestamp = fields.timestamp

    @property
    def order_keys(self) -> tuple[str, ...]:
        """The lanes that this event keeps its place in: its userId and its anonymousId."""
        user, anonymous = self.user_id, self.anonymous_id
        if user is None:
            return () if anonymous is None else ("a:" + anonymous,)
        return ("u:" + user,) if anonymous is None else ("u:" + user, "a:" + anonymous)

    @cached_property
    def group_id(self) -> str | None:
        """`groupId` where it is a text of at least one character."""
        value = msgspec.json.decode(self.fields.groupId)
        return value if isinstance(value, str) and value else None

    @cached_property
    def name(self) -> str | None:
        """`name` of a page or screen call."""
        value = msgspec.json.decode(self.fields.name)
        return value if isinstance(value, str) and value else None

    @cached_property
    def traits(self) -> dict[str, Raw]:
        """Top-level `traits`, values undecoded and exact."""
        return raw_object(self.fields.traits)

    @cached_property
    def properties(self) -> dict[str, Raw]:
        """Top-level `properties`, values undecoded and exact."""
        return raw_object(self.fields.properties)

    @cached_property
    def context(self) -> dict[str, Raw]:
        """Top-level `context`, values undecoded and exact."""
        return raw_object(self.fields.context)
