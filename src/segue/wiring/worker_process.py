"""The worker process: opens what the worker needs, and hears of new events by a pipe.

Rule: it holds the role `worker`; a pipe only wakes who reads it: what there is to do stands in the log, in control or
in an outbox.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path

from segue.control.secrets import Secrets
from segue.core.clock import Clock
from segue.deliver.addresses import AddressPolicy, address_policy
from segue.deliver.http import HttpClient
from segue.log.sqlite_reader import SQLiteLogReader
from segue.settings import Settings, read_settings
from segue.state.control import ControlStore
from segue.state.deliveries import DeliveryReader, DeliveryWriter
from segue.wiring.child import Child
from segue.wiring.clock import own_clock
from segue.wiring.following import Following
from segue.wiring.instance import Instance
from segue.wiring.options import Options, Word
from segue.wiring.own_sandboxes import OwnSandboxes
from segue.wiring.worker import Worker

EVENTS, CONTROL, MESSAGES = b"e", b"c", b"m"
"""What is said by the pipes: two words to the worker, and its own to the collector."""
PIPE_BYTES = 65_536
NAME_SERVER_S = 1.0
"""How long an end waits for a name server that does not answer: libcurl would, until the system gives it up."""


def policy_of(options: Options, settings: Settings) -> AddressPolicy:
    """Where this instance may send to: the world, its own sandboxes, and what the operator names."""
    sandboxes = (
        [] if options.sandbox_port is None else [("127.0.0.1", options.sandbox_port), ("::1", options.sandbox_port)]
    )
    return address_policy(
        allow_internal=settings.allow_internal, sandboxes=sandboxes, collectors=[(options.host, options.port)]
    )


def say(pipe: int, word: bytes) -> None:
    """Wake who listens at the other end; a full pipe says as much."""
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(pipe, word)


@contextmanager
def ended_within(seconds: float, exit_code: int) -> Iterator[None]:
    """Do what may hang although nothing depends on it any more: after so long the process ends in its midst."""
    watchdog = threading.Timer(seconds, os._exit, (exit_code,))
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


@asynccontextmanager
async def running_worker(child: Child, clock: Clock, emitted: Callable[[], None]) -> AsyncIterator[Worker]:
    """A worker on this loop, until the end of the block. `emitted` is called where spaces may have new messages."""
    instance, settings = Instance(Path(child.options.data)), read_settings(os.environ)
    lock = instance.hold("worker")
    control = ControlStore(instance.control, clock)
    writer = DeliveryWriter(instance.state)
    rows = DeliveryReader(instance.state)
    reader = SQLiteLogReader(instance.log)
    reader.ends()  # a log that cannot be read, or is of another version, ends the start and not each delivery
    policy, address = policy_of(child.options, settings), instance.last_address()
    network = HttpClient(policy, broken=child.fail)
    worker = Worker(
        instance=instance,
        control=control,
        secrets=Secrets.open(instance.folder, settings.secret_key or ""),
        reader=reader,
        writer=writer,
        rows=rows,
        network=network,
        clock=clock,
        log=child.log,
        sandboxes=OwnSandboxes(address.known_sandboxes if address is not None else (), policy),
        lake_flush_ms=settings.lake.flush_ms,
        lake_keep_ms=settings.lake.keep_ms,
        emitted=emitted,
    )
    try:
        worker.start()
        yield worker
    finally:
        await worker.close(child.grace_s)
        for store in (rows, writer, reader, control):
            store.close()
        os.close(lock)
        with ended_within(NAME_SERVER_S, child.exit_code):
            network.close()


async def serve_worker(child: Child) -> None:
    """Deliver until told to stop."""
    async with running_worker(child, own_clock(), partial(say, child.pipes.outbox, MESSAGES)) as worker:
        loop = asyncio.get_running_loop()
        following = Following(worker.reload, child.log)

        def woken() -> None:
            with suppress(BlockingIOError):
                said = os.read(child.pipes.wake, PIPE_BYTES)
                # A pipe that was full had no room for a word about control.
                if CONTROL in said or len(said) == PIPE_BYTES:
                    following.now()
                else:
                    worker.grown()

        loop.add_reader(child.pipes.wake, woken)
        child.ready(Word())
        await child.stop.wait()
        loop.remove_reader(child.pipes.wake)
        following.close()
