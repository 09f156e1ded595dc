"""The supervisor: starts the processes of an instance, restarts one that dies, stops them in order.

Rule: it holds the instance's lock, does no work of theirs, and when it ends, however it ends, they end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from segue.core.errors import SegueError, Unavailable
from segue.settings import describe_settings, read_settings
from segue.wiring.instance import Address, Instance
from segue.wiring.options import Options, Pipes, Word
from segue.wiring.patience import patiently
from segue.wiring.ports import keep_free_port, listen

READY_MOST_S = 30.0
STOP_MOST_S = 8.0
RESTARTS_MOST = 5
RESTARTS_WITHIN_S = 60.0
WORD_BYTES_MOST = 65_536


class Refused(SegueError):  # noqa: N818
    """A child said why it cannot serve."""


class ChildProcess:
    """One child and the pipes to it."""

    def __init__(self, role: str, options: Options, *, wake: int = -1, outbox: int = -1) -> None:
        self.role = role
        self._options = options
        self._wake, self._outbox = wake, outbox
        self._life = -1
        self._restarts: deque[float] = deque()
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> Word:
        """Start it and wait until it serves. Raises Refused with its own words, Unavailable where it says none."""
        self.let_go()
        life_read, self._life = os.pipe()
        word_read, word_write = os.pipe()
        pipes = Pipes(life=life_read, word=word_write, wake=self._wake, outbox=self._outbox)
        inherited = (life_read, word_write, self._wake, self._outbox)
        # A child is born deaf to Ctrl-C, which goes to the whole group: until it ignores it, it would end with a trace.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "segue.wiring.child",
                self.role,
                msgspec.json.encode(self._options).decode(),
                msgspec.json.encode(pipes).decode(),
                pass_fds=tuple(descriptor for descriptor in inherited if descriptor >= 0),
            )
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        os.close(life_read)
        os.close(word_write)
        try:
            word = await asyncio.wait_for(_read_word(word_read), READY_MOST_S)
        except TimeoutError:
            await self.kill()
            raise Unavailable(f"the {self.role} was not ready within {READY_MOST_S:.0f} s") from None
        if word is None:
            raise Unavailable(f"the {self.role} ended before it was ready; its last lines say why")
        if word.error:
            raise Refused(word.error)
        return word

    def may_restart(self) -> bool:
        """Whether it has not died too often in the last minute."""
        now = asyncio.get_running_loop().time()
        self._restarts.append(now)
        while self._restarts[0] < now - RESTARTS_WITHIN_S:
            self._restarts.popleft()
        return len(self._restarts) <= RESTARTS_MOST

    async def stop(self) -> None:
        """TERM, and KILL where that does not end it in time."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_MOST_S)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """KILL, and wait until it is gone."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def let_go(self) -> None:
        """Close what is left of it."""
        if self._life >= 0:
            os.close(self._life)
            self._life = -1


def _in_effect(options: Options) -> dict[str, str]:
    """Every setting of this run, by name: the options win over the environment."""
    given = {
        "data": options.data,
        "host": options.host,
        "port": options.port,
        "workspace": options.workspace,
        "sandbox.port": options.sandbox_port,
    }
    settings = read_settings(os.environ, {name: str(value) for name, value in given.items() if value is not None})
    return {row.name: row.value_in(settings) for row in describe_settings()}


def _wake_pipe() -> tuple[int, int]:
    """A pipe that is neither waited at when it is empty nor when it is full: where it is read, and where written."""
    ends = os.pipe()
    for descriptor in ends:
        os.set_blocking(descriptor, False)
    return ends


