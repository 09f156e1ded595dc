"""Events and records for the tests of identity, as collect would have made them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from segue.core.event import Event, Record

START_MS = 1_800_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(ms: int) -> str:
    """As collect writes a time."""
    return (EPOCH + timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def event_of(type_: str = "track", **fields: Any) -> Event:
    """One decoded event."""
    return Event(msgspec.json.encode({"type": type_, "messageId": "m", **fields}))


def entry(
    offset: int,
    type_: str = "track",
    *,
    received_at: int | None = None,
    t: int | None = None,
    source: str = "web",
    **fields: Any,
) -> tuple[Record, Event]:
    """A record of the log and its event; received at `offset` seconds after the start unless told."""
    received = START_MS + offset * 1_000 if received_at is None else received_at
    message = str(fields.pop("messageId", f"m{offset}"))
    body = {"type": type_, "messageId": message, "timestamp": iso(received if t is None else t), **fields}
    raw = msgspec.json.encode(body)
    record = Record(offset, received, received, source, offset + 1, type_, "", message, None, raw)
    return record, Event(raw)
