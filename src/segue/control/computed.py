"""What is known of audiences and computed traits: how far each is, who has what, and how far its destinations are.

Rule: nothing is shown that no commit of the space holds; a connection is called up to date only where nothing of the
space waits to be sent to its destination.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, NamedTuple

from msgspec import Raw

from segue.control.cadence import every_text
from segue.core.clock import iso
from segue.log import Ends
from segue.state.computations import ComputationRow, ConnectionRow
from segue.state.computed import ComputedReader
from segue.state.computed_rows import OFF, ComputationState, ConnectionState, HoldingRow
from segue.state.control import DestinationRow
from segue.state.deliveries import DestinationState
from segue.state.profiles import ProfileReader

PAGE = 500
EXPECTATION = (
    "A first sync tells of every member, which may take hours at a vendor's limits; later ones tell only of what "
    "has changed."
)


class Seen(NamedTuple):
    """What stands in the files, read in this order. `computed` is None where nothing was computed yet."""

    computed: ComputedReader | None
    outbox: int
    """How many messages of the space are not known to be in the log."""
    deliveries: Mapping[int, DestinationState]
    ends: Ends
    now_ms: int


def listed(row: ComputationRow, destinations: Mapping[int, DestinationRow], seen: Seen) -> dict[str, Any]:
    """One line of `segue audiences list`."""
    state = _progress(row, seen)
    return {
        "key": row.key,
        "name": row.name,
        "id": row.ref,
        "enabled": row.enabled,
        "state": _state(state),
        "count": seen.computed.count(row.id, OFF[row.kind]) if seen.computed else 0,
        "definition": row.definition,
        "destinations": [destinations[each.destination].slug for each in row.connections],
    }


def status_of(
    row: ComputationRow, own_source: str, destinations: Mapping[int, DestinationRow], seen: Seen
) -> dict[str, Any]:
    """One entry of `segue audiences status`. `own_source` is that of its space."""
    state = _progress(row, seen)
    found = listed(row, destinations, seen)
    del found["definition"], found["destinations"]
    found["generation"] = state.live.generation if state and state.live else None
    if state is not None and state.swept is not None:
        found["progress"] = {"done": state.swept, "total": state.last}
    found["created_at"] = iso(row.created_at)
    found["connections"] = [
        _connection(each, row, own_source, destinations[each.destination], seen) for each in row.connections
    ]
    return found


def computed_at(computed: ComputedReader) -> str | None:
    """The instant at which everything that a space has computed is true; None before the first."""
    time_ms = computed.state().t
    return iso(time_ms) if time_ms else None


def members(
    row: ComputationRow, computed: ComputedReader, profiles: ProfileReader, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Who is in an audience, by the age of the profiles: `{"profile", "external_ids", "since"}`."""
    yield from ({**_head(each), "since": iso(each.holding.since)} for each in _holders(row, computed, profiles, limit))


def values(
    row: ComputationRow, computed: ComputedReader, profiles: ProfileReader, limit: int | None = None
) -> Iterator[dict[str, Any]]:
    """Who has a computed trait: `{"profile", "external_ids", "value", "since"}`."""
    for each in _holders(row, computed, profiles, limit):
        yield {**_head(each), "value": Raw((each.holding.value or "null").encode()), "since": iso(each.holding.since)}


class _Holder(NamedTuple):
    holding: HoldingRow
    segment_id: str
    ids: list[dict[str, str]]


def _head(each: _Holder) -> dict[str, Any]:
    return {"profile": each.segment_id, "external_ids": each.ids}


def _holders(
    row: ComputationRow, computed: ComputedReader, profiles: ProfileReader, limit: int | None
) -> Iterator[_Holder]:
    yield from islice(_all_holders(row, computed, profiles), limit)


def _all_holders(row: ComputationRow, computed: ComputedReader, profiles: ProfileReader) -> Iterator[_Holder]:
    after = 0
    while page := computed.members(row.id, OFF[row.kind], after=after, limit=PAGE):
        after = page[-1].profile
        found = {each.number: each for each in profiles.profiles([holding.profile for holding in page])}
        for holding in page:
            profile = found.get(holding.profile)
            if profile is not None:
                ids = [{"type": each.type, "id": each.id} for each in profile.ids]
                yield _Holder(holding, profile.segment_id, ids)


def _progress(row: ComputationRow, seen: Seen) -> ComputationState | None:
    return seen.computed.progress(row.id) if seen.computed else None


def _state(state: ComputationState | None) -> str:
    return "waiting" if state is None else state.phase


def _connection(
    row: ConnectionRow, of: ComputationRow, own_source: str, destination: DestinationRow, seen: Seen
) -> dict[str, Any]:
    told = seen.computed.connection(row.id) if seen.computed else None
    state, reason = _connection_state(row, of, told, own_source, destination, seen)
    found: dict[str, Any] = {
        "destination": destination.slug,
        "identify": row.identify,
        "track": row.track,
        "sync": every_text(row.every_ms),
        "state": state,
        "reason": reason,
        "sent": told.sent if told else 0,
        "sent_at": iso(told.sent_at) if told and told.sent_at else None,
    }
    if state == "initial":
        found["first_sync"] = _first_sync(told or ConnectionState(computation=of.id, destination=row.destination), seen)
        found["expectation"] = EXPECTATION
    return found


def _connection_state(
    row: ConnectionRow,
    of: ComputationRow,
    told: ConnectionState | None,
    own_source: str,
    destination: DestinationRow,
    seen: Seen,
) -> tuple[str, str | None]:
    """`off`, `failed`, `initial`, `behind` or `up_to_date`, and why where that is not plain."""
    if not of.enabled or not destination.enabled:
        return "off", f"the {'destination' if of.enabled else of.kind.replace('_', ' ')} is switched off"
    delivery = seen.deliveries.get(destination.id)
    if delivery is not None and (delivery.stall or delivery.breaker != "closed"):
        return "failed", delivery.stall or delivery.breaker_reason or "failing"
    if told is None or told.after is not None:
        return "initial", None
    waits = told.ticking is not None or seen.outbox > 0 or _unread(own_source, destination, delivery, seen.ends) > 0
    if not waits and seen.computed is not None:
        waits = bool(seen.computed.pending(row.id, limit=1))
    return ("behind" if waits else "up_to_date"), None


def _unread(own_source: str, destination: DestinationRow, delivery: DestinationState | None, ends: Ends) -> int:
    """Messages of the space in the log that the destination has not read."""
    last, _duplicates = ends.sources.get(own_source, (0, 0))
    begin = destination.ordinals.get(own_source, last)
    return last - (delivery.passed.get(own_source, begin) if delivery else begin)


def _first_sync(told: ConnectionState, seen: Seen) -> dict[str, Any]:
    """How far it is: `rate` in profiles a second, `seconds_left` where there is a rate to tell it by."""
    seconds = (seen.now_ms - told.began_at) / 1000 if told.began_at else 0.0
    rate = told.done / seconds if seconds > 0 else 0.0
    left = round((told.total - told.done) / rate) if rate else None
    return {"done": told.done, "total": told.total, "rate": round(rate, 1), "seconds_left": left}
