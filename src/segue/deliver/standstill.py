"""For how long the retry windows of one destination have stood still. Pure.

Rule: windows stand still while the destination is disabled, and while its breaker is not closed - the latter for 72
hours in all of each event, however often the breaker opens; a moment at which both hold counts as disabled, and one
at which Segue did not run counts as the condition was when it ended.
"""

from __future__ import annotations

OPEN_MOST_MS = 72 * 3_600_000


class Standstill:
    """Two sums that only grow: `stopped_ms` while it is disabled, `open_ms` while only its breaker is not closed.

    They hold up to the last call of `count`. All times are milliseconds of the stage's clock.
    """

    def __init__(self, now_ms: int = 0) -> None:
        self.counted_to = now_ms
        self.is_open = False
        self.is_disabled = False
        self.stopped_ms = 0
        self.open_ms = 0

    def count(self, now_ms: int) -> None:
        """Bring the sums up to this instant."""
        span = max(0, now_ms - self.counted_to)
        self.counted_to = now_ms
        if self.is_disabled:
            self.stopped_ms += span
        elif self.is_open:
            self.open_ms += span

    def since(self, stopped_at: int, open_at: int) -> int:
        """For how long the window of an event has stood still that began when the sums were these."""
        return self.stopped_ms - stopped_at + min(self.open_ms - open_at, OPEN_MOST_MS)

    def set_open(self, is_open: bool, now_ms: int) -> None:
        """The breaker opened or closed."""
        self.count(now_ms)
        self.is_open = is_open

    def set_disabled(self, is_disabled: bool, now_ms: int) -> None:
        """The destination was switched off or on."""
        self.count(now_ms)
        self.is_disabled = is_disabled

    def restore(
        self, *, stopped_ms: int, open_ms: int, counted_to: int, is_open: bool, is_disabled: bool, now_ms: int
    ) -> None:
        """As it was committed."""
        self.stopped_ms, self.open_ms, self.counted_to = stopped_ms, open_ms, min(counted_to, now_ms)
        self.is_open, self.is_disabled = is_open, is_disabled
        self.count(now_ms)
