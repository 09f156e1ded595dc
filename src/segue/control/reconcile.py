"""Comparing what incremental computing holds with what the whole history says, definition by definition.

Rule: both sides are of one commit of the space and of its instant; what cannot be compared for now is said to be so,
and is never called equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec import Raw

from segue.compute import Definition, Kind
from segue.compute.parse import parse
from segue.compute.sql import Comparison, Defined, Difference, compare, needed
from segue.compute.windows import Reach
from segue.control.units import counted
from segue.core.clock import iso
from segue.lake.history import SpaceFiles
from segue.log import LogReader
from segue.state.computations import ComputationRow
from segue.state.computed import ComputedReader
from segue.state.computed_rows import ComputationState
from segue.state.profiles import ProfileReader

PARSED_MOST = 2_000
TRIES = 5
DUE_MOST = 1_000
"""No more profiles that are due are counted."""

AGREES, DIFFERS, FROZEN = "agrees", "differs", "frozen"
NOT_COMPARED = ("waiting", "building", "sweeping", "not_settled")
"""Results that another call may replace: nothing is known of these."""


class Sides(NamedTuple):
    """A space's files. `pause` waits for a moment, in which the space may settle."""

    files: SpaceFiles
    profiles: ProfileReader
    computed: ComputedReader
    pause: Callable[[], None]


def reconciled(rows: Sequence[ComputationRow], sides: Sides) -> Iterator[dict[str, Any]]:
    """One entry of `computations` of `segue reconcile --json` for each, as soon as it is compared.

    Raises as `lake.history.history`.
    """
    for row in rows:
        found: dict[str, Any] = {}
        for attempt in range(TRIES):
            if attempt:
                sides.pause()
            found = _reconciled(row, sides)
            if found["result"] != "not_settled":
                break
        yield found


def outcome(results: Sequence[str]) -> int:
    """The exit code: 1 where something differs, else 3 where something could not be compared, else 0."""
    if DIFFERS in results:
        return 1
    return 3 if any(each in NOT_COMPARED for each in results) else 0


def behind(log: LogReader, profiles: ProfileReader, computed: ComputedReader, now_ms: int) -> dict[str, Any]:
    """How far the space is behind the log and the clock: what is not compared yet."""
    due = computed.due(after=(0, 0), limit=DUE_MOST)
    return {
        "unread": max(0, log.end(0) - profiles.state().position),
        "due": sum(instant <= now_ms for instant, _profile in due),
    }


def _reconciled(row: ComputationRow, sides: Sides) -> dict[str, Any]:
    with sides.profiles.snapshot():
        states, at_ms = sides.computed.computations(), sides.computed.state().t
    head = {"key": row.key, "kind": row.kind, "id": row.ref}
    result, why = _comparable(row, states)
    if result:
        return {**head, "result": result, "why": why}
    definitions = _definitions(states)
    read = [definitions[key].id for key in needed(definitions, row.key)]
    blocked = next((number for number in read if states[number].phase == "sweeping"), None)
    if blocked is not None:
        return {**head, "result": "sweeping", "why": _sweeping(states[blocked])}
    found = compare(sides.files, definitions, row.key, at_ms)
    after = sides.computed.computations()
    if any(after[number].live != states[number].live or after[number].phase == "sweeping" for number in read):
        return {**head, "result": "not_settled", "why": "its definition, or one that it names, has just changed"}
    return {**head, **_compared(found, sides.profiles)}


def _comparable(row: ComputationRow, states: Mapping[int, ComputationState]) -> tuple[str, str]:
    """Why it cannot be compared, in a word and in a sentence; empty where it can."""
    state = states.get(row.id)
    if state is None:
        return "waiting", "no server has taken it up yet"
    if state.frozen:
        return FROZEN, "it is switched off, and stays as it was"
    if state.live is None or state.stale:
        return "building", "its history is being read"
    if state.phase == "sweeping":
        return "sweeping", _sweeping(state)
    return "", ""


def _sweeping(state: ComputationState) -> str:
    return f"profiles are being evaluated for {state.key!r}: {state.swept} of {state.last} are done"


def _definitions(states: Mapping[int, ComputationState]) -> dict[str, Defined]:
    """What the values held are of: each live generation; of what stands still what it said last."""
    found = {}
    for number, state in states.items():
        if state.live is not None:
            found[state.key] = Defined(
                tree=_tree(state.live.definition, "audience" if state.kind == "audience" else "trait"),
                id=number,
                reach=Reach(retention_ms=state.live.retention_ms, received_from_ms=state.live.received_from_ms),
                include_anonymous=state.live.include_anonymous,
                frozen=state.frozen or state.stale or state.deleted,
            )
    return found


@lru_cache(maxsize=PARSED_MOST)
def _tree(definition: str, kind: Kind) -> Definition:
    return parse(definition, kind)


def _compared(found: Comparison, profiles: ProfileReader) -> dict[str, Any]:
    result, why = (DIFFERS, None) if found.differing else (AGREES, None)
    if found.differing and found.due:
        who = counted(found.due, "profile is", "profiles are")
        result, why = "not_settled", f"{who} due to be looked at; ask again in a moment"
    return {
        "result": result,
        "why": why,
        "at": iso(found.at_ms),
        "position": found.position,
        "history": found.history,
        "held": found.held,
        "differing": found.differing,
        "differences": _differences(found.differences, profiles),
    }


def _differences(found: Sequence[Difference], profiles: ProfileReader) -> list[dict[str, Any]]:
    known = {each.number: each for each in profiles.profiles([each.profile for each in found])}
    shown = []
    for each in found:
        profile = known.get(each.profile)
        shown.append(
            {
                "profile": None if profile is None else profile.segment_id,
                "number": each.profile,
                "external_ids": [] if profile is None else [{"type": id_.type, "id": id_.id} for id_ in profile.ids],
                "of_history": _raw(each.history),
                "of_held": _raw(each.held),
            }
        )
    return shown


def _raw(text: str | None) -> dict[str, Any] | None:
    return None if text is None else {"value": Raw(text.encode())}
