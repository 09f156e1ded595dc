"""A running sandbox app over a file of its own, and a client that speaks to it without a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette

from segue.core.destination import Destination, check_settings
from segue.core.event import Event
from segue.sandbox.app import create_app, receivers
from segue.sandbox.server import loopback_socket, server


class ManualClock:
    """A clock that a test moves."""

    def __init__(self, now_ms: int = 1_795_300_000_000) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        return self.time_ms


class Reply(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: Any


def basic(key: str) -> dict[str, str]:
    """The Authorization header of family A."""
    return {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}


class Client:
    """Calls the app in this thread. Awaiting the app is all the server that a sandbox needs."""

    def __init__(self, app: Starlette) -> None:
        self.app = app
        self.closed_sockets = 0

    def call(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        return asyncio.run(self.acall(method, url, body, headers=headers, raw=raw))

    async def acall(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Reply:
        content = raw if raw is not None else b"" if body is None else json.dumps(body).encode()
        sent = {"host": "127.0.0.1:8100", "content-type": "application/json"}
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        parts = urlsplit(url)
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in sent.items() if value],
            "server": ("127.0.0.1", 8100),
            "client": ("127.0.0.1", 50000),
            "extensions": {"segue.close_socket": self._close_socket},
        }
        incoming = [{"type": "http.request", "body": content, "more_body": False}]
        answered: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return incoming.pop(0) if incoming else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            answered.append(message)

        await self.app(scope, receive, send)
        if not answered:
            return Reply(0, {}, None)
        text = b"".join(message.get("body", b"") for message in answered[1:])
        names = {name.decode(): value.decode("latin-1") for name, value in answered[0]["headers"]}
        return Reply(answered[0]["status"], names, json.loads(text))

    def _close_socket(self) -> None:
        self.closed_sockets += 1

    def get(self, url: str, **options: Any) -> Reply:
        return self.call("GET", url, **options)

    def post(self, url: str, body: Any = None, **options: Any) -> Reply:
        return self.call("POST", url, body, **options)

    def state(self, vendor: str) -> dict[str, list[dict[str, Any]]]:
        """`GET state`, which must be answered."""
        reply = self.get(f"/{vendor}/_sandbox/state")
        assert reply.status == 200
        return dict(reply.body)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def open_client(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[[], Client]]:
    """Opens the app over the same file, as often as a test restarts it."""
    opened: list[Starlette] = []

    def open_() -> Client:
        while opened:
            _close(opened.pop())
        app = create_app(tmp_path / "sandbox.db", clock)
        opened.append(app)
        return Client(app)

    yield open_
    while opened:
        _close(opened.pop())


def _close(app: Starlette) -> None:
    async def through_a_life() -> None:
        async with app.router.lifespan_context(app):
            pass

    asyncio.run(through_a_life())


@pytest.fixture
def client(open_client: Callable[[], Client]) -> Client:
    return open_client()


@pytest.fixture
def address(tmp_path: Path, clock: ManualClock) -> Iterator[str]:
    """The address of a real server on a free port."""
    listener = loopback_socket(0)
    served = server(create_app(tmp_path / "served.db", clock))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(timeout=10)
    listener.close()
    assert not thread.is_alive()


def deliver(client: Client, kind: Destination, event: dict[str, Any], *, key: str | None = None) -> Reply:
    """What the vendor's sandbox answers to the one request that a kind makes of an event."""
    mount = next(found for found in receivers() if found.slug == kind.slug)
    endpoint = f"http://127.0.0.1:8100/{kind.slug}{mount.inbound}"
    settings = check_settings(kind, {"apiKey": key or f"demo-{kind.slug}-key", "endpoint": endpoint})
    accepted = {"messageId": "m1", "timestamp": "2026-11-21T10:00:00.000Z", **event}
    body = json.dumps({name: value for name, value in accepted.items() if value is not None}).encode()
    (request,) = list(kind.send(settings, Event(body)))
    return client.call(request.method, urlsplit(request.url).path, raw=request.body, headers=dict(request.headers))
