"""One attempt: a destination's flow driven over the network until it has a verdict.

Rule: whatever a flow or a vendor does, `finished` is called exactly once, with a verdict; a flow that breaks, or does
not come to an end, refuses its event as INTERNAL and stops nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from segue.core.clock import Clock
from segue.core.destination import BatchFlow, Flow, Request, Response, Verdict, verdict
from segue.core.errors import Refused, Unsuccessful
from segue.core.reasons import refusal_reason
from segue.deliver.history import BATCH_BYTES_MOST, Mask, attempt_shown, without_signatures
from segue.deliver.lanes import Item

REQUESTS_MOST = 100
"""No vendor needs so many requests for one event; a flow that makes more is in a circle."""

NO_ANSWER = Response(status=0, error="NO_ANSWER")
NEVER_SENT = {"ADDRESS_REFUSED": "ADDRESS_REFUSED", "EINVAL": "INTERNAL"}
"""Errors that another attempt would only repeat, and the reason code of each."""

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
        "_mask",
        "_network",
        "_shown",
        "answers",
        "items",
        "message",
        "reason",
        "request",
        "requests",
        "response",
        "started_at",
        "verdict",
    )

    def __init__(
        self,
        items: list[Item],
        flow: Flow | BatchFlow,
        mask: Mask,
        network: Network,
        clock: Clock,
        finished: Callable[[Attempt], None],
    ) -> None:
        self.items = items
        self._mask = mask  # of the settings that this attempt uses, whatever they are when it ends
        self.verdict = DELIVERED
        self.reason = ""
        self.message = ""
        self.request: Request | None = None
        self.requests = 0
        self.response = NO_ANSWER
        self.answers: list[Response] | None = None  # of a batch: one answer an item, where they differ
        self.started_at = 0
        self._flow: Any = flow
        self._network = network
        self._clock = clock
        self._finished = finished
        self._shown: tuple[Response, dict[str, Any]] | None = None

    def mask(self, body: bytes) -> bytes:
        """An answer as it may be kept: without the secrets of the settings and the signature of the request."""
        return without_signatures(self._mask(body), self.request)

    def shown(self, response: Response, now_ms: int) -> dict[str, Any]:
        """The attempt as `explain` prints it, with this of its answers; made once for all events of a batch."""
        if self._shown is None or self._shown[0] is not response:
            request = self.request
            if request is not None and len(self.items) > 1 and len(request.body) > BATCH_BYTES_MOST:
                request = None  # `explain` makes it again
            shown = attempt_shown(
                at=self.started_at,
                duration_ms=now_ms - self.started_at,
                request=request,
                response=response,
                message=self.message,
                mask=self.mask,
            )
            self._shown = (response, shown)
        return self._shown[1]

    def begin(self) -> None:
        """Send the first request."""
        self.started_at = self._clock.now_ms()
        self._advance(None)

    def _advance(self, response: Response | None) -> None:
        try:
            self.request = self._flow.send(response)
        except StopIteration as stop:
            self._returned(stop.value)
        except Refused as refused:
            self._refuse(refused.reason, str(refused))
        except Unsuccessful as unsuccessful:
            self._judge(unsuccessful.response)
        except Exception as error:  # a flow is ours, but a surprise in one event must not stop the others
            self._refuse("INTERNAL", f"{type(error).__name__}: {error}")
        else:
            self.requests += 1
            if self.requests <= REQUESTS_MOST:
                self._network.start(self.request, self._answered)
                return
            self._close()
            self._refuse("INTERNAL", f"more than {REQUESTS_MOST} requests for one event")
        self._finished(self)

    def _returned(self, answers: Any) -> None:
        """The flow has ended well: with None, or of a batch with one answer for each item."""
        if answers is None or (isinstance(answers, list) and len(answers) == len(self.items)):
            self.answers = answers
        else:
            self._refuse("INTERNAL", "the flow did not give one answer for each event")

    def _answered(self, response: Response) -> None:
        request = self.request
        assert request is not None
        if not 200 <= self.response.status < 300:
            self.response = response  # of several answers a success is the one to show
        if request.judge or 200 <= response.status < 300:
            self._advance(response)
            return
        self._close()
        self._judge(response)
        self._finished(self)

    def _close(self) -> None:
        with suppress(Exception):  # a flow that does not let itself be closed has no say in the verdict
            self._flow.close()

    def _judge(self, response: Response) -> None:
        self.response = response
        self.verdict, self.reason = judge(response)

    def _refuse(self, reason: str, message: str) -> None:
        self.verdict, self.reason, self.message = REFUSED, reason, message


def judge(response: Response) -> tuple[Verdict, str]:
    """What an answer means, and for a refusal its reason code."""
    if response.error in NEVER_SENT:
        return REFUSED, NEVER_SENT[response.error]
    found = verdict(response.status)
    return found, refusal_reason(response.status) if found is REFUSED else ""
