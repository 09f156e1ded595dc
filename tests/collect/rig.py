"""A whole collector on the real log and quarantine, for tests: called in process, or served on a port."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

from segue.collect.app import Collector, ExtraRoute, Mounted
from segue.collect.auth import SourceKeys
from segue.collect.commit import Committer
from segue.collect.limits import CollectLimits
from segue.collect.metrics import CollectMetrics
from segue.collect.server import CollectServer, serve
from segue.core.event import Event, NewRecord
from segue.log import Ends, LogWriter
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.control import SourceRow
from segue.state.quarantine import Drop, Quarantine

NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z
NOW_ISO = "2026-09-21T14:13:20.000Z"
PEER = "203.0.113.9"

SOURCES = (
    SourceRow(slug="website", name="Website", write_keys=("wk", "wk-old")),
    SourceRow(slug="strict", name="Strict", write_keys=("sk",), strict=True),
    SourceRow(slug="off", name="Off", write_keys=("ok",), enabled=False),
)


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self, now_ms: int = NOW) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


class RealClock:
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def call(
    app: Callable[..., Awaitable[None]],
    method: str,
    path: str,
    chunks: Sequence[bytes] = (b"",),
    headers: Sequence[tuple[str, str]] = (),
    query: bytes = b"",
    peer: str | None = PEER,
    scheme: str = "http",
    cut: bool = False,
) -> Reply | None:
    """One request by ASGI. With `cut` the client goes away after the last chunk."""
    sent: list[Any] = []
    pieces = [
        {"type": "http.request", "body": chunk, "more_body": cut or i < len(chunks) - 1}
        for i, chunk in enumerate(chunks)
    ]

    async def receive() -> Any:
        return pieces.pop(0) if pieces else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "scheme": scheme,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": None if peer is None else (peer, 50000),
    }
    await app(scope, receive, send)
    if not sent:
        return None
    assert [message["type"] for message in sent] == ["http.response.start"] + ["http.response.body"] * (len(sent) - 1)
    assert not sent[-1].get("more_body")
    names = [(name.decode(), value.decode("latin-1")) for name, value in sent[0]["headers"]]
    return Reply(sent[0]["status"], dict(names), b"".join(message.get("body", b"") for message in sent[1:]))


@dataclass
class Rig:
    """Everything behind one collector."""

    folder: Path
    clock: Any = field(default_factory=SetClock)
    limits: CollectLimits = field(default_factory=CollectLimits)
    sources: Sequence[SourceRow] = SOURCES
    strict_keys: bool = False
    trusted_proxies: tuple[Any, ...] = ()
    extra_routes: Mapping[str, ExtraRoute] | None = None
    mounted: Mapping[str, Mounted] | None = None
    disk_ok: Callable[[], bool] = lambda: True
    around_log: Callable[[LogWriter], LogWriter] = lambda log: log

    def __post_init__(self) -> None:
        self.writer = SQLiteLogWriter(self.folder / "log", self.clock)
        self.reader = SQLiteLogReader(self.folder / "log")
        self.quarantine = Quarantine(self.folder / "quarantine.db")
        self.metrics = CollectMetrics()
        self.commits: list[Ends] = []
        self.committer = Committer(
            self.around_log(self.writer),
            self.quarantine,
            clock=self.clock,
            limits=self.limits,
            metrics=self.metrics,
            on_commit=self.commits.append,
        )
        self.app = Collector(
            keys=SourceKeys(self.sources, strict_keys=self.strict_keys),
            committer=self.committer,
            clock=self.clock,
            limits=self.limits,
            metrics=self.metrics,
            trusted_proxies=self.trusted_proxies,
            disk_ok=lambda: self.disk_ok(),
            extra_routes=self.extra_routes,
            mounted=self.mounted,
        )

    async def post(self, path: str, body: Any, *headers: tuple[str, str], key: str | None = "wk", **more: Any) -> Reply:
        """POST JSON, or bytes as they are, with the write key in a Basic header."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        auth = (basic(key),) if key is not None else ()
        reply = await call(self.app, "POST", path, [content], [*auth, *headers], **more)
        assert reply is not None
        return reply

    async def batch(self, *events: Any, **more: Any) -> Reply:
        return await self.post("/v1/batch", {"batch": list(events)}, **more)

    async def dropped_for(self, event: Any, path: str = "/v1/batch") -> str:
        """The reason code for which one event is dropped, "" where it is accepted."""
        before = len(self.drops())
        reply = await (self.batch(event) if path == "/v1/batch" else self.post(path, event))
        assert reply.status == 200 and reply.json == {"success": True}
        return self.drops()[before].code if len(self.drops()) > before else ""

    def bodies(self) -> list[bytes]:
        return [record.body for record in self.reader.read(0, 0, 10_000)]

    def events(self) -> list[Any]:
        """What the log holds, decoded; each is also readable as the stages read it."""
        for body in self.bodies():
            Event(body)
        return [json.loads(body) for body in self.bodies()]

    def drops(self) -> list[Drop]:
        """What the quarantine holds, the oldest first."""
        return self.quarantine.newest(limit=100_000)[::-1]

    async def aclose(self) -> None:
        await self.committer.close()
        self.close()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()
        self.quarantine.close()


def basic(key: str) -> tuple[str, str]:
    import base64

    return ("Authorization", "Basic " + base64.b64encode(f"{key}:".encode()).decode())


def track(**fields: Any) -> dict[str, Any]:
    return {"type": "track", "userId": "u1", "event": "Signed Up", **fields}


@dataclass
class Served:
    """A collector on a port of 127.0.0.1, on an event loop in a thread of its own."""

    rig: Rig
    server: CollectServer
    loop: asyncio.AbstractEventLoop

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@contextmanager
def served(folder: Path, **options: Any) -> Iterator[Served]:
    ready = threading.Event()
    stop: asyncio.Event
    found: list[Any] = []

    async def run() -> None:
        nonlocal stop
        stop = asyncio.Event()
        sock = socket.create_server(("127.0.0.1", 0))
        rig = Rig(folder, clock=RealClock(), **options)
        server = await serve(rig.app, sock, limits=rig.limits, metrics=rig.metrics)
        found.append(Served(rig, server, asyncio.get_running_loop()))
        ready.set()
        await stop.wait()
        await server.close(grace_seconds=5)
        await rig.aclose()

    thread = threading.Thread(target=lambda: uvloop.run(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        found[0].loop.call_soon_threadsafe(lambda: stop.set())
        thread.join(10)
        assert not thread.is_alive()


class Gate:
    """The real log, whose appends wait until they are let through; it says how many records each one had."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self.open = threading.Event()
        self.begun = threading.Event()
        self.groups: list[int] = []

    def append(self, records: Sequence[NewRecord]) -> list[int | None]:
        self.groups.append(len(records))
        self.begun.set()
        assert self.open.wait(10)
        return self._log.append(records)

    def ends(self) -> Ends:
        return self._log.ends()


class Faulty:
    """The real log, which fails while `error` is set: before anything is written."""

    def __init__(self, log: LogWriter) -> None:
        self._log = log
        self.error: Exception | None = None

    def append(self, records: Sequence[NewRecord]) -> list[int | None]:
        if self.error is not None:
            raise self.error
        return self._log.append(records)

    def ends(self) -> Ends:
        return self._log.ends()
