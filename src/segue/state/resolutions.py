"""What one commit applied, packed: for each event its offset, profile, account and time, as small differences.

Rule: unpack(pack(x)) = x; some ten bytes an event, for there is one for every event that the lake has not got yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from segue.state.profile_rows import Placed

_WIDTH = 4
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[int]).decode


def pack(placed: Sequence[Placed]) -> bytes:
    """One event at least; a list of numbers, of which the first two are what the others are counted from."""
    offset, t = placed[0].offset, placed[0].t
    flat = [offset, t]
    for each in placed:
        flat += (each.offset - offset, each.profile, each.account, each.t - t)
    return _encode(flat)


def unpack(numbers: bytes) -> Iterator[Placed]:
    """The events, in the order they were packed."""
    flat = _decode(numbers)
    offset, t = flat[:2]
    for place in range(2, len(flat), _WIDTH):
        yield Placed(offset + flat[place], flat[place + 1], flat[place + 2], t + flat[place + 3])
