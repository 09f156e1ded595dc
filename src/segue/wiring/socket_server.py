"""The unix socket in the data folder: a word from the command line to the running server.

One line of JSON in, one out: `{"do": "reload"}` reads control again; `{"do": "test", "destination": SLUG}` makes one
call to a destination; `{"do": "follow"}` is answered with a line each time the log or the quarantine has grown, for
`segue tail`.

Rule: the socket lies in a folder of mode 0700, so whoever can speak to it could read the data as well.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from segue.control.poke import SOCKET

LINE_BYTES_MOST = 4_096
FOLLOWERS_MOST = 20
TESTS_MOST = 5

Test = Callable[[str], Awaitable[dict[str, Any]]]


class SocketServer:
    """Serves the socket of one instance on the running loop."""

    def __init__(self, folder: Path, reload: Callable[[], None], test: Test) -> None:
        self._folder = folder
        self._reload = reload
        self._test = test
        self._tests = 0
        self._followers: set[asyncio.Event] = set()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen. A socket left by a process that was killed is replaced: the role's lock says that it is dead."""
        (self._folder / SOCKET).unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            # By way of the open folder: a socket's address holds 107 bytes, a folder's path may be longer.
            listener.bind(f"/proc/self/fd/{directory}/{SOCKET}")
        finally:
            os.close(directory)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=LINE_BYTES_MOST)

    async def close(self) -> None:
        """Listen no longer, let go of who listens to us."""
        if self._server is not None:
            self._server.close()
            for connection in self._connections:
                connection.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()
            (self._folder / SOCKET).unlink(missing_ok=True)

    def grown(self) -> None:
        """The log or the quarantine has new rows."""
        for follower in self._followers:
            follower.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            with suppress(OSError, asyncio.LimitOverrunError, ValueError, asyncio.CancelledError):
                await self._answer(await reader.readline(), reader, writer)
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked: Any = msgspec.json.decode(line)
        except msgspec.DecodeError:
            asked = None
        match asked:
            case {"do": "reload"}:
                self._reload()
                await _say(writer, {"ok": True})
            case {"do": "test", "destination": str(slug)} if self._tests < TESTS_MOST:
                self._tests += 1
                try:
                    await _say(writer, await self._test(slug))
                finally:
                    self._tests -= 1
            case {"do": "test", "destination": str()}:
                await _say(writer, {"error": f"{TESTS_MOST} other tests are under way"})
            case {"do": "follow"} if len(self._followers) < FOLLOWERS_MOST:
                await self._follow(reader, writer)
            case {"do": "follow"}:
                await _say(writer, {"error": f"{FOLLOWERS_MOST} others follow already"})
            case _:
                await _say(
                    writer, {"error": 'say {"do": "reload"}, {"do": "test", "destination": SLUG} or {"do": "follow"}'}
                )

    async def _follow(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        grown = asyncio.Event()
        self._followers.add(grown)
        gone = asyncio.create_task(reader.read(1))
        try:
            while not gone.done():
                await _say(writer, {"grown": True})
                waiting = asyncio.create_task(grown.wait())
                await asyncio.wait({waiting, gone}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                grown.clear()
        finally:
            gone.cancel()
            self._followers.discard(grown)


async def _say(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    writer.write(msgspec.json.encode(what) + b"\n")
    await writer.drain()
