"""The messageIds of one segment in memory, by a 64-bit hash of source and messageId.

Rule: a hash is only a suspicion; whoever finds one looks at the record before calling anything a duplicate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b


def message_keys(names: Iterable[tuple[str, str]]) -> list[int]:
    """The hashes of (source, messageId) pairs, in their order."""
    digests = b"".join(
        [blake2b(f"{source}\0{message_id}".encode(), digest_size=8).digest() for source, message_id in names]
    )
    return memoryview(digests).cast("Q").tolist()


class MessageIds:
    """Hash to offset. A hash that comes twice (another id, or the same one after the window) keeps both offsets."""

    def __init__(self) -> None:
        self._newest: dict[int, int] = {}
        self._older: dict[int, list[int]] = {}

    def __len__(self) -> int:
        return len(self._newest) + sum(map(len, self._older.values()))

    def add(self, keys: Sequence[int], offset: int) -> None:
        """Remember hashes whose records stand from `offset` on, one after the other."""
        newest = self._newest
        fresh = dict(zip(keys, range(offset, offset + len(keys)), strict=True))
        if len(fresh) == len(keys) and newest.keys().isdisjoint(fresh):
            newest.update(fresh)
            return
        for place, key in enumerate(keys, offset):
            if key in newest:
                self._older.setdefault(key, []).append(newest[key])
            newest[key] = place

    def candidates(self, keys: Sequence[int]) -> list[tuple[int, int]]:
        """(hash, offset) of each record that may bear one of these hashes' ids."""
        newest = self._newest
        if newest.keys().isdisjoint(keys):
            return []
        known = [key for key in keys if key in newest]
        return [(key, offset) for key in known for offset in (newest[key], *self._older.get(key, ()))]

    def entries(self) -> Iterator[tuple[int, int]]:
        """Every (hash, offset), in no order."""
        yield from self._newest.items()
        for key, offsets in self._older.items():
            for offset in offsets:
                yield key, offset
