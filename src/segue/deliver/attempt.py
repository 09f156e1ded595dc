"""One attempt: a destination's flow driven over the network until it has a verdict.

Rule: whatever a flow or a vendor does, `finished` is called exactly once, with a verdict; a flow that breaks refuses
its event as INTERNAL and stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from segue.core.clock import Clock
from segue.core.destination import BatchFlow, Flow, Request, Response, Verdict, verdict
from segue.core.errors import Refused, Unsuccessful
from segue.core.reasons import refusal_reason
from segue.deliver.lanes import Item

NO_ANSWER = Response(status=0, error="NO_ANSWER")
DELIVERED, RETRY, REFUSED = Verdict.DELIVERED, Verdict.RETRY, Verdict.REFUSED


class Network(Protocol):
    """What an attempt needs of the world: a request goes out, one answer (or the lack of one) comes back."""

    def start(self, request: Request, done: Callable[[Response], None]) -> object:
        """Send it; call `done` once, later, from the same thread."""
        ...


class Attempt:
    """The attempt for one item, or for a batch of them. Read the result in `finished`."""

    __slots__ = (
        "_clock",
        "_finished",
        "_flow",
        "_network",
        "answers",
        "items",
        "message",
        "reason",
        "request",
        "response",
        "started_at",
        "verdict",
    )

    def __init__(
        self,
        items: list[Item],
        flow: Flow | BatchFlow,
        network: Network,
        clock: Clock,
        finished: Callable[[Attempt], None],
    ) -> None:
        self.items = items
        self.verdict = DELIVERED
        self.reason = ""
        self.message = ""
        self.request: Request | None = None
        self.response = NO_ANSWER
        self.answers: list[Response] | None = None  # of a batch: one answer an item, where they differ
        self.started_at = 0
        self._flow: Any = flow
        self._network = network
        self._clock = clock
        self._finished = finished

    def begin(self) -> None:
        """Send the first request."""
        self.started_at = self._clock.now_ms()
        self._advance(None)

    def _advance(self, response: Response | None) -> None:
        try:
            self.request = self._flow.send(response)
        except StopIteration as stop:
            self.answers = stop.value
        except Refused as refused:
            self._refuse(refused.reason, str(refused))
        except Unsuccessful as unsuccessful:
            self._judge(unsuccessful.response)
        except Exception as error:  # a flow is ours, but a surprise in one event must not stop the others
            self._refuse("INTERNAL", f"{type(error).__name__}: {error}")
        else:
            self._network.start(self.request, self._answered)
            return
        self._finished(self)

    def _answered(self, response: Response) -> None:
        request = self.request
        assert request is not None
        if not 200 <= self.response.status < 300:
            self.response = response  # of several answers a success is the one to show
        if request.judge or 200 <= response.status < 300:
            self._advance(response)
            return
        self._flow.close()
        self._judge(response)
        self._finished(self)

    def _judge(self, response: Response) -> None:
        self.response = response
        self.verdict, self.reason = judge(response)

    def _refuse(self, reason: str, message: str) -> None:
        self.verdict, self.reason, self.message = REFUSED, reason, message


def judge(response: Response) -> tuple[Verdict, str]:
    """What an answer means, and for a refusal its reason code."""
    if response.error == "ADDRESS_REFUSED":
        return REFUSED, "ADDRESS_REFUSED"
    found = verdict(response.status)
    return found, refusal_reason(response.status) if found is REFUSED else ""
