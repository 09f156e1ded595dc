"""The windows of a definition: which lengths of time they may have.

Rule: every window that passes has an end, and its near end is nearer than its far one.

Source: Segment's "Computed traits" for 30 minutes of a session; 3,650 days is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Iterator

from segue.compute.tree import UNIT_MS, Between, Session, Span, Within

SPAN_MS_LEAST = UNIT_MS["hour"]
SPAN_MS_MOST = 3_650 * UNIT_MS["day"]
SESSION_MS_LEAST = 1_800 * UNIT_MS["second"]

Found = Iterator[tuple[str, str]]
"""(path, what is wrong there)."""


def check_span(span: Span, path: str) -> Found:
    """What is wrong with a length of hours or days."""
    if span.unit == "second":
        yield path, "write this length in hours or days; seconds are for .expires_after(…)"
    elif not SPAN_MS_LEAST <= span.ms <= SPAN_MS_MOST:
        yield path, "a length of time is 1 hour to 3650 days"


def check_window(window: Within | Between, path: str) -> Found:
    """What is wrong with `.within(…)` or `.between(…, …)`; the near end may be now."""
    yield from check_span(window.to, f"{path}.to")
    if isinstance(window, Within):
        return
    if window.from_.n != 0 or window.from_.unit == "second":
        yield from check_span(window.from_, f"{path}.from")
    if window.from_.ms >= window.to.ms:
        yield path, "the first length of .between(…) is the shorter one: .between(7 days, 30 days)"


def check_session(window: Session, path: str) -> Found:
    """What is wrong with `.expires_after(…)`."""
    if not SESSION_MS_LEAST <= window.to.ms <= SPAN_MS_MOST:
        yield f"{path}.to", "a session expires after 30 minutes (1800 seconds) to 3650 days"
