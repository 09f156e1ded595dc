"""Status as numbers: what is left of replays and redrives."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from segue.control.status import status
from segue.lake.manifest import Position
from segue.log import Ends
from segue.state.control import Control, DestinationRow, SourceRow, WorkspaceRow
from segue.state.deliveries import DestinationState, ReplayState
from segue.state.jobs import JobKind, JobRow
from segue.state.profile_rows import ProfilesState
from segue.state.spaces import SpaceRow

HOOK = DestinationRow(id=7, slug="hook", name="Hook", source="website", kind="webhook", enabled=True)


def shown(kind: JobKind, state: ReplayState | None, *, cancelled: bool = False) -> list[dict[str, object]]:
    job = JobRow(id=3, kind=kind, destination=7, created_at=0, spec={}, cancelled=cancelled)
    control = Control(version=1, workspace=WorkspaceRow(slug="demo", name="Demo"), destinations=(HOOK,), jobs=(job,))
    states = {} if state is None else {3: state}
    return status(control, {}, Ends(0, {}), {}, is_sandbox={}, replays=states, profiles={}, lakes={}, outboxes={})[
        "replays"
    ]


def test_a_replay_under_way_is_shown_with_its_numbers() -> None:
    (entry,) = shown("replay", ReplayState(position=70, end=90, matched=9, delivered=4, refused=2, retrying=1))
    assert (entry["job"], entry["kind"], entry["destination"], entry["state"]) == (3, "replay", "hook", "running")
    assert (entry["read"], entry["end"], entry["delivered"], entry["refused"], entry["retrying"]) == (70, 90, 4, 2, 1)


@pytest.mark.parametrize("kind", ["replay", "redrive"])
def test_a_job_that_the_worker_has_not_taken_up_waits_unless_it_is_cancelled(kind: JobKind) -> None:
    (entry,) = shown(kind, None)
    assert entry == {"job": 3, "kind": kind, "destination": "hook", "state": "waiting"}
    assert shown(kind, None, cancelled=True) == []


def test_a_cancelled_replay_is_shown_until_what_was_on_its_way_has_ended() -> None:
    (entry,) = shown("replay", ReplayState(position=9, end=9, retrying=1, state="cancelled"), cancelled=True)
    assert entry["state"] == "cancelled"
    assert shown("replay", ReplayState(position=9, end=9, state="cancelled"), cancelled=True) == []


def test_what_is_over_is_not_shown() -> None:
    assert shown("replay", ReplayState(position=90, end=90, matched=9, delivered=9, state="done")) == []
    assert shown("redrive", ReplayState(position=0, end=0, matched=9, retrying=9, state="done")) == []


def test_a_spaces_own_source_comes_after_the_sources_of_the_file() -> None:
    spaces = (SpaceRow(id=1, slug="prod", name="Prod"), SpaceRow(id=4, slug="dev", name="Dev"))
    control = Control(sources=(SourceRow(slug="website", name="Website"),), spaces=spaces)
    ends = Ends(9, {"website": (5, 1), "space:prod": (4, 0)})
    profiles = {1: ProfilesState(position=9, users=3, applied=4, skipped={"alias": 1})}
    lakes, outboxes = {1: Position(7)}, {1: 6}
    found = status(control, {}, ends, {}, is_sandbox={}, replays={}, profiles=profiles, lakes=lakes, outboxes=outboxes)
    assert found["sources"] == [
        {"slug": "website", "accepted": 5, "duplicates": 1, "dropped": {}},
        {"slug": "space:prod", "space": "prod", "accepted": 4, "duplicates": 0, "dropped": {}},
        {"slug": "space:dev", "space": "dev", "accepted": 0, "duplicates": 0, "dropped": {}},
    ]
    lags = {"deliver": 0, "compute": 9, "lake": 9, "outbox": 6}
    assert found["stages"] == [{"name": name, "lag": lag} for name, lag in lags.items()]
    begun, new = found["spaces"]
    assert (begun["users"], begun["applied"], begun["skipped"], begun["lag"]) == (3, 4, {"alias": 1}, 0)
    assert (begun["lake_lag"], new["lake_lag"]) == (2, 9)
    assert (begun["outbox"], new["outbox"]) == (6, 0)
    assert (new["slug"], new["users"], new["lag"]) == ("dev", 0, 9), "the worker has not begun it"


def test_a_destination_that_a_space_tells_adds_up_over_all_that_it_reads() -> None:
    hook = msgspec.structs.replace(HOOK, ordinals={"website": 10, "space:prod": 3})
    ends = Ends(99, {"website": (15, 0), "space:prod": (7, 0), "space:dev": (50, 0)})
    state = DestinationState(
        position=90, passed={"website": 14, "space:prod": 6}, delivered=4, filtered={"NOT_ADDRESSED": 2}, unfinished=[8]
    )

    def entry(states: dict[int, DestinationState]) -> dict[str, Any]:
        control = Control(destinations=(hook,))
        found = status(control, states, ends, {}, is_sandbox={}, replays={}, profiles={}, lakes={}, outboxes={})
        entry: dict[str, Any] = found["destinations"][0]
        return entry

    begun, unmet = entry({7: state}), entry({7: DestinationState(position=90, passed={"website": 14}, delivered=4)})
    assert begun["sources"] == ["website", "space:prod"]
    assert (begun["accepted"], begun["lag"]) == (9, 3)
    assert (unmet["accepted"], unmet["lag"]) == (9, 5), "the worker has not heard of the space"
    assert entry({})["lag"] == entry({})["accepted"] == 9
