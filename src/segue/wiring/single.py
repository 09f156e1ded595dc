"""Collector and worker in one process (`--single`): less memory, one core.

Rule: both run as they do apart; only the wake-up is a call instead of a pipe.
"""

from __future__ import annotations

import asyncio

from segue.wiring.child import Child
from segue.wiring.clock import own_clock
from segue.wiring.collector import Wake, running_collector
from segue.wiring.worker import Worker
from segue.wiring.worker_process import running_worker


async def serve_single(child: Child) -> None:
    """Take events in and deliver them until told to stop."""
    clock = own_clock()
    workers: list[Worker] = []

    def grown() -> None:
        for worker in workers:
            worker.grown()

    def reload() -> None:
        for worker in workers:
            worker.reload()

    wake, emitted, loop = Wake(grown, reload), asyncio.Event(), asyncio.get_running_loop()

    def say() -> None:
        loop.call_soon_threadsafe(emitted.set)

    async with running_collector(child, clock, wake, emitted) as word, running_worker(child, clock, say) as worker:
        workers.append(worker)
        worker.reload()
        child.ready(word)
        await child.stop.wait()
