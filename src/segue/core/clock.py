"""Time as a parameter: what a part of Segue may ask of a clock.

Rule: no stage, engine or destination asks the system for the time; it is handed a `Clock`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A clock that never goes back while the process lives."""

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z: the wall clock at start plus the monotonic time since."""
        ...


def iso(time_ms: int) -> str:
    """The instant as Segment writes it: `2026-11-21T22:00:00.123Z`."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{millis:03d}Z"


def from_iso(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 instant; without a zone it is UTC.

    Raises ValueError where the text is no ISO 8601 instant.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
