"""The clock of a running process, which `SEGUE_CLOCK` may have moved.

Rule: it never goes back while the process lives: the wall clock at start, moved on by the monotonic one. Every process
of an instance has the same one, and so has a command that looks at it.
"""

from __future__ import annotations

import os
import time

from segue.control.units import offset_ms
from segue.core.clock import Clock
from segue.log import LogReader
from segue.settings import read_settings
from segue.wiring.instance import Instance

BEHIND_TOLD_MS = 60_000
"""A clock that has been put right by less than this is nothing to speak of."""


class SystemClock:
    """Milliseconds since 1970, as `core.clock.Clock` asks."""

    def __init__(self, moved_ms: int = 0) -> None:
        """`moved_ms` is by how much it goes before the time of the machine."""
        self.moved_ms = moved_ms
        self._offset_ns = time.time_ns() - time.monotonic_ns() + moved_ms * 1_000_000

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000


def clock_of(instance: Instance) -> SystemClock:
    """The clock of the instance: of the running server or, where none runs, as the environment moves it."""
    running = instance.settings_in_effect()
    if running is None:
        return own_clock()
    text = running.get("clock", "")
    return SystemClock(offset_ms(text, "clock") if text else 0)


def own_clock() -> SystemClock:
    """The clock as the environment of this process moves it. Raises Invalid for settings that cannot be read."""
    return SystemClock(read_settings(os.environ).clock_offset_ms)


def moved_ms(clock: Clock) -> int:
    """By how much the clock goes before the time of the machine."""
    return clock.moved_ms if isinstance(clock, SystemClock) else 0


def behind_ms(log: LogReader, now_ms: int) -> int:
    """By how much the clock is behind the newest event of the log; 0 where it is not, or by too little to be told.

    It is where an offset was taken away again, or the clock of the machine was put back.
    """
    end = log.end(0)
    newest = log.get([end - 1]) if end else []
    behind = newest[0].appended_at - now_ms if newest else 0
    return behind if behind >= BEHIND_TOLD_MS else 0
