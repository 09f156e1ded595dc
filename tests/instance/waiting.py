"""Waiting for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

DEADLINE_S = 60.0


def until(look: Callable[[], Found], what: str, seconds: float = DEADLINE_S) -> Found:
    """The first thing that `look` finds that is true. Fails, saying what was waited for and what was seen last."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > give_up_at:
            raise AssertionError(f"{what}: not so within {seconds:.0f} s, but {found!r}")
        time.sleep(0.02)
