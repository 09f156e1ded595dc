"""The network as attempts see it: the first request of a flow goes at once, further ones wait for their turn.

A flow may make several requests for one event: look up, then write; or one to each of several URLs. Sender chose the
moment of the first. Each further one takes its own place in the destination's pace, and none goes out while commits
fail. What waits here is no retry, its time-out does not run yet, and it goes before any flow that has not begun.

Rule: every request goes out exactly once, in the order in which they came here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from segue.core.clock import Clock
from segue.core.destination import Request, Response
from segue.deliver.attempt import Network
from segue.deliver.pace import Pace


class Gate:
    """See the module. `wake` asks for `go_on` to be called soon; `halted` says whether commits fail."""

    def __init__(
        self,
        network: Network,
        *,
        paces: tuple[Pace, ...],
        clock: Clock,
        halted: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self.begins = False  # set before each flow begins: its first request has been chosen to go now
        self.waiting: deque[tuple[Request, Callable[[Response], None]]] = deque()
        self._network = network
        self._paces = paces
        self._clock = clock
        self._halted = halted
        self._wake = wake

    def start(self, request: Request, done: Callable[[Response], None]) -> None:
        """Send the request now, or when it may go; `done` is called with the answer."""
        if self.begins:
            self.begins = False
            self._network.start(request, done)
            return
        self.waiting.append((request, done))
        if len(self.waiting) > 1 or self._halted() or self.go_on(self._clock.now_ms()) is not None:
            self._wake()

    def go_on(self, now: int) -> int | None:
        """Send what may go now; the instant at which more may, None where nothing waits."""
        waiting = self.waiting
        while waiting:
            opens = max(pace.opens_at(now) for pace in self._paces)
            if opens > now:
                return opens
            for pace in self._paces:
                pace.started(now)
            request, done = waiting.popleft()
            self._network.start(request, done)
        return None
