"""When a failed attempt is repeated, and when it is given up. Pure.

Rule: the delay before attempt n+1 is random in [0.5, 1] x min(1 s x 2^n, 5 min); an event is given up when its window
of 4 hours, counted from its first attempt (or from when it was parked behind another) and standing still as
`standstill` says, has passed - but never without having been attempted.
Source: Segment retries for four hours with a randomised exponential backoff.
"""

from __future__ import annotations

WINDOW_MS = 4 * 3_600_000
DELAY_FIRST_MS = 1_000
DELAY_MOST_MS = 300_000


def delay_ms(attempts: int, luck: float) -> int:
    """How long to wait after `attempts` failed ones. `luck` is a random number in [0, 1)."""
    longest = min(DELAY_FIRST_MS << min(attempts, 20), DELAY_MOST_MS)
    return round(longest * (0.5 + luck / 2))


def window_ends_at(*, started_at: int, stopped_since_ms: int) -> int:
    """The instant at which the window closes, if it does not stand still again. Milliseconds since 1970."""
    return started_at + WINDOW_MS + stopped_since_ms


def clamp_due(due_at: int, now_ms: int) -> int:
    """A due time read back from disk: never later than the longest delay from now, whatever the clock did."""
    return min(due_at, now_ms + DELAY_MOST_MS)
