"""One vendor's sandbox, mounted: the inbound path, the vendor's further routes and the admin under
`_sandbox`.

Rule: every transaction runs in the event loop from its begin to its commit without an await, and the answer
is sent after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from segue.core.clock import iso
from segue.sandbox import exact
from segue.sandbox.faults import BODILESS, Fault, Faults
from segue.sandbox.frame import (
    BODY_MAX,
    Answer,
    Call,
    Inbound,
    Receiver,
    content_refusal,
    refusal,
    type_refusal,
)
from segue.sandbox.keys import DEMO_ID, Key, demo_key
from segue.sandbox.ledger import Ledger, masked
from segue.sandbox.store import Rows, Store

_log = logging.getLogger(__name__)

Handler = Callable[[Rows, Call], Answer]

CLOSE_SOCKET = "segue.close_socket"
"""The ASGI extension, given by `sandbox.server`, that ends a connection without an answer."""


class Arrival(Struct, frozen=True, kw_only=True):
    """One call on the inbound path, read as far as it can be.

    `body` None: over `BODY_MAX`; `event` None: no object.
    """

    at_ms: int
    method: str
    path: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    event: dict[str, Any] | None


class Outcome(Struct, frozen=True, kw_only=True):
    """What a call gets. `answer` None: the socket is closed; `hold_ms`: how long the answer is held back."""

    answer: Answer | None
    duplicate: bool = False
    hold_ms: int = 0


class Sandbox:
    """A receiver with its store."""

    def __init__(self, receiver: Receiver, store: Store) -> None:
        self.receiver = receiver
        self.store = store
        self.slug = receiver.slug
        self.faults = Faults(store.connection, self.slug)
        self.ledger = Ledger(store.connection, self.slug)
        with store.transaction():
            rows = store.rows(self.slug)
            if not rows.issued_keys():
                self.issue_demo_key(rows)

    def issue_demo_key(self, rows: Rows) -> None:
        """The key that the vendor starts with."""
        options = self.receiver.new_key(dict(self.receiver.demo_options))
        rows.put_key(Key(id=DEMO_ID, key=demo_key(self.slug), options=options))

    def reset(self, rows: Rows) -> None:
        """As it was at the first start."""
        rows.clear()
        self.issue_demo_key(rows)

    def route(self, path: str, handler: Handler, *, methods: Sequence[str] = ("GET",)) -> Route:
        """A route under the mount, such as `/_sandbox/contacts/{id}/assign`.

        The handler runs in one transaction, which is undone where it answers 400 or more.
        """

        async def endpoint(request: Request) -> Response:
            body = await read_body(request)
            call = _call(request, body)
            return response(call if isinstance(call, Answer) else self.run(handler, call))

        return Route(path, endpoint, methods=list(methods))

    def run(self, handler: Handler, call: Call) -> Answer:
        """The handler's answer, after the commit of what it wrote."""
        with self.store.transaction(), self.store.attempt() as attempt:
            answer = handler(self.store.rows(self.slug), call)
            attempt.undone = answer.status >= 400
        return answer

    def inbound_route(self) -> BaseRoute:
        """The path that takes events."""

        async def endpoint(request: Request) -> Response:
            arrival = self._arrival(request, await read_body(request))
            try:
                outcome = await self._outcome(arrival)
                if outcome.hold_ms:
                    await asyncio.sleep(outcome.hold_ms / 1000)
            except asyncio.CancelledError:
                return _Drop()  # the server ends, and will not wait for an answer that was to come late
            return _Drop() if outcome.answer is None else response(outcome.answer)

        return Route(self.receiver.inbound, endpoint, methods=["POST"])

    def _arrival(self, request: Request, body: bytes | None) -> Arrival:
        try:
            event = exact.decode(body or b"")
        except ValueError:
            event = None
        return Arrival(
            at_ms=self.store.clock.now_ms(),
            method=request.method,
            path=request.scope["path"],
            url=str(request.url),
            headers=dict(request.headers),
            body=body,
            event=event if isinstance(event, dict) else None,
        )

    async def _outcome(self, arrival: Arrival) -> Outcome:
        with self.store.transaction():
            call_type = self.receiver.call_type(arrival.event) if arrival.event is not None else None
            fault = self.faults.take(arrival.event, call_type)
            if fault is None or not (fault.delay_ms and fault.status is None):
                return self._take(arrival, fault)
        await asyncio.sleep(fault.delay_ms / 1000)
        with self.store.transaction():
            return self._take(arrival, fault)

    def _take(self, arrival: Arrival, fault: Fault | None) -> Outcome:
        """Everything that a call does to the store, in the open transaction."""
        outcome = _misbehaviour(fault) if fault is not None else None
        if outcome is None:
            outcome = self._answered(arrival)
            if fault is not None:
                outcome = msgspec.structs.replace(outcome, hold_ms=fault.slow_ms)
        self.ledger.note(_noted(arrival, outcome), arrival.at_ms)
        return outcome

    def _answered(self, arrival: Arrival) -> Outcome:
        rows = self.store.rows(self.slug)
        key = self.receiver.authenticate(arrival.headers, rows.find_key)
        if isinstance(key, Answer):
            return Outcome(answer=key)
        if (wrong := content_refusal(self.receiver, arrival.headers)) is not None:
            return Outcome(answer=wrong)
        if arrival.body is None:
            return Outcome(answer=refusal(413, f"Body must be at most {BODY_MAX} bytes"))
        if arrival.event is None:
            return Outcome(answer=refusal(400, "Body must be one JSON object"))
        message_id = self.receiver.message_id(arrival.headers, arrival.event)
        if message_id is None or not key.options.get("dedupe", True):
            return Outcome(answer=self._received(rows, key, arrival, message_id))
        earlier = self.ledger.answer_to(key.id, message_id, arrival.at_ms)
        if earlier is not None:
            again = msgspec.json.decode(earlier, type=Answer)
            headers = {**again.headers, "X-Sandbox-Duplicate": "1"}
            return Outcome(answer=msgspec.structs.replace(again, headers=headers), duplicate=True)
        answer = self._received(rows, key, arrival, message_id)
        if answer.status < 300:
            # A refusal is not remembered: once its cause is gone, the same event sent again must be taken.
            self.ledger.remember(key.id, message_id, arrival.at_ms, exact.encode(answer))
        return Outcome(answer=answer)

    def _received(self, rows: Rows, key: Key, arrival: Arrival, message_id: str | None) -> Answer:
        assert arrival.event is not None and arrival.body is not None
        if (wrong := type_refusal(self.receiver, arrival.event)) is not None:
            return wrong
        inbound = Inbound(
            headers=arrival.headers,
            event=arrival.event,
            message_id=message_id,
            url=arrival.url,
            body=arrival.body,
        )
        with self.store.attempt() as attempt:
            try:
                answer = self.receiver.receive(rows, key, inbound)
            except Exception:  # the edge: a bug of one receiver is a 500, as it would be at the vendor
                _log.exception("the %s sandbox failed on a call", self.slug)
                answer = refusal(500, f"The {self.slug} sandbox failed; its log says why")
            attempt.undone = answer.status >= 400
        return answer


