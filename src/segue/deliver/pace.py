"""Pace: how fast requests may start, and pauses that the vendor asks for. Pure.

Rule: over any span of time no more than `rate x span + burst` requests start. Waiting for pace parks nothing and is
not a retry.
"""

from __future__ import annotations


class Pace:
    """A rate limit in requests a second (None: no limit) with a small burst, and a pause."""

    def __init__(self, rate: float | None) -> None:
        self.paused_until = 0
        self._next_at = 0.0
        self.set_rate(rate, 0)

    def set_rate(self, rate: float | None, now_ms: int) -> None:
        """Requests a second from now on. A tenth of a second's worth may start at once."""
        self._interval_ms = 1000 / rate if rate else 0.0
        # At least the millisecond by which a start in whole milliseconds may come late, so that it is not lost.
        self._burst_ms = max(1.0, 100 - self._interval_ms)
        # What a slower rate made wait is not waited for.
        self._next_at = min(self._next_at, now_ms + self._interval_ms)

    def pause(self, until_ms: int) -> None:
        """Start nothing before this instant."""
        self.paused_until = max(self.paused_until, until_ms)

    def resume(self) -> None:
        """Wait for no pause any longer: what asked for it may be gone."""
        self.paused_until = 0

    def opens_at(self, now_ms: int) -> int:
        """The instant at which the next request may start: `now_ms` or earlier where it may start now."""
        opens = int(self._next_at - self._burst_ms + 0.999) if self._interval_ms else 0
        return max(opens, self.paused_until)

    def started(self, now_ms: int) -> None:
        """One request has started."""
        if self._interval_ms:
            self._next_at = max(self._next_at, float(now_ms)) + self._interval_ms
