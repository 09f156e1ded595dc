"""What one profile is to an audience or computed trait, and why: worked out anew from its events beside what is held.

Rule: what is held and what the events say are of one commit of the space and of one instant; where they differ, that is
said. How many events are read has a bound; beyond it nothing is claimed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from msgspec import Raw

from segue.compute import (
    ABSENT,
    Absence,
    Answers,
    Computation,
    History,
    Occurrence,
    Reach,
    Traced,
    references,
    trace,
)
from segue.compute.parse import parse
from segue.compute.tree import Condition
from segue.compute.values import Value
from segue.control.profile_events import numbers_of, profile_events
from segue.core.canonical import canonical
from segue.core.clock import iso
from segue.core.profile import Profile
from segue.lake.manifest import ManifestReader
from segue.lake.reader import LakeEvent, Wish
from segue.log import LogReader
from segue.state.computations import ComputationKind, ComputationRow
from segue.state.computed import ComputedReader
from segue.state.computed_rows import Built, ComputationState, HoldingRow
from segue.state.profiles import ProfileReader

EVENTS_MOST = 50_000
"""More of one profile are not read."""
WORK_MOST = 500_000
"""How many events are looked at, in all, to find when the value changes."""
STEPS_MOST = 500
AUDIENCE_TYPES = ("track", "page", "screen")


class Files(NamedTuple):
    """A space's readers, inside one snapshot of the profiles."""

    profiles: ProfileReader
    computed: ComputedReader
    manifest: ManifestReader | None
    log: LogReader


class _Part(NamedTuple):
    """A definition as the space has it now. Of one that is `frozen`, what it says is what is held."""

    id: int
    computation: Computation
    state: ComputationState | None
    frozen: bool


class _Answers(Answers):
    """Those of a space in which some definitions stand still."""

    def __init__(
        self,
        computations: Mapping[str, Computation],
        history: History,
        *,
        once_in: Collection[str],
        frozen: Mapping[str, Value | Absence],
    ) -> None:
        super().__init__(computations, history, once_in=once_in)
        self._frozen = frozen

    def value(self, key: str, at_ms: int) -> Value | Absence:
        """As held, where it stands still."""
        return self._frozen[key] if key in self._frozen else super().value(key, at_ms)

    def next_change(self, key: str, at_ms: int) -> int | None:
        """Never, where it stands still."""
        return None if key in self._frozen else super().next_change(key, at_ms)


def standing(
    row: ComputationRow, rows: Collection[ComputationRow], profile: Profile, files: Files, now_ms: int
) -> dict[str, Any]:
    """The object of `segue audiences explain --json`, but for `connections`. `rows` are all of the space.

    To be called inside a snapshot of `files.profiles`. Raises Unavailable, Damaged.
    """
    at_ms = files.computed.state().t or now_ms
    parts = _parts(row, rows, files.computed.computations())
    held = _held(parts, profile.number, files.computed)
    names = {name for part in parts.values() for name in references(part.computation.tree).events}
    events = _events(profile, names, files)
    history = History(
        occurrences=[_occurrence(each) for each in events],
        traits={name: [trait] for name, trait in profile.traits.items()},
        ids=[linked.external_id for linked in profile.ids],
    )
    answers = _Answers(
        {key: part.computation for key, part in parts.items()},
        history,
        once_in={key for key, part in parts.items() if part.id in held and held[part.id].once},
        frozen={key: _held_value(part, held.get(part.id)) for key, part in parts.items() if part.frozen and part.id},
    )
    own = parts[row.key]
    own_held = held.get(own.id)
    tree = own.computation.tree
    worked_out = answers.value(row.key, at_ms)
    agreement, why = _agreement(
        own, parts, profile.number, worked_out, own_held, len(events), _due(files, profile), at_ms
    )
    changes_at, steady_until = _next_change(answers, row.key, at_ms, len(events))
    found: dict[str, Any] = {
        "key": row.key,
        "profile": profile.segment_id,
        "external_ids": [{"type": each.type, "id": each.id} for each in profile.ids],
        "at": iso(at_ms),
        "state": "waiting" if own.state is None else own.state.phase,
        "generation": own.state.live.generation if own.state and own.state.live else None,
        "definition": _text(row, own.state),
        "value": None if isinstance(worked_out, Absence) else Raw(_json(worked_out)),
        "present": not isinstance(worked_out, Absence),
        "held": _shown_held(own_held),
        "agreement": agreement,
        "why": why,
        "changes_at": None if changes_at is None else iso(changes_at),
    }
    if steady_until is not None:
        found["steady_until"] = iso(steady_until)
    if changes_at is not None and changes_at <= now_ms:
        found["overdue"] = True
    if row.kind == "audience":
        found["can_be_member"] = history.can_be_member(include_anonymous=own.computation.include_anonymous)
    found["trace"] = _shown(trace(tree, history.beside(answers), at_ms, own.computation.reach))
    return found


def _parts(
    row: ComputationRow, rows: Collection[ComputationRow], states: Mapping[int, ComputationState]
) -> dict[str, _Part]:
    """A definition and all that it refers to, directly or not, by key."""
    by_key = {each.key: each for each in rows}
    gone = {state.key: number for number, state in states.items() if state.deleted and state.live is not None}
    found: dict[str, _Part] = {}
    waiting = [row.key]
    while waiting:
        key = waiting.pop()
        if key in by_key:
            found[key] = _part(by_key[key].id, states.get(by_key[key].id), by_key[key])
        elif key in gone:
            found[key] = _part(gone[key], states[gone[key]], None)
        else:
            continue
        if not found[key].frozen:
            named = references(found[key].computation.tree)
            waiting += sorted((named.audiences | named.traits) - found.keys())
    return found


