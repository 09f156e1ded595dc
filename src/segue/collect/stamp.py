"""The stamps of the server on an accepted event: times, messageId, client address, what its batch says of all.

Rule: only the top-level fields named here change; every other value keeps its bytes and its place.
Source of the times: Segment, Spec: Common Fields, "Timestamps".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from msgspec import Raw, Struct

from segue.collect.facts import ABSENT, WRONG, Facts, Library, context_of, is_object
from segue.collect.parse import NULL, Fields, decode_fields, text_or_none
from segue.core.event import CALL_TYPES

_encode = msgspec.json.Encoder().encode
_decode_moment = msgspec.json.Decoder(datetime).decode
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

CLIENT_LIBRARIES = frozenset(
    "analytics" + name for name in (".js", "-ios", "-android", "-react-native", "-kotlin", "-swift")
)
"""Libraries that run on the user's own device, as `context.library.name` says it, without the npm scope."""

_CALL_RAW = {name: Raw(_encode(name)) for name in CALL_TYPES}


class Arrival(Struct, frozen=True, kw_only=True):
    """What holds for every event of one request; made by `arrival`."""

    received_at: int
    received: datetime
    received_raw: Raw
    ip: str | None
    client_side: bool
    sent_at: Raw | None
    skew: timedelta | None
    context: Fields
    integrations: Fields


def arrival(
    received_at: int,
    *,
    ip: str | None = None,
    client_side: bool = False,
    sent_at: Raw = NULL,
    context: Raw = NULL,
    integrations: Raw = NULL,
) -> Arrival:
    """The constants of one request. `received_at` in milliseconds since 1970; `ip` is the client's IPv4 address.

    `client_side` is said of the pixel, which only a device loads. `sent_at`, `context` and `integrations` are the
    batch-level ones; the last two are objects, or null.
    """
    received = _EPOCH + received_at * _MILLISECOND
    return Arrival(
        received_at=received_at,
        received=received,
        received_raw=_written(received),
        ip=ip,
        client_side=client_side,
        sent_at=None if sent_at == NULL else sent_at,
        skew=None if sent_at == NULL else _skew(received, _moment(sent_at)),
        context=_members(context),
        integrations=_members(integrations),
    )


def stamp(event: Fields, kind: str, facts: Facts, at: Arrival, message_id: str) -> bytes:
    """The event's JSON as the log keeps it. Changes `event`; `message_id` is used where the sender gave none."""
    if "writeKey" in event:
        del event["writeKey"]
    event["type"] = _CALL_RAW[kind]
    if not facts.message_id:
        event["messageId"] = Raw(_encode(message_id))
    if at.context:
        _merge(event, "context", at.context)
    if at.integrations:
        _merge(event, "integrations", at.integrations)
    if at.ip is not None:
        _add_ip(event, facts, at)
    _time(event, facts, at)
    return _encode(event)


def _time(event: Fields, facts: Facts, at: Arrival) -> None:
    if facts.sent_at is not None:
        skew = _skew(at.received, _readable(facts.sent_at, event["sentAt"]))
    else:
        skew = at.skew
        if at.sent_at is not None:
            event["sentAt"] = at.sent_at
    if facts.timestamp is not None:
        original = event["timestamp"]
        moment = _readable(facts.timestamp, original)
    elif facts.original_timestamp is not None:
        original = event["originalTimestamp"]
        moment = _readable(facts.original_timestamp, original)
    else:
        original, moment = at.received_raw, None
    event["originalTimestamp"] = original
    event["timestamp"] = at.received_raw if moment is None else _corrected(moment, skew, at)
    event["receivedAt"] = at.received_raw


def _corrected(moment: datetime, skew: timedelta | None, at: Arrival) -> Raw:
    """The instant on the server's clock; where that is out of the calendar, the time of arrival."""
    try:
        return _written(moment if skew is None else moment + skew)
    except OverflowError:
        return at.received_raw


def _skew(received: datetime, sent: datetime | None) -> timedelta | None:
    """How far the device's clock is behind the server's, time on the way included."""
    return None if sent is None else received - sent


def _readable(read: datetime, raw: Raw) -> datetime | None:
    """A time in UTC of what was read already, or of the text where that was not readable at first."""
    if read is WRONG:
        return _moment(raw)
    return read if read.tzinfo is UTC else _utc(read)


def _moment(raw: Raw) -> datetime | None:
    """The instant that a JSON value names in ISO 8601, in UTC. None where it names none."""
    try:
        return _utc(_decode_moment(raw))
    except msgspec.ValidationError:
        try:
            # Python reads more of ISO 8601 than the decoder does: dates alone, zones without a colon.
            return _utc(datetime.fromisoformat(text_or_none(raw) or ""))
        except ValueError:
            return None


def _utc(moment: datetime) -> datetime | None:
    """The same instant in UTC, which is also meant where no zone is given. None where that is out of the calendar."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return None


def _written(moment: datetime) -> Raw:
    """As Segment writes it, to the millisecond: `"2026-11-21T22:00:00.123Z"`. `moment` is in UTC."""
    text = _encode(moment)
    # The encoder writes six digits of the second, or none.
    return Raw(text[:24] + b'Z"' if len(text) == 29 else text[:20] + b'.000Z"')


def _members(raw: Raw) -> Fields:
    return decode_fields(raw) if is_object(raw) else {}


def _merge(event: Fields, name: str, of_batch: Fields) -> None:
    """Add what the batch says and the item does not; one level deep, the item wins."""
    merged = _members(event.get(name, NULL))
    missing = {key: value for key, value in of_batch.items() if key not in merged}
    if missing:
        event[name] = Raw(_encode({**merged, **missing}))


def _add_ip(event: Fields, facts: Facts, at: Arrival) -> None:
    own = facts.context
    if at.context or own is None:
        # The batch may have said what the item does not.
        own = context_of(event.get("context", NULL))
    if own.ip is not ABSENT or not (at.client_side or own.direct is True or _on_device(own.library)):
        return
    raw = event.get("context", NULL)
    inside = bytes(raw)[1:-1] if raw != NULL else b""
    comma = b"," if inside.strip() else b""
    event["context"] = Raw(b"{" + inside + comma + b'"ip":' + _encode(at.ip) + b"}")


def _on_device(library: Library | None) -> bool:
    if library is None or library is WRONG or not library.name or library.name is WRONG:
        return False
    return library.name.removeprefix("@segment/") in CLIENT_LIBRARIES
