"""The keeper: the thread that does what appends leave behind - checkpoints, sealing, indexes, merges.

Rule: an append never waits for it, except where more than a few full segments still have their ids in memory;
whatever it has not finished when the process dies is finished when the log is next opened.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from typing import NamedTuple

from segue.core.errors import OffsetExpired, SegueError
from segue.log.message_ids import MessageIds
from segue.log.message_index import Breathe, MessageIndex
from segue.log.message_indexes import MessageIndexes
from segue.log.segment import PAGE_BYTES, connect, is_busy, list_segments, named_errors, seal, segment_path
from segue.log.sqlite_reader import SQLiteLogReader

RETIRED_MAX = 4
_PAUSE_SECONDS = 0.001  # after each slice of work, so that the threads that serve requests get the GIL
_RETRY_SECONDS = 1.0
_WAL_MOST_BYTES = 16 * 2**20
_LOCK_SECONDS = 0.2
_CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"


class Retired(NamedTuple):
    """A full segment whose ids are still in memory. `connection` is the writer's old one, to be closed."""

    first: int
    end: int
    newest_ms: int
    ids: MessageIds
    connection: sqlite3.Connection | None


class _Stopped(Exception):  # noqa: N818 - no error: the keeper is told to end
    pass


class Keeper:
    """Started when made. `records` gives it the ids of a segment whose index turns out to be damaged.

    `appending` is held while an append runs.
    """

    def __init__(
        self,
        folder: Path,
        indexes: MessageIndexes,
        unsealed: Iterable[int],
        *,
        records: SQLiteLogReader,
        appending: Lock,
    ) -> None:
        self._folder = folder
        self._indexes = indexes
        self._records = records
        self._appending = appending
        self._unsealed = list(unsealed)
        self._held: set[int] = set()
        self._rounds = 0
        self._unverified = list(indexes.files)
        self._lost: list[tuple[int, int]] = []
        self._checkpoint_of: int | None = None
        self._checkpointer: tuple[int, sqlite3.Connection] | None = None
        self._changed = Condition()
        self._closing = Event()
        self._idle = False
        self._paused = False
        self.retired: tuple[Retired, ...] = ()
        self.trouble: str | None = None
        self._thread = Thread(target=self._run, name="segue-log-keeper", daemon=True)
        self._thread.start()

    def checkpoint(self, first: int) -> None:
        """Ask for a checkpoint of the active segment."""
        with self._changed:
            self._checkpoint_of = first
            self._wake()

    def retire(self, retired: Retired) -> None:
        """Hand over a full segment."""
        with self._changed:
            self.retired += (retired,)
            if retired.connection is not None:
                self._unsealed.append(retired.first)
            self._try_held_again()
            self._checkpoint_of = None
            self._wake()

    def has_room(self, timeout_seconds: float) -> bool:
        """Whether another segment may be handed over, waiting for it if need be."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.retired) < RETIRED_MAX, timeout_seconds)

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until nothing is left to do but what readers hold up; False where it is not so by then."""
        with self._changed:
            self._try_held_again()
            self._paused = False
            self._wake()
            return self._changed.wait_for(lambda: self._idle and not self._paused, timeout_seconds)

    def close(self) -> None:
        """End after sealing and indexing what is full; merges wait for the next start."""
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._thread.join()
        self._close_checkpointer()
        for retired in self.retired:
            if retired.connection is not None:
                retired.connection.close()

    def _try_held_again(self) -> None:
        self._held.clear()
        self._rounds += 1

    def _wake(self) -> None:
        self._idle = False
        self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                task = None if self._paused else self._next_task()
                if task is None:
                    if self._closing.is_set():
                        return
                    self._idle = True
                    self._changed.notify_all()
                    self._wait()
                    self._idle = False
                    continue
            try:
                task()
                self.trouble = None
            except _Stopped:
                return
            except (OSError, sqlite3.Error, SegueError) as error:
                self.trouble = f"log upkeep: {error}"
                self._paused = True
            except BaseException as error:
                self.trouble = f"log upkeep has ended: {error!r}"
                raise

    def _wait(self) -> None:
        """Until there is something new to do; after a failure, or while a reader holds a segment, a second at most."""
        if self._paused:
            self._changed.wait_for(lambda: self._closing.is_set() or not self._paused, _RETRY_SECONDS)
            self._paused = False
            self._try_held_again()
        elif not self._changed.wait(_RETRY_SECONDS if self._held else None):
            self._try_held_again()

    def _next_task(self) -> Callable[[], None] | None:
        if self._checkpoint_of is not None:
            return self._checkpoint
        if self.retired:
            return self._index_retired
        if any(first not in self._held for first in self._unsealed):
            return self._seal
        if self._closing.is_set():
            return None
        if self._lost:
            return self._index_lost
        if self._unverified:
            return self._verify
        if self._indexes.next_merge() is not None:
            return self._merge
        return None

    def _breathe(self) -> None:
        """Let the threads that serve requests run, and do what cannot wait for the end of a merge."""
        if self._closing.wait(_PAUSE_SECONDS):
            raise _Stopped
        if self._checkpoint_of is not None:
            self._checkpoint()
        if self.retired:
            self._index_retired()

    def _breathe_briefly(self) -> None:
        if not self._closing.wait(_PAUSE_SECONDS) and self._checkpoint_of is not None:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Copy the WAL's pages to the file; a commit that finds all of them copied begins the WAL anew.

        Appends are held up, for the few pages that came last, only where they leave no gap and the WAL grows long.
        """
        with self._changed:
            first, self._checkpoint_of = self._checkpoint_of, None
        if first is None:
            return
        path = segment_path(self._folder, first)
        with named_errors(path):
            if self._checkpointer is None or self._checkpointer[0] != first:
                self._close_checkpointer()
                self._checkpointer = (first, connect(path, "mode=rw", busy_seconds=0.05))
            connection = self._checkpointer[1]
            try:
                connection.execute(_CHECKPOINT).fetchone()
                # Again, for what was appended meanwhile: it is little, and mostly nothing is appended during this.
                _, frames, _ = connection.execute(_CHECKPOINT).fetchone()
                if frames * PAGE_BYTES > _WAL_MOST_BYTES and self._appending.acquire(timeout=_LOCK_SECONDS):
                    try:
                        connection.execute(_CHECKPOINT).fetchone()
                    finally:
                        self._appending.release()
            except sqlite3.OperationalError as error:
                if not is_busy(error):
                    raise

    def _close_checkpointer(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer[1].close()
            self._checkpointer = None

    def _index_retired(self) -> None:
        """Write the index of the oldest full segment, and only then forget its ids."""
        retired = self.retired[0]
        if not self._indexes.covers(retired.first, retired.end):
            self._add(retired, self._breathe_briefly)
        if self._checkpointer is not None and self._checkpointer[0] == retired.first:
            self._close_checkpointer()
        if retired.connection is not None:
            retired.connection.close()
        with self._changed:
            self.retired = self.retired[1:]
            self._changed.notify_all()

    def _seal(self) -> None:
        """Seal the oldest full segment that no reader holds open in its unsealed state."""
        first, round_begun = next(first for first in self._unsealed if first not in self._held), self._rounds
        try:
            done = seal(segment_path(self._folder, first))
        except FileNotFoundError:
            done = True  # dropped while a reader held it
        with self._changed:
            if done:
                self._unsealed.remove(first)
            elif round_begun == self._rounds:
                self._held.add(first)

    def _verify(self) -> None:
        index = self._unverified[0]
        sound = index not in self._indexes.files or index.verify(self._breathe)
        self._unverified.remove(index)
        if not sound:
            firsts = list_segments(self._folder)
            self._lost += [span for span in pairwise(firsts) if index.start < span[1] <= index.end]
            self._indexes.remove(index)

    def _index_lost(self) -> None:
        """Make a segment's part of a damaged index again."""
        first, end = self._lost[0]
        if self._indexes.covers(first, end):
            del self._lost[0]
            return
        try:
            ids = self._records.message_ids(first, end, self._breathe)
            newest_ms = self._records.stamps([end - 1])[0][2]
        except OffsetExpired:
            del self._lost[0]
            return
        self._add(Retired(first, end, newest_ms, ids, None), self._breathe)
        del self._lost[0]

    def _add(self, retired: Retired, breathe: Breathe) -> None:
        self._indexes.add(
            start=retired.first,
            end=retired.end,
            newest_ms=retired.newest_ms,
            entries=retired.ids.entries(),
            count=len(retired.ids),
            breathe=breathe,
        )

    def _merge(self) -> None:
        pair: tuple[MessageIndex, MessageIndex] | None = self._indexes.next_merge()
        if pair is not None:
            self._indexes.merge(*pair, self._breathe)
