"""Following control: what is to be done when it has changed, done until it has succeeded.

Rule: a change of control is never lost by a failure to read it; the failure is said once and the reading repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

AGAIN_S = 1.0


class Following:
    """Calls `reload` on the running loop, again after a second where it fails."""

    def __init__(self, reload: Callable[[], None], lines: FilteringBoundLogger) -> None:
        self._reload = reload
        self._lines = lines
        self._trouble = ""
        self._again: asyncio.TimerHandle | None = None

    def now(self) -> None:
        """Control has changed, or may have."""
        self.close()
        try:
            self._reload()
        except Exception as error:  # the edge of a callback: to go on as before would be to miss the change
            trouble = f"{type(error).__name__}: {error}"
            if trouble != self._trouble:
                self._lines.error("control not followed; tried again every second", error=trouble)
            self._trouble = trouble
            self._again = asyncio.get_running_loop().call_later(AGAIN_S, self.now)
        else:
            self._trouble = ""

    def close(self) -> None:
        """Try no more."""
        if self._again is not None:
            self._again.cancel()
            self._again = None
