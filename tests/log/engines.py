"""The engines of the log. Adding one is adding a line to `ENGINES`: the whole suite then runs for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from segue.core.event import NewRecord
from segue.log import LogReader, LogWriter
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader

SETTLE_SECONDS = 30.0


class Engine(NamedTuple):
    """`writer(folder, clock, dedup_window_ms=, segment_records=, segment_bytes=)` and `reader(folder)` open one."""

    name: str
    writer: Callable[..., LogWriter]
    reader: Callable[..., LogReader]


ENGINES = [
    Engine("sqlite", SQLiteLogWriter, SQLiteLogReader),
]


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self.time_ms = now_ms

    def now_ms(self) -> int:
        return self.time_ms


def event(message_id: object, *, source: str = "website", body: bytes = b"{}", received_at: int = 5) -> NewRecord:
    """A record to append; what a test does not say is filled in."""
    return NewRecord(source, "track", "u:1", f"m{message_id}", received_at, body)


def events(first: int, last: int, **fields: object) -> list[NewRecord]:
    """Records m`first` up to but not including m`last`."""
    return [event(number, **fields) for number in range(first, last)]  # type: ignore[arg-type]
