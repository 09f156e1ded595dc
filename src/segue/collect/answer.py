"""Answers of the collector: status, headers and body, made once where they never change.

Rule: an error body is `{"code": ..., "message": ...}`, which is what the SDKs parse; what a web page of any origin may
read (CORS `*`) is never given to one with credentials.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from segue.core.errors import SegueError

Headers = tuple[tuple[bytes, bytes], ...]

CORS: Headers = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"retry-after, x-ratelimit-reset"),
)

# What analytics.js, RudderStack's and Jitsu's browser SDKs put on their requests.
PREFLIGHT: Headers = (
    (
        b"access-control-allow-headers",
        b"authorization, content-type, content-encoding, x-retry-count, anonymousid, x-write-key",
    ),
    (b"access-control-allow-methods", b"GET, HEAD, POST, OPTIONS"),
    (b"access-control-max-age", b"86400"),
)

NO_CACHE = (b"cache-control", b"no-store, max-age=0")
CLOSE = (b"connection", b"close")

_encode = msgspec.json.Encoder().encode

# The smallest transparent GIF: 1x1, version 89a.
GIF_BYTES = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


class Answer(NamedTuple):
    """One HTTP answer. `closes`: the request's body is not read to its end, so the connection ends after it."""

    status: int
    headers: Headers
    body: bytes
    closes: bool = False


class Unacceptable(SegueError):  # noqa: N818 - named by what it says of the request
    """The request as a whole is not taken: `status`, `code` and the message are its answer.

    `retry_after` is in whole seconds, None where trying again is of no use.
    """

    def __init__(
        self, status: int, code: str, message: str, *, retry_after: int | None = None, closes: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.retry_after = retry_after
        self.closes = closes


def json_answer(
    status: int, value: object, *extra: tuple[bytes, bytes], closes: bool = False, public: bool = True
) -> Answer:
    """`value` as JSON; `public` lets a page of any origin read it."""
    return plain_answer(status, b"application/json", _encode(value), *extra, closes=closes, public=public)


def plain_answer(
    status: int,
    content_type: bytes,
    body: bytes,
    *extra: tuple[bytes, bytes],
    closes: bool = False,
    public: bool = True,
) -> Answer:
    """`body` as it is; `public` lets a page of any origin read it."""
    head = ((b"content-type", content_type), (b"content-length", b"%d" % len(body)))
    return Answer(status, (*head, *(CORS if public else ()), *extra, *((CLOSE,) if closes else ())), body, closes)


def error_answer(error: Unacceptable, *extra: tuple[bytes, bytes]) -> Answer:
    """The answer that an `Unacceptable` describes; 429 also says `X-RateLimit-Reset`, as Segment does."""
    if error.retry_after is not None:
        wait = b"%d" % error.retry_after
        extra = (*extra, (b"retry-after", wait))
        if error.status == 429:
            extra = (*extra, (b"x-ratelimit-reset", wait))
    return json_answer(error.status, {"code": error.code, "message": str(error)}, *extra, closes=error.closes)


SUCCESS = plain_answer(200, b"application/json", b'{"success": true}')
PIXEL = plain_answer(200, b"image/gif", GIF_BYTES, NO_CACHE)
PREFLIGHT_OK = Answer(204, (*CORS, *PREFLIGHT), b"")
