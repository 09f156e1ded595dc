"""What delivery is measured against: a client that posts bodies to the sink and does nothing else.

`python -m bench.bare_client SPEC` prints one line of JSON. Keep-alive connections, uvloop, one asyncio.Protocol; no
log, no order, no retry, no time-out, no checks, no memory of what was sent.

Rule: it posts what delivery posts, with the same headers, to the same sink, so many at a time.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from msgspec import Struct


class BareSpec(Struct, frozen=True, kw_only=True):
    """What to post: the lines of a file, in turn, `count` in all."""

    port: int
    bodies: str
    count: int
    connections: int = 50


class BareResult(Struct, frozen=True, kw_only=True):
    """CPU time of the posting alone."""

    cpu_seconds: float
    seconds: float


class Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._received = b""
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        head = received.find(b"\r\n\r\n")
        at = received.find(b"Content-Length: ", 0, head)
        if head < 0 or at < 0:
            self._received = received
            return
        end = head + 4 + int(received[at + 16 : received.index(b"\r\n", at)])
        if len(received) < end:
            self._received = received
            return
        self._received = b""
        if not received.startswith(b"HTTP/1.1 200"):
            raise AssertionError(received)
        self._client.next(self)


class Client:
    """A run of the client."""

    def __init__(self, spec: BareSpec) -> None:
        self._spec = spec
        self._bodies = Path(spec.bodies).read_bytes().splitlines()
        self._head = (
            f"POST /events HTTP/1.1\r\nHost: 127.0.0.1:{spec.port}\r\nContent-Type: application/json\r\n"
            "User-Agent: Segment.io/1.0\r\nContent-Length: "
        ).encode()
        self._begun = self._answered = 0
        self._done = asyncio.Event()

    async def run(self) -> BareResult:
        """Post all of it."""
        loop, spec = asyncio.get_running_loop(), self._spec
        connections = []
        for _ in range(spec.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), "127.0.0.1", spec.port)
            connections.append(connection)
        cpu, begun = time.process_time(), time.monotonic()
        for connection in connections:
            self._post(connection)
        await self._done.wait()
        return BareResult(cpu_seconds=time.process_time() - cpu, seconds=time.monotonic() - begun)

    def next(self, connection: Connection) -> None:
        """An answer has come."""
        self._answered += 1
        if self._begun < self._spec.count:
            self._post(connection)
        elif self._answered == self._spec.count:
            self._done.set()

    def _post(self, connection: Connection) -> None:
        body = self._bodies[self._begun % len(self._bodies)]
        self._begun += 1
        connection.transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))


async def run(spec: BareSpec) -> BareResult:
    """Run the client once."""
    return await Client(spec).run()


if __name__ == "__main__":
    found = uvloop.run(run(msgspec.json.decode(sys.argv[1], type=BareSpec)))
    sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
