"""A vendor for the tests of delivery: a real server on a free port that records requests and answers as told."""

import asyncio
import os
import ssl
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from segue.deliver.addresses import AddressPolicy, address_policy
from segue.deliver.http import HttpClient

LOOPBACK = address_policy(allow_internal="127.0.0.0/8 ::1")


NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


FINE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Inbound(NamedTuple):
    """One request as a server read it."""

    head: str
    body: bytes
    connection: int

    def header(self, name: str) -> str | None:
        for line in self.head.split("\r\n")[1:]:
            found, _, value = line.partition(":")
            if found.lower() == name.lower():
                return value.strip()
        return None


Answer = Callable[[asyncio.StreamWriter, Inbound], Awaitable[None]]


class Server:
    """A server on a free port that records each request and answers as `answer` does."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self.requests: list[Inbound] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.connections += 1
        number = self.connections
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                inbound = Inbound(head, b"", number)
                length = int(inbound.header("content-length") or 0)
                inbound = inbound._replace(body=await reader.readexactly(length))
                self.requests.append(inbound)
                await self._answer(writer, inbound)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self.tasks.discard(task)


@asynccontextmanager
async def serving(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async def write(writer: asyncio.StreamWriter, _inbound: Inbound) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    server = Server(write if isinstance(answer, bytes) else answer, tls)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def making(
    policy: AddressPolicy = LOOPBACK, *, timeout_ms: int = 5000, max_connections: int = 512, ca_file: str | None = None
) -> AsyncIterator[HttpClient]:
    client = HttpClient(policy, timeout_ms=timeout_ms, max_connections=max_connections, ca_file=ca_file)
    try:
        yield client
    finally:
        client.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in libcurl or the kernel
            await asyncio.sleep(0.001)


def open_sockets(client: HttpClient) -> list[int]:
    """The client's idle connections that, as far as it has noticed, its peers have not closed."""
    return [number for number in client._sockets.idle() if stat.S_ISSOCK(os.fstat(number).st_mode)]
