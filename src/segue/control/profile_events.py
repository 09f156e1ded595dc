"""The events of one profile: from the lake up to its cursor, from the log what is newer.

Rule: an event that the space has applied is there once, wherever it stands at this moment, and a moment later too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from segue.core.clock import iso
from segue.core.event import Event
from segue.core.profile import Profile
from segue.lake.manifest import ManifestReader, Position
from segue.lake.reader import LakeEvent, Wish, event_of, events_of
from segue.lake.rows import Entry
from segue.log import LogReader
from segue.state.profile_rows import Placed
from segue.state.profiles import ProfileReader

RECORDS_AT_ONCE = 256


def numbers_of(profile: Profile) -> tuple[int, ...]:
    """The numbers that its events may have in the lake: its own, and those of the profiles that it absorbed."""
    return (profile.number, *profile.absorbed)


def profile_events(
    profiles: ProfileReader, manifest: ManifestReader | None, log: LogReader, wish: Wish
) -> list[LakeEvent]:
    """The events that are wished for, in the order asked for.

    To be called inside a `snapshot` of the profiles in which something was read: what the lake has got since then is
    asked of the lake, so that nothing falls between the two. Raises Unavailable, Damaged.
    """
    profiles.state()
    position, found = (Position(), []) if manifest is None else events_of(manifest, wish)
    return _with_newer(found, profiles, log, position.offset, wish)


def _with_newer(
    found: list[LakeEvent], profiles: ProfileReader, log: LogReader, position: int, wish: Wish
) -> list[LakeEvent]:
    """Those of the log among them, as many as belong on the page; the nearest are looked up first."""
    newer = [each for each in profiles.placed(position) if _may_be(each, wish)]
    newer.sort(key=lambda each: each.t, reverse=wish.newest_first)
    for begin in range(0, len(newer), RECORDS_AT_ONCE):
        if len(found) == wish.limit:
            last, first = found[-1].t, newer[begin].t
            if first < last if wish.newest_first else first > last:
                break
        some = {each.offset: each for each in newer[begin : begin + RECORDS_AT_ONCE]}
        found = wish.sorted([*found, *_read(some, log, wish)])
    return found


def _read(placed: dict[int, Placed], log: LogReader, wish: Wish) -> Iterator[LakeEvent]:
    for record in log.get(sorted(placed)):
        event = event_of(Entry(record, Event(record.body), placed[record.offset]))
        if wish.accepts(event):
            yield event


def _may_be(placed: Placed, wish: Wish) -> bool:
    return placed.profile in wish.profiles and wish.start <= placed.t < wish.end


def shown_event(event: LakeEvent) -> dict[str, Any]:
    """One event of `segue profiles events --json`."""
    ids = {"user_id": event.user_id, "anonymous_id": event.anonymous_id, "group_id": event.group_id}
    found: dict[str, Any] = {
        "message_id": event.message_id,
        "type": event.type,
        "event": event.event,
        "at": iso(event.t),
        "received_at": iso(event.received_at),
        "source": event.source_id,
        "external_ids": [{"type": type_, "id": id_} for type_, id_ in ids.items() if id_ is not None],
    }
    for name in ("properties", "traits", "context"):
        text = getattr(event, name)
        if text is not None:
            found[name] = Raw(text.encode())
    return found
