"""The index files of one log, as its writer keeps them: loaded, added, merged, dropped.

Rule: every range of offsets stands in at least one file from the moment it was added until its segments go;
a lookup touches about the logarithm of the log's segments, and one file more for each 2^24 offsets.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock

from segue.core.errors import Damaged
from segue.log.message_index import (
    SPAN_MAX,
    Breathe,
    MessageIndex,
    index_path,
    list_indexes,
    merge_indexes,
    write_index,
)
from segue.log.segment import sync

_GROWTH = 1.5  # neighbours merge unless the older is that much larger: like a binary counter, for uneven sizes


class MessageIndexes:
    """`files` is replaced as a whole, so that a lookup in another thread sees one state of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._publishing = Lock()
        self.files: tuple[MessageIndex, ...] = ()
        for unfinished in folder.glob("*.unfinished"):
            unfinished.unlink()
        kept_end = -1
        for start, end in sorted(list_indexes(folder), key=lambda span: (span[0], -span[1])):
            path = index_path(folder, start, end)
            try:
                index = MessageIndex(path)
            except Damaged:
                path.unlink()
                continue
            if end <= kept_end:
                path.unlink()  # merged already; a crash came before it was removed
                continue
            kept_end = end
            self.files += (index,)

    def covers(self, first: int, end: int) -> bool:
        """Whether a file holds the ids of the records from `first` up to but not including `end`."""
        return any(index.start <= first and end <= index.end for index in self.files)

    def candidates(self, keys: Sequence[int], *, since_ms: int) -> list[tuple[int, int]]:
        """(hash, offset) of records that may bear one of these hashes' ids, in files with records after `since_ms`."""
        found: list[tuple[int, int]] = []
        for index in self.files:
            if index.newest_ms > since_ms:
                found += index.candidates(keys)
        return found

    def add(
        self, *, start: int, end: int, newest_ms: int, entries: Iterable[tuple[int, int]], count: int, breathe: Breathe
    ) -> None:
        """Write the index of one segment. Raises OSError."""
        index = write_index(
            self._folder, start=start, end=end, newest_ms=newest_ms, entries=entries, count=count, breathe=breathe
        )
        sync(self._folder)
        self._publish(added=index, removed=())

    def next_merge(self) -> tuple[MessageIndex, MessageIndex] | None:
        """Two neighbours that should become one."""
        files = self.files
        for left, right in zip(files[-2::-1], files[:0:-1], strict=True):
            if left.end == right.start and right.end - left.start <= SPAN_MAX and left.count < _GROWTH * right.count:
                return left, right
        return None

    def merge(self, left: MessageIndex, right: MessageIndex, breathe: Breathe) -> None:
        """Put one file in the place of two. Raises OSError."""
        merged = merge_indexes(self._folder, left, right, breathe)
        sync(self._folder)
        self._publish(added=merged, removed=(left, right))

    def remove(self, index: MessageIndex) -> None:
        """Forget a file that is not what was written; its segments' ids must be added again."""
        self._publish(added=None, removed=(index,))

    def drop_below(self, start: int) -> None:
        """Remove the files all of whose records are gone."""
        self._publish(added=None, removed=tuple(index for index in self.files if index.end <= start))

    def _publish(self, *, added: MessageIndex | None, removed: tuple[MessageIndex, ...]) -> None:
        with self._publishing:
            files = [index for index in self.files if index not in removed]
            if added is not None:
                files.append(added)
            self.files = tuple(sorted(files, key=lambda index: index.start))
        for index in removed:
            index.path.unlink(missing_ok=True)
