"""What is answered of a profile: its traits, its ids, its events, when it came to be, and whom it is linked with.

Pages are cut by key, not by place: what comes to a profile between two pages moves nothing from one to the other.

Rule: a page holds at most as many entries as were asked for, and at most 512 KB of them (but one entry at least).

Source: Segment, Profile API, "Routes".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from segue.api.problem import Problem
from segue.api.query import Listing, Wanted
from segue.control.profile_events import numbers_of, profile_events
from segue.control.profile_traits import ShownTrait, shown_traits
from segue.core.clock import iso
from segue.core.profile import Collection, ExternalId, LinkedId, Profile
from segue.lake.manifest import ManifestReader
from segue.lake.reader import END_OF_TIME, LakeEvent, Order, Wish
from segue.log import LogReader
from segue.state.profiles import ProfileReader
from segue.state.spaces import OWN_SOURCE

PAGE_BYTES_MOST = 512 * 1024
EVENTS_KEPT_MS = 14 * 86_400_000
"""How far back the events go that are answered. Source: Segment, Profile API, "Routes"."""
LINK_IDS_MOST = 100
"""The most external ids shown of each linked profile; the rest are on its own page (PROPOSED)."""

_encode = msgspec.json.Encoder().encode
_Entry = TypeVar("_Entry")
Body = dict[str, object]


class Files(NamedTuple):
    """What one request may read, of one moment. Without a `lake` the whole history is in the log."""

    profiles: ProfileReader
    lake: ManifestReader | None
    log: LogReader
    now_ms: int


class View(NamedTuple):
    """One route of a profile: how it is read, and how many entries a page has by default and at most."""

    read: Callable[[Files, Wanted, Listing], Body]
    default: int
    most: int
    timed: bool = False


def traits(files: Files, wanted: Wanted, listing: Listing) -> Body:
    """Traits by name, computed ones and audiences among them. One that was set to null is there, as null."""
    profile = _find(files.profiles, wanted)
    found = shown_traits(files.profiles, profile)
    names = sorted(found if listing.include is None else listing.include & found.keys())
    if listing.trait_class is not None:
        names = [name for name in names if found[name].kind == listing.trait_class]
    names = names[bisect_left(names, listing.start) :]
    own_source = f"{OWN_SOURCE}{wanted.space}"
    show = partial(_verbose, own_source) if listing.verbose else _value
    page = _page(names, listing.limit, lambda name: show(found[name]))
    following = names[len(page)] if len(page) < len(names) else ""
    return {
        "traits": dict(zip(names, page, strict=False)),
        "cursor": _cursor(wanted, profile, "traits", following, listing.limit),
    }


def external_ids(files: Files, wanted: Wanted, listing: Listing) -> Body:
    """External ids by type and value."""
    profile = _find(files.profiles, wanted)
    ids = _sorted_ids(profile, listing.include)
    ids = ids[bisect_left(ids, listing.start, key=_key) :]
    page = _page(
        ids,
        listing.limit,
        lambda each: _encode(_shown_id(profile.collection, each) | {"first_message_id": each.cause.message_id}),
    )
    following = _key(ids[len(page)]) if len(page) < len(ids) else ""
    return {"data": page, "cursor": _cursor(wanted, profile, "external_ids", following, listing.limit)}


def metadata(files: Files, wanted: Wanted, _listing: Listing) -> Body:
    """The first and the last event of the profile, and when they were received. A profile does not expire."""
    profile = _find(files.profiles, wanted)
    first, last = profile.first, profile.last
    shown = {
        "created_at": iso(first.received_at),
        "updated_at": iso(last.received_at),
        "expires_at": None,
        "first_message_id": first.message_id,
        "first_source_id": first.source,
        "last_message_id": last.message_id,
        "last_source_id": last.source,
    }
    return {"metadata": shown}


def links(files: Files, wanted: Wanted, listing: Listing) -> Body:
    """The accounts of a user or the users of an account, the oldest profile first."""
    profile = _find(files.profiles, wanted)
    after, number, reader = _after(listing.start), profile.number, files.profiles
    if profile.collection == "users":
        found = [link.account for link in reader.accounts_of(number, after=after, limit=listing.limit + 1)]
    else:
        found = [link.user for link in reader.users_of(number, after=after, limit=listing.limit + 1)]
    others = reader.profiles(found)
    page = _page(others, listing.limit, lambda other: _encode(_shown_link(other)))
    following = str(others[len(page) - 1].number) if len(page) < len(others) else ""
    return {"data": page, "cursor": _cursor(wanted, profile, "links", following, listing.limit)}


def events(files: Files, wanted: Wanted, listing: Listing) -> Body:
    """Track calls of the last 14 days by when they happened, the newest first unless asked otherwise."""
    profile = _find(files.profiles, wanted)
    wish = Wish(
        profiles=numbers_of(profile),
        start=max(files.now_ms - EVENTS_KEPT_MS, listing.since or 0),
        end=END_OF_TIME if listing.until is None else listing.until,
        include=listing.include,
        exclude=listing.exclude,
        newest_first=listing.newest_first,
        after=_order_of(listing.start),
        limit=listing.limit + 1,
    )
    found = profile_events(files.profiles, files.lake, files.log, wish)
    page = _page(found, listing.limit, lambda event: _encode(_shown_event(event)))
    following = _following(found[len(page) - 1].order) if len(page) < len(found) else ""
    return {"data": page, "cursor": _cursor(wanted, profile, "events", following, listing.limit)}


VIEWS: dict[str, View] = {
    "traits": View(traits, default=10, most=200),
    "external_ids": View(external_ids, default=25, most=100),
    "metadata": View(metadata, default=1, most=100),
    "links": View(links, default=10, most=20),
    "events": View(events, default=10, most=100, timed=True),
}
"""By the last part of the path."""


def _find(reader: ProfileReader, wanted: Wanted) -> Profile:
    identifier = wanted.identifier
    if isinstance(identifier, ExternalId):
        profile = reader.find(wanted.collection, identifier)
    else:
        profile = reader.by_segment_id(identifier)
    if profile is None or profile.collection != wanted.collection:
        raise not_found()
    return profile


def not_found() -> Problem:
    """No profile has the id."""
    return Problem("not_found", "Profile was not found.")


def _page(entries: Iterable[_Entry], limit: int, encoded: Callable[[_Entry], bytes]) -> list[Raw]:
    """The first of the entries: as many as are wanted and fit."""
    page: list[Raw] = []
    room = PAGE_BYTES_MOST
    for entry in entries:
        piece = encoded(entry)
        room -= len(piece)
        if len(page) == limit or (page and room < 0):
            break
        page.append(Raw(piece))
    return page


def _cursor(wanted: Wanted, profile: Profile, view: str, following: str, limit: int) -> Body:
    url = f"/v1/spaces/{wanted.space}/collections/{wanted.collection}/profiles/{profile.segment_id}/{view}"
    return {"url": url, "has_more": bool(following), "next": following, "limit": limit}


def _value(trait: ShownTrait) -> bytes:
    return trait.value.encode()


def _verbose(own_source: str, trait: ShownTrait) -> bytes:
    source = own_source if trait.source is None else trait.source
    return _encode({"value": Raw(_value(trait)), "source_id": source, "updated_at": iso(trait.at)})


def _key(linked: LinkedId) -> str:
    return f"{linked.type}:{linked.id}"


def _sorted_ids(profile: Profile, types: frozenset[str] | None = None) -> Sequence[LinkedId]:
    return sorted((each for each in profile.ids if types is None or each.type in types), key=_key)


def _shown_id(collection: Collection, linked: LinkedId) -> Body:
    return {
        "source_id": linked.cause.source,
        "collection": collection,
        "id": linked.id,
        "type": linked.type,
        "created_at": iso(linked.cause.received_at),
        "encoding": "none",
    }


def _shown_link(profile: Profile) -> Body:
    ids = _sorted_ids(profile)[:LINK_IDS_MOST]
    shown = [_shown_id(profile.collection, each) for each in ids]
    return {"to_collection": profile.collection, "external_ids": shown}


def _after(start: str) -> int:
    if not start:
        return 0
    if not (start.isascii() and start.isdecimal() and len(start) < 19):
        raise _not_given()
    return int(start)


def _shown_event(event: LakeEvent) -> Body:
    ids = {"user_id": event.user_id, "anonymous_id": event.anonymous_id}
    return {
        "external_ids": [
            {"collection": "users", "type": type_, "id": id_, "encoding": "none"}
            for type_, id_ in ids.items()
            if id_ is not None
        ],
        "context": Raw((event.context or "{}").encode()),
        "type": event.type,
        "message_id": event.message_id,
        "source_id": event.source_id,
        "timestamp": event.timestamp or iso(event.t),
        "properties": Raw((event.properties or "{}").encode()),
        "event": event.event,
        "related": {"users": []},
    }


def _following(order: Order) -> str:
    """Where the next page begins: behind this event."""
    return f"{order.t}.{order.received_at}.{order.log_offset}.{order.message_id}"


def _order_of(start: str) -> Order | None:
    if not start:
        return None
    *numbers, message_id = start.split(".", 3)
    if len(numbers) != 3 or not all(each.isascii() and each.isdecimal() and len(each) < 19 for each in numbers):
        raise _not_given()
    t, received_at, offset = map(int, numbers)
    return Order(t, received_at, message_id, offset)


def _not_given() -> Problem:
    return Problem("invalid_request_error", "The parameter `next` is not one that this list has given.")
