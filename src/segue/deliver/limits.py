"""How much one destination may hold: in memory, in retry rows, and of what is over.

Rule: whatever a vendor or a sender does, no count or size of a destination grows beyond these, but that rows at the
bound of their bytes may each gain one short attempt.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 1_000
REPLAY_WINDOW = 500
UNCOMMITTED_MOST = 2_000
RETRY_ROWS_MOST = 100_000
RETRY_BYTES_MOST = 256_000_000
DEAD_LETTERS_MOST = 100_000
DELIVERED_BYTES_MOST = 1_000_000_000
EVENT_BYTES_MOST = 65_536
"""No event of the log is larger; used where there is hardly room left for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one destination."""

    window: int = WINDOW
    """Events taken in that are neither final nor in a retry row; or two batches, if that is more."""
    replay_window: int = REPLAY_WINDOW
    """The same of a replay, which reads no more at this number."""
    uncommitted: int = UNCOMMITTED_MOST
    """Outcomes and changes of retry rows that wait for a commit, at which nothing more begins."""
    retry_rows: int = RETRY_ROWS_MOST
    """Those of replays among them; an event is read only where it could get one."""
    retry_bytes: int = RETRY_BYTES_MOST
    """Of bodies and attempts. At the bound a row keeps only its newest attempt, and that without its request."""
    dead_letters: int = DEAD_LETTERS_MOST
    """That keep their body and attempts; those of replays give way to the others."""
    delivered_bytes: int = DELIVERED_BYTES_MOST
    """Lines of finished deliveries, on disk."""


LIMITS = Limits()
