"""Every bound of the collector, as one frozen value that wiring hands in.

Rule: whatever a stranger sends, memory, disk and time spent on it are bounded by a number that stands here.
"""

from __future__ import annotations

from msgspec import Struct

DEPTH_MOST = 200
"""How deep an event may be nested; the event's own braces are level 1. PROPOSED: Segment states no limit."""

MESSAGE_ID_MOST = 100
"""Characters in a messageId. Source: Segment, Spec: Common Fields."""


class CollectLimits(Struct, frozen=True, kw_only=True):
    """Sizes in bytes, times in seconds, counts as they say."""

    event_bytes: int = 32 * 1024
    """One event, in a request of its own or inside a batch. Source: Segment, HTTP API, "Max request size"."""

    batch_bytes: int = 500 * 1024
    """The whole batch after inflating. Source: Segment, HTTP API, "Batch"."""

    body_bytes: int = 1024 * 1024
    """Where reading or inflating a body stops: 413, and the connection is closed."""

    merged_bytes: int = 8 * 1024 * 1024
    """What a batch-level `context` and `integrations` may add to all its events together."""

    header_bytes: int = 64 * 1024
    """Request line and headers together; the pixel carries its event in the request line."""

    header_seconds: float = 10.0
    """From the first byte of a request, or from connecting, to the end of its headers."""

    body_seconds: float = 10.0
    """From the end of the headers to the end of the body."""

    keep_alive_seconds: float = 30.0
    """How long a connection may stay open with no request."""

    connections: int = 1000
    """Open connections. The next 100 are answered 503 with `Retry-After` and closed; any beyond these is closed without
    an answer."""

    body_bytes_in_flight: int = 64 * 1024 * 1024
    """Bodies being received, of all connections together."""

    waiting_requests: int = 2000
    """Requests whose events wait for a commit."""

    waiting_bytes: int = 64 * 1024 * 1024
    """Events that wait for a commit."""

    requests_per_second: float = 1000.0
    """For each write key, with a burst of one second's worth; unknown keys share one such bound.
    Source: Segment's documented rate."""

    rejections_told: int = 2500
    """How many rejected events the answer of a strict source lists; the rest is counted."""
