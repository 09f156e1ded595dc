"""The load generator: a process of its own that posts events on keep-alive connections and counts the answers.

`python -m bench.load SPEC` runs one load and prints what it measured as one line of JSON. Without a rate each
connection posts as soon as its answer is there; with one, requests are spread evenly over time.

Rule: an answer other than 200 is an error that the line reports; it must use so little of its core that it is never
what is measured, so it reports its own CPU time as well.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import suppress
from typing import Any

import msgspec
import uvloop
from msgspec import Struct

from bench.events import EVENT, Template, batch_body, request
from bench.machine import PINNED, SERVER_CORE, busy_seconds, cpu_seconds

TICK_SECONDS = 0.001
DRAIN_SECONDS = 10.0


class LoadSpec(Struct, frozen=True, kw_only=True):
    """One load. `per_second` are requests; None is as many as are answered."""

    port: int
    server: int
    path: str
    events: int
    event: str = EVENT.decode()
    seconds: float
    warm_up_seconds: float = 1.0
    connections: int = 64
    per_second: float | None = None


class LoadResult(Struct, frozen=True, kw_only=True):
    """What was measured in `seconds` after the warm-up; `sent_in_all` counts the warm-up too."""

    requests: int
    seconds: float
    server_cpu_seconds: float
    load_cpu_seconds: float
    others_seconds: float
    """What processes other than the server took of its core meanwhile."""
    sent_in_all: int
    errors: int
    held_up: int
    """Requests that had to wait for a free connection."""


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._template = Template(load.request)
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def post(self) -> None:
        """Send a new request."""
        self._load.sent += 1
        self._transport.write(self._template.fresh(time.monotonic_ns()))

    def data_received(self, data: bytes) -> None:
        if data == self._load.good_answer:
            self._load.answered(self)
            return
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        if len(body) < length:
            return
        if head.startswith(b"HTTP/1.1 200"):
            self._load.good_answer = self._received
        else:
            self._load.errors += 1
        self._received = b""
        self._load.answered(self)

    def connection_lost(self, _error: Exception | None) -> None:
        if not self._load.over:
            self._load.errors += 1


class Load:
    """A run of the load."""

    def __init__(self, spec: LoadSpec) -> None:
        self.request = request(
            spec.path, batch_body(spec.events) if spec.events > 1 else spec.event.encode(), spec.port
        )
        self.good_answer = b""
        self.sent = self.done = self.errors = self.held_up = 0
        self.over = False
        self._spec = spec
        self._free: list[Connection] = []
        self._drained = asyncio.Event()

    async def run(self) -> LoadResult:
        """Warm up, then measure."""
        spec, loop = self._spec, asyncio.get_running_loop()
        for _ in range(spec.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", spec.port)
            self._free.append(connection)
        pacing = loop.create_task(self._pace()) if spec.per_second else None
        if pacing is None:
            free, self._free = self._free, []
            for connection in free:
                connection.post()
        await asyncio.sleep(spec.warm_up_seconds)
        done, begun, load_cpu, server_cpu = self.done, time.monotonic(), time.process_time(), cpu_seconds(spec.server)
        busy = busy_seconds(SERVER_CORE)
        await asyncio.sleep(spec.seconds)
        server_cpu = cpu_seconds(spec.server) - server_cpu
        busy = busy_seconds(SERVER_CORE) - busy
        result = LoadResult(
            requests=self.done - done,
            seconds=time.monotonic() - begun,
            server_cpu_seconds=server_cpu,
            load_cpu_seconds=time.process_time() - load_cpu,
            others_seconds=max(0.0, busy - server_cpu) if PINNED else 0.0,
            sent_in_all=0,
            errors=0,
            held_up=0,
        )
        self.over = True
        if pacing is not None:
            pacing.cancel()
        if self.done == self.sent:
            self._drained.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._drained.wait(), DRAIN_SECONDS)
        return msgspec.structs.replace(
            result, sent_in_all=self.sent, errors=self.errors + self.sent - self.done, held_up=self.held_up
        )

    def answered(self, connection: Connection) -> None:
        """One more answer has come."""
        self.done += 1
        if self.over and self.done == self.sent:
            self._drained.set()
        if self._spec.per_second is None and not self.over:
            connection.post()
        else:
            self._free.append(connection)

    async def _pace(self) -> None:
        begun, rate, due = time.monotonic(), self._spec.per_second or 0.0, 0
        while True:
            await asyncio.sleep(TICK_SECONDS)
            due = int((time.monotonic() - begun) * rate) + 1
            while self.sent < due and self._free:
                # Last in, first out would leave most connections idle.
                self._free.pop(0).post()
            self.held_up += max(0, due - self.sent)


async def run(spec: LoadSpec) -> LoadResult:
    """Run one load."""
    return await Load(spec).run()


if __name__ == "__main__":
    found = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=LoadSpec)))
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
