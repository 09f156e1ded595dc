"""The entry of a child process: `python -m segue.wiring.child ROLE OPTIONS PIPES`.

Rule: a child ends by itself when its supervisor ends, by TERM within 5 seconds and with exit code 0, and it never
outlives its supervisor.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec
import uvloop
from structlog.typing import FilteringBoundLogger

from segue.core.errors import SegueError
from segue.settings import read_settings
from segue.wiring.log_lines import configure_logging
from segue.wiring.options import Options, Pipes, Word

GRACE_S = 5.0
ORPHAN_GRACE_S = 1.0
"""Where the supervisor was killed: whoever starts the instance again waits 5 s for our role and our port."""

Role = Callable[["Child"], Awaitable[None]]


class Child:
    """What every child has: options, a logger, a way to say that it is ready, and the wish that it stop."""

    def __init__(self, options: Options, pipes: Pipes, log: FilteringBoundLogger) -> None:
        self.options = options
        self.pipes = pipes
        self.log = log
        self.stop = asyncio.Event()
        self.grace_s = GRACE_S
        """How long what is on its way may take once it is to stop."""
        self.exit_code = 0
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_reader(pipes.life, self._life_ended)

    def ready(self, word: Word) -> None:
        """Say to the supervisor that the role is served."""
        say(self.pipes, word)
        # What was made at start lives as long as the process: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)

    def fail(self, error: Exception) -> None:
        """End, so that the supervisor starts another: what is broken here does not mend itself."""
        self.log.error("cannot go on, and ends", error=f"{type(error).__name__}: {error}")
        self.exit_code = 1
        self.grace_s = ORPHAN_GRACE_S
        self.stop.set()

    def _life_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self.pipes.life)
        self.grace_s = ORPHAN_GRACE_S
        self.stop.set()


def role_of(name: str) -> Role:
    """The role's coroutine; each imports only what it runs."""
    if name == "collector":
        from segue.wiring.collector import serve_collector

        return serve_collector
    if name == "worker":
        from segue.wiring.worker_process import serve_worker

        return serve_worker
    if name == "single":
        from segue.wiring.single import serve_single

        return serve_single
    from segue.wiring.sandboxes import serve_sandboxes

    return serve_sandboxes


async def run(name: str, options: Options, pipes: Pipes) -> int:
    """Serve the role until it is to stop; gives the exit code."""
    settings = read_settings(os.environ)
    log = configure_logging(name, level=settings.logging.level, form=settings.logging.format)
    child = Child(options, pipes, log)
    try:
        await role_of(name)(child)
    except SegueError as error:
        say(pipes, Word(error=str(error)))
        return 1
    return child.exit_code


def say(pipes: Pipes, word: Word) -> None:
    """The child's one word to its supervisor, who no longer listens where another child has ended the start."""
    with suppress(BrokenPipeError):
        os.write(pipes.word, msgspec.json.encode(word) + b"\n")


def main() -> None:
    """Run the role named by the arguments."""
    # The supervisor gets it too, and stops its children in order; it was blocked until now.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.umask(0o077)
    name, options, pipes = sys.argv[1:4]
    decoded = msgspec.json.decode(options, type=Options), msgspec.json.decode(pipes, type=Pipes)
    sys.exit(uvloop.run(run(name, *decoded)))


if __name__ == "__main__":
    main()
