"""Reading a request's body: whole, inflated, and never more of it than allowed.

Rule: whatever is sent, at most `body_bytes` of one body and `body_bytes_in_flight` of all are held.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from segue.collect.answer import Unacceptable
from segue.collect.limits import CollectLimits

Receive = Callable[[], Awaitable[Any]]

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PLAIN = frozenset({b"", b"identity"})
_MEMBERS_MOST = 64
_DEFLATED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class BodyReader:
    """Reads the bodies of all connections, and knows how much of them is held."""

    def __init__(self, limits: CollectLimits) -> None:
        self._limits = limits
        self._held = 0

    async def read(self, headers: Mapping[bytes, bytes], receive: Receive) -> bytes | None:
        """The body, inflated; None where the client went away.

        Raises Unacceptable: 413 over `body_bytes`, 503 where all bodies together are too much, 400 and 415 where it
        cannot be inflated.
        """
        declared = headers.get(b"content-length", b"")
        if declared.isdigit() and (len(declared) > 12 or int(declared) > self._limits.body_bytes):
            raise too_large(self._limits)
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body: bytes | None = message.get("body", b"")
        if message.get("more_body"):
            body = await self._read_on(body or b"", receive)
        if body is None:
            return None
        if len(body) > self._limits.body_bytes:
            raise too_large(self._limits)
        encoding = headers.get(b"content-encoding")
        return body if encoding is None else inflated(body, encoding, self._limits)

    async def _read_on(self, begin: bytes, receive: Receive) -> bytes | None:
        pieces = [begin]
        size = len(begin)
        self._held += size
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                piece = message.get("body", b"")
                pieces.append(piece)
                size += len(piece)
                self._held += len(piece)
                if size > self._limits.body_bytes:
                    raise too_large(self._limits)
                if self._held > self._limits.body_bytes_in_flight:
                    raise Unacceptable(
                        503, "overloaded", "too many requests at once; send again", retry_after=1, closes=True
                    )
                if not message.get("more_body"):
                    return b"".join(pieces)
        finally:
            self._held -= size


def too_large(limits: CollectLimits) -> Unacceptable:
    """413 for a body that is not read to its end."""
    return Unacceptable(413, "payload_too_large", f"the body is over {limits.body_bytes} bytes", closes=True)


def inflated(body: bytes, encoding: bytes, limits: CollectLimits) -> bytes:
    """The body without its `Content-Encoding`: gzip (also several members in a row) or deflate.

    Raises Unacceptable: 413 over `body_bytes`, 400 where it is broken, 415 for any other encoding.
    """
    name = encoding.strip().lower()
    if name in _PLAIN:
        return body
    if name not in _DEFLATED:
        raise Unacceptable(415, "unsupported_encoding", "Content-Encoding may be gzip, deflate or identity")
    found = bytearray()
    rest = body
    for _ in range(_MEMBERS_MOST):
        if not rest:
            return bytes(found)
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        try:
            found += stream.decompress(rest, limits.body_bytes + 1 - len(found))
        except zlib.error:
            raise _broken(name) from None
        if len(found) > limits.body_bytes:
            raise too_large(limits)
        if not stream.eof:
            raise _broken(name)
        rest = stream.unused_data.lstrip(b"\0")
    raise _broken(name)


def _broken(encoding: bytes) -> Unacceptable:
    name = encoding.decode()
    return Unacceptable(400, "invalid_encoding", f"the body is not whole {name}, as Content-Encoding says")
