"""Instants as people write them: ISO 8601, or how far from now.

Rule: a text means one instant or is refused; nothing is guessed.
"""

from __future__ import annotations

from segue.control.units import duration_ms
from segue.core.clock import from_iso
from segue.core.errors import Invalid

LAST_MS = 253_370_764_800_000
"""The year 9999: later instants cannot be written."""


def instant_of(text: str, now_ms: int, field: str) -> int:
    """Ms since 1970 of `2026-03-10T12:00:00Z` (UTC where there is no zone), `+31d` or `-2h`. Raises Invalid."""
    try:
        found = now_ms + _offset_ms(text, field) if text[:1] in ("+", "-") else from_iso(text)
    except (ValueError, OverflowError, Invalid):
        raise Invalid(
            f"{text!r} is neither an instant like 2026-11-21T22:00:00Z nor a time from now like +31d or -2h",
            field=field,
        ) from None
    if not 0 <= found < LAST_MS:
        raise Invalid("must be from 1970 to 9998", field=field)
    return found


def _offset_ms(text: str, field: str) -> int:
    length = duration_ms(text[1:], field)
    return -length if text[0] == "-" else length
