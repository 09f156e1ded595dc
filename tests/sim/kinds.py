"""The kinds of destination that the simulation sends to, each of another shape of flow."""

from __future__ import annotations

import json
from collections.abc import Sequence

from msgspec import Struct

from segue.core.destination import BatchFlow, Destination, Flow, Request, Response
from segue.core.errors import Refused
from segue.core.event import CALL_TYPES, Event
from segue.destinations.webhook import destination as webhook

CRASHY, UNMAPPABLE, BAD, SKIPPED = "crashy", "unmappable", "bad", "skipped"
"""Names of events: one that our flow breaks at, one it refuses, one the vendor refuses, one that route filters."""


class Settings(Struct, frozen=True, kw_only=True):
    """What the simulated kinds are set to."""

    key: str
    batch_size: int = 1


def number_of(body: bytes) -> list[int]:
    """The offsets of the events in a request's body: their messageIds end in them."""
    found = json.loads(body)
    return [int(event["messageId"][1:]) for event in (found if isinstance(found, list) else [found])]


def checked(event: Event) -> Event:
    """What a mapping does: look at the event, and at times not like it."""
    if event.event == UNMAPPABLE:
        raise Refused("PAYLOAD_VALIDATION_FAILED", "it lacks something")
    if event.event == CRASHY:
        raise KeyError("a surprise")
    return event


def request(settings: Settings, body: bytes, **others: object) -> Request:
    return Request(url="https://vendor.example/in", headers=(("Key", settings.key),), body=body, **others)


def send_one(settings: Settings, event: Event) -> Flow:
    yield request(settings, checked(event).body)


def send_in_two_steps(settings: Settings, event: Event) -> Flow:
    found = yield request(settings, event.body, method="PUT", judge=True)
    if found.status == 0 or found.status >= 400:
        found = yield request(settings, event.body, method="PUT")
    yield request(settings, checked(event).body)


def send_parts(settings: Settings, events: Sequence[Event]) -> BatchFlow:
    body = b"[" + b",".join(checked(event).body for event in events) + b"]"
    answer = yield request(settings, body)
    return [Response(status=status) for status in json.loads(answer.body)]


def send_part(settings: Settings, event: Event) -> Flow:
    yield request(settings, checked(event).body)


def _kind(slug: str, **others: object) -> Destination:
    return Destination(
        name=slug, slug=slug, id=slug, settings=Settings, methods=frozenset(CALL_TYPES), description="", **others
    )


SINGLE = _kind("single", send=send_one)
STEPS = _kind("steps", send=send_in_two_steps)
PARTS = _kind("parts", send=send_part, send_batch=send_parts, batch_size=lambda settings: settings.batch_size)
WEBHOOK = webhook


def settings_of(kind: Destination, key: str, batch_size: int) -> object:
    if kind is WEBHOOK:
        return WEBHOOK.settings(hooks=["https://vendor.example/in"], headers={"Key": key}, batch_size=batch_size)
    return Settings(key=key, batch_size=batch_size)
