"""Long sorted lists of what happened to one profile, of which only both ends are held with it.

A run is sorted by the first item of its entries. Its first and its last stretch stay in the profile's state; what lies
between is cut into chunks, each a row of its own that is read when it becomes an end or something late falls into it.
Where the chunks lie is again a run, of their first keys and numbers.

Rule: adding an entry or taking one off an end reads and writes a bounded number of chunks of a bounded size, however
long the run is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from operator import itemgetter
from typing import Any, Protocol, TypeAlias

import msgspec
from msgspec import Struct

from segue.core.errors import Damaged

CHUNK_ENTRIES = 256
"""The most entries of a chunk, and of either end."""

Entry: TypeAlias = list[Any]
"""The key first, then what belongs to it; made of what msgpack holds."""
ChunkKey: TypeAlias = tuple[int, int, int]
"""(number of the profile, id of the leaf, number of the chunk)."""

_key_of = itemgetter(0)
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


class ChunkRows(Protocol):
    """The chunks that are durable."""

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        """The body of a chunk that was written; None where there is none."""
        ...


class Chunks:
    """The chunks of all profiles, those at hand that are not durable yet."""

    def __init__(self, rows: ChunkRows) -> None:
        self._rows = rows
        self._changed: dict[ChunkKey, list[Entry] | None] = {}
        self._taken: dict[ChunkKey, list[Entry] | None] = {}

    def read(self, key: ChunkKey) -> list[Entry]:
        """The entries of a chunk; whoever changes them writes them. Raises Damaged where it was lost."""
        for held in (self._changed, self._taken):
            if key in held:
                found = held[key]
                assert found is not None, "a chunk that was dropped is not read"
                return found
        body = self._rows.chunk(*key)
        if body is None:
            raise Damaged(f"a list of events of profile {key[0]} lacks chunk {key[2]} of leaf {key[1]}")
        return _decode(body)

    def write(self, key: ChunkKey, entries: list[Entry]) -> None:
        """These are the entries of a chunk from now on."""
        self._changed[key] = entries

    def drop(self, key: ChunkKey) -> None:
        """There is no such chunk any more."""
        self._changed[key] = None

    def take(self) -> tuple[dict[ChunkKey, bytes], list[ChunkKey]]:
        """What to write and what to delete since the last call; what was taken then is read from its rows by now."""
        self._taken, self._changed = self._changed, {}
        writes = {key: _encode(entries) for key, entries in self._taken.items() if entries is not None}
        return writes, [key for key, entries in self._taken.items() if entries is None]


class Place:
    """Where the chunks of one leaf of one profile are, and what number the next one gets."""

    __slots__ = ("_chunks", "_leaf", "_numbered", "_profile")

    def __init__(self, chunks: Chunks, profile: int, leaf: int, numbered: Numbered) -> None:
        self._chunks = chunks
        self._profile = profile
        self._leaf = leaf
        self._numbered = numbered

    def read(self, number: int) -> list[Entry]:
        """The entries of a chunk."""
        return self._chunks.read((self._profile, self._leaf, number))

    def write(self, number: int, entries: list[Entry]) -> None:
        """Put entries in the place of a chunk's."""
        self._chunks.write((self._profile, self._leaf, number), entries)

    def append(self, entries: list[Entry]) -> int:
        """The number of a new chunk with these entries."""
        number = self._numbered.chunks
        self._numbered.chunks = number + 1
        self.write(number, entries)
        return number

    def take(self, number: int) -> list[Entry]:
        """The entries of a chunk, which there is no more."""
        found = self.read(number)
        self._chunks.drop((self._profile, self._leaf, number))
        return found


class Numbered(Protocol):
    """What counts the chunks of a leaf: a number is not given twice as long as it lives."""

    chunks: int


