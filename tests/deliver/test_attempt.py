"""One attempt: whatever the flow and the vendor do, it ends once, with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import Request, Response, Verdict, verdict
from segue.core.errors import Refused, Unsuccessful
from segue.deliver.attempt import REQUESTS_MOST, Attempt, judge
from segue.deliver.history import BATCH_BYTES_MOST
from segue.deliver.lanes import Item

ASK = Request(url="https://vendor.example/in", headers=(("Key", "secret"),), body=b"{}")
JUDGED = Request(url="https://vendor.example/in", judge=True)
DELIVERED, RETRY, REFUSED = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED


class Now:
    def now_ms(self) -> int:
        return 5


class Scripted:
    """A network that gives these answers, each when the test says `next`."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Request, Callable[[Response], None]]] = []

    def start(self, request: Request, done: Callable[[Response], None]) -> object:
        self.waiting.append((request, done))
        return None


def attempt(flow: Any, *answers: Response, items: int = 1) -> Attempt:
    """An attempt that has ended, with as many of the answers as it asked for."""
    network, ended = Scripted(), list[Attempt]()
    given_items = [Item(number, "web", f"m{number}", 0, (), None) for number in range(items)]
    made = Attempt(given_items, flow, lambda body: body.replace(b"secret", b"***"), network, Now(), ended.append)
    made.begin()
    waiting = list(answers)
    while network.waiting and waiting:
        network.waiting.pop(0)[1](waiting.pop(0))
    assert ended == [made], "it ends exactly once"
    return made


def asking(*requests: Request, then: Any = None) -> Generator[Request, Response, Any]:
    for request in requests:  # noqa: UP028 - a tuple cannot be sent answers
        yield request
    if isinstance(then, Exception):
        raise then
    return then


def answer(status: int, **others: Any) -> Response:
    return Response(status=status, **others)


@given(st.integers(100, 599))
def test_the_answer_to_a_plain_request_is_the_verdict(status: int) -> None:
    ended = attempt(asking(ASK), answer(status))
    assert ended.verdict is verdict(status)
    assert (ended.reason == "") == (ended.verdict is not REFUSED)
    assert ended.response.status == status


def test_a_failure_ends_it_before_the_next_request() -> None:
    assert attempt(asking(ASK, ASK), answer(500), answer(200)).verdict is RETRY


def test_a_flow_that_judges_hears_of_failures_and_goes_on() -> None:
    ended = attempt(asking(JUDGED, ASK), answer(500), answer(204))
    assert ended.verdict is DELIVERED
    assert ended.requests == 2


def test_of_several_answers_a_success_is_shown() -> None:
    assert attempt(asking(JUDGED, JUDGED), answer(200, body=b"yes"), answer(500)).response.body == b"yes"
    assert attempt(asking(JUDGED, JUDGED), answer(500), answer(200, body=b"yes")).response.body == b"yes"


def test_a_flow_may_refuse_its_event() -> None:
    ended = attempt(asking(then=Refused("PAYLOAD_VALIDATION_FAILED", "no email")))
    assert (ended.verdict, ended.reason, ended.message) == (REFUSED, "PAYLOAD_VALIDATION_FAILED", "no email")


def test_a_flow_may_end_the_attempt_with_an_answer() -> None:
    ended = attempt(asking(JUDGED, then=Unsuccessful(answer(503))), answer(404))
    assert (ended.verdict, ended.response.status) == (RETRY, 503)


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError(), ZeroDivisionError()])
def test_a_flow_that_breaks_refuses_its_event_and_stops_nothing_else(error: Exception) -> None:
    assert attempt(asking(then=error)).reason == "INTERNAL"
    assert attempt(asking(ASK, then=error), answer(200)).reason == "INTERNAL"


def test_a_flow_that_comes_to_no_end_is_ended() -> None:
    def circling() -> Generator[Request, Response, None]:
        while True:
            yield JUDGED

    ended = attempt(circling(), *[answer(500)] * (REQUESTS_MOST + 5))
    assert (ended.verdict, ended.reason) == (REFUSED, "INTERNAL")
    assert ended.requests == REQUESTS_MOST + 1


def test_a_flow_that_does_not_let_itself_be_closed_has_no_say() -> None:
    def clinging() -> Generator[Request, Response, None]:
        try:
            yield ASK
        except GeneratorExit:
            yield ASK

    assert attempt(clinging(), answer(400)).reason == "BAD_REQUEST"


@pytest.mark.parametrize("answers", [[], [answer(200)], [answer(200)] * 3, "text", 7, answer(200)])
def test_anything_but_one_answer_for_each_event_refuses_the_batch(answers: Any) -> None:
    ended = attempt(asking(ASK, then=answers), answer(200), items=2)
    assert (ended.verdict, ended.reason, ended.answers) == (REFUSED, "INTERNAL", None)


def test_a_batch_may_give_one_answer_for_each_event() -> None:
    answers = [answer(200), answer(400)]
    assert attempt(asking(ASK, then=answers), answer(200), items=2).answers == answers


def test_an_address_that_may_not_be_called_is_refused() -> None:
    assert judge(Response(status=0, error="ADDRESS_REFUSED")) == (REFUSED, "ADDRESS_REFUSED")
    assert judge(Response(status=0, error="ETIMEDOUT")) == (RETRY, "")


def test_it_is_shown_without_secrets_and_a_large_batch_without_its_request() -> None:
    shown = attempt(asking(ASK), answer(400, body=b"your secret is wrong")).shown(answer(400, body=b"secret"), 9)
    assert "secret" not in str(shown)
    assert (shown["duration_ms"], shown["response"]) == (4, {"status": 400, "body": "***"})
    large = Request(url="https://vendor.example/in", body=b"x" * (BATCH_BYTES_MOST + 1))
    assert "request" in attempt(asking(large), answer(400)).shown(answer(400), 9)
    batch = attempt(asking(large), answer(400), items=2)
    assert "request" not in batch.shown(batch.response, 9)
    assert batch.shown(batch.response, 9) is batch.shown(batch.response, 9)
