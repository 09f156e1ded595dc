"""Which events do not enter profiles, and when an event happened.

Rule: a skipped event stays in the log and reaches destinations; it is counted under one code of `SKIPS`, and changes
no profile.

Source: Segment, "Unify limits" (what is dropped in silence there is counted here).
"""

from __future__ import annotations

from datetime import UTC, datetime

from segue.core.event import Event, Record

FIELDS_MOST = 300
MESSAGE_ID_LENGTH_MOST = 100
GROUP_ID_LENGTH_MOST = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MEMBER_BYTES_LEAST = 5  # "":1,

SKIPS = {
    "alias": "An alias call; identities meet by the ids that events share, never by alias.",
    "message_id_too_long": f"The messageId has more than {MESSAGE_ID_LENGTH_MOST} characters.",
    "group_id_invalid": f"A group call's groupId is empty or has more than {GROUP_ID_LENGTH_MOST} characters.",
    "too_many_fields": f"More than {FIELDS_MOST} traits or properties; an identify call may have one less.",
    "before_1970": "The timestamp is before 1970.",
    "no_identifier": "No value of the event identifies somebody: there is none, or the rules block them all.",
}
"""The codes, in the order they are looked for."""


def skip_code(event: Event, t: int) -> str:
    """Why the event, which happened at `t`, enters no profile, as far as it shows without the rules; "" if it may."""
    if event.type == "alias":
        return "alias"
    if len(event.message_id) > MESSAGE_ID_LENGTH_MOST:
        return "message_id_too_long"
    if event.type == "group" and not 1 <= len(event.group_id or "") <= GROUP_ID_LENGTH_MOST:
        return "group_id_invalid"
    if _has_too_many_fields(event):
        return "too_many_fields"
    return "before_1970" if t < 0 else ""


def effective_time(record: Record, event: Event) -> int:
    """When the event counts as happened, in whole ms since 1970: its timestamp, but never after its receipt."""
    received_at = record.received_at
    if event.timestamp is None:
        return received_at
    try:
        moment = datetime.fromisoformat(event.timestamp)
        since = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        return received_at
    return min(received_at, (since.days * 86_400 + since.seconds) * 1_000 + since.microseconds // 1_000)


def _has_too_many_fields(event: Event) -> bool:
    # Most are too short to hold so many; those need not be decoded.
    shortest = FIELDS_MOST * _MEMBER_BYTES_LEAST
    fields = event.fields
    if len(memoryview(fields.traits)) >= shortest:
        most = FIELDS_MOST - 1 if event.type == "identify" else FIELDS_MOST
        if len(event.traits) > most:
            return True
    return len(memoryview(fields.properties)) >= shortest and len(event.properties) > FIELDS_MOST