async def _read_word(descriptor: int) -> Word | None:
    """The child's one line; None where it ended without one."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=WORD_BYTES_MOST)
    with os.fdopen(descriptor, "rb", 0) as pipe:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            line = await reader.readline()
        finally:
            transport.close()
    return msgspec.json.decode(line, type=Word) if line else None


class Supervisor:
    """Runs one instance in the foreground."""

    def __init__(self, options: Options, complain: Callable[[str], None]) -> None:
        self._options = options
        self._complain = complain
        self._instance = Instance(Path(options.data))
        self._stop = asyncio.Event()
        self._children: list[ChildProcess] = []

    async def run(self, announce: Callable[[Address, str], None]) -> int:
        """Serve until INT or TERM; gives the exit code. `announce` is told the addresses and a write key."""
        self._options.check()
        self._instance.check_reach()
        if not self._instance.control.exists():
            await self._try_start()
        self._instance.create()
        lock = self._instance.hold("supervisor")
        keepers = self._choose_ports()
        # Kept open here, so that they outlive whichever child ends, and what was said meanwhile is heard by the next.
        wake, outbox = _wake_pipe(), _wake_pipe()
        try:
            self._children = self._roles(wake, outbox)
            self._listen_to_signals()
            words = await self._start_all()
            if not words:
                return 0  # told to stop meanwhile
            collector = words["single" if self._options.single else "collector"]
            sandboxes = words.get("sandboxes")
            address = Address(
                pid=os.getpid(),
                url=collector.url,
                sandbox_url=sandboxes.url if sandboxes is not None else None,
                start=self._options.words(),
                settings=_in_effect(self._options),
            )
            self._instance.publish(address)
            announce(address, collector.write_key)
            return await self._watch()
        finally:
            await self._stop_all()
            for descriptor in (*wake, *outbox, lock):
                os.close(descriptor)
            for keeper in keepers:
                keeper.close()

    async def _try_start(self) -> None:
        """Meet what would end the first start before anything is made that it would leave behind.

        Raises what the children would: Held where a port is in use, Invalid for the workspace file.
        """
        options = self._options
        if options.workspace is not None:
            from segue.control.plan import make_plan
            from segue.control.secrets import Secrets
            from segue.control.workspace_file import errors_of, load_workspace
            from segue.state.control import Control

            path = Path(options.workspace)
            file = load_workspace(path, os.environ)
            with errors_of(path):
                make_plan(Control(), file, Secrets.passing())
        (await patiently(lambda: listen(options.host, options.port))).close()
        if (port := options.sandbox_port) is not None:
            (await patiently(lambda: listen("127.0.0.1", port, "--sandbox-port", "SANDBOX_PORT"))).close()

    def _choose_ports(self) -> list[socket.socket]:
        """Put a free port where one of 0 was asked for; it is kept while the sockets are open."""
        keepers = []
        if self._options.port == 0:
            keeper, port = keep_free_port(self._options.host)
            keepers.append(keeper)
            self._options = msgspec.structs.replace(self._options, port=port)
        if self._options.sandbox_port == 0:
            keeper, port = keep_free_port("127.0.0.1")
            keepers.append(keeper)
            self._options = msgspec.structs.replace(self._options, sandbox_port=port)
        return keepers

    def _roles(self, wake: tuple[int, int], outbox: tuple[int, int]) -> list[ChildProcess]:
        """In the order in which they stop: first what takes events in, last what they are sent to."""
        options = self._options
        if options.single:
            roles = [ChildProcess("single", options)]
        else:
            roles = [
                ChildProcess("collector", options, wake=wake[1], outbox=outbox[0]),
                ChildProcess("worker", options, wake=wake[0], outbox=outbox[1]),
            ]
        if options.sandbox_port is not None:
            roles.append(ChildProcess("sandboxes", options))
        return roles

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop.set)

    async def _start_all(self) -> dict[str, Word]:
        """The words of all children, by role; nothing where it is told to stop before they are ready."""
        starts = [asyncio.create_task(child.start()) for child in self._children]
        stopped = asyncio.create_task(self._stop.wait())
        try:
            waiting: set[asyncio.Task[Any]] = {*starts, stopped}
            while not stopped.done() and not all(start.done() for start in starts):
                done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for start in done - {stopped}:
                    start.result()  # a child that cannot serve ends the wait
            if stopped.done():
                return {}
            return {child.role: start.result() for child, start in zip(self._children, starts, strict=True)}
        finally:
            for task in (stopped, *starts):
                task.cancel()
            await asyncio.gather(*starts, stopped, return_exceptions=True)

    async def _watch(self) -> int:
        """Restart what dies; gives 0 when asked to stop, 1 when a child dies again and again."""
        watches = [asyncio.create_task(self._keep_alive(child)) for child in self._children]
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait({*watches, stopped}, return_when=asyncio.FIRST_COMPLETED)
        for task in (*watches, stopped):
            task.cancel()
        await asyncio.gather(*watches, stopped, return_exceptions=True)
        return 0 if self._stop.is_set() else 1

    async def _keep_alive(self, child: ChildProcess) -> None:
        """Start the child again whenever it ends; returns when it has died too often."""
        while True:
            assert child.process is not None
            await child.process.wait()
            self._complain(f"the {child.role} ended with code {child.process.returncode}; starting it again")
            if not await self._restart(child):
                self._complain(f"the {child.role} died {RESTARTS_MOST} times within a minute; giving up")
                return

    async def _restart(self, child: ChildProcess) -> bool:
        while child.may_restart():
            try:
                await child.start()
                return True
            except SegueError as error:
                self._complain(f"the {child.role} did not start: {error}")
                await asyncio.sleep(1)
        return False

    async def _stop_all(self) -> None:
        for child in self._children:
            await child.stop()
            child.let_go()
