"""Waiting for a port that another process is about to give up, as at a quick restart.

Rule: the wait is bounded; the error that ends it is the last one met, so it names who holds the port.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from segue.core.errors import Held

WAIT_FOR_PORT_S = 5.0
AGAIN_S = 0.1

Got = TypeVar("Got")


async def patiently(take: Callable[[], Got]) -> Got:
    """Call `take` until it gives something, for 5 seconds at most. Raises the last Held."""
    loop = asyncio.get_running_loop()
    give_up_at = loop.time() + WAIT_FOR_PORT_S
    while True:
        try:
            return take()
        except Held:
            if loop.time() >= give_up_at:
                raise
            await asyncio.sleep(AGAIN_S)
