"""What the worker tells the log: breakers that open and close, cursors that stand, redrives that begin."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs

from segue.control.jobs import JobSpec, create_redrive
from segue.state.deliveries import Delta, DestinationState
from segue.wiring.worker import STANDING_MS

from .files import Files, working

PLANHAT = {"slug": "planhat", "kind": "planhat", "settings": {"apiKey": "k"}}
UNSET = {"slug": "unset", "kind": "planhat", "settings": {"apiKey": "${OF_NOBODY}"}}


def told(lines: list[Any], *events: str) -> list[Any]:
    return [line for line in lines if line["event"] in events]


async def test_a_breaker_gets_a_line_when_it_opens_for_another_reason_or_closes_and_no_other(files: Files) -> None:
    files.apply(PLANHAT)
    number = files.number("planhat")
    states = (
        ("closed", None), ("open", "failing"), ("half_open", "failing"), ("open", "failing"), ("open", "key_refused"),
        ("half_open", "key_refused"), ("closed", None), ("closed", None),
    )  # fmt: skip
    async with working(files) as worker:
        with capture_logs() as lines:
            for breaker, reason in states:
                state = DestinationState(position=0, passed={}, breaker=breaker, breaker_reason=reason)
                worker._commit([Delta(destination=number, state=state)])
    assert told(lines, "breaker opened", "breaker closed") == [
        {"event": "breaker opened", "log_level": "warning", "destination": "planhat", "reason": "failing"},
        {"event": "breaker opened", "log_level": "warning", "destination": "planhat", "reason": "key_refused"},
        {"event": "breaker closed", "log_level": "info", "destination": "planhat", "reason": "key_refused"},
    ]


async def test_a_breaker_that_was_open_at_the_start_gets_a_line_when_it_closes(files: Files) -> None:
    files.apply(PLANHAT)
    number = files.number("planhat")
    state = DestinationState(position=0, passed={}, breaker="open", breaker_reason="failing")
    files.state.commit([Delta(destination=number, state=state)])
    with capture_logs() as lines:
        async with working(files) as worker:
            worker._commit([Delta(destination=number, state=state)])
            worker._commit([Delta(destination=number, state=DestinationState(position=0, passed={}))])
    assert [line["event"] for line in told(lines, "breaker opened", "breaker closed")][:1] == ["breaker closed"]


async def test_a_cursor_that_stands_says_how_many_events_wait_before_it(files: Files) -> None:
    files.apply(UNSET)
    files.accept("one", "two", "three")
    async with working(files) as worker:
        files.clock.now += STANDING_MS
        with capture_logs() as lines:
            worker._watch_cursors()
            worker._watch_cursors()
    (line,) = told(lines, "cursor stands")
    assert (line["destination"], line["lag"], line["retrying"]) == ("unset", 3, 0)


async def test_a_redrive_names_its_destination(files: Files) -> None:
    files.apply(UNSET)
    job = create_redrive(files.control, "unset", JobSpec()).id
    with capture_logs() as lines:
        async with working(files):
            pass
    assert told(lines, "redrive") == [{"event": "redrive", "log_level": "info", "job": job, "destination": "unset"}]
