"""The clock of a running process.

Rule: it never goes back while the process lives: the wall clock at start, moved on by the monotonic one.
"""

from __future__ import annotations

import time


class SystemClock:
    """Milliseconds since 1970, as `core.clock.Clock` asks."""

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000
