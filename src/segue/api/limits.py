"""Every bound of the Profile API, as one frozen value.

Rule: whatever a holder of a token asks for, the time and memory spent on it are bounded by a number that stands here.
"""

from __future__ import annotations

from msgspec import Struct


class ApiLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds, counts as they say."""

    requests_per_second: float = 100.0
    """Requests a second for each space, with a burst of as many. Source: Segment, Profile API, "Rate limit"."""

    waiting_requests: int = 64
    """Requests being read or waiting for it, of all spaces together; a further one is answered 503. PROPOSED."""

    read_seconds: float = 5.0
    """From the request to the end of its reading; one that takes longer is answered 503. PROPOSED."""
