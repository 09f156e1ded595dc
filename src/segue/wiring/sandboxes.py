"""The sandbox process: the five receivers, for trying and testing offline.

Rule: it listens on a loopback address whatever `--host` says, and knows nothing of the rest of Segue.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from segue.sandbox.app import create_app
from segue.sandbox.server import loopback_socket, server
from segue.wiring.child import Child
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance
from segue.wiring.options import Word
from segue.wiring.patience import patiently
from segue.wiring.serving import serve_until


async def serve_sandboxes(child: Child) -> None:
    """Serve the sandboxes until told to stop."""
    instance = Instance(Path(child.options.data))
    lock = instance.hold("sandboxes")
    listener = await patiently(lambda: loopback_socket(child.options.sandbox_port or 0))
    config = server(create_app(instance.sandbox, SystemClock())).config
    up = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_until(config, listener, child.stop, up))
        await up.wait()
        child.ready(Word(url=f"http://127.0.0.1:{listener.getsockname()[1]}"))
    os.close(lock)
