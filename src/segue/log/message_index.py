"""Index file: which offsets may bear a messageId, for the records of one or more adjacent segments.

Rule: a file that bears an index's name is complete; everything in it can be made again from its segments.

A file is a header, the sorted entries and a filter. An entry is 64 bits: the top 40 of the hash, and the low 24 of
the offset (so a file spans at most 2^24 offsets, and merging needs no arithmetic). The filter has a bit for each
value of the top bits of the hash, at least 16 for each entry: it answers most lookups with one byte read.
Numbers are in the machine's own order; the file of another order has a wrong magic number and is made again.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import zlib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice, repeat
from pathlib import Path

from segue.core.errors import Damaged

SPAN_MAX = 1 << 24
_LOW = SPAN_MAX - 1
_HIGH = (1 << 64) - 1 - _LOW
_MAGIC = 0x3158444947455331
_HEADER = struct.Struct(
    "=QQQQqIIII"
)  # magic, start, end, count, newest_ms, filter bits, CRC of entries, filter, header
_ENTRIES_AT = 64
_SLICE = 4096  # entries sorted, merged or copied at a time: well below a millisecond with the GIL held
_CHECK_BYTES = 1 << 20
_BITS = bytes(128 >> bit for bit in range(8))
_NAME = re.compile(r"(\d{20})-(\d{20})\.index")

Breathe = Callable[[], None]


def index_path(folder: Path, start: int, end: int) -> Path:
    """Where the index stands for the records from `start` up to but not including `end`."""
    return folder / f"{start:020d}-{end:020d}.index"


def list_indexes(folder: Path) -> list[tuple[int, int]]:
    """(start, end) of the index files of a folder, in order."""
    names = [path.name for path in folder.iterdir()]
    matches = (_NAME.fullmatch(name) for name in names)
    return sorted((int(match[1]), int(match[2])) for match in matches if match)


class MessageIndex:
    """One index file, memory-mapped. Raises FileNotFoundError; Damaged where it is not whole."""

    __slots__ = ("_entries", "_filter", "_filter_bits", "_map", "count", "end", "newest_ms", "path", "start")

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= _ENTRIES_AT:
                raise Damaged(f"message index {path} is cut short")
            self._map = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        header = self._map[: _HEADER.size]
        magic, self.start, self.end, self.count, self.newest_ms, self._filter_bits, *_, check = _HEADER.unpack(header)
        filter_at = _ENTRIES_AT + 8 * self.count
        if (
            magic != _MAGIC
            or check != zlib.crc32(header[:-4])
            or size != filter_at + (1 << self._filter_bits - 3)
            or path.name != index_path(path.parent, self.start, self.end).name
        ):
            raise Damaged(f"message index {path} does not match its header")
        view = memoryview(self._map)
        self._entries = view[_ENTRIES_AT:filter_at].cast("Q")
        self._filter = view[filter_at:]

    def candidates(self, keys: Sequence[int]) -> list[tuple[int, int]]:
        """(hash, offset) of each record that may bear one of these hashes' ids."""
        filtered, bits, bit_shift = self._filter, _BITS, 64 - self._filter_bits
        byte_shift = bit_shift + 3
        maybe = [key for key in keys if filtered[key >> byte_shift] & bits[key >> bit_shift & 7]]
        return [(key, offset) for key in maybe for offset in self._offsets(key)] if maybe else []

    def _offsets(self, key: int) -> Iterator[int]:
        entries, prefix = self._entries, key & _HIGH
        for place in range(bisect_left(entries, prefix), self.count):
            entry = entries[place]
            if entry & _HIGH != prefix:
                return
            yield self.start + ((entry - self.start) & _LOW)

    def verify(self, breathe: Breathe) -> bool:
        """Whether the contents are what was written; reads all of the file."""
        *_, entries_check, filter_check, _ = _HEADER.unpack(self._map[: _HEADER.size])
        filter_at = _ENTRIES_AT + 8 * self.count
        found = (self._checksum(_ENTRIES_AT, filter_at, breathe), self._checksum(filter_at, len(self._map), breathe))
        return found == (entries_check, filter_check)

    def _checksum(self, begin: int, end: int, breathe: Breathe) -> int:
        check = 0
        for at in range(begin, end, _CHECK_BYTES):
            check = zlib.crc32(self._map[at : min(at + _CHECK_BYTES, end)], check)
            breathe()
        return check

    def between(self, low: int, high: int, begin: int) -> list[int]:
        """The entries from the `begin`th on that are below `high`; `low` says where they should start."""
        assert begin == self.count or self._entries[begin] >= low
        return self._entries[begin : bisect_left(self._entries, high, begin)].tolist()


