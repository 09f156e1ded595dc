"""The Tracking API as an ASGI application without a framework.

Rule: every request gets exactly one answer, and 200 only after the commit of what it held; whose fault a bad one is
and what to do stands in its body.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from segue.collect.answer import (
    PIXEL,
    PREFLIGHT_OK,
    SUCCESS,
    Answer,
    Unacceptable,
    error_answer,
    json_answer,
    plain_answer,
)
from segue.collect.auth import SourceKeys
from segue.collect.body import BodyReader, Receive
from segue.collect.client import Networks, client_scheme, peer_of
from segue.collect.commit import Committer, Overloaded
from segue.collect.events import BATCH, EventIntake, EventRequest
from segue.collect.intake import random_message_id
from segue.collect.limits import CollectLimits
from segue.collect.metrics import CollectMetrics
from segue.collect.pixel import pixel_body
from segue.collect.settings_document import settings_document
from segue.core.clock import Clock
from segue.core.errors import Unavailable
from segue.core.event import CALL_TYPES

Send = Callable[[Any], Awaitable[None]]
ExtraRoute = Callable[[], Awaitable[tuple[int, str, bytes]]]
"""Answers a GET of wiring's: status, content type, body."""
Mounted = Callable[[Any, Receive, Send], Awaitable[None]]
"""An ASGI application that answers everything below a path, in its own form."""

