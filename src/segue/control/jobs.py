"""Jobs: replay a stretch of the log to a destination, or send its dead letters again.

Rule: a job only says what is wanted; the worker reads it and keeps its progress elsewhere. A job never changes
once it is stored, but that it can be cancelled.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from segue.control.destinations import find_destination
from segue.control.suggestion import did_you_mean
from segue.core.errors import Invalid
from segue.core.event import CALL_TYPES
from segue.core.reasons import REFUSED
from segue.state.control import ControlStore
from segue.state.jobs import JobKind, JobRow

LIST_MAX = 10_000
"""The most names in one list of a filter."""


class JobSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True,
    rename={"from_ms": "from", "to_ms": "to"},
):  # fmt: skip
    """Which events a job is about. An empty list asks nothing; those that are given must all hold.

    `from_ms` and `to_ms` are when the log took the event in, milliseconds since 1970; `to_ms` is the first
    instant no longer wanted, None for the moment at which the job is asked for. `reasons` are codes of dead
    letters; a replay knows none. A redrive takes dead letters by `reasons` and `message_ids` and nothing else.
    """

    from_ms: int = 0
    to_ms: int | None = None
    types: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    message_ids: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class EventFilter:
    """The filter of a replay's spec, made ready for many events."""

    def __init__(self, spec: JobSpec) -> None:
        self._types = frozenset(spec.types)
        self._events = frozenset(spec.events)
        self._message_ids = frozenset(spec.message_ids)

    def accepts(self, *, type: str, event: str | None, message_id: str) -> bool:  # noqa: A002
        """Whether the job is about this event. `event` is the name of a track call."""
        return (
            (not self._types or type in self._types)
            and (not self._events or event in self._events)
            and (not self._message_ids or message_id in self._message_ids)
        )


def create_replay(store: ControlStore, destination: str, spec: JobSpec) -> JobRow:
    """Ask for a replay to the destination of this slug.

    Raises Invalid where there is none, where it is disabled, or where the spec makes no sense.
    """
    return _create(store, "replay", destination, spec)


def create_redrive(store: ControlStore, destination: str, spec: JobSpec) -> JobRow:
    """Ask to send the dead letters of the destination of this slug again. Raises Invalid as `create_replay`."""
    return _create(store, "redrive", destination, spec)


def cancel_replay(store: ControlStore, destination: str, number: int) -> None:
    """Say that the replay shall stop; what it has sent is sent. Raises Invalid where there is no such replay."""
    with store.change() as change:
        control = change.control()
        wanted = ("replay", find_destination(control, destination).id, number)
        if all((job.kind, job.destination, job.id) != wanted for job in control.jobs):
            raise Invalid(f"there is no replay {number} to {destination}", field="job")
        change.cancel_job(number)


def spec_of(job: JobRow) -> JobSpec:
    """What a stored job asks for."""
    return msgspec.convert(job.spec, JobSpec)


def check_spec(kind: JobKind, spec: JobSpec) -> None:
    """Raises Invalid where the spec asks for what such a job cannot do, or where no event can be meant."""
    if kind == "replay" and spec.reasons:
        raise Invalid("a replay reads the log, which knows no reasons; use redrive", field="reasons")
    if kind == "redrive":
        given = {"from": spec.from_ms, "to": spec.to_ms is not None, "types": spec.types, "events": spec.events}
        for name in (name for name, value in given.items() if value):
            raise Invalid("a redrive takes dead letters by reason and messageId only; use replay", field=name)
    if spec.from_ms < 0 or (spec.to_ms is not None and spec.to_ms <= spec.from_ms):
        raise Invalid("must be after from", field="to")
    lists = {"types": spec.types, "events": spec.events, "message_ids": spec.message_ids, "reasons": spec.reasons}
    for name, wanted in lists.items():
        if len(wanted) > LIST_MAX:
            raise Invalid(f"has more than {LIST_MAX} entries", field=name)
    for name, known in (("types", CALL_TYPES), ("reasons", tuple(REFUSED))):
        for word in lists[name]:
            if word not in known:
                hint = did_you_mean(word, known) or f"; there are: {', '.join(known)}"
                raise Invalid(f"there is no {word!r}{hint}", field=name)


def _create(store: ControlStore, kind: JobKind, destination: str, spec: JobSpec) -> JobRow:
    check_spec(kind, spec)
    stored = msgspec.json.decode(msgspec.json.encode(spec), type=dict[str, Any])
    with store.change() as change:
        row = find_destination(change.control(), destination)
        if not row.enabled:
            raise Invalid(f"{destination} is disabled: enable it first", field="destination")
        return change.add_job(kind, row.id, stored)
