"""The sink: a vendor that takes every request, as cheaply as Python can; a process of its own.

`python -m bench.sink` prints its port, then answers one line for each line it reads: `until N` when N requests have
come in all, `messages N` when N messages have, in however many requests, `latencies` with the milliseconds from POST to
arrival of those that came since it was last asked, `times` with the first and the last arrival since then, in seconds.

Rule: it reads each request to its end and answers it alone; what it keeps of one is at most one number.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import time
from array import array
from typing import Any

import msgspec
import uvloop

from bench.events import SENT_BEFORE, USER_BEFORE

_BODY = b'{"success": true}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_SENT_DIGITS = 20


class Sink:
    """What has come."""

    def __init__(self) -> None:
        self.count = 0
        self.latencies = array("d")
        self.awaited: tuple[int, asyncio.Event] | None = None
        self.messages = 0
        self.awaited_messages: tuple[int, asyncio.Event] | None = None
        self.first = self.last = 0.0

    def came(self, request: bytes) -> None:
        """One more request is whole."""
        self.count += 1
        self.messages += request.count(b'"messageId":')
        self.last = time.monotonic()
        self.first = self.first or self.last
        if self.awaited_messages is not None and self.messages >= self.awaited_messages[0]:
            self.awaited_messages[1].set()
        before = SENT_BEFORE
        at = request.find(before)
        if at < 0:
            before = USER_BEFORE
            at = request.find(before)
        if at >= 0:
            begin = at + len(before)
            with contextlib.suppress(ValueError):
                sent = int(request[begin : begin + _SENT_DIGITS])
                self.latencies.append((time.monotonic_ns() - sent) / 1e6)
        if self.awaited is not None and self.count >= self.awaited[0]:
            self.awaited[1].set()

    async def until(self, count: int) -> None:
        """Wait for so many in all."""
        reached = asyncio.Event()
        self.awaited = (count, reached)
        if self.count < count:
            await reached.wait()
        self.awaited = None

    async def until_messages(self, count: int) -> None:
        """Wait for so many messages in all."""
        reached = asyncio.Event()
        self.awaited_messages = (count, reached)
        if self.messages < count:
            await reached.wait()
        self.awaited_messages = None


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._received = b""
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        received = self._received + data if self._received else data
        while received:
            head = received.find(b"\r\n\r\n")
            length = _LENGTH.search(received, 0, head + 2) if head >= 0 else None
            end = head + 4 + int(length[1]) if length is not None else -1
            if end < 0 or len(received) < end:
                break
            self._sink.came(received[:end])
            self._transport.write(ANSWER)
            received = received[end:]
        self._received = received


async def serve() -> None:
    """Take requests until stdin ends."""
    loop, sink = asyncio.get_running_loop(), Sink()
    server = await loop.create_server(lambda: Connection(sink), "127.0.0.1", 0, backlog=2048)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    _say({"port": server.sockets[0].getsockname()[1]})
    while line := await reader.readline():
        match line.split():
            case [b"until", count]:
                await sink.until(int(count))
                _say({"count": sink.count})
            case [b"messages", count]:
                await sink.until_messages(int(count))
                _say({"messages": sink.messages})
            case [b"times"]:
                _say({"first": sink.first, "last": sink.last})
                sink.first = sink.last = 0.0
            case [b"latencies"]:
                found, sink.latencies = sink.latencies, array("d")
                _say({"count": sink.count, "latencies": found.tolist()})
    server.close()


def _say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(serve())
