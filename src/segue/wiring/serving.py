"""An HTTP server inside a process that has signals and a life of its own.

Rule: it installs no signal handler, and it ends when it is told to, never by itself.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from segue.core.errors import Unavailable


class Serving(uvicorn.Server):
    """uvicorn's server, for `serving(...)`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the process."""
        yield


async def serve_until(config: uvicorn.Config, listener: socket.socket, stop: asyncio.Event, up: asyncio.Event) -> None:
    """Serve on the socket; set `up` when it listens; end when `stop` is set, after the requests in flight.

    Raises Unavailable where the server ends by itself.
    """
    server = Serving(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    listening = asyncio.create_task(server.up.wait())
    await asyncio.wait({task, listening}, return_when=asyncio.FIRST_COMPLETED)
    listening.cancel()
    if not task.done():
        up.set()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        server.should_exit = True
    await task
    if not stop.is_set():
        raise Unavailable("the HTTP server ended by itself")
