"""The outgoing HTTP client: libcurl's multi handle, driven by the event loop.

`start` begins a request and calls back; `send` is the same for who awaits. The world never raises here: where no
answer came, `Response.status` is 0 and `error` says why (ETIMEDOUT, ENOTFOUND, ECONNREFUSED, ECONNRESET, EHOSTUNREACH,
EMFILE, ETLS, EPROTO; ADDRESS_REFUSED for a URL or an address that may not be requested; EINVAL for a method or
header that cannot be written).

Limits: HTTP/1.1 with keep-alive; `timeout_ms` for a request in all, counted from when it is begun; `max_connections`
requests at once, further ones wait here, in order, with their time not running; 64 KB of an answer's body are kept.
No redirect, cookie, proxy, netrc or compression.

Rule: `done` is called at most once, never from within `start`, and not at all after `cancel` or `close`; nothing wakes
the loop while no request is in flight.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import pycurl

from segue.core.destination import Request, Response
from segue.deliver.addresses import AddressPolicy
from segue.deliver.easy import Easy
from segue.deliver.sockets import Sockets
from segue.deliver.target import target

TIMEOUT_MS = 5_000
MAX_CONNECTIONS = 512


class Exchange:
    """One request and the answer to come. `done` is None once it is over."""

    __slots__ = ("_client", "done", "easy", "request")

    def __init__(self, client: HttpClient, request: Request, done: Callable[[Response], None]) -> None:
        self._client = client
        self.request = request
        self.done: Callable[[Response], None] | None = done
        self.easy: Easy | None = None

    def cancel(self) -> None:
        """Give up the answer: `done` will not be called. Its connection, if it had one, is closed."""
        self.done = None
        if self.easy is not None:
            self._client.drop(self)


class HttpClient:
    """An HTTP client bound to the running loop. Make it inside the loop, and `close` it there."""

    def __init__(
        self,
        policy: AddressPolicy,
        *,
        timeout_ms: int = TIMEOUT_MS,
        max_connections: int = MAX_CONNECTIONS,
        ca_file: str | None = None,
        broken: Callable[[Exception], None] | None = None,
    ) -> None:
        """`ca_file` holds the certificates to trust, instead of the system's (SSL_CERT_FILE is obeyed).

        `broken` is told of an error of libcurl's own, after which no request will ever be answered; without it the
        error is raised where it happens.
        """
        self._policy = policy
        self._broken = broken
        self._timeout_ms = timeout_ms
        self._max = max_connections
        self._trust = _trust(ca_file)
        self._loop = asyncio.get_running_loop()
        self._running: set[Exchange] = set()
        self._waiting: deque[Exchange] = deque()
        self._handles: dict[pycurl.Curl, Easy] = {}
        self._free: dict[str, list[Easy]] = {}
        self._closed = False
        self._nudged = False
        self._due = 0.0  # when libcurl wants to be called, by the loop's clock; 0 for never
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0  # a handle need not know: uvloop's does not where the time is now
        self._sockets = Sockets()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._sockets.on_socket)
        self._multi.setopt(pycurl.M_PIPELINING, 0)
        self._multi.setopt(pycurl.M_MAXCONNECTS, max_connections)
        self._loop.add_reader(self._sockets.fileno(), self._on_ready)

    @property
    def in_flight(self) -> int:
        """Requests begun whose answer has not come."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Requests not begun, because `max_connections` are in flight."""
        return len(self._waiting)

    def start(self, request: Request, done: Callable[[Response], None]) -> Exchange:
        """Send a request; `done` is called with the answer later, from the loop."""
        assert not self._closed, "start after close"
        exchange = Exchange(self, request, done)
        if len(self._running) < self._max and not self._waiting:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
        return exchange

    async def send(self, request: Request) -> Response:
        """Send a request and wait for the answer. To be cancelled drops it."""
        answered: asyncio.Future[Response] = self._loop.create_future()

        def done(response: Response) -> None:
            if not answered.done():
                answered.set_result(response)

        exchange = self.start(request, done)
        try:
            return await answered
        finally:
            exchange.cancel()

    def close(self) -> None:
        """End at once: what is in flight is dropped, all connections are closed. May be called twice.

        Blocks only while a name server that does not answer is being asked, until the system gives it up.
        """
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sockets.fileno())
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        for exchange in self._running:
            exchange.done = None
            if exchange.easy is not None:
                with suppress(pycurl.error):  # libcurl was broken before
                    self._multi.remove_handle(exchange.easy.curl)
                exchange.easy = None
        self._running.clear()
        self._free.clear()
        self._multi.close()
        for curl in self._handles:
            curl.close()
        self._handles.clear()
        self._sockets.close()

    def drop(self, exchange: Exchange) -> None:
        """Take a request that was cancelled out of libcurl."""
        easy = exchange.easy
        if easy is None:
            return
        self._release(exchange, easy)
        self._begin_waiting()

    # Requests: begun, ended.

    def _begin(self, exchange: Exchange) -> None:
        request = exchange.request
        free = self._free.get(request.url)
        easy = free.pop() if free else self._aimed(request.url)
        if easy is None:
            self._loop.call_soon(_answer, self._loop, exchange, Response(status=0, error="ADDRESS_REFUSED"))
            return
        if not easy.load(request):
            self._keep(easy)
            self._loop.call_soon(_answer, self._loop, exchange, Response(status=0, error="EINVAL"))
            return
        easy.exchange = exchange
        easy.begun = self._loop.time()
        exchange.easy = easy
        self._running.add(exchange)
        try:
            self._multi.add_handle(easy.curl)
        except pycurl.error as error:
            self._report(error)
        self._nudge()

    def _aimed(self, url: str) -> Easy | None:
        """A handle set to this URL, new or taken from another URL; None where the URL may not be requested."""
        found = target(url)
        if found is None:
            return None
        if len(self._handles) < self._max:
            easy = Easy(self._policy, self._sockets, timeout_ms=self._timeout_ms, trust=self._trust)
            self._handles[easy.curl] = easy
        else:
            easy = self._spare()
        easy.aim(url, found)
        return easy

    def _spare(self) -> Easy:
        """A free handle of any URL. There is one: fewer requests than handles are running."""
        for url, free in self._free.items():
            if free:
                easy = free.pop()
                if not free:
                    del self._free[url]
                return easy
        raise AssertionError("no handle is free, yet fewer than the most are running")

    def _keep(self, easy: Easy) -> None:
        self._free.setdefault(easy.url, []).append(easy)

    def _release(self, exchange: Exchange, easy: Easy) -> None:
        self._multi.remove_handle(easy.curl)
        self._running.discard(exchange)
        exchange.easy = easy.exchange = None
        free = self._free.get(easy.url)
        if free is None:
            self._keep(easy)
        else:
            free.append(easy)

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._running) < self._max:
            exchange = self._waiting.popleft()
            if exchange.done is not None:
                self._begin(exchange)

    def _collect(self) -> None:
        """Hand out what has ended. Handles are freed before anybody is called, since a callback starts the next."""
        ended: list[tuple[Exchange, Response]] = []
        now = self._loop.time()
        queued = 1
        while queued:
            queued, answered, failed = self._multi.info_read()
            for curl in answered:
                ended.append(self._end(self._handles[curl], 0, now))
            for curl, code, _message in failed:
                ended.append(self._end(self._handles[curl], code, now))
        if self._waiting:
            self._begin_waiting()
        for exchange, response in ended:
            _answer(self._loop, exchange, response)

    def _end(self, easy: Easy, code: int, now: float) -> tuple[Exchange, Response]:
        exchange = easy.exchange
        assert exchange is not None, "libcurl reports a handle that nobody uses"
        response = easy.answer(code, int((now - easy.begun) * 1000))
        self._release(exchange, easy)
        return exchange, response

    # What the loop calls.

    def _nudge(self) -> None:
        """Let libcurl begin what was added, once for all that is added in this turn of the loop."""
        if not self._nudged:
            self._nudged = True
            self._loop.call_soon(self._on_nudge)

    def _on_nudge(self) -> None:
        self._nudged = False
        if not self._closed:
            self._expire()

    def _on_ready(self) -> None:
        try:
            self._sockets.drive(self._multi.socket_action)
            self._plan_next_call()
            self._collect()
        except pycurl.error as error:
            self._report(error)

    def _on_due(self) -> None:
        self._timer = None
        if self._due > self._loop.time():
            self._set_timer()
        elif self._due:
            self._expire()

    def _expire(self) -> None:
        """Let libcurl begin what is new and do what is due."""
        try:
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._plan_next_call()
            self._collect()
        except pycurl.error as error:
            self._report(error)

    def _plan_next_call(self) -> None:
        """Ask libcurl when it wants to be called: once a turn, for a callback would be called twice a request."""
        delay_ms = self._multi.timeout()
        if delay_ms < 0:
            self._due = 0.0
        elif delay_ms == 0:
            self._nudge()
        else:
            # A millisecond late rather than early: called too early, libcurl does nothing.
            self._due = self._loop.time() + (delay_ms + 1) / 1000
            if self._timer is None or self._timer_at > self._due:
                self._set_timer()

    def _set_timer(self) -> None:
        # A timer that is set too early stays: most are moved back at once, when a request ends in time.
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._on_due)

    def _report(self, error: pycurl.error) -> None:
        """libcurl does not recover from an error of its own: whoever made the client must know."""
        if self._broken is None:
            raise error
        self._broken(error)


def _answer(loop: asyncio.AbstractEventLoop, exchange: Exchange, response: Response) -> None:
    done, exchange.done = exchange.done, None
    if done is None:
        return
    try:
        done(response)
    except Exception as error:  # whoever asked has a fault; the answers of others must still be handed out
        loop.call_exception_handler({"message": "a callback for an HTTP answer failed", "exception": error})


def _trust(ca_file: str | None) -> tuple[int, str] | None:
    """Which certificates to trust: libcurl's own default is the path of the system it was built on."""
    if ca_file is not None:
        return pycurl.CAINFO, ca_file
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return pycurl.CAINFO, paths.cafile
    return (pycurl.CAPATH, paths.capath) if paths.capath else None
