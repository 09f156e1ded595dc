"""Reading a log of SQLite segments, in the writer's process or any other.

Rule: a transaction is one read call long, and no connection to a full segment that is not sealed yet outlives a call,
so that no reader keeps the writer from checkpointing or sealing. Offsets have no gaps: one that is found is damage.
"""

from __future__ import annotations

import sqlite3
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from segue.core.errors import Damaged, OffsetExpired, Unavailable
from segue.core.event import Record
from segue.log import Ends
from segue.log.backup import copy_log
from segue.log.message_ids import MessageIds, message_keys
from segue.log.message_index import Breathe, MessageIndex, index_path, list_indexes
from segue.log.segment import list_segments, named_errors, open_to_read, segment_path

_READ = "SELECT * FROM record WHERE offset >= ? ORDER BY offset LIMIT ?"
_GET = "SELECT * FROM record WHERE offset = ?"
_NAMES = "SELECT source, message_id FROM record WHERE offset >= ? ORDER BY offset LIMIT ?"
_STAMP = "SELECT source, message_id, appended_at FROM record WHERE offset = ?"
_TIME = "SELECT appended_at FROM record WHERE offset = ?"
_LAST = "SELECT max(offset) FROM record"
# One statement, so that offset and heads are of one moment.
_ENDS = "SELECT NULL, max(offset), 0 FROM record UNION ALL SELECT source, ordinal, duplicates FROM heads"
_SCAN = "SELECT offset FROM record WHERE message_id = ?"
# What the segment holds at its end, less what it holds from the offset on.
_ORDINALS = """
SELECT source, coalesce(later.ordinal - 1, heads.ordinal) FROM heads LEFT JOIN
  (SELECT source, min(ordinal) AS ordinal FROM record WHERE offset >= ? GROUP BY source) AS later USING (source)
"""
_OPEN_MAX = 8
_TRIES = 20
_CHUNK = 1024

_as_record: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)
Answer = TypeVar("Answer")


