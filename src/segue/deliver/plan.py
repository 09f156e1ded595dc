"""What a delivery is handed: control's plan for its destination, and the log and retry rows as it reads them.

Rule: a plan is never changed, only replaced whole; so an attempt sees one plan from its first line to its last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from segue.core.destination import Destination
from segue.core.event import Event, Record
from segue.deliver.history import Mask
from segue.state.deliveries import ParkedRow, RedriveCount, ReplayState, RetryRow


class Records(Protocol):
    """The log as deliveries read it: decoded once for all of them. Raises Unavailable."""

    def read(self, offset: int) -> list[tuple[Record, Event]]:
        """Some records from `offset` on, none at the end. Raises OffsetExpired."""
        ...

    def get(self, offsets: list[int]) -> list[tuple[Record, Event]]:
        """These records, without those that are no longer held."""
        ...

    def ordinals_before(self, offset: int) -> dict[str, int]:
        """The last ordinal of each source before `offset`."""
        ...


def is_addressed(record: Record, destination: int) -> bool:
    """Whether the record is for this destination: it names nobody, or this one."""
    return record.destinations is None or str(destination) in record.destinations.split(",")


class RetryRows(Protocol):
    """What a delivery reads back from the state. Raises Unavailable."""

    def parked_rows(self, destination: int, *, first: int = 0, last: int | None = None) -> list[ParkedRow]: ...

    def retry_row(self, destination: int, job: int, offset: int) -> RetryRow | None: ...

    def replays(self, destination: int | None = None) -> dict[int, ReplayState]: ...

    def redrivable(self, destination: int, reasons: str, message_ids: str, *, rows: int, size: int) -> RedriveCount: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What control says of a destination at this moment; replaced whole when it changes."""

    kind: Destination
    sources: frozenset[str]
    """What it reads."""
    enabled: bool
    settings: Any
    decide: Callable[[Event], str | None]
    """The reason code by which an enabled destination does not get the event, or None."""
    mask: Mask
    since: Mapping[str, int] = field(default_factory=dict)
    """The last ordinal of a source before the destination began to read it; 0 where it is not named."""
    max_rate: float | None = None
    max_concurrency: int = 50
    stall: str = ""
    """Why nothing can be sent or filtered now, such as settings that cannot be read."""

    @property
    def batch_size(self) -> int:
        """The most events in one request."""
        return self.kind.batch_size(self.settings) if self.kind.send_batch is not None and not self.stall else 1
