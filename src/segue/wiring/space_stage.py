"""The stage that resolves one space: who each event of its sources is about.

Rule: the cursor, the profiles and their history are one commit of the space's own file; a restart goes on at the cursor
and comes to the same profiles.
"""

from __future__ import annotations

from typing import Protocol

from segue.core.clock import Clock
from segue.core.errors import OffsetExpired, Unavailable
from segue.log.tail import Tail
from segue.resolve.resolver import Resolver
from segue.state.profile_rows import ProfilesDelta
from segue.state.spaces import SpaceRow

EVENTS_A_PUMP = 100
"""So few that deliveries, which share the loop, wait for milliseconds only."""
AGAIN_MS = 1_000


class Lake(Protocol):
    """What comes behind: it goes on with what was committed, and says how far it is."""

    @property
    def position(self) -> int:
        """The offset of the first event that it may lack."""
        ...

    def resolved(self, position: int) -> None:
        """All below this offset is committed."""
        ...


class SpaceStage:
    """Reads the log for one space. A stage for `StageLoop`: see there for what each member means."""

    flying = 0

    def __init__(self, row: SpaceRow, resolver: Resolver, tail: Tail, clock: Clock, *, lake: Lake) -> None:
        self._sources = frozenset(row.sources)
        self._resolver = resolver
        self._tail = tail
        self._clock = clock
        self._lake = lake
        self._taken = resolver.position

    @property
    def position(self) -> int:
        """The offset that is read next."""
        return self._resolver.position

    @property
    def outcomes(self) -> int:
        """Events read since the last `take`."""
        return self._resolver.outcomes

    @property
    def dirty(self) -> bool:
        """Whether `take` would give anything."""
        return self._resolver.dirty

    def pump(self) -> int | None:
        """Read some events; gives now where there may be more."""
        budget = EVENTS_A_PUMP
        try:
            while budget > 0 and not self._resolver.full:
                block = self._tail.read(self._resolver.position)[:budget]
                if not block:
                    return None
                for record, event in block:
                    if record.source in self._sources:
                        self._resolver.apply(record, event)
                    else:
                        self._resolver.pass_over(record)
                budget -= len(block)
        except OffsetExpired as expired:
            self._resolver.expire(expired.start)
        except Unavailable:
            return self._clock.now_ms() + AGAIN_MS
        # At its bound the next commit wakes it.
        return None if self._resolver.full else self._clock.now_ms()

    def take(self) -> ProfilesDelta:
        """What changed since the last call."""
        delta = self._resolver.take()
        delta.in_lake = self._lake.position
        self._taken = self._resolver.position
        return delta

    def committed(self) -> None:
        """What `take` gave is durable."""
        self._resolver.committed()
        self._lake.resolved(self._taken)

    def reconfigure(self, row: SpaceRow) -> None:
        """Other sources and rules hold for every event from now on."""
        self._sources = frozenset(row.sources)
        self._resolver.use(row.identity)