class Run(Struct, array_like=True):
    """A sorted list. The head has entries unless the whole is empty, the tail unless there is no middle."""

    head: list[Entry] = []
    tail: list[Entry] = []
    middle: Run | None = None

    def __bool__(self) -> bool:
        """Whether there are entries."""
        return bool(self.head)

    @property
    def first(self) -> Entry:
        """The entry with the least key."""
        return self.head[0]

    @property
    def last(self) -> Entry:
        """The entry with the greatest key."""
        return self.tail[-1] if self.tail else self.head[-1]

    def insert(self, entry: Entry, place: Place) -> None:
        """Add an entry, after those of the same key that are near it."""
        key, head, tail, middle = entry[0], self.head, self.tail, self.middle
        if not tail:
            _into(head, entry)
            if len(head) > CHUNK_ENTRIES:
                self.tail = _cut(head)
        elif key >= tail[0][0]:
            _into(tail, entry)
            if len(tail) > CHUNK_ENTRIES:
                rest = _cut(tail)
                self._put_aside(tail, place)
                self.tail = rest
        elif middle is None or key < middle.first[0]:
            _into(head, entry)
            if len(head) > CHUNK_ENTRIES:
                self._put_aside(_cut(head), place)
        else:
            self._into_middle(middle, entry, place)

    def pop_first(self, place: Place) -> Entry:
        """Take off the entry with the least key."""
        found = self.head.pop(0)
        if not self.head:
            if self.middle is not None:
                self.head = place.take(self.middle.pop_first(place)[1])
                self.middle = self.middle or None
            elif self.tail:
                self.head, self.tail = self.tail, []
        return found

    def pop_last(self, place: Place) -> Entry:
        """Take off the entry with the greatest key."""
        if not self.tail:
            return self.head.pop()
        found = self.tail.pop()
        if not self.tail and self.middle is not None:
            self.tail = place.take(self.middle.pop_last(place)[1])
            self.middle = self.middle or None
        return found

    def floor(self, key: Any, place: Place) -> Entry:
        """The last entry whose key is not above this one; the first entry's is not."""
        if self.tail and key >= self.tail[0][0]:
            part = self.tail
        elif self.middle is not None and key >= self.middle.first[0]:
            part = place.read(self.middle.floor(key, place)[1])
        else:
            part = self.head
        return part[bisect_right(part, key, key=_key_of) - 1]

    def ascending(self, place: Place) -> Iterator[Entry]:
        """All entries; the run must stay as it is meanwhile."""
        yield from self.head
        if self.middle is not None:
            for _, number in self.middle.ascending(place):
                yield from place.read(number)
        yield from self.tail

    def descending(self, place: Place) -> Iterator[Entry]:
        """All entries, the last first; the run must stay as it is meanwhile."""
        yield from reversed(self.tail)
        if self.middle is not None:
            for _, number in self.middle.descending(place):
                yield from reversed(place.read(number))
        yield from reversed(self.head)

    def drain(self, place: Place) -> Iterator[Entry]:
        """All entries; their chunks are dropped on the way, and the run is of no more use."""
        yield from self.head
        if self.middle is not None:
            for _, number in self.middle.drain(place):
                yield from place.take(number)
        yield from self.tail

    def _put_aside(self, entries: list[Entry], place: Place) -> None:
        if self.middle is None:
            self.middle = Run()
        self.middle.insert([entries[0][0], place.append(entries)], place)

    def _into_middle(self, middle: Run, entry: Entry, place: Place) -> None:
        _, number = middle.floor(entry[0], place)
        part = place.read(number)
        _into(part, entry)
        rest = _cut(part) if len(part) > CHUNK_ENTRIES else []
        place.write(number, part)
        if rest:
            middle.insert([rest[0][0], place.append(rest)], place)


def _into(part: list[Entry], entry: Entry) -> None:
    if not part or entry[0] >= part[-1][0]:
        part.append(entry)
    else:
        part.insert(bisect_right(part, entry[0], key=_key_of), entry)


def _cut(part: list[Entry]) -> list[Entry]:
    """Take off the upper half."""
    half = len(part) // 2
    rest = part[half:]
    del part[half:]
    return rest