_EVENT_ROUTES = {
    **{f"/v1/{name}": name for name in CALL_TYPES},
    **{f"/v1/{name[0]}": name for name in CALL_TYPES},
    **dict.fromkeys(("/v1/batch", "/v1/b", "/v1/import"), BATCH),
}
_PIXEL = "/v1/pixel/"
_SETTINGS = re.compile(r"(?:/v1)?/projects/([^/]+)/settings")
_HOST = re.compile(r"(?:[A-Za-z0-9._~-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_SETTINGS_KEPT = (b"cache-control", b"public, max-age=300")
_CALL_OF_PIXEL = {**{name: name for name in CALL_TYPES}, **{name[0]: name for name in CALL_TYPES}}

_LINGER_SECONDS = 2.0
_LINGER_BODIES = 8
_DISK_RETRY_SECONDS = 10


class Collector:
    """The ASGI application. `keys` may be replaced at any time; the next request sees the new ones."""

    def __init__(
        self,
        *,
        keys: SourceKeys,
        committer: Committer,
        clock: Clock,
        limits: CollectLimits,
        metrics: CollectMetrics,
        trusted_proxies: Networks = (),
        disk_ok: Callable[[], bool] = lambda: True,
        extra_routes: Mapping[str, ExtraRoute] | None = None,
        mounted: Mapping[str, Mounted] | None = None,
        new_id: Callable[[], str] = random_message_id,
    ) -> None:
        """`disk_ok` is asked once a request and must be cheap; while it says no, events are answered 503.

        `mounted` are applications by the path below which they stand, such as `/v1/spaces`.
        """
        self._events = EventIntake(
            keys=keys,
            committer=committer,
            clock=clock,
            limits=limits,
            trusted_proxies=trusted_proxies,
            new_id=new_id,
        )
        self._committer = committer
        self._limits = limits
        self._metrics = metrics
        self._trusted = trusted_proxies
        self._disk_ok = disk_ok
        self._extra = dict(extra_routes or {})
        self._mounted = dict(mounted or {})
        self._bodies = BodyReader(limits)

    @property
    def keys(self) -> SourceKeys:
        """The sources by write key."""
        return self._events.keys

    @keys.setter
    def keys(self, keys: SourceKeys) -> None:
        self._events.keys = keys

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        assert scope["type"] == "http", "the collector speaks HTTP only"
        path = scope["path"]
        call = _EVENT_ROUTES.get(path)
        if call is None:
            # A host setting that ends in a slash gives a path that begins with two.
            path = "/" + path.strip("/")
            call = _EVENT_ROUTES.get(path)
            for prefix, app in self._mounted.items():
                if path == prefix or path.startswith(f"{prefix}/"):
                    await self._hand_over(prefix, app, {**scope, "path": path}, receive, send)
                    return
        try:
            if call is not None and scope["method"] == "POST":
                route, answer = call, await self._take(scope, receive, call)
            else:
                route, answer = await self._other(scope, receive, path, call)
        except Unacceptable as error:
            route, answer = call or "other", error_answer(error, *_challenge(error))
        except Unavailable as error:
            route, answer = call or "other", error_answer(_busy(error))
        if answer is None:
            return
        self._metrics.requests[route, answer.status] += 1
        await self._respond(answer, receive, send)

    async def _hand_over(self, prefix: str, app: Mounted, scope: Any, receive: Receive, send: Send) -> None:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._metrics.requests[prefix, message["status"]] += 1
            await send(message)

        await app(scope, receive, counted)

    async def _take(self, scope: Any, receive: Receive, call: str, client_side: bool = False) -> Answer | None:
        """Commit the events of a POST. None where the client went away before its body had come."""
        self._check_able()
        headers = dict(scope["headers"])
        body = await self._bodies.read(headers, receive)
        if body is None:
            return None
        self._metrics.body_bytes += len(body)
        return await self._events.take(
            EventRequest(
                call=call,
                body=body,
                headers=headers,
                all_headers=scope["headers"],
                peer=peer_of(scope),
                client_side=client_side,
            )
        )

    def _check_able(self) -> None:
        if not self._disk_ok():
            raise Unacceptable(
                503, "disk_full", "the server's disk is nearly full; send again later", retry_after=_DISK_RETRY_SECONDS
            )
        self._committer.check_room()

    async def _other(self, scope: Any, receive: Receive, path: str, call: str | None) -> tuple[str, Answer | None]:
        method = scope["method"]
        public = path.startswith(("/v1/", "/projects/")) and not path.startswith("/v1/spaces")
        if method == "OPTIONS" and public:
            return "preflight", PREFLIGHT_OK
        if call is not None:
            return call, _wrong_method(b"POST, OPTIONS")
        if path == "/v1/m":
            return "m", await self._ignore(receive) if method == "POST" else _wrong_method(b"POST, OPTIONS")
        if path.startswith(_PIXEL):
            return "pixel", await self._pixel(scope, receive, path.removeprefix(_PIXEL))
        document = _SETTINGS.fullmatch(path)
        extra = self._extra.get(path)
        if document is None and extra is None:
            return "other", _error(404, "not_found", "there is nothing at this address", public=public)
        if method not in ("GET", "HEAD"):
            return "other", _wrong_method(b"GET, HEAD", public=public)
        if extra is not None:
            status, content_type, content = await extra()
            return path, plain_answer(status, content_type.encode(), content, public=False)
        assert document is not None
        return "settings", self._settings(scope, document[1])

    async def _ignore(self, receive: Receive) -> Answer | None:
        """The SDK's measurements of itself: read and forgotten."""
        body = await self._bodies.read({}, receive)
        return None if body is None else SUCCESS

    async def _pixel(self, scope: Any, receive: Receive, name: str) -> Answer | None:
        method = scope["method"]
        if method not in ("GET", "HEAD", "POST"):
            return _wrong_method(b"GET, HEAD, POST, OPTIONS")
        if method != "HEAD":
            # A picture has no place for an error, and whoever loads it would neither read one nor send again.
            try:
                if not await self._take_pixel(scope, receive, name):
                    return None
            except Unacceptable as error:
                self._metrics.lost_pixels[error.code] += 1
            except Unavailable as error:
                self._metrics.lost_pixels[_busy(error).code] += 1
        return PIXEL

    async def _take_pixel(self, scope: Any, receive: Receive, name: str) -> bool:
        """Commit the pixel's event; False where the client went away. Raises as `_take` does."""
        self._check_able()
        headers = dict(scope["headers"])
        sent = await self._bodies.read(headers, receive)
        if sent is None:
            return False
        query = scope["query_string"] or sent
        body = query if query.lstrip()[:1] == b"{" else pixel_body(query)
        call = _CALL_OF_PIXEL.get(name)
        if call is None:
            await self._events.keep_unreadable(body, "type_unknown")
            return True
        request = EventRequest(
            call=call,
            body=body,
            headers=headers,
            all_headers=scope["headers"],
            peer=peer_of(scope),
            client_side=True,
        )
        try:
            await self._events.take(request)
        except Unacceptable as error:
            if error.status != 400:
                raise
            await self._events.keep_unreadable(body, _PIXEL_REASONS.get(error.code, "event_not_object"))
        return True

    def _settings(self, scope: Any, write_key: str) -> Answer:
        if self.keys.lookup(write_key) is None:
            return _error(404, "unknown_source", "no source has this write key")
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        if not _HOST.fullmatch(host):
            return _error(400, "invalid_host", "the Host header names no host")
        scheme = client_scheme(peer_of(scope), scope["scheme"], scope["headers"], self._trusted)
        return json_answer(200, settings_document(write_key, host=host, scheme=scheme), _SETTINGS_KEPT)

    async def _respond(self, answer: Answer, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if answer.closes:
            # Closing on unread bytes resets the connection, and the answer is lost with it: read on for a moment.
            await send({"type": "http.response.body", "body": answer.body, "more_body": True})
            await self._linger(receive)
            await send({"type": "http.response.body", "body": b""})
        else:
            await send({"type": "http.response.body", "body": answer.body})

    async def _linger(self, receive: Receive) -> None:
        left = _LINGER_BODIES * self._limits.body_bytes
        try:
            async with asyncio.timeout(_LINGER_SECONDS):
                while left > 0:
                    message = await receive()
                    if message["type"] == "http.disconnect" or not message.get("more_body"):
                        return
                    left -= len(message.get("body", b""))
        except TimeoutError:
            return


_PIXEL_REASONS = {"nested_too_deep": "nested_too_deep", "payload_too_large": "event_too_large"}


def _error(status: int, code: str, message: str, *extra: tuple[bytes, bytes], public: bool = True) -> Answer:
    return json_answer(status, {"code": code, "message": message}, *extra, public=public)


def _wrong_method(allowed: bytes, *, public: bool = True) -> Answer:
    message = f"allowed here: {allowed.decode()}"
    return _error(405, "method_not_allowed", message, (b"allow", allowed), public=public)


def _busy(error: Unavailable) -> Unacceptable:
    code = "overloaded" if isinstance(error, Overloaded) else "unavailable"
    return Unacceptable(503, code, str(error), retry_after=1)


def _challenge(error: Unacceptable) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"www-authenticate", b'Basic realm="segue"'),) if error.status == 401 else ()
