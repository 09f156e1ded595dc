"""Pointillist, customer journeys: the event is transformed here, then posted to Pointillist's stream API.

API: `POST https://stream.pointillist.com/event` with the token in the header `apiToken` (a public loader). Segment's
page says what becomes an actor, a label, a number; the names on the right are PROPOSED, our own contract, as are the
header `X-Message-Id`, JSON numbers and ISO times. Limits are not published.
Rule: a number reaches Pointillist with the digits it was sent with, and no value but null is lost on the way.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from msgspec import Meta, Raw, Struct

from segue.core.clock import from_iso, iso
from segue.core.destination import Destination, Flow, Request
from segue.core.errors import Refused
from segue.core.event import Event, raw_object
from segue.destinations._partner import ENDPOINT_PATTERN, USER_AGENT
from segue.destinations._stringify import stringified

DEPTH_MAX = 4
"""Objects are flattened this many names deep; what lies deeper becomes one label of JSON text."""

_UTC_MILLISECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
_HEADER_TEXT = re.compile(r"[!-~](?:[ -~]*[!-~])?")

Label = str | Raw


class Settings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to reach one Pointillist account."""

    apiKey: Annotated[
        str,
        Meta(
            title="API Token",
            description=(
                "Your Pointillist API token, from customer-success@pointillist.com: printable ASCII, without blanks "
                "around it."
            ),
            min_length=1,
            # It is a header's value: printable ASCII without blanks around it.
            pattern=r"^[!-~](?:[ -~]*[!-~])?$(?!\n)",
            extra={"secret": True},
        ),
    ]
    endpoint: Annotated[
        str,
        Meta(
            title="Endpoint",
            description="Posts to this address instead of Pointillist's, such as the sandbox's.",
            pattern=ENDPOINT_PATTERN,
            extra={"hidden": True},
        ),
    ] = "https://stream.pointillist.com/event"


class Payload(Struct, frozen=True, kw_only=True):
    """What Pointillist's stream API takes. `actors` is actor type -> identifier name -> value."""

    eventSource: str
    eventType: str
    eventTime: str
    actors: dict[str, dict[str, str]]
    labels: dict[str, Label]
    numbers: dict[str, Raw]


class _Rare(Struct, gc=False):
    """Top-level fields that few events need."""

    anonymousID: Raw = Raw(b"null")
    receivedAt: Raw = Raw(b"null")


_decode_rare = msgspec.json.Decoder(_Rare).decode
_encode = msgspec.json.Encoder().encode


def send(settings: Settings, event: Event) -> Flow:
    """One event, one post. `X-Message-Id` lets the receiver know a repeated delivery; its body has no such field."""
    headers = (
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("apiToken", settings.apiKey),
        ("X-Message-Id", header_text(event.message_id)),
    )
    yield Request(url=settings.endpoint, headers=headers, body=_encode(payload(event)))


def payload(event: Event) -> Payload:
    """The event in Pointillist's words. Raises `Refused` where it has no identifier or no time."""
    mapped = Mapped()
    for name in ("location", "campaign", "device"):
        mapped.add_labels(name, raw_object(event.context.get(name, _NULL)))
    system = raw_object(event.context.get("os", _NULL))
    mapped.add_labels("os", {name: system[name] for name in ("name", "version") if name in system})
    if event.type == "identify":
        mapped.add_values("trait", event.traits)
    else:
        mapped.add_labels("user", raw_object(event.context.get("traits", _NULL)))
        mapped.add_values("property", event.properties)
    return Payload(
        eventSource="Segment",
        eventType="identify" if event.type == "identify" else _event_type(event),
        eventTime=_event_time(event),
        actors={"Customer": _identifiers(event)},
        labels=mapped.labels,
        numbers=mapped.numbers,
    )


_NULL = Raw(b"null")


class Mapped:
    """Labels and numbers as they are gathered. A name that is taken already is prefixed: the first keeps it."""

    def __init__(self) -> None:
        self.labels: dict[str, Label] = {}
        self.numbers: dict[str, Raw] = {}

    def add_labels(self, prefix: str, members: dict[str, Raw]) -> None:
        """Every value as a label, numbers too (Segment's page says labels for all of them)."""
        for name, raw in flattened(members):
            label = label_of(raw)
            if label is not None:
                self.labels[_free(f"{prefix}_{name}", self.labels, prefix="context")] = label

    def add_values(self, kind: str, members: dict[str, Raw]) -> None:
        """Numbers as numbers, all else as labels; `kind` is the prefix of a name that is taken."""
        for name, raw in flattened(members):
            if not _is_number(raw):
                label = label_of(raw)
                if label is not None:
                    self.labels[_free(name, self.labels, prefix=kind)] = label
            elif _is_finite(raw):
                self.numbers[_free(name, self.numbers, prefix=kind)] = raw


