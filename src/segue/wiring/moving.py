"""Replays from outside the worker: count what one would send, and follow one under way.

Rule: the count reads the same log and decides by the same rules as the worker does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from segue.control.destinations import find_destination
from segue.control.jobs import EventFilter, JobSpec, check_spec
from segue.control.status import progress
from segue.control.units import duration_ms
from segue.core.clock import from_iso
from segue.core.errors import Invalid, Unavailable
from segue.core.event import Event
from segue.deliver.plan import is_addressed
from segue.settings import Settings
from segue.wiring.hints import pasteable
from segue.wiring.views import Views, secrets_of
from segue.wiring.worker import plan_of

READ_AT_ONCE = 1_000
LOOK_AGAIN_S = 0.05
LOOK_FOR_SERVER_S = 1.0
BEGIN_WITHIN_S = 10.0


def instant(text: str, now_ms: int, field: str) -> int:
    """An instant as people write it: ISO 8601, or how long ago (`2h`). Raises Invalid."""
    try:
        return from_iso(text)
    except ValueError:
        pass
    try:
        return now_ms - duration_ms(text, field)
    except Invalid:
        raise Invalid(
            f"{text!r} is neither an instant like 2026-11-21T22:00:00Z nor a time ago like 2h", field=field
        ) from None


def spec_between(begin: str | None, end: str | None, now_ms: int, **chosen: tuple[str, ...]) -> JobSpec:
    """A replay's spec, the times as people write them; without them all that the log holds now. Raises Invalid."""
    from_ms = 0 if begin is None else instant(begin, now_ms, "from")
    return JobSpec(from_ms=from_ms, to_ms=now_ms if end is None else instant(end, now_ms, "to"), **chosen)


def count_replay(views: Views, destination: str, spec: JobSpec, settings: Settings) -> dict[str, int]:
    """How many events a replay would read, match, filter and send. Raises Invalid."""
    check_spec("replay", spec)
    row = find_destination(views.control.snapshot(), destination)
    plan, chosen = plan_of(row, secrets_of(views.instance, settings)), EventFilter(spec)
    position = views.log.seek(0, spec.from_ms)
    end = views.log.end(0) if spec.to_ms is None else views.log.seek(0, spec.to_ms)
    counted = {"read": 0, "matched": 0, "filtered": 0, "send": 0}
    while position < end:
        records = views.log.read(0, position, min(READ_AT_ONCE, end - position))
        if not records:
            break
        position = records[-1].offset + 1
        for record in records:
            counted["read"] += 1
            if record.source not in plan.sources:
                continue
            event = Event(record.body)
            if chosen.accepts(type=event.type, event=event.event, message_id=event.message_id):
                counted["matched"] += 1
                is_sent = is_addressed(record, row.id) and plan.decide(event) is None
                counted["send" if is_sent else "filtered"] += 1
    return counted


def progress_of(views: Views, job: int) -> Iterator[dict[str, Any]]:
    """The job's numbers again and again, the last ones when nothing is left but retries.

    Raises Unavailable where the worker does not take it up, or the server ends meanwhile.
    """
    give_up_at = time.monotonic() + BEGIN_WITHIN_S
    look_for_server_at = time.monotonic() + LOOK_FOR_SERVER_S
    while True:
        if time.monotonic() >= look_for_server_at:
            look_for_server_at = time.monotonic() + LOOK_FOR_SERVER_S
            if not views.instance.is_held("supervisor"):
                raise Unavailable(f"the server has ended; job {job} goes on when it runs again")
        state = views.state.replays().get(job)
        if state is not None:
            shown = progress(state)
            yield shown
            if state.state != "running" or (state.position >= state.end and not state.unfinished):
                return
        elif time.monotonic() > give_up_at:
            doctor = pasteable("doctor", folder=views.instance.folder)
            raise Unavailable(f"the worker has not taken job {job} up; see `{doctor}`")
        time.sleep(LOOK_AGAIN_S)


def last_of(states: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Follow to the end; the last numbers."""
    return deque(states, maxlen=1).pop()
