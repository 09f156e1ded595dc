"""JSON text as a receiver in JavaScript would write it again.

Rule: the value stays the same, and every number keeps the digits it was sent with.
"""

from __future__ import annotations

import re

import msgspec

_ESCAPE = re.compile(rb"\\(?:u([dD][89abAB]..)\\u([dD][c-fC-F]..)|u(....)|(.))", re.DOTALL)

_SHORT = {0x08: b"\\b", 0x09: b"\\t", 0x0A: b"\\n", 0x0C: b"\\f", 0x0D: b"\\r", 0x22: b'\\"', 0x5C: b"\\\\"}


def stringified(body: bytes) -> bytes:
    """The JSON text `body` without blanks between its parts and without needless escapes.

    This is what `JSON.stringify` makes of the parsed text, but for numbers, which are left as they are.
    Raises `msgspec.DecodeError` where `body` is no JSON.
    """
    compact = msgspec.json.format(body, indent=-1)
    return _ESCAPE.sub(_unescaped, compact) if b"\\" in compact else compact


def _unescaped(found: re.Match[bytes]) -> bytes:
    high, low, code, short = found.groups()
    if short is not None:
        return b"/" if short == b"/" else found[0]
    if high is not None:
        pair = bytes.fromhex((high + low).decode("ascii"))
        return pair.decode("utf-16-be").encode("utf-8")
    number = int(code, 16)
    if number in _SHORT:
        return _SHORT[number]
    if number < 0x20 or 0xD800 <= number < 0xE000:
        return b"\\u%04x" % number
    return chr(number).encode("utf-8")
