"""The messages that tell a destination of a value: identify and track calls as Segment's Engage sends them.

Rule: a message's id and body depend on what it says alone, so that saying it again after a crash makes the same one,
and no two changes ever share an id.

Source: Segment, "Using Engage data", and the forms of its audiences and traits; the id and what stands for a person
who has neither userId nor anonymousId are PROPOSED.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct

from segue.compute.checks import Kind
from segue.compute.tuples import IdentityTuple
from segue.core.clock import iso

EVENT_NAMES: dict[Kind, tuple[str, str]] = {
    "audience": ("Audience Entered", "Audience Exited"),
    "trait": ("Trait Computed", "Trait Computed"),
}
"""What a track call is named, by whether the value is a yes."""

_PREFIXES: dict[Kind, str] = {"audience": "aud", "trait": "tra"}

_encode = msgspec.json.Encoder().encode


class Subject(Struct, frozen=True, kw_only=True, dict=True):
    """What all messages of one connection have in common. Ids are those of control's rows.

    `catalog_name` is what `integrations` calls the destination's kind; `sync_run` counts resyncs asked for.
    """

    space: int
    computation: int
    generation: int
    kind: Kind
    key: str
    connection: int
    catalog_name: str
    identify: bool = True
    track: bool = False
    sync_run: int = 0

    @cached_property
    def personas(self) -> Raw:
        """`context.personas` of every message, as JSON."""
        space = f"spa_{self.space}"
        found = {
            "computation_class": self.kind,
            "computation_id": f"{_PREFIXES[self.kind]}_{self.computation}",
            "computation_key": self.key,
            "namespace": space,
            "space_id": space,
        }
        return Raw(_encode(found))

    @cached_property
    def integrations(self) -> Raw:
        """`integrations` of every message, as JSON; the record's own list says which destinations of the kind."""
        return Raw(_encode({"All": False, self.catalog_name: True}))


class Message(Struct, frozen=True, gc=False):
    """One message as the outbox keeps it. `body` is the event's JSON without `receivedAt`."""

    message_id: str
    type: str
    user_key: str
    timestamp_ms: int
    body: bytes


def messages(
    subject: Subject, each: IdentityTuple, value: str, *, profile: int, segment_id: str, version: int, at_ms: int
) -> tuple[Message, ...]:
    """What tells the tuple of the value (canonical JSON): an identify call, a track call, both or none.

    `profile` is the profile's number, `segment_id` its persistent id, which keeps the order where there is neither
    userId nor anonymousId; `version` counts the changes of the profile's value; `at_ms` is the instant of this one.
    """
    return tuple(
        Message(message_id, kind, each.user_id or each.anonymous_id or segment_id, at_ms, body)
        for kind, message_id, body in _calls(subject, each, value, profile=profile, version=version, at=iso(at_ms))
    )


def message_id(subject: Subject, each: IdentityTuple, call: str, *, profile: int, version: int) -> str:
    """`personas_` and 40 hex digits, of everything by which two messages may differ."""
    fields = (
        *(f"{subject.space}", f"{subject.computation}", f"{subject.generation}", f"{subject.connection}", f"{profile}"),
        *(each.text, call, f"{version}", f"{subject.sync_run}"),
    )
    # Each with its length before it, so that no two lists of fields have one text.
    text = "".join([f"{len(field)}:{field}" for field in fields])
    return f"personas_{sha256(text.encode()).hexdigest()[:40]}"


def _calls(
    subject: Subject, each: IdentityTuple, value: str, *, profile: int, version: int, at: str
) -> Iterator[tuple[str, str, bytes]]:
    key, raw = subject.key, Raw(value.encode())
    email = {} if each.email is None else {"email": each.email}
    ends: dict[str, Any] = {"context": _context(subject, each), "integrations": subject.integrations}

    def call(kind: str, name: str | None, **content: Any) -> tuple[str, str, bytes]:
        number = message_id(subject, each, kind, profile=profile, version=version)
        first = {"type": kind} if name is None else {"type": kind, "event": name}
        times = {"timestamp": at, "originalTimestamp": at}
        return kind, number, _encode({**first, "messageId": number, **_who(each), **times, **content})

    if subject.identify:
        yield call("identify", None, traits={key: raw, **email}, **ends)
    if subject.track:
        named = "audience_key" if subject.kind == "audience" else "trait_key"
        begun, ended = EVENT_NAMES[subject.kind]
        if email:
            ends["context"] = {"traits": email, **ends["context"]}
        yield call("track", ended if value == "false" else begun, properties={named: key, key: raw}, **ends)


def _who(each: IdentityTuple) -> dict[str, str]:
    who = {} if each.user_id is None else {"userId": each.user_id}
    return who if each.anonymous_id is None else {**who, "anonymousId": each.anonymous_id}


def _context(subject: Subject, each: IdentityTuple) -> dict[str, Any]:
    if each.idfa is None:
        return {"personas": subject.personas}
    # The two fields from which Segment's identity resolution takes such an id.
    device = {"type": each.idfa.type.removesuffix(".idfa"), "advertisingId": each.idfa.id}
    return {"personas": subject.personas, "device": device}
