"""The embedded engine: a log in a folder of SQLite segments, with one writer. One partition: one total order.

Rule: memory says what the newest segment's last commit says. After any failure it is read again from there
before anything is written, so that a failed append leaves nothing behind and the next one needs no restart.

Durability is SQLite's: WAL, `synchronous=FULL`, one transaction for a batch. A batch goes into its table by a few
statements of many rows rather than one for each row: each statement gives up and retakes the GIL, and a writer
beside a busy event loop waits for it every time (measured: 15 times the latency with a statement for each row).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from threading import Lock

from segue.core.clock import Clock
from segue.core.errors import Unavailable
from segue.core.event import NewRecord
from segue.log import Dropped, Ends
from segue.log.keeper import Keeper, Retired
from segue.log.message_ids import MessageIds, message_keys
from segue.log.message_index import SPAN_MAX
from segue.log.message_indexes import MessageIndexes
from segue.log.segment import (
    PAGE_BYTES,
    SET_HEAD,
    clear_leftovers,
    create_segment,
    is_sealed,
    list_segments,
    named_errors,
    open_to_write,
    read_heads,
    remove_with_sidecars,
    seal,
    segment_path,
    sync,
)
from segue.log.sqlite_reader import SQLiteLogReader
from segue.log.writer_lock import WriterLock

DAY_MS = 86_400_000
SEGMENT_RECORDS = 262_144
SEGMENT_BYTES = 256 * 2**20
SEGMENTS_A_KEEP = 7
CHECKPOINT_BYTES = 4 * 2**20  # measured at 20,000 events a second: p99 of a commit a third of what 16 MB makes it
_ROOM_SECONDS = 5.0
_ROW_BYTES = 200  # about what a record takes beside its body
_INSERT = "INSERT INTO record (offset, received_at, appended_at, source, ordinal, type, user_key, message_id, body"
_COLUMNS = 9
_STORED = "SELECT offset, appended_at, length(body), source, message_id FROM record WHERE offset >= ? ORDER BY offset"
_NO_HEAD = (0, 0)

_Inserts = list[tuple[int, str]]


def _inserts(insert: str, columns: int) -> _Inserts:
    """How many values a statement takes, and the statement, from the one that inserts the most records on."""
    row = "(" + ",".join("?" * columns) + ")"
    return [(rows * columns, " ".join([insert, ",".join([row] * rows)])) for rows in (128, 64, 32, 16, 8, 4, 2, 1)]


# The sqlite3 module asks around for an adapter of each value that is None or bytes, which takes longer than binding it:
# an append of 320 events takes 0.93 of the time with no destinations where none are given, and with a copy of the body.
_INSERTS = _inserts(_INSERT + ") VALUES", _COLUMNS)
_INSERTS_WITH_DESTINATIONS = _inserts(_INSERT + ", destinations) VALUES", _COLUMNS + 1)


class SQLiteLogWriter:
    """The writer of the log in `folder`, which is made where it is missing.

    `dedup_window_ms` is in the log's own time, milliseconds; a messageId that comes again exactly that long after is
    no duplicate. A segment is full at `segment_records` records or `segment_bytes` bytes of bodies.
    Raises Held, Damaged, Unavailable.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        *,
        dedup_window_ms: int = DAY_MS,
        segment_records: int = SEGMENT_RECORDS,
        segment_bytes: int = SEGMENT_BYTES,
        checkpoint_bytes: int = CHECKPOINT_BYTES,
    ) -> None:
        assert 0 < segment_records <= SPAN_MAX
        self._folder = folder
        self._clock = clock
        self._window_ms = dedup_window_ms
        self._segment_records = segment_records
        self._segment_bytes = segment_bytes
        self._checkpoint_bytes = checkpoint_bytes
        self._lock = Lock()
        self._dropping = Lock()
        self._rolling = self._stale = self._closed = False
        self._uncheckpointed = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._place = WriterLock(folder)
            try:
                self._open()
            except BaseException:
                self._place.release()
                raise
        except OSError as error:
            raise Unavailable(f"the event log in {folder} cannot be opened: {error}") from error

    def append(self, records: Sequence[NewRecord]) -> list[int | None]:
        """Offsets, on disk when this returns; None for a duplicate. Raises Unavailable (nothing written), Damaged."""
        if not records:
            return []
        keys = message_keys([(record[0], record[3]) for record in records])
        with self._lock:
            if self._closed:
                raise Unavailable("the event log is closed")
            try:
                with named_errors(segment_path(self._folder, self._first)):
                    return self._append(records, keys)
            except OSError as error:
                self._abandon()
                raise Unavailable(f"the event log in {self._folder} cannot be written: {error}") from error
            except BaseException:
                self._abandon()
                raise

    def ends(self) -> Ends:
        """The end as of the last append, without touching the disk."""
        return self._ends

    def retain(self, *, passed: int, keep_ms: int, now_ms: int) -> Dropped | None:
        """Drop the segments below `passed` whose last record is `keep_ms` old or older. Raises Unavailable.

        The newest segment is ended when its first record is a seventh of that old, so that in a quiet log, too,
        nothing stays much longer than `keep_ms`.
        """
        self._end_when_old(keep_ms // SEGMENTS_A_KEEP, now_ms)

        def may_go(end: int) -> bool:
            return end <= passed and self._newest_ms(end) <= now_ms - keep_ms

        return self._drop(may_go, most=len(list_segments(self._folder)))

    def drop_passed(self, passed: int) -> Dropped | None:
        """Drop the oldest segment where it lies below `passed`, and its ids with it. Raises Unavailable."""
        return self._drop(lambda end: end <= passed, most=1)

    def drop_oldest(self) -> Dropped | None:
        """Drop the oldest segment, read or not; None where only the newest is left. Raises Unavailable."""
        return self._drop(lambda _: True, most=1)

    def settle(self, timeout_seconds: float) -> bool:
        """Wait until every full segment is indexed and, where no reader holds it, sealed; False if not so by then."""
        return self._keeper.settle(timeout_seconds)

    @property
    def trouble(self) -> str | None:
        """Why sealing, indexing or a checkpoint last failed, until it succeeds."""
        return self._keeper.trouble

    def close(self) -> None:
        """Seal and index what is full, give up the writer's place."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._close_files()
        self._place.release()

    def _close_files(self) -> None:
        self._keeper.close()
        self._reader.close()
        self._connection.close()

    def _open(self) -> None:
        clear_leftovers(self._folder)
        if not list_segments(self._folder):
            create_segment(self._folder, 0, {})
        firsts = list_segments(self._folder)
        self._reader = SQLiteLogReader(self._folder)
        self._indexes = MessageIndexes(self._folder)
        unsealed = [first for first in firsts[:-1] if not self._is_sealed_now(first)]
        self._first = self._offset = firsts[-1]
        self._ids = MessageIds()
        self._bytes = 0
        self._last_ms = self._newest_ms(self._first)
        self._connection = open_to_write(segment_path(self._folder, self._first))
        try:
            with named_errors(segment_path(self._folder, self._first)):
                self._catch_up()
        except BaseException:
            self._reader.close()
            self._connection.close()
            raise
        # Asked before the keeper starts: what it finds damaged later, it makes again itself.
        missing = [span for span in pairwise(firsts) if not self._indexes.covers(*span)]
        self._keeper = Keeper(self._folder, self._indexes, unsealed, records=self._reader, appending=self._lock)
        try:
            self._index_missing(missing)
        except BaseException:
            self._close_files()
            raise

    def _is_sealed_now(self, first: int) -> bool:
        path = segment_path(self._folder, first)
        return is_sealed(path) or seal(path)

    def _index_missing(self, missing: list[tuple[int, int]]) -> None:
        """Have the ids of these full segments in memory or in an index, before anything is appended."""
        for first, end in missing:
            self._make_room()
            ids = self._reader.message_ids(first, end)
            self._keeper.retire(Retired(first, end, self._newest_ms(end), ids, None))

    def _newest_ms(self, end: int) -> int:
        """When the last record before `end` was appended; 0 where it is not held."""
        stamps = self._reader.stamps([end - 1]) if end > 0 else []
        return stamps[0][2] if stamps else 0

    def _catch_up(self) -> None:
        """Learn what the newest segment holds from our end on: at the start all, after a failure mostly nothing."""
        stored = self._connection.execute(_STORED, (self._offset,))
        while rows := stored.fetchmany(4096):
            self._ids.add(message_keys([(row[3], row[4]) for row in rows]), self._offset)
            self._bytes += sum(row[2] for row in rows)
            self._offset, self._last_ms = rows[-1][0] + 1, rows[-1][1]
        self._heads = read_heads(self._connection)
        self._ends = Ends(self._offset, self._heads)
        self._stale = False

    def _abandon(self) -> None:
        """After a failure: undo what is open, and trust memory no more."""
        self._stale = True
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._connection.close()  # `_recover` opens it again

    def _recover(self) -> None:
        try:
            self._connection.execute("SELECT 1")
        except sqlite3.ProgrammingError:
            self._connection = open_to_write(segment_path(self._folder, self._first))
        self._catch_up()

    def _append(self, records: Sequence[NewRecord], keys: list[int]) -> list[int | None]:
        if self._stale:
            self._recover()
        size = sum([len(record[5]) for record in records])
        count = self._offset - self._first
        if self._rolling or (
            count and (count + len(records) > self._segment_records or self._bytes + size > self._segment_bytes)
        ):
            self._roll()
        now_ms = max(self._clock.now_ms(), self._last_ms)
        begin = self._offset
        duplicates = self._duplicates(records, keys, now_ms)
        if not duplicates:
            self._write(records, keys, {}, now_ms)
            return list(range(begin, self._offset))
        repeated: dict[str, int] = {}
        for place in duplicates:
            source = records[place].source
            repeated[source] = repeated.get(source, 0) + 1
        kept = [place for place in range(len(records)) if place not in duplicates]
        self._write([records[place] for place in kept], [keys[place] for place in kept], repeated, now_ms)
        offsets = dict(zip(kept, range(begin, self._offset), strict=True))
        return [offsets.get(place) for place in range(len(records))]

    def _end_when_old(self, age_ms: int, now_ms: int) -> None:
        with self._lock:
            if age_ms <= 0 or self._closed or self._stale or self._offset == self._first:
                return
            with named_errors(segment_path(self._folder, self._first)):
                oldest = self._reader.get([self._first])
                if oldest and oldest[0].appended_at <= now_ms - age_ms:
                    self._roll()

    def _roll(self) -> None:
        """Go on in a new segment; once begun it is finished before the next write, or two would hold one offset."""
        self._make_room()
        self._rolling = True
        path = segment_path(self._folder, self._offset)
        if not path.exists():
            create_segment(self._folder, self._offset, self._heads)
        self._reader.refresh()  # it lets go of the full segment, so that it can be sealed
        connection = open_to_write(path)
        retired = Retired(self._first, self._offset, self._last_ms, self._ids, self._connection)
        self._first, self._connection = self._offset, connection
        self._ids, self._bytes, self._uncheckpointed, self._rolling = MessageIds(), 0, 0, False
        self._keeper.retire(retired)

    def _make_room(self) -> None:
        if not self._keeper.has_room(_ROOM_SECONDS):
            raise Unavailable(f"full log segments cannot be indexed: {self._keeper.trouble or 'the disk is too slow'}")

    def _duplicates(self, records: Sequence[NewRecord], keys: list[int], now_ms: int) -> set[int]:
        """Which records are duplicates: of one in the log within the window, or of one before it in the batch."""
        candidates = self._ids.candidates(keys)
        # First the retired, then the indexes: what leaves the first has entered the second before.
        for retired in self._keeper.retired:
            candidates += retired.ids.candidates(keys)
        candidates += self._indexes.candidates(keys, since_ms=now_ms - self._window_ms)
        if not candidates and len(set(keys)) == len(keys):
            return set()
        stamps = self._reader.stamps(offset for _, offset in candidates)
        known = {name for _, name, appended_at in stamps if now_ms - appended_at < self._window_ms}
        duplicates = set()
        for place, record in enumerate(records):
            name = (record.source, record.message_id)
            if name in known:
                duplicates.add(place)
            known.add(name)
        return duplicates

    def _write(self, records: Sequence[NewRecord], keys: list[int], repeated: dict[str, int], now_ms: int) -> None:
        """One transaction: the records, and the heads of the sources that they and the duplicates touch."""
        begin = offset = self._offset
        heads = self._heads
        ordinals: dict[str, int] = {}
        limited = any(record[6] is not None for record in records)
        values: list[object] = []
        size = 0
        for source, kind, user_key, message_id, received_at, body, destinations in records:
            ordinal = ordinals.get(source) or heads.get(source, _NO_HEAD)[0]
            ordinals[source] = ordinal = ordinal + 1
            values += (offset, received_at, now_ms, source, ordinal, kind, user_key, message_id, bytearray(body))
            if limited:
                values.append(destinations)
            size += len(body)
            offset += 1
        touched = {}
        for source in ordinals.keys() | repeated.keys():
            ordinal, duplicates = heads.get(source, _NO_HEAD)
            touched[source] = (ordinals.get(source, ordinal), duplicates + repeated.get(source, 0))
        self._commit(_INSERTS_WITH_DESTINATIONS if limited else _INSERTS, values, touched)
        self._ids.add(keys, begin)
        self._bytes += size
        self._last_ms = now_ms
        self._heads = {**heads, **touched}
        self._offset = offset
        self._ends = Ends(offset, self._heads)
        self._count_wal(size + _ROW_BYTES * len(records))

    def _commit(self, inserts: _Inserts, values: list[object], touched: dict[str, tuple[int, int]]) -> None:
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        at = 0
        for count, insert in inserts:
            while len(values) - at >= count:
                execute(insert, values[at : at + count])
                at += count
        for source, (ordinal, duplicates) in touched.items():
            execute(SET_HEAD, (source, ordinal, duplicates))
        execute("COMMIT")

    def _count_wal(self, written: int) -> None:
        """Ask for a checkpoint once enough was written; every commit also writes about three pages again."""
        self._uncheckpointed += written + 3 * PAGE_BYTES
        if self._uncheckpointed >= self._checkpoint_bytes:
            self._uncheckpointed = 0
            self._keeper.checkpoint(self._first)

    def _drop(self, may_go: Callable[[int], bool], *, most: int) -> Dropped | None:
        """Drop up to `most` segments from the oldest on; `may_go` is asked with the offset that one ends at.

        One that an idle reader holds unsealed may go: the reader keeps what it has open until its next call.
        """
        with self._dropping:
            unindexed = {retired.first for retired in self._keeper.retired}
            firsts = list_segments(self._folder)
            dropped = None
            try:
                for first, end in list(pairwise(firsts))[:most]:
                    if first in unindexed or not may_go(end):
                        break
                    remove_with_sidecars(segment_path(self._folder, first))
                    dropped = Dropped(firsts[0], end)
                if dropped is not None:
                    self._indexes.drop_below(dropped.end)
                    self._reader.refresh()  # a file that is still open frees no space
                    sync(self._folder)
            except OSError as error:
                raise Unavailable(f"old log segments in {self._folder} cannot be removed: {error}") from error
            return dropped