def write_index(
    folder: Path,
    *,
    start: int,
    end: int,
    newest_ms: int,
    entries: Iterable[tuple[int, int]],
    count: int,
    breathe: Breathe,
) -> MessageIndex:
    """Write the index of `count` (hash, offset) pairs. `breathe` is called about every millisecond. Raises OSError."""
    slices = _sorted_slices(entries, _slice_bits(count), breathe)
    return _write(folder, start=start, end=end, newest_ms=newest_ms, count=count, slices=slices, breathe=breathe)


def merge_indexes(folder: Path, left: MessageIndex, right: MessageIndex, breathe: Breathe) -> MessageIndex:
    """Write one index for two adjacent ones, which stay. Raises OSError."""
    assert left.end == right.start and right.end - left.start <= SPAN_MAX
    count = left.count + right.count
    return _write(
        folder,
        start=left.start,
        end=right.end,
        newest_ms=max(left.newest_ms, right.newest_ms),
        count=count,
        slices=_merged_slices(left, right, _slice_bits(count)),
        breathe=breathe,
    )


def _slice_bits(count: int) -> int:
    return max(0, (count // _SLICE).bit_length() - 1)


def _sorted_slices(entries: Iterable[tuple[int, int]], bits: int, breathe: Breathe) -> Iterator[list[int]]:
    """The entries by range of hash, each range sorted: no sort is ever long."""
    ranges: list[list[int]] = [[] for _ in range(1 << bits)]
    shift = 64 - bits
    remaining = iter(entries)
    while chunk := list(islice(remaining, _SLICE)):
        for key, offset in chunk:
            ranges[key >> shift].append(key & _HIGH | offset & _LOW)
        breathe()
    for one_range in ranges:
        one_range.sort()
        yield one_range


def _merged_slices(left: MessageIndex, right: MessageIndex, bits: int) -> Iterator[list[int]]:
    shift = 64 - bits
    left_at = right_at = 0
    for place in range(1 << bits):
        low, high = place << shift, (place + 1) << shift
        from_left, from_right = left.between(low, high, left_at), right.between(low, high, right_at)
        left_at, right_at = left_at + len(from_left), right_at + len(from_right)
        yield sorted(from_left + from_right)


def _write(
    folder: Path,
    *,
    start: int,
    end: int,
    newest_ms: int,
    count: int,
    slices: Iterable[list[int]],
    breathe: Breathe,
) -> MessageIndex:
    path = index_path(folder, start, end)
    unfinished = path.with_suffix(".unfinished")
    filter_bits = max(_slice_bits(count) + 3, (16 * count - 1).bit_length(), 6)
    with unfinished.open("wb", buffering=0) as file:
        checks = _write_slices(file.fileno(), slices, count, filter_bits, breathe)
        header = _HEADER.pack(_MAGIC, start, end, count, newest_ms, filter_bits, *checks, 0)[:-4]
        _write_all(file.fileno(), header + struct.pack("=I", zlib.crc32(header)), 0)
        os.fsync(file.fileno())
    unfinished.rename(path)
    return MessageIndex(path)


def _write_slices(
    descriptor: int, slices: Iterable[list[int]], count: int, filter_bits: int, breathe: Breathe
) -> tuple[int, int]:
    """Write entries and filter, one range of hashes after the other; their checksums."""
    bits_each = 1 << (filter_bits - _slice_bits(count))
    shift = 64 - filter_bits
    entries_at, filter_at = _ENTRIES_AT, _ENTRIES_AT + 8 * count
    entries_check = filter_check = first_bit = 0
    for entries in slices:
        packed = array("Q", entries).tobytes()
        _write_all(descriptor, packed, entries_at)
        entries_check = zlib.crc32(packed, entries_check)
        entries_at += len(packed)
        # Digits of a binary number, set and packed in C: a tenth of the time that a loop over bits takes.
        digits = bytearray(b"0") * bits_each
        deque(map(digits.__setitem__, [(entry >> shift) - first_bit for entry in entries], repeat(49)), maxlen=0)
        packed = int(digits, 2).to_bytes(bits_each >> 3, "big")
        _write_all(descriptor, packed, filter_at)
        filter_check = zlib.crc32(packed, filter_check)
        filter_at += len(packed)
        first_bit += bits_each
        breathe()
    assert entries_at == _ENTRIES_AT + 8 * count, f"{count} entries were promised"
    return entries_check, filter_check


def _write_all(descriptor: int, content: bytes, position: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, position)
        view, position = view[written:], position + written
