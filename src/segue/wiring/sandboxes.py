"""The sandbox process: the five receivers, for trying and testing offline.

Rule: it listens on a loopback address whatever `--host` says, and knows nothing of the rest of Segue.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from segue.sandbox.app import create_app
from segue.sandbox.server import loopback_socket, server
from segue.wiring.child import Child
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance
from segue.wiring.options import Word
from segue.wiring.patience import patiently
from segue.wiring.serving import serve_until


async def running_sandboxes(instance: Instance, port: int, stop: asyncio.Event, ready: Callable[[str], None]) -> None:
    """Serve the sandboxes until told to stop; `ready` is told their address. Raises Held."""
    lock = instance.hold("sandboxes")
    try:
        listener = await patiently(lambda: loopback_socket(port))
        config = server(create_app(instance.sandbox, SystemClock())).config
        up = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(serve_until(config, listener, stop, up))
            await up.wait()
            ready(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        os.close(lock)


async def serve_sandboxes(child: Child) -> None:
    """The sandboxes as a child of the supervisor."""
    instance = Instance(Path(child.options.data))
    await running_sandboxes(
        instance, child.options.sandbox_port or 0, child.stop, lambda url: child.ready(Word(url=url))
    )
