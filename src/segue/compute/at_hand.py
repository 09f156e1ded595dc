"""What is at hand of the profiles that compute looked at last: their leaves, what they have, and what was told.

Rule: what is not committed is never let go; so what is at hand and the rows together are always the newest truth.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Protocol

from segue.compute.leaves import Leaves, decode, encode
from segue.state.computed_rows import ChunkRow, ComputedRow, HoldingRow, ToldRow


class ProfileComputedRows(Protocol):
    """What was committed of one profile. Each raises Unavailable, Damaged."""

    def of_profile(self, profile: int) -> tuple[ComputedRow | None, dict[int, HoldingRow]]:
        """The state of its leaves, and what it has by computation."""
        ...

    def of_profiles(
        self, profiles: Sequence[int]
    ) -> tuple[dict[int, ComputedRow], dict[int, dict[int, HoldingRow]], dict[int, list[ToldRow]]]:
        """The same of several, 500 at most, and what was told of each."""
        ...

    def told_of(self, profile: int) -> list[ToldRow]:
        """What was told of it, over all connections."""
        ...

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        """A part of a long list of entries."""
        ...


class Entry:
    """One profile. `stored`: its leaves have a row. What was told of it is read when it is asked for first."""

    __slots__ = ("_rows", "_told", "due", "holdings", "leaves", "number", "stored")

    def __init__(
        self,
        number: int,
        rows: ProfileComputedRows,
        leaves: Leaves,
        due: int | None,
        holdings: dict[int, HoldingRow],
        told: Sequence[ToldRow] | None,
    ) -> None:
        """`told` is None where it is to be read from `rows`."""
        self.number = number
        self._rows = rows
        self.leaves = leaves
        self.due = due
        self.holdings = holdings
        self.stored = due is not None or bool(leaves.states)
        self._told = None if told is None else _by_tuple(told)

    @property
    def told(self) -> dict[tuple[int, str], ToldRow]:
        """What was told of it, by connection and tuple. Raises Unavailable, Damaged."""
        if self._told is None:
            self._told = _by_tuple(self._rows.told_of(self.number))
        return self._told


def _by_tuple(told: Sequence[ToldRow]) -> dict[tuple[int, str], ToldRow]:
    return {(row.connection, row.tuple): row for row in told}


class AtHand:
    """Entries by number, the least recently used one let go first, once more than `capacity` are at hand."""

    def __init__(self, rows: ProfileComputedRows, capacity: int) -> None:
        self._rows = rows
        self._capacity = capacity
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._changed: set[int] = set()
        self._writing: set[int] = set()

    @property
    def full(self) -> bool:
        """Whether as much is uncommitted as may be at hand."""
        return len(self._changed) + len(self._writing) >= self._capacity

    @property
    def changed(self) -> int:
        """How many would be written now."""
        return len(self._changed)

    def entry(self, number: int) -> Entry:
        """What there is of a profile: nothing yet of one that was never looked at."""
        entry = self._entries.get(number)
        if entry is not None:
            self._entries.move_to_end(number)
            return entry
        row, holdings = self._rows.of_profile(number)
        return self._put(number, row, holdings, None)

    def prepare(self, numbers: Sequence[int]) -> None:
        """Have these profiles at hand, 500 at most, with fewer reads than one by one."""
        numbers = [number for number in numbers if number not in self._entries]
        if numbers:
            rows, holdings, told = self._rows.of_profiles(numbers)
            for number in numbers:
                self._put(number, rows.get(number), holdings.get(number, {}), told.get(number, ()))

    def add(self, number: int) -> Entry:
        """A profile that came to be, of which there can be no rows."""
        entry = self._entries[number] = Entry(number, self._rows, Leaves(), None, {}, ())
        return entry

    def _put(
        self, number: int, row: ComputedRow | None, holdings: dict[int, HoldingRow], told: Sequence[ToldRow] | None
    ) -> Entry:
        leaves, due = (Leaves(), None) if row is None else (decode(row.body), row.due)
        entry = self._entries[number] = Entry(number, self._rows, leaves, due, holdings, told)
        return entry

    def change(self, entry: Entry) -> None:
        """Its leaves or its instant are others now."""
        self._changed.add(entry.number)

    def drop(self, number: int) -> None:
        """The profile was absorbed."""
        self._entries.pop(number, None)
        self._changed.discard(number)

    def write(self) -> list[ComputedRow]:
        """Those changed since the last call; they stay until `written`."""
        numbers = sorted(self._changed)
        self._writing, self._changed = self._writing | self._changed, set()
        rows = []
        for entry in (self._entries[number] for number in numbers):
            if entry.stored or entry.due is not None or entry.leaves.states:
                rows.append(ComputedRow(entry.number, entry.due, encode(entry.leaves)))
                entry.stored = True
        return rows

    def written(self) -> None:
        """What `write` gave is durable; let go of what is too much."""
        self._writing = set()
        while len(self._entries) > self._capacity:
            number = next(iter(self._entries))
            if number in self._changed:
                break  # all that were used since are uncommitted too, or soon will have their turn
            del self._entries[number]


class Chunks:
    """The parts of long lists, those that are not committed yet before those that are."""

    def __init__(self, rows: ProfileComputedRows) -> None:
        self._rows = rows
        self._changed: dict[tuple[int, int, int], bytes | None] = {}
        self._writing: dict[tuple[int, int, int], bytes | None] = {}

    def chunk(self, profile: int, leaf: int, number: int) -> bytes | None:
        """The part of this number."""
        place = (profile, leaf, number)
        if place in self._changed:
            return self._changed[place]
        if place in self._writing:
            return self._writing[place]
        return self._rows.chunk(profile, leaf, number)

    def put(self, profile: int, leaf: int, number: int, body: bytes | None) -> None:
        """From now on this is the part; None: there is none any more."""
        self._changed[profile, leaf, number] = body

    def drop(self, profile: int) -> None:
        """The profile was absorbed; what is committed of it goes with its other rows."""
        for place in [place for place in self._changed if place[0] == profile]:
            del self._changed[place]

    def write(self) -> tuple[list[ChunkRow], list[tuple[int, int, int]]]:
        """What to write and what to delete since the last call."""
        self._writing, self._changed = self._changed, {}
        rows = [ChunkRow(*place, body) for place, body in self._writing.items() if body is not None]
        return rows, [place for place, body in self._writing.items() if body is None]

    def written(self) -> None:
        """What `write` gave is durable."""
        self._writing = {}
