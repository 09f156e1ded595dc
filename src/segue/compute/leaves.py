"""What compute holds of one profile: the state of each leaf that something fell into, and when to look again.

Rule: a leaf without a state is one that no event of the profile ever fell into, or whose events have all gone; the
states of two profiles can be joined into that of the merged one.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from segue.compute.entries import Run

GENERATION_BITS = 16
INDEX_BITS = 8


def leaf_id(computation: int, generation: int, index: int) -> int:
    """The id of a reducer in a definition; `index` counts them in the order of the tree.

    Generations count round at 2^16: that many edits after each other leave no state behind. What is being built may
    go by the negative of its computation's id.
    """
    return (abs(computation) << GENERATION_BITS | generation & (1 << GENERATION_BITS) - 1) << INDEX_BITS | index


def computation_of(leaf: int) -> int:
    """The computation that a leaf is of."""
    return leaf >> (GENERATION_BITS + INDEX_BITS)


class LeafState(Struct, array_like=True):
    """The events of one profile in one leaf; which of the fields are used depends on its kind.

    `until_ms`: before this instant the profile has the computed trait; 0: it never had. `figures`: what those that
    count contribute together. `counting`: their entries; `waiting`: of those that begin to count later.
    `chunks`: the number of the next chunk.
    """

    until_ms: int = 0
    figures: list[Any] = []
    counting: Run = msgspec.field(default_factory=Run)
    waiting: Run | None = None
    chunks: int = 0


class Leaves(Struct, array_like=True):
    """All of one profile. `due`: of each computation that waits for an instant, which; in ms since 1970.

    `program`: which definitions the states are of; see `Program.mark`.
    """

    states: dict[int, LeafState] = {}
    due: dict[int, int] = {}
    program: int = 0

    @property
    def next_due(self) -> int | None:
        """The earliest instant at which something may change by itself."""
        return min(self.due.values(), default=None)


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Leaves).decode


def encode(leaves: Leaves) -> bytes:
    """The durable form."""
    return _encode(leaves)


def decode(body: bytes) -> Leaves:
    """What `encode` was given. Raises msgspec.DecodeError for anything else."""
    return _decode(body)
