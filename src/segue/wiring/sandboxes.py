"""The sandbox process: the five receivers, for trying and testing offline.

Rule: it listens on a loopback address whatever `--host` says, and knows nothing of the rest of Segue.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

from segue.core.errors import Held
from segue.sandbox.app import create_app
from segue.sandbox.server import loopback_socket, server
from segue.wiring.child import Child
from segue.wiring.clock import own_clock
from segue.wiring.instance import Instance
from segue.wiring.options import Word
from segue.wiring.patience import patiently
from segue.wiring.ports import refusal
from segue.wiring.serving import serve_until

LOOPBACK = "127.0.0.1"


async def running_sandboxes(
    instance: Instance, port: int, stop: asyncio.Event, ready: Callable[[str], None], *, option: str
) -> None:
    """Serve the sandboxes until told to stop; `ready` is told their address. Raises Held, Invalid.

    `option` is the one by which the user gives the port.
    """
    lock = instance.hold("sandboxes")
    try:
        listener = await patiently(lambda: _listener(port, option))
        config = server(create_app(instance.sandbox, own_clock())).config
        up = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_until(config, listener, stop, up))
            await up.wait()
            ready(f"http://{LOOPBACK}:{listener.getsockname()[1]}")
    finally:
        os.close(lock)


def _listener(port: int, option: str) -> socket.socket:
    try:
        return loopback_socket(port)
    except Held as held:
        assert isinstance(held.__cause__, OSError)
        variable = "SANDBOX_PORT" if option == "--sandbox-port" else ""  # of `segue sandbox`, make knows nothing
        raise refusal(held.__cause__, LOOPBACK, port, option, variable) from None


async def serve_sandboxes(child: Child) -> None:
    """The sandboxes as a child of the supervisor."""
    instance = Instance(Path(child.options.data))
    port = child.options.sandbox_port or 0
    await running_sandboxes(instance, port, child.stop, lambda url: child.ready(Word(url=url)), option="--sandbox-port")
