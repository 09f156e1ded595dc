"""What is kept of the attempts of an event that was retried or refused, for `explain`. Pure.

Rule: secrets are masked by value before anything is kept; at most ten attempts, the request in full for the newest
one only (not that of a large batch, which each of its events would keep), 512 bytes of each answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from segue.core.clock import iso
from segue.core.destination import Request, Response

ATTEMPTS_MOST = 10
ANSWER_BYTES_MOST = 512
BATCH_BYTES_MOST = 16_384

SIGNATURES = frozenset({"x-signature"})
"""Headers made from a secret: never kept."""

Mask = Callable[[bytes], bytes]

_encode = msgspec.json.Encoder().encode


def without_signatures(body: bytes, request: Request | None) -> bytes:
    """An answer without what its request was signed with: a vendor may say back what it was told."""
    for name, value in request.headers if request is not None else ():
        if value and name.lower() in SIGNATURES:
            body = body.replace(value.encode(), b"***")
    return body


def request_shown(request: Request, mask: Mask) -> dict[str, Any]:
    """A request as `explain` prints it."""
    return {
        "method": request.method,
        "url": text(mask(request.url.encode(errors="replace"))),
        "headers": {
            name: "***" if name.lower() in SIGNATURES else text(mask(value.encode(errors="replace")))
            for name, value in request.headers
        },
        "body": text(mask(request.body)),
    }


def attempt_shown(
    *, at: int, duration_ms: int, request: Request | None, response: Response, message: str, mask: Mask
) -> dict[str, Any]:
    """An attempt as `explain` prints it. Without an answer `error` says why."""
    shown: dict[str, Any] = {"at": iso(at), "duration_ms": duration_ms}
    if request is not None:
        shown["request"] = request_shown(request, mask)
    if message:
        shown["error"] = text(mask(message.encode(errors="replace"))[:ANSWER_BYTES_MOST])
    elif response.status:
        shown["response"] = {"status": response.status, "body": text(mask(response.body)[:ANSWER_BYTES_MOST])}
    else:
        shown["error"] = response.error
    return shown


def with_attempt(history: list[dict[str, Any]], shown: dict[str, Any]) -> list[dict[str, Any]]:
    """The history with one more attempt; older requests are let go, `explain` makes them again."""
    older = [{name: value for name, value in attempt.items() if name != "request"} for attempt in history]
    return [*older[-(ATTEMPTS_MOST - 1) :], shown]


def encode_history(history: list[dict[str, Any]]) -> bytes:
    """The history as it is stored."""
    return _encode(history) if history else b"[]"


def decode_history(stored: bytes) -> list[dict[str, Any]]:
    """A stored history."""
    found: list[dict[str, Any]] = msgspec.json.decode(stored) if stored else []
    return found


def text(raw: bytes) -> str:
    """Bytes as text; what is not UTF-8 shows as U+FFFD."""
    return raw.decode("utf-8", "replace")
