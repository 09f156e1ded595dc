"""One event as a row of the lake, and the places where rows stand.

Rule: a row depends on the event, its record and what it was applied to, and on nothing else; JSON in it is canonical.

Source: audiences.md 2.1 (canonical form), 1.2 (page and screen calls).
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Raw

from segue.core.canonical import canonical
from segue.core.event import Event, Record, raw_object
from segue.lake.columns import PROPERTY
from segue.state.profile_rows import Placed

VIEWED = {"page": ("Page Viewed", "page_name"), "screen": ("Screen Viewed", "screen_name")}
"""By call type: the event that it is, and the property that its name is."""

OTHER = "@other"
"""The folder of events whose names are too many for files of their own."""
PLACES_MOST = 100
"""The most files of one flush: names are what senders choose, and a file for each of many would fill a disk."""
FREQUENT_MOST = 16
"""The most properties of a file that have a column."""
FREQUENT_SHARE = 4
"""A property is frequent that at least one of so many events of a file has, as a short text, number or boolean."""
SAMPLE_MOST = 1_000
"""Events of a file that are looked at for it."""
DAY_MS = 86_400_000
NAME_LENGTH_MOST = 100
VALUE_BYTES_MOST = 200
_FOLDER_LENGTH_MOST = 200
_FOLDER_KEPT = 150

_encode = msgspec.json.Encoder().encode


class Entry(NamedTuple):
    """An applied event as it comes from the log, and what it was applied to."""

    record: Record
    event: Event
    placed: Placed


class Place(NamedTuple):
    """Where rows stand together: the event's name, None where the call has none, its folder, and the day of receipt."""

    event: str | None
    folder: str
    day: str


def event_name(event: Event) -> str | None:
    """The name by which it is asked for; None of identify and group calls, and of a track call without one."""
    if event.type == "track":
        return event.event or None
    return VIEWED[event.type][0] if event.type in VIEWED else None


def place_of(entry: Entry) -> Place:
    """Where the row of this event stands."""
    name = event_name(entry.event)
    return Place(name, folder_of(name, entry.event.type), day_of(entry.record.received_at))


def placed_together(entries: Iterable[Entry]) -> dict[Place, list[Entry]]:
    """The events by their places, in the order given; where there are too many, the rarest share one place a day."""
    places: dict[Place, list[Entry]] = defaultdict(list)
    for entry in entries:
        places[place_of(entry)].append(entry)
    if len(places) <= PLACES_MOST:
        return places
    by_size = sorted(places, key=lambda place: (-len(places[place]), place.folder, place.day))
    rare: dict[str, list[Entry]] = defaultdict(list)
    for place in by_size[PLACES_MOST // 2 :]:
        rare[place.day] += places.pop(place)
    for day, rows in rare.items():
        places[Place(None, OTHER, day)] = sorted(rows, key=lambda entry: entry.record.offset)
    return places


def day_of(received_at: int) -> str:
    """The day of an instant in ms since 1970, in UTC: `2026-11-22`."""
    return _day(received_at // DAY_MS)


@lru_cache(maxsize=64)
def _day(number: int) -> str:
    return datetime.fromtimestamp(number * DAY_MS / 1000, UTC).strftime("%Y-%m-%d")


@lru_cache(maxsize=1024)
def folder_of(name: str | None, type_: str) -> str:
    """The folder of an event's name: percent-encoded; a long one cut, with a hash; `@type` without one."""
    if name is None:
        return f"@{type_}"
    folder = quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(folder) > _FOLDER_LENGTH_MOST:
        return folder[:_FOLDER_KEPT] + "~" + hashlib.sha256(name.encode()).hexdigest()[:32]
    return folder


def frequent_properties(entries: Sequence[Entry]) -> tuple[str, ...]:
    """The properties that get a column of their own in the file of these events, in the order of their names.

    Of two names that differ in case only neither does: DuckDB takes them for one.
    """
    sample = entries[:SAMPLE_MOST]
    counts: Counter[str] = Counter()
    for entry in sample:
        counts.update(name for name, raw in properties_of(entry.event).items() if _is_short(name, raw))
    most = sorted((-count, name) for name, count in counts.items() if count * FREQUENT_SHARE >= len(sample))
    spelled = Counter(name.casefold() for name in counts)
    chosen = [name for _, name in most if spelled[name.casefold()] == 1]
    return tuple(sorted(chosen[:FREQUENT_MOST]))


def property_columns(names: Iterable[str]) -> tuple[str, ...]:
    """The names of their columns."""
    return tuple(PROPERTY + name for name in names)


def row_of(entry: Entry, frequent: Sequence[str]) -> tuple[object, ...]:
    """The values of `COLUMNS`, and of the frequent properties after them: canonical JSON, None where there is none."""
    record, event, placed = entry
    fields = event.fields
    properties = properties_of(event) if frequent or event.type in VIEWED else {}
    if event.type in VIEWED and event.name:
        whole: str | None = canonical(_encode(properties))
    else:
        whole = _canonical_object(fields.properties)
    row = (
        placed.profile or None,
        placed.account or None,
        placed.t,
        record.received_at,
        record.offset,
        record.message_id,
        record.source,
        event.type,
        event_name(event),
        event.user_id,
        event.anonymous_id,
        event.group_id if event.type == "group" else None,
        event.timestamp,
        whole,
        _canonical_object(fields.traits),
        _canonical_object(fields.context),
    )
    if not frequent:
        return row
    return (*row, *(canonical(bytes(properties[name])) if name in properties else None for name in frequent))


def properties_of(event: Event) -> dict[str, Raw]:
    """The properties as conditions see them: of a page or screen call its name among them."""
    properties = raw_object(event.fields.properties)
    if event.type in VIEWED and event.name:
        properties[VIEWED[event.type][1]] = Raw(_encode(event.name))
    return properties


def _canonical_object(raw: Raw) -> str | None:
    text = bytes(raw)
    return canonical(text) if text.startswith(b"{") else None


def _is_short(name: str, raw: Raw) -> bool:
    value = bytes(memoryview(raw)[: VALUE_BYTES_MOST + 1])
    return (
        len(value) <= VALUE_BYTES_MOST
        and len(name) <= NAME_LENGTH_MOST
        and name.isprintable()
        and value[0] not in b"{["
        and value != b"null"
    )
