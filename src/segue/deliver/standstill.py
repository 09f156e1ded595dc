"""For how long the retry windows of one destination have stood still. Pure.

Rule: windows stand still while the destination is disabled, and while its breaker is not closed - the latter for 72
hours of one opening at most; a moment at which both hold counts once, and one at which Segue did not run counts as
the condition was when it ended.
"""

from __future__ import annotations

OPEN_MOST_MS = 72 * 3_600_000


class Standstill:
    """`total_ms` grows while windows stand still. All times are milliseconds of the stage's clock."""

    def __init__(self, now_ms: int = 0) -> None:
        self.counted_to = now_ms
        self.is_open = False
        self.is_disabled = False
        self.open_ms = 0  # of the present opening, as far as it counts
        self._total = 0

    def total_ms(self, now_ms: int) -> int:
        """For how long windows have stood still in all, up to this instant."""
        span = max(0, now_ms - self.counted_to)
        self.counted_to = now_ms
        if self.is_disabled:
            self._total += span
        elif self.is_open:
            span = min(span, OPEN_MOST_MS - self.open_ms)
            self.open_ms += span
            self._total += span
        return self._total

    def set_open(self, is_open: bool, now_ms: int) -> None:
        """The breaker opened or closed."""
        self.total_ms(now_ms)
        if is_open and not self.is_open:
            self.open_ms = 0
        self.is_open = is_open

    def set_disabled(self, is_disabled: bool, now_ms: int) -> None:
        """The destination was switched off or on."""
        self.total_ms(now_ms)
        self.is_disabled = is_disabled

    def restore(
        self, *, total_ms: int, open_ms: int, counted_to: int, is_open: bool, is_disabled: bool, now_ms: int
    ) -> None:
        """As it was committed."""
        self._total, self.open_ms, self.counted_to = total_ms, open_ms, min(counted_to, now_ms)
        self.is_open, self.is_disabled = is_open, is_disabled
        self.total_ms(now_ms)
