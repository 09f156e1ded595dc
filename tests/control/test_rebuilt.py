"""Requests made again, by flows of every shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec import Struct

from segue.control.rebuilt import requests_of, with_requests
from segue.core.destination import Destination, Flow, Request, Response
from segue.core.errors import Refused
from segue.core.event import Event
from segue.deliver.attempt import REQUESTS_MOST
from segue.deliver.plan import Plan

EVENT = Event(b'{"type":"track","userId":"u","event":"Seen","messageId":"m"}')
OK, DOWN = Response(status=200), Response(status=503)
ATTEMPT: dict[str, Any] = {"at": "2026-09-21T14:13:20.000Z", "duration_ms": 1, "response": {"status": 200, "body": ""}}


class NoSettings(Struct):
    pass


def plan(send: Callable[[Any, Event], Flow], stall: str = "") -> Plan:
    kind = Destination(
        name="Kind", slug="kind", id="1", settings=NoSettings, send=send, methods=frozenset({"track"}), description=""
    )
    return Plan(
        kind=kind, sources=frozenset(), enabled=True, settings=NoSettings(), decide=lambda _event: None,
        mask=lambda body: body, stall=stall,
    )  # fmt: skip


def steps(_settings: Any, _event: Event) -> Flow:
    for name in "abc":
        yield Request(url=f"http://{name}.example/")


def judged(_settings: Any, _event: Event) -> Flow:
    for name in "abc":
        yield Request(url=f"http://{name}.example/", judge=True)


def circle(_settings: Any, _event: Event) -> Flow:
    while True:
        yield Request(url="http://a.example/")


def puzzled(_settings: Any, _event: Event) -> Flow:
    yield Request(url="http://a.example/")
    raise KeyError("an answer that it does not understand")


def stubborn(_settings: Any, _event: Event) -> Flow:
    try:
        yield Request(url="http://a.example/")
    except GeneratorExit:
        yield Request(url="http://b.example/")


def refusing(_settings: Any, event: Event) -> Flow:
    raise Refused("PAYLOAD_VALIDATION_FAILED", event.message_id)
    yield


def broken(_settings: Any, event: Event) -> Flow:
    yield Request(url={}[event.message_id])


@pytest.mark.parametrize(
    ("flow", "answer", "count"),
    [
        (steps, OK, 3), (steps, DOWN, 1), (judged, OK, 3), (judged, DOWN, 3), (circle, OK, REQUESTS_MOST),
        (puzzled, OK, 1), (stubborn, DOWN, 1), (refusing, OK, 0), (broken, OK, 0),
    ],
)  # fmt: skip
def test_a_flow_is_followed_as_far_as_its_answers_took_it(flow: Any, answer: Response, count: int) -> None:
    assert len(requests_of(EVENT, plan(flow), answer)) == count


def test_settings_that_cannot_be_read_make_no_request() -> None:
    assert requests_of(EVENT, plan(steps, stall="a variable is not set"), OK) == []


def test_an_attempt_whose_request_cannot_be_made_is_shown_as_it_was_kept() -> None:
    for flow in (refusing, broken):
        assert with_requests(ATTEMPT, EVENT, plan(flow)) == ATTEMPT


def test_the_others_of_an_attempt_are_those_that_are_not_shown() -> None:
    made = with_requests(ATTEMPT, EVENT, plan(judged))
    kept = with_requests(ATTEMPT | {"request": {"url": "http://c.example/"}}, EVENT, plan(judged))
    for shown, others in ((made, "bc"), (kept, "ab")):
        assert [each["url"] for each in shown["other_requests"]] == [f"http://{name}.example/" for name in others]
        assert all(each["rebuilt"] for each in shown["other_requests"])
