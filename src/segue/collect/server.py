"""The HTTP server under the collector: uvicorn's protocol, with the time-outs and caps that it lacks.

Rule: a peer that is slow, silent or endless costs one bounded buffer for a bounded time.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from segue.collect.answer import Answer, Unacceptable, error_answer
from segue.collect.limits import CollectLimits
from segue.collect.metrics import CollectMetrics

_SPARE_CONNECTIONS = 100
"""So many above the cap are told 503; any further one is cut without a word."""

_CUT_SECONDS = 1.0
"""How long a request whose connection was cut off may take to notice."""

_FRAMING = 8
"""Bytes on the wire for each byte of a body: a chunk of one byte takes six."""

_HEAD_LOOKED_AT = 4096
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)

# That a stranger sent no HTTP is counted, and no line in the log.
_logger = logging.getLogger("segue.collect.http")
_logger.setLevel(logging.ERROR)


class _Shared(ServerState):
    """What all connections of one server have in common."""

    def __init__(self, limits: CollectLimits, metrics: CollectMetrics) -> None:
        super().__init__()
        self.limits = limits
        self.metrics = metrics


class _JoinedWrites:
    """The transport as one answer uses it: head and body go out in one call of the system, not two."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head: bytes | None = None
        self._joined = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._joined or data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        elif self._head is None:
            self._head = data
        else:
            self._joined = True
            self._transport.write(self._head + data)

    def close(self) -> None:
        if self._head is not None and not self._joined:
            self._transport.write(self._head)
        self._transport.close()


class CollectProtocol(HttpToolsProtocol):
    """One connection. A timer runs only while a request has come in part."""

    server_state: _Shared

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: _Shared,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _logger
        self._limits = server_state.limits
        self._refused = False
        self._begun = False
        self._in_body = False
        self._completed = False
        self._oversized = False
        self._received = 0
        self._body_received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or refuse it where there are too many."""
        over = len(self.connections) - self._limits.connections
        super().connection_made(transport)
        if over >= 0:
            self.server_state.metrics.refused_connections += 1
            self._refused = True
            if over >= _SPARE_CONNECTIONS:
                transport.abort()
                return
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timers."""
        self._rest()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; then see whether a request is still under way, and whether it is too much."""
        if self.transport.is_closing():
            return
        if not self._begun and data.find(b"pgrade:", 0, _HEAD_LOOKED_AT) > 0:
            data = _without_upgrade(data)
        self._completed = False
        self._received += len(data)
        super().data_received(data)
        if self._completed:
            # What follows a request in the same piece is not counted: it is less than one piece.
            self._received = 0
        if self.transport.is_closing():
            return
        if not self._begun:
            self._rest()
        elif not self._in_body and self._received > self._limits.header_bytes:
            self._fail_oversized()
        elif self._in_body and self._received > self._allowed():
            self._fail(413, "payload_too_large", "the body is sent in too small chunks")
        else:
            self._watch()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The peer will send nothing more. True: it is still answered what it has asked in full, and then closed."""
        if self.cycle is None or self.cycle.response_complete or self._in_body:
            return False
        self.cycle.keep_alive = False  # of the last request; those before it are answered first
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._begun = True
        self._in_body = False
        self._body_received = 0

    def on_headers_complete(self) -> None:
        """The headers are whole; the application starts, unless they are too large."""
        most = self._limits.header_bytes
        if self._received > most and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > most:
            self._oversized = True
            raise ValueError("the headers are too large")
        self._in_body = True
        super().on_headers_complete()
        if self.scope["method"] != "HEAD":
            self.cycle.transport = _JoinedWrites(self.transport)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_received += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._begun = False
        self._in_body = False
        self._completed = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is told so in our form."""
        if self._oversized:
            self._fail_oversized()
        else:
            self._fail(400, "invalid_http", msg)

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        super()._start_asgi_task(cycle, _refuse if self._refused else app)

    def _allowed(self) -> int:
        return self._limits.header_bytes + self._limits.body_bytes + _FRAMING * self._body_received

    def _watch(self) -> None:
        if self._timer is not None:
            if self._timer_in_body == self._in_body:
                return
            self._timer.cancel()
        self._timer_in_body = self._in_body
        seconds = self._limits.body_seconds if self._in_body else self._limits.header_seconds
        self._timer = self.loop.call_later(seconds, self._too_slow)

    def _rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        what = "body" if self._in_body else "headers"
        seconds = self._limits.body_seconds if self._in_body else self._limits.header_seconds
        self._fail(408, "request_timeout", f"the {what} did not come within {seconds:g} s")

    def _fail_oversized(self) -> None:
        self._fail(431, "headers_too_large", f"the headers are over {self._limits.header_bytes} bytes")

    def _fail(self, status: int, code: str, message: str) -> None:
        """End the connection: with this answer, or where an earlier request still waits for its own, after that."""
        self._rest()
        if self.transport.is_closing():
            return
        waiting = self.cycle is not None and not self.cycle.response_complete
        if self.pipeline:
            # Whoever sends ahead and then fails cannot be told which request it was.
            self.transport.close()
            return
        if waiting and not self._in_body:
            self.cycle.keep_alive = False
            return
        if not self._in_body or (waiting and not self.cycle.response_started):
            answer = error_answer(Unacceptable(status, code, message, closes=True))
            self.server_state.metrics.requests["http", status] += 1
            self.transport.write(_on_the_wire(answer))
        if waiting:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()


def _without_upgrade(data: bytes) -> bytes:
    """The first piece of a request without an offer to speak another protocol.

    Java's client offers HTTP/2 with every request; the parser takes what follows such headers for that protocol,
    body and all. A server may pass such an offer over (RFC 9110, 7.8).
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + rest


def _on_the_wire(answer: Answer) -> bytes:
    head = b"".join(b"%s: %s\r\n" % header for header in answer.headers)
    return STATUS_LINE[answer.status] + head + b"\r\n" + answer.body


async def _refuse(_scope: Any, _receive: Any, send: Any) -> None:
    answer = error_answer(
        Unacceptable(503, "too_many_connections", "the server has too many connections", retry_after=1, closes=True)
    )
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


class CollectServer:
    """A running server. Made by `serve`."""

    def __init__(self, server: asyncio.Server, shared: _Shared) -> None:
        self._server = server
        self._shared = shared

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Accept nothing more, finish the requests in flight for so long, then cut what is left."""
        self._server.close()
        for connection in list(self._shared.connections):
            connection.shutdown()
        tasks = set(self._shared.tasks)
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_seconds)
            if late:
                # Cut off, a request ends as one whose client went away; cancelled, it would leave a traceback.
                for connection in list(self._shared.connections):
                    connection.transport.abort()
                _, late = await asyncio.wait(late, timeout=_CUT_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for connection in list(self._shared.connections):
            connection.transport.close()
        # One turn of the loop for what is written last.
        await asyncio.sleep(0)
        for connection in list(self._shared.connections):
            connection.transport.abort()


async def serve(app: Any, sock: socket.socket, *, limits: CollectLimits, metrics: CollectMetrics) -> CollectServer:
    """Serve an ASGI application on a bound socket, on the running loop."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=CollectProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=limits.keep_alive_seconds,  # type: ignore[arg-type]
        backlog=2048,
    )
    config.load()
    shared = _Shared(limits, metrics)
    metrics.connections = lambda: len(shared.connections)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: CollectProtocol(config, shared, {}, loop), sock=sock, backlog=2048)
    return CollectServer(server, shared)