def _free(name: str, taken: dict[str, Any], *, prefix: str) -> str:
    while name in taken:
        name = f"{prefix}_{name}"
    return name


def flattened(members: dict[str, Raw], depth: int = 1) -> Iterator[tuple[str, Raw]]:
    """The values of an object with the names of the objects around them before their own, joined by `_`."""
    for name, raw in members.items():
        if depth < DEPTH_MAX and _first(raw) == b"{":
            for inner, value in flattened(raw_object(raw), depth + 1):
                yield f"{name}_{inner}", value
        else:
            yield name, raw


def label_of(raw: Raw) -> Label | None:
    """The value as text: a string as it was sent, a list or an object as JSON; None for null and the infinite."""
    first = _first(raw)
    if first == b'"':
        return raw
    if first == b"n":
        return None
    if first in (b"[", b"{"):
        return stringified(bytes(raw)).decode("utf-8")
    if first in (b"t", b"f") or _is_finite(raw):
        return bytes(raw).decode("ascii")
    return None


def _first(raw: Raw) -> bytes:
    return bytes(memoryview(raw)[:1])


def _is_number(raw: Raw) -> bool:
    return _first(raw) in b"-0123456789"


def _is_finite(raw: Raw) -> bool:
    """Whether the number fits a double; `1e999` is infinite to any receiver, and infinite values are dropped."""
    text = bytes(raw)
    if len(text) < 300 and b"e" not in text and b"E" not in text:
        return True
    return abs(float(text)) != float("inf")


def _event_type(event: Event) -> str:
    if not event.event:
        raise Refused("PAYLOAD_VALIDATION_FAILED", "event: a track call needs a name for its Event Type")
    return event.event


def _event_time(event: Event) -> str:
    """`timestamp` in UTC with milliseconds; where it is none, the time of receipt."""
    if event.timestamp is not None and _UTC_MILLISECONDS.fullmatch(event.timestamp):
        return event.timestamp
    for text in (event.timestamp, _text(_decode_rare(event.body).receivedAt)):
        try:
            return iso(from_iso(text or ""))
        except (ValueError, OverflowError):
            continue
    raise Refused("PAYLOAD_VALIDATION_FAILED", "timestamp: it is no ISO 8601 time, and Event Time needs one")


def _identifiers(event: Event) -> dict[str, str]:
    identifiers = {}
    anonymous_id = event.anonymous_id
    if anonymous_id is None and b"anonymousID" in event.body:
        # Segment's page on Pointillist spells it so in its table.
        anonymous_id = _text(_decode_rare(event.body).anonymousID)
    if event.user_id:
        identifiers["userId"] = event.user_id
    if anonymous_id:
        identifiers["anonymousId"] = anonymous_id
    if not identifiers:
        raise Refused("PAYLOAD_VALIDATION_FAILED", "userId or anonymousId: an event needs an Actor Identifier")
    return identifiers


def _text(raw: Raw) -> str | None:
    value = msgspec.json.decode(raw)
    return value if isinstance(value, str) else None


def header_text(text: str) -> str:
    """The text as a header can carry it: as it is, or percent-encoded behind `utf-8''` (RFC 8187) where it cannot."""
    return text if _HEADER_TEXT.fullmatch(text) else f"utf-8''{quote(text, safe='')}"


destination = Destination(
    name="Pointillist",
    slug="pointillist",
    id="56b17633e954a874ca44d3df",
    settings=Settings,
    send=send,
    methods=frozenset({"identify", "track"}),
    description=(
        "Customer journey analytics: identify logs an identify event whose traits are labels and numbers, and "
        "gives the events of its anonymousId to its userId; track logs an event of its name. Server-side, "
        "client-side and mobile data are taken alike."
    ),
    previous_names=("Pointillist",),
    categories=("Analytics",),
    status="PUBLIC",
    website="http://www.pointillist.com/",
    docs_url="https://segment.com/docs/connections/destinations/catalog/pointillist/",
    contact="customer-success@pointillist.com",
    key_help="Ask customer-success@pointillist.com for an API token, paste it here and toggle the destination on.",
    partner_owned=False,
    browser_unbundling_public=True,
    contract=(
        "The vendor's own: the address, the header apiToken and the shape of the body, as a public loader posts "
        "it. Segment's: which parts of a call become actor identifiers, event type, event time, labels and "
        "numbers. PROPOSED by us: the names of identifiers and labels, properties as labels and numbers, "
        "flattening, JSON numbers, ISO times, the header X-Message-Id, and the answers."
    ),
)
