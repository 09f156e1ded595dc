"""The durable event log: what collect appends to and every stage reads from.

Rule: what `append` has returned is on disk, has its place in one total order, and is never changed again;
a `messageId` stands in it once for each source within the deduplication window.

A record has an offset (from 0, without gaps), an ordinal within its source (from 1, without gaps) and
`appended_at`, which never goes back. One process writes; any number of others read at the same time.
An engine is a pair of classes that fit the Protocols below; the suite in `tests/log` says what they must do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from segue.core.event import NewRecord, Record


class Ends(NamedTuple):
    """The end of the log in one consistent read.

    `offset` is the next one to be written; `sources` gives for each source its last ordinal (how many of its
    events were accepted, ever) and how many duplicates of it were dropped.
    """

    offset: int
    sources: dict[str, tuple[int, int]]


class Dropped(NamedTuple):
    """The records from offset `start` up to but not including `end` are gone."""

    start: int
    end: int


class LogWriter(Protocol):
    """The one writer of a log. Its methods may be called from any thread, one at a time takes effect."""

    def append(self, records: Sequence[NewRecord]) -> list[int | None]:
        """Offsets in the order given, on disk when this returns; None for a duplicate, which is only counted.

        All of them or none: on `Unavailable` nothing was written and no messageId is remembered; the next call
        may succeed. Raises Unavailable (disk full, I/O error), Damaged.
        """
        ...

    def ends(self) -> Ends:
        """The end as of the last append, without touching the disk."""
        ...

    def retain(self, *, passed: int, keep_ms: int, now_ms: int) -> Dropped | None:
        """Drop what is older than `keep_ms` milliseconds at `now_ms` and lies below offset `passed`, in whole pieces.

        `passed` is the lowest offset that any reader has still to read. Raises Unavailable.
        """
        ...

    def drop_passed(self, passed: int) -> Dropped | None:
        """Drop the oldest piece, whatever its age, where it lies wholly below `passed`: the disk is short.

        Ids of dropped records are forgotten with them. Call again while it is not enough. Raises Unavailable.
        """
        ...

    def drop_oldest(self) -> Dropped | None:
        """Drop the oldest piece, read or not (`log.drop_unread`); None where only the newest is left."""
        ...

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until the work that appends leave behind is done, as far as readers allow; False if not by then."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why that work last failed, until it succeeds; for `status` and a log line."""
        ...

    def close(self) -> None:
        """End the work behind, give up the writer's place. Nothing that was acknowledged depends on it."""
        ...


class LogReader(Protocol):
    """One reader; may live in another process than the writer. Methods may be called from any thread."""

    def start(self, partition: int) -> int:
        """The first offset that is still held."""
        ...

    def end(self, partition: int) -> int:
        """The offset that the next record will get."""
        ...

    def ends(self) -> Ends:
        """End, accepted and duplicates of every source, in one consistent read."""
        ...

    def read(self, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on, fewer only at the end of the log.

        Raises OffsetExpired below the start, Damaged, Unavailable.
        """
        ...

    def get(self, offsets: Iterable[int]) -> list[Record]:
        """The records at these offsets, in the order asked; those that the log does not hold are left out."""
        ...

    def seek(self, partition: int, time_ms: int) -> int:
        """The first offset whose record was appended at `time_ms` or after; the end where there is none."""
        ...

    def ordinals_before(self, offset: int) -> dict[str, int]:
        """The last ordinal of each source before `offset`: how many of its events were accepted up to there.

        Raises OffsetExpired below the start.
        """
        ...

    def find(self, message_id: str, sources: Iterable[str]) -> list[Record]:
        """Every record held of these sources with this messageId, oldest first."""
        ...

    def backup_to(self, folder: Path) -> Ends:
        """A consistent copy of the log as of some moment of this call, in an empty or new folder.

        The writer may append meanwhile. Answers with the end of the copy. Raises Invalid, Unavailable, Damaged.
        """
        ...

    def close(self) -> None:
        """Let go of every file."""
        ...


__all__ = ["Dropped", "Ends", "LogReader", "LogWriter"]