class SQLiteLogReader:
    """A reader of the log in `folder`; before its writer first opened it, the log is empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = RLock()
        self._firsts: list[int] = []
        self._open: OrderedDict[int, sqlite3.Connection] = OrderedDict()
        self._indexes: dict[tuple[int, int], MessageIndex] = {}

    def start(self, partition: int) -> int:
        """The first offset that is still held."""
        with self._lock:
            if not self._firsts or not self._path(self._firsts[0]).exists():
                self.refresh()
            return self._firsts[0] if self._firsts else 0

    def end(self, partition: int) -> int:
        """The offset that the next record will get."""
        return self._answer(self._end)

    def ends(self) -> Ends:
        """End, accepted and duplicates of every source, in one consistent read."""
        return self._answer(self._ends)

    def read(self, partition: int, offset: int, limit: int) -> list[Record]:
        """Up to `limit` records from `offset` on, fewer only at the end. Raises OffsetExpired, Damaged, Unavailable."""
        return self._answer(lambda: self._read(offset, limit))

    def get(self, offsets: Iterable[int]) -> list[Record]:
        """The records at these offsets that the log still holds, in the order asked."""
        wanted = list(offsets)
        return self._answer(lambda: [_as_record(row) for row in self._rows_at(_GET, wanted)])

    def seek(self, partition: int, time_ms: int) -> int:
        """The first offset whose record was appended at `time_ms` or after; the end where there is none."""
        return self._answer(lambda: self._seek(time_ms))

    def ordinals_before(self, offset: int) -> dict[str, int]:
        """The last ordinal of each source before `offset`. Raises OffsetExpired below the start."""
        return self._answer(lambda: self._ordinals_before(offset))

    def find(self, message_id: str, sources: Iterable[str]) -> list[Record]:
        """Every record held of these sources with this messageId, oldest first."""
        names = [(source, message_id) for source in sources]
        return self._answer(lambda: self._find(names))

    def backup_to(self, folder: Path) -> Ends:
        """A consistent copy of the log, while the writer goes on. Raises Invalid, Unavailable, Damaged."""
        copy_log(self._folder, folder)
        copy = SQLiteLogReader(folder)
        try:
            return copy.ends()
        finally:
            copy.close()

    def close(self) -> None:
        """Let go of every file."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()
            self._indexes.clear()

    def refresh(self) -> None:
        """Look which segments there are, and let go of those that are gone or not the newest any more."""
        with self._lock:
            newest_before = self._firsts[-1:]
            self._firsts = list_segments(self._folder)
            for first in list(self._open):
                if first not in self._firsts or ([first] == newest_before and newest_before != self._firsts[-1:]):
                    self._open.pop(first).close()

    def stamps(self, offsets: Iterable[int]) -> list[tuple[int, tuple[str, str], int]]:
        """(offset, (source, messageId), appended_at) of those of the records that are still held."""
        wanted = list(offsets)
        rows = self._answer(lambda: self._rows_at(_STAMP, wanted, keep_missing=True))
        return [(offset, (row[0], row[1]), row[2]) for offset, row in zip(wanted, rows, strict=True) if row]

    def message_ids(self, first: int, end: int, breathe: Breathe = lambda: None) -> MessageIds:
        """The ids of the records of a full segment. Raises OffsetExpired where it is gone."""
        ids = MessageIds()
        while first < end:
            names = self._answer(partial(self._names, first, min(_CHUNK, end - first)))
            if not names:
                raise Damaged(f"the event log in {self._folder} lacks the offsets from {first} to {end}")
            ids.add(message_keys(names), first)
            first += len(names)
            breathe()
        return ids

    def _names(self, offset: int, limit: int) -> list[tuple[str, str]]:
        return self._fetch(self._place(offset), _NAMES, (offset, limit))

    def _answer(self, ask: Callable[[], Answer]) -> Answer:
        """Ask, and ask again with a new list of segments where one of them went away meanwhile."""
        with self._lock:
            for _ in range(_TRIES):
                try:
                    return ask()
                except FileNotFoundError:
                    self.refresh()
        raise Unavailable(f"the segments of the event log in {self._folder} change faster than they can be read")

    def _path(self, first: int) -> Path:
        return segment_path(self._folder, first)

    def _place(self, offset: int) -> int:
        """Which of the segments holds the offset, or would. Raises OffsetExpired; FileNotFoundError: look again."""
        place = bisect_right(self._firsts, offset) - 1
        if place < 0:
            self.refresh()
            place = bisect_right(self._firsts, offset) - 1
            if place < 0 and self._firsts:
                raise OffsetExpired(self._firsts[0])
        elif place < len(self._firsts) - 1 and not self._path(self._firsts[place]).exists():
            raise FileNotFoundError(self._firsts[place])
        return place

    def _fetch(self, place: int, query: str, parameters: tuple[object, ...]) -> list[Any]:
        """All rows of one query to one segment; none where there is no segment at all."""
        if place < 0:
            return []
        first = self._firsts[place]
        path = self._path(first)
        newest = place == len(self._firsts) - 1
        kept = self._open.get(first)
        connection, keep = (kept, True) if kept else open_to_read(path, newest=newest)
        try:
            with named_errors(path):
                return connection.execute(query, parameters).fetchall()
        finally:
            if keep or newest:
                self._open[first] = connection
                self._open.move_to_end(first)
                while len(self._open) > _OPEN_MAX:
                    self._open.popitem(last=False)[1].close()
            else:
                connection.close()

    def _is_last(self, place: int, end: int) -> bool:
        """Whether no segment follows; `end` is where the one at `place` ends, and so where the next would begin."""
        if place < len(self._firsts) - 1:
            if self._firsts[place + 1] != end:
                raise Damaged(
                    f"the event log in {self._folder} lacks the offsets from {end} to {self._firsts[place + 1]}: "
                    "restore the missing segment files"
                )
            return False
        if place >= 0 and not self._path(end).exists():
            return True
        known = self._firsts
        self.refresh()
        return self._firsts == known

    def _end_of(self, place: int) -> int:
        if place < 0:
            return 0
        last = self._fetch(place, _LAST, ())[0][0]
        return self._firsts[place] if last is None else int(last) + 1

    def _end(self) -> int:
        while True:
            place = len(self._firsts) - 1
            end = self._end_of(place)
            if self._is_last(place, end):
                return end

    def _ends(self) -> Ends:
        while True:
            place = len(self._firsts) - 1
            rows = self._fetch(place, _ENDS, ()) or [(None, None, 0)]
            last = rows[0][1]
            end = last + 1 if last is not None else self._firsts[place] if place >= 0 else 0
            if self._is_last(place, end):
                return Ends(end, {source: (ordinal, duplicates) for source, ordinal, duplicates in rows[1:]})

    def _read(self, offset: int, limit: int) -> list[Record]:
        records: list[Record] = []
        while len(records) < limit:
            place = self._place(offset)
            wanted = limit - len(records)
            rows = self._fetch(place, _READ, (offset, wanted))
            records += map(_as_record, rows)
            offset += len(rows)
            if len(rows) < wanted and self._is_last(place, offset if rows else self._end_of(place)):
                break
        return records

    def _rows_at(self, query: str, offsets: list[int], *, keep_missing: bool = False) -> list[Any]:
        rows: dict[int, Any] = {}
        if offsets and max(offsets) >= (self._firsts[-1] if self._firsts else 0):
            self._end()  # learn of segments that are new
        for offset in sorted(set(offsets)):
            try:
                rows[offset] = next(iter(self._fetch(self._place(offset), query, (offset,))), None)
            except OffsetExpired:
                rows[offset] = None
        return [rows[offset] for offset in offsets if keep_missing or rows[offset]]

    def _seek(self, time_ms: int) -> int:
        end = self._end()
        firsts = self._firsts

        def time_of(offset: int) -> int:
            rows = self._fetch(self._place(offset), _TIME, (offset,))
            if not rows:
                raise Damaged(f"the event log in {self._folder} lacks the record at offset {offset}")
            return int(rows[0][0])

        begins = [first for first in firsts if first < end]
        later = bisect_left(begins, time_ms, key=time_of)
        if later == 0:
            return begins[0] if begins else end
        within = range(begins[later - 1], begins[later] if later < len(begins) else end)
        return within[0] + bisect_left(within, time_ms, key=time_of)

    def _ordinals_before(self, offset: int) -> dict[str, int]:
        self._end()  # learn of segments that are new
        return dict(self._fetch(self._place(offset), _ORDINALS, (offset,)))

    def _find(self, names: list[tuple[str, str]]) -> list[Record]:
        end = self._end()
        if not self._firsts:
            return []
        keys = message_keys(names)
        indexes = self._whole_indexes()
        offsets = {offset for index in indexes for _, offset in index.candidates(keys)}
        for place, (first, after) in enumerate(zip(self._firsts, [*self._firsts[1:], end], strict=True)):
            if not any(index.start <= first and after <= index.end for index in indexes):
                for message_id in {message_id for _, message_id in names}:
                    offsets.update(row[0] for row in self._fetch(place, _SCAN, (message_id,)))
        wanted = set(names)
        records = (_as_record(row) for row in self._rows_at(_GET, sorted(offsets)))
        return [record for record in records if (record.source, record.message_id) in wanted]

    def _whole_indexes(self) -> list[MessageIndex]:
        """The index files of this moment; what a damaged one held is searched for in the segments."""
        indexes: dict[tuple[int, int], MessageIndex] = {}
        for span in list_indexes(self._folder):
            try:
                indexes[span] = self._indexes.get(span) or MessageIndex(index_path(self._folder, *span))
            except (Damaged, FileNotFoundError):
                continue
        self._indexes = indexes
        return list(indexes.values())
