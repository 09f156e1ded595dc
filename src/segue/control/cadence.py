"""How often a destination is told of changes: `realtime`, or every so many minutes or hours.

Rule: what is printed reads back as the same.

Source: Segment syncs audiences in real time or every few hours; the bounds are PROPOSED.
"""

from __future__ import annotations

import re

from segue.core.errors import Invalid

REALTIME = "realtime"
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
EVERY_MIN_MS, EVERY_MAX_MS = MINUTE_MS, 24 * HOUR_MS

CADENCE_PATTERN = "^(realtime|[1-9][0-9]{0,3} (minutes?|hours?))$"

_EVERY = re.compile(r"([1-9][0-9]{0,3}) (minute|hour)s?", re.ASCII)


def every_ms(text: str, field: str) -> int:
    """Milliseconds from one sending to the next, 0 where it is `realtime`. Raises Invalid."""
    if text == REALTIME:
        return 0
    found = _EVERY.fullmatch(text)
    if not found:
        raise Invalid('must be "realtime", or a time such as "15 minutes" or "6 hours"', field=field)
    every = int(found[1]) * (MINUTE_MS if found[2] == "minute" else HOUR_MS)
    if not EVERY_MIN_MS <= every <= EVERY_MAX_MS:
        raise Invalid("must be from 1 minute to 24 hours", field=field)
    return every


def every_text(every: int) -> str:
    """The cadence as one would write it."""
    if every == 0:
        return REALTIME
    count, unit = (every // HOUR_MS, "hour") if every % HOUR_MS == 0 else (every // MINUTE_MS, "minute")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
