"""Who sends: from a request's write key to its source.

Rule: a write key is no secret and gives no right but to send; an unknown one is not told apart from a known one by
the answer, unless the workspace has `strict_keys`.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol


class Source(Protocol):
    """What the collector needs of a source; `state.control.SourceRow` is one."""

    @property
    def slug(self) -> str: ...
    @property
    def write_keys(self) -> tuple[str, ...]: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def strict(self) -> bool: ...


class SourceKeys:
    """The sources by write key, at one moment; after a change of control, wiring hands in another."""

    def __init__(self, sources: Iterable[Source], *, strict_keys: bool = False) -> None:
        self.strict_keys = strict_keys
        self._by_key = {key: source for source in sources for key in source.write_keys}

    def lookup(self, write_key: str) -> Source | None:
        """The source that has this write key."""
        return self._by_key.get(write_key)


_HEADER_MOST = 512


def basic_write_key(authorization: bytes | None) -> str | None:
    """The write key of a `Basic` header, with or without the colon that Segment asks for. None for any other."""
    if authorization is None or len(authorization) > _HEADER_MOST:
        return None
    return _basic(authorization)


@lru_cache(maxsize=1024)
def _basic(authorization: bytes) -> str | None:
    scheme, _, value = authorization.strip().partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        return binascii.a2b_base64(value.strip()).partition(b":")[0].decode() or None
    except ValueError:
        return None