def _part(number: int, state: ComputationState | None, row: ComputationRow | None) -> _Part:
    built = state.live if state is not None else None
    kind: ComputationKind
    if state is None or built is None:
        assert row is not None, "of what was deleted only what was live is asked for"
        kind = row.kind
        received_from = None if row.historical else row.created_at
        built = Built(
            generation=0,
            definition=row.definition,
            include_anonymous=row.include_anonymous,
            received_from_ms=received_from,
        )
        frozen = not row.enabled
    else:
        kind = state.kind
        frozen = state.frozen or state.stale or state.deleted
    computation = Computation(
        tree=parse(built.definition, "audience" if kind == "audience" else "trait"),
        reach=Reach(retention_ms=built.retention_ms, received_from_ms=built.received_from_ms),
        include_anonymous=built.include_anonymous,
    )
    return _Part(number, computation, state, frozen)


def _text(row: ComputationRow, state: ComputationState | None) -> str:
    return state.live.definition if state is not None and state.live is not None else row.definition


def _events(profile: Profile, names: Collection[str], files: Files) -> list[LakeEvent]:
    if not names:
        return []
    wish = Wish(profiles=numbers_of(profile), types=AUDIENCE_TYPES, include=sorted(names), limit=EVENTS_MOST + 1)
    return profile_events(files.profiles, files.manifest, files.log, wish)


def _occurrence(event: LakeEvent) -> Occurrence:
    """As definitions see it. The properties of page and screen calls have their name in the lake already."""
    return Occurrence(
        t=event.t,
        received_at=event.received_at,
        message_id=event.message_id,
        source=event.source_id,
        type=event.type,
        name=event.event or "" if event.type == "track" else "",
        properties=event.properties or "{}",
        context=event.context or "{}",
    )


def _due(files: Files, profile: Profile) -> int | None:
    row = files.computed.computed(profile.number)
    return None if row is None else row.due


def _held(parts: Mapping[str, _Part], number: int, computed: ComputedReader) -> dict[int, HoldingRow]:
    """What the profile has of each, by the computation."""
    found = {}
    for part in parts.values():
        for row in computed.holdings(part.id, after=number - 1, limit=1):
            if row.profile == number:
                found[part.id] = row
    return found


def _held_value(part: _Part, held: HoldingRow | None) -> Value | Absence:
    is_audience = isinstance(part.computation.tree, Condition)
    if held is None or held.value is None:
        return False if is_audience else ABSENT
    found: Value = json.loads(held.value)
    return found


def _agreement(
    own: _Part,
    parts: Mapping[str, _Part],
    number: int,
    worked_out: Value | Absence,
    held: HoldingRow | None,
    events: int,
    due: int | None,
    at_ms: int,
) -> tuple[str, str | None]:
    """Whether what is held is what was worked out; a word for it, and a sentence where it is not plain."""
    if own.frozen:
        if own.state is not None and own.state.stale and not own.state.frozen:
            return "frozen", "it was switched on again, and stays as it was until its history is read"
        return "frozen", "it is switched off, and stays as it was"
    if own.state is None:
        return "waiting", "no server has taken it up yet"
    if own.state.live is None:
        return "building", "its history is being read; nothing is held of anybody yet"
    if events > EVENTS_MOST:
        return "unknown", f"the profile has more than {EVENTS_MOST:,} such events; only the newest were read"
    if _canonical(worked_out) == _canonical(_held_value(own, held)):
        return "agrees", None
    for key, part in parts.items():
        if part.state is not None and part.state.phase == "sweeping" and (part.state.swept or 0) < number:
            state = part.state
            return "waiting", f"profiles are being evaluated for {key!r}: {state.swept} of {state.last} are done"
    if due is not None and due <= at_ms:
        return "waiting", f"a change is due since {iso(due)}; ask again in a moment"
    return "differs", "what is held is not what the events say: this is an error; `segue reconcile` compares everybody"


def _next_change(answers: Answers, key: str, at_ms: int, events: int) -> tuple[int | None, int | None]:
    """When the value changes by itself; and, where that was not found in bounded time, until when it does not."""
    now, instant = _canonical(answers.value(key, at_ms)), at_ms
    for _ in range(max(2, min(STEPS_MOST, WORK_MOST // (events + 1)))):
        following = answers.next_change(key, instant)
        if following is None:
            return None, None
        if _canonical(answers.value(key, following)) != now:
            return following, None
        instant = following
    return None, instant


def _shown_held(held: HoldingRow | None) -> dict[str, Any] | None:
    if held is None:
        return None
    value = None if held.value is None else Raw(held.value.encode())
    return {"value": value, "since": iso(held.since), "version": held.version}


def _shown(part: Traced) -> dict[str, Any]:
    found: dict[str, Any] = {"text": part.text}
    if part.truth is not None:
        found["truth"] = part.truth
    else:
        found["values"] = [Raw(_json(each)) for each in part.values]
        if part.values_in_all > len(part.values):
            found["values_in_all"] = part.values_in_all
        found["events"] = part.events
        found["message_ids"] = list(part.message_ids)
        if part.skipped:
            found["skipped"] = part.skipped
    if part.parts:
        found["parts"] = [_shown(each) for each in part.parts]
    return found


def _canonical(value: Value | Absence) -> str | None:
    return None if isinstance(value, Absence) else _json(value).decode()


def _json(value: Value) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return canonical(text.encode("utf-8", "replace")).encode("utf-8", "replace")
