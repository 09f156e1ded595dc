"""Resolve and compute of one space, alone: `python -m bench.computing SPEC`, which answers a line with a line.

`round N` appends so many events to the log, and then resolves and computes them; the answer is CPU and wall time from
the first that was read to the commit of the last.

Rule: the stage, its loop and its commits are those of the worker; the lake, which comes behind, and the log's writer
are not part of what is measured.
"""

from __future__ import annotations

import asyncio
import cProfile
import gc
import sys
import time
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import structlog
import uvloop
from msgspec import Struct

from bench.definitions import rows
from bench.events import SOURCE
from bench.seeds import COMPUTED, copy_profiles
from bench.traffic import SHARES, Traffic
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.tail import Tail
from segue.resolve.resolver import Resolver
from segue.stage import StageLoop
from segue.state.computed import ComputedReader
from segue.state.profiles import ProfileReader, ProfileWriter
from segue.state.spaces import SpaceRow
from segue.wiring.clock import SystemClock
from segue.wiring.space_past import SpacePast
from segue.wiring.space_stage import SpaceStage

APPEND = 5_000
DAYS = 30
EVENTS_OF_EACH = 12
"""How many events of the last `DAYS` days each computed visitor has before the first round."""
EVERY_MS = 5.0
"""How far apart events are received: 200 a second."""
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class ComputingSpec(Struct, frozen=True, kw_only=True):
    """One space: how many profiles it has, and how many audiences beside those of the traffic."""

    folder: str
    profiles: int
    further: int = 0


class NoLake:
    """It has everything at once."""

    position = 1 << 60

    def resolved(self, position: int) -> None:
        """What it is told of it knows."""

    def want(self, position: int) -> None:
        """What it is to have it has."""


class Computing:
    """One space at work."""

    def __init__(self, spec: ComputingSpec, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._running: tuple[SpaceStage, StageLoop, asyncio.Event]
        folder, clock = Path(spec.folder), SystemClock()
        self._log = stack.enter_context(closing(SQLiteLogWriter(folder / "log", clock)))
        self._tail = Tail(stack.enter_context(closing(SQLiteLogReader(folder / "log"))), told=True)
        self._path, self._clock, self._spec = folder / "profiles.db", clock, spec
        self._begun_ms = clock.now_ms() - 3 * HOUR_MS
        self._traffic = Traffic(spec.profiles)
        self._received_at = self._begun_ms

    async def prepare(self) -> None:
        """Compute some profiles, and make the others of them."""
        names = list(SHARES)
        start = self._begun_ms - DAYS * DAY_MS
        step = DAYS * DAY_MS // (EVENTS_OF_EACH * COMPUTED)
        records = []
        for turn in range(EVENTS_OF_EACH * COMPUTED):
            name = names[turn * 7919 // COMPUTED % len(names)]
            records.append(self._traffic.record(turn % COMPUTED, name, start + turn * step))
        self._log.append(records)
        with ExitStack() as stack:
            self._running = self._open(stack)
            await self._run()
            await self._running[1].close()
        copy_profiles(self._path, self._spec.profiles)
        self._running = self._open(self._stack)
        self._stack.push_async_callback(self._running[1].close)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)  # as the worker does

    async def round(self, events: int) -> dict[str, Any]:
        """Compute so many events."""
        for _ in range(0, events, APPEND):
            count = min(events, APPEND)
            self._log.append(list(self._traffic.records(count, self._received_at, EVERY_MS)))
            self._received_at += int(count * EVERY_MS)
        return await self._run()

    async def _run(self) -> dict[str, Any]:
        """Go on to the end of the log."""
        stage, loop, committed = self._running
        end = self._log.ends().offset
        self._tail.grown()
        gc.collect()
        cpu, loop_cpu, begun = time.process_time(), time.thread_time(), time.perf_counter()
        loop.wake_all()
        while stage.position < end or stage.dirty:
            await committed.wait()
            committed.clear()
        return {
            "cpu_seconds": time.process_time() - cpu,
            "loop_cpu_seconds": time.thread_time() - loop_cpu,
            "seconds": time.perf_counter() - begun,
        }

    def _open(self, stack: ExitStack | AsyncExitStack) -> tuple[SpaceStage, StageLoop, asyncio.Event]:
        row = SpaceRow(slug="bench", name="bench", sources=(SOURCE,), id=1)
        writer = stack.enter_context(closing(ProfileWriter(self._path)))
        reader = stack.enter_context(closing(ProfileReader(self._path)))
        computed = stack.enter_context(closing(ComputedReader(self._path)))
        resolver = Resolver(space=row.id, rules=row.identity, rows=reader)
        past = SpacePast(self._path.parent / "lake", structlog.get_logger(), lambda: None)
        stage = SpaceStage(
            row,
            resolver,
            self._tail,
            self._clock,
            computed=computed,
            past=past,
            passed=lambda _destination, _source: None,
            appended=lambda _source: 0,
        )
        stage.before(NoLake())
        stage.use(rows(self._begun_ms, self._spec.further), {})
        committed, event_loop = asyncio.Event(), asyncio.get_running_loop()

        def commit(deltas: Any) -> None:
            writer.commit(deltas)
            event_loop.call_soon_threadsafe(committed.set)

        loop = StageLoop(clock=self._clock, commit=commit, failed=_failed)
        loop.add(stage)
        return stage, loop, committed


def _failed(error: Exception) -> None:
    raise error


async def serve(spec: ComputingSpec) -> None:
    """Answer until stdin ends."""
    async with AsyncExitStack() as stack:
        computing = Computing(spec, stack)
        await computing.prepare()
        _say({"port": 0})
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            match line.split():
                case [b"round", count]:
                    _say(await computing.round(int(count)))
                case [b"profile", count, path]:
                    profile = cProfile.Profile()
                    profile.enable()
                    _say(await computing.round(int(count)))
                    profile.disable()
                    profile.dump_stats(path.decode())


def _say(what: object) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(what) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    uvloop.run(serve(msgspec.json.decode(sys.argv[1], type=ComputingSpec)))
