"""The newest records, decoded once for all that read them.

Rule: what it gives is what the log holds; it keeps a bounded number of whole blocks and nothing that a reader changes.
"""

from __future__ import annotations

from collections import OrderedDict

from segue.core.errors import OffsetExpired
from segue.core.event import Event, Record
from segue.log import LogReader

BLOCK = 256
BLOCKS_MOST = 24
BLOCK_BYTES_MOST = 16_000_000

Decoded = tuple[Record, Event]


class Tail:
    """Reads of partition 0 through a cache of blocks of 256 offsets, the least recently used one let go first.

    With `told`, whoever made it calls `grown` after every append: the end, once met, is not looked for again before.
    """

    def __init__(self, reader: LogReader, *, told: bool = False) -> None:
        self._reader = reader
        self._told = told
        self._end: int | None = None  # where the log ended when it was last read to its end
        self._blocks: OrderedDict[int, list[Decoded]] = OrderedDict()
        self._bytes = 0

    def grown(self) -> None:
        """The log may have new records."""
        self._end = None

    def read(self, offset: int) -> list[Decoded]:
        """The records from `offset` to the end of its block, as far as they exist. Raises OffsetExpired."""
        if self._end is not None and offset >= self._end:
            return []
        number = offset // BLOCK
        block = self._blocks.get(number)
        if block is None:
            block = self._load(number, offset)
        else:
            self._blocks.move_to_end(number)
            if len(block) < BLOCK and block[-1][0].offset < offset:
                block = self._extended(number, block, offset)
        first = block[0][0].offset if block else offset
        if offset < first:
            raise OffsetExpired(first)  # its beginning was gone already when the block was read
        return block[offset - first :]

    def get(self, offsets: list[int]) -> list[Decoded]:
        """These records, without those that are no longer held."""
        return [(record, Event(record.body)) for record in self._reader.get(offsets)]

    def ordinals_before(self, offset: int) -> dict[str, int]:
        """The last ordinal of each source before `offset`."""
        return self._reader.ordinals_before(offset)

    def _load(self, number: int, offset: int) -> list[Decoded]:
        start = max(number * BLOCK, self._reader.start(0))
        start = min(start, offset)
        block = self._decoded(start, (number + 1) * BLOCK - start)
        if block:
            self._blocks[number] = block
            self._bytes += _size(block)
            while len(self._blocks) > BLOCKS_MOST or (self._bytes > BLOCK_BYTES_MOST and len(self._blocks) > 1):
                self._bytes -= _size(self._blocks.popitem(last=False)[1])
        return block

    def _extended(self, number: int, block: list[Decoded], offset: int) -> list[Decoded]:
        """The block up to its end of today."""
        last = block[-1][0].offset
        try:
            more = self._decoded(last + 1, (number + 1) * BLOCK - last - 1)
        except OffsetExpired:
            # What came after it was dropped before anybody read it; `offset` itself may still be held.
            self._bytes -= _size(self._blocks.pop(number))
            return self._load(number, offset)
        block.extend(more)
        self._bytes += _size(more)
        return block

    def _decoded(self, start: int, limit: int) -> list[Decoded]:
        records = self._reader.read(0, start, limit)
        if self._told and len(records) < limit:
            self._end = start + len(records)
        return [(record, Event(record.body)) for record in records]


def _size(block: list[Decoded]) -> int:
    return sum(len(record.body) for record, _ in block)
