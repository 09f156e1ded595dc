"""Status: every source, destination and space in numbers that add up.

Rule: the state's snapshot is read first and the log's end after it, and accepted and lag come from that same end; so
in each answer accepted = delivered + filtered + refused + retrying + lag, also under load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from segue.lake.manifest import Position
from segue.log import Ends
from segue.state.control import Control, DestinationRow
from segue.state.deliveries import DestinationState, ReplayState
from segue.state.profile_rows import ProfilesState
from segue.state.spaces import SpaceRow


def status(
    control: Control,
    states: Mapping[int, DestinationState],
    ends: Ends,
    dropped: Mapping[str, Mapping[str, int]],
    *,
    is_sandbox: Mapping[int, bool],
    replays: Mapping[int, ReplayState],
    profiles: Mapping[int, ProfilesState],
    lakes: Mapping[int, Position],
    outboxes: Mapping[int, int],
    stalls: Mapping[int, str] | None = None,
    clock: str = "",
    clock_behind_ms: int = 0,
) -> dict[str, Any]:
    """The object that `segue status --json` prints. `profiles` and `lakes` are of the spaces that have begun, by id;
    `outboxes` says how many messages of a space are in its outbox, `stalls` why nothing is done for one, or for its
    history.

    `clock` says how the clock is moved, where it is, and `clock_behind_ms` how far it is behind the newest event.
    Control must have been read after `states`, which then count nothing of a source that it does not know of, and the
    log's end after the states of all kinds.
    """
    destinations = [
        _destination(row, states.get(row.id) or unread_state(row), ends, is_sandbox.get(row.id, False))
        for row in control.destinations
    ]
    spaces = [
        _space(
            row,
            profiles.get(row.id) or ProfilesState(),
            lakes.get(row.id) or Position(),
            outboxes.get(row.id, 0),
            ends,
        )
        | ({"stall": stalls[row.id]} if stalls and row.id in stalls else {})
        for row in control.spaces
    ]
    found: dict[str, Any] = {
        "sources": [
            *(_source(row.slug, ends, dropped) for row in control.sources),
            *(_source(row.own_source, ends, dropped) | {"space": row.slug} for row in control.spaces),
        ],
        "unknown_keys": {"dropped": dict(sorted(dropped.get("", {}).items()))},
        "destinations": destinations,
        "spaces": spaces,
        "replays": list(_replays(control, replays)),
        "stages": [
            {"name": "deliver", "lag": max((entry["lag"] for entry in destinations), default=0)},
            {"name": "compute", "lag": max((entry["lag"] for entry in spaces), default=0)},
            {"name": "lake", "lag": max((entry["lake_lag"] for entry in spaces), default=0)},
            {"name": "outbox", "lag": max((entry["outbox"] for entry in spaces), default=0)},
        ],
    }
    if clock:
        found["clock"] = clock
    if clock_behind_ms:
        found["clock_behind_ms"] = clock_behind_ms
    return found


def unread_state(row: DestinationRow) -> DestinationState:
    """A destination that the worker has not met yet stands where it was connected."""
    return DestinationState(position=row.offset, passed=dict(row.ordinals))


def lag(row: DestinationRow, state: DestinationState, ends: Ends) -> int:
    """Events of what the destination reads that have no final outcome and no retry row."""
    ahead = [_last(source, ends) - state.passed.get(source, row.ordinals.get(source, 0)) for source in row.sources]
    return sum(max(0, count) for count in ahead) + len(state.unfinished)


def progress(replay: ReplayState) -> dict[str, Any]:
    """A replay in numbers, for `segue replay` and its progress line."""
    return {
        "state": replay.state,
        "read": replay.position,
        "end": replay.end,
        "matched": replay.matched,
        "delivered": replay.delivered,
        "filtered": replay.filtered,
        "refused": replay.refused,
        "retrying": replay.retrying,
        "expired": replay.expired,
    }


def _replays(control: Control, states: Mapping[int, ReplayState]) -> Iterator[dict[str, Any]]:
    """What is left of every job; of a redrive that is taken up nothing is, for its events count as retrying again."""
    slugs = {row.id: row.slug for row in control.destinations}
    for job in control.jobs:
        state = states.get(job.id)
        is_left = not job.cancelled if state is None else job.kind == "replay" and not state.is_over
        if is_left:
            numbers = {"state": "waiting"} if state is None else progress(state)
            yield {"job": job.id, "kind": job.kind, "destination": slugs[job.destination], **numbers}


def _source(slug: str, ends: Ends, dropped: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    accepted, duplicates = ends.sources.get(slug, (0, 0))
    return {
        "slug": slug,
        "accepted": accepted,
        "duplicates": duplicates,
        "dropped": dict(sorted(dropped.get(slug, {}).items())),
    }


def _destination(row: DestinationRow, state: DestinationState, ends: Ends, is_sandbox: bool) -> dict[str, Any]:
    found = {
        "slug": row.slug,
        "kind": row.kind,
        "enabled": row.enabled,
        "sources": list(row.sources),
        "accepted": sum(_last(source, ends) - row.ordinals.get(source, 0) for source in row.sources),
        "delivered": state.delivered,
        "filtered": dict(sorted(state.filtered.items())),
        "refused": dict(sorted(state.refused.items())),
        "retrying": state.retrying,
        "lag": lag(row, state, ends),
        "breaker": state.breaker,
        "breaker_reason": state.breaker_reason,
        "sandbox": is_sandbox,
    }
    if state.stall:
        found["stall"] = state.stall
    if state.dead_letters_cut:
        found["dead_letters_cut"] = state.dead_letters_cut
    return found


def _space(row: SpaceRow, state: ProfilesState, lake: Position, outbox: int, ends: Ends) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "sources": list(row.sources),
        "users": state.users,
        "accounts": state.accounts,
        "applied": state.applied,
        "skipped": dict(sorted(state.skipped.items())),
        "expired": state.expired,
        "lag": ends.offset - state.position,
        "lake_lag": ends.offset - lake.offset,
        "outbox": outbox,
    }


def _last(source: str, ends: Ends) -> int:
    return ends.sources.get(source, (0, 0))[0]
