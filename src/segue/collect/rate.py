"""How often a write key may send: one bucket of tokens each, filled at a steady rate.

Rule: a bucket is never made for a key that no source has, and their number is bounded besides; all strangers share one.
"""

from __future__ import annotations

import math

_BUCKETS_MOST = 10_000


class RateLimit:
    """`per_second` requests for each key, and a burst of as many; 0 or less means no limit."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._burst = max(per_second, 1.0)
        self._buckets: dict[str, tuple[float, int]] = {}

    def wait_seconds(self, key: str, now_ms: int) -> int:
        """Take one token: 0 where there was one, otherwise the whole seconds after which there is."""
        if self._per_second <= 0:
            return 0
        tokens, at = self._buckets.get(key, (self._burst, now_ms))
        tokens = min(self._burst, tokens + max(0, now_ms - at) * self._per_second / 1000)
        if key not in self._buckets and len(self._buckets) >= _BUCKETS_MOST:
            # Keys come and go; what is forgotten here begins again with a full bucket.
            self._buckets.clear()
        if tokens < 1:
            self._buckets[key] = (tokens, now_ms)
            return math.ceil((1 - tokens) / self._per_second)
        self._buckets[key] = (tokens - 1, now_ms)
        return 0