def _misbehaviour(fault: Fault) -> Outcome | None:
    """What the call gets instead of being taken; None where it is taken all the same."""
    if fault.drop:
        return Outcome(answer=None)
    if fault.status is None:
        return None
    message = {"message": f"The sandbox was told to answer {fault.status}"}
    body = fault.body if fault.body is not None or fault.status in BODILESS else message
    answer = Answer(status=fault.status, body=body, headers=fault.headers)
    return Outcome(answer=answer, hold_ms=fault.delay_ms + fault.slow_ms)


def _noted(arrival: Arrival, outcome: Outcome) -> bytes:
    """A request as `GET requests` lists it: the body digit for digit as sent, as text where it is no JSON."""
    body: Any = None
    if arrival.event is not None and arrival.body is not None:
        body = msgspec.Raw(arrival.body)
    elif arrival.body:
        body = arrival.body.decode("utf-8", "replace")
    return exact.encode(
        {
            "at": iso(arrival.at_ms),
            "method": arrival.method,
            "path": arrival.path,
            "headers": masked(arrival.headers),
            "body": body,
            "answer": outcome.answer,
            "duplicate": outcome.duplicate,
        }
    )


async def read_body(request: Request) -> bytes | None:
    """The whole body; None where it is over `BODY_MAX`: up to 1 MB is still read, and thrown away."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= BODY_MAX:
            chunks.append(chunk)
        elif size > 16 * BODY_MAX:
            return None
    return None if size > BODY_MAX else b"".join(chunks)


def _call(request: Request, body: bytes | None) -> Call | Answer:
    if body is None:
        return refusal(413, f"Body must be at most {BODY_MAX} bytes")
    try:
        value = exact.decode(body) if body.strip() else {}
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return refusal(400, "Body must be one JSON object")
    return Call(
        path=dict(request.path_params),
        query=parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True),
        headers=dict(request.headers),
        body=value,
        url=str(request.url),
    )


def response(answer: Answer) -> Response:
    """The HTTP answer."""
    if answer.status in BODILESS:
        return Response(None, answer.status, headers=answer.headers)
    return Response(exact.encode(answer.body), answer.status, headers=answer.headers, media_type="application/json")


class _Drop(Response):
    """No answer: the connection ends."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["extensions"][CLOSE_SOCKET]()
        while (await receive())["type"] != "http.disconnect":
            pass
