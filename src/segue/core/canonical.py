"""The canonical text of a JSON value, made once, so that Python and SQL read the same characters.

Compact, members in the order received, of a key that is given twice the last value, text beyond ASCII as it is.
Integers keep their digits up to 38 of them; other numbers are doubles: whole ones below 10^15 are written as integers,
the rest in the shortest form that reads back the same, as Python writes it (`0.1`, `1e+21`).

Rule: canonical(canonical(x)) = canonical(x), and two spellings of one text, one double or one integer give one text.
"""

from __future__ import annotations

import json

import msgspec

INTEGER_DIGITS_MOST = 38
WHOLE_BELOW = 1e15

_DIGITS = frozenset(b"0123456789")
_WORDS = {b"true": "true", b"false": "false", b"null": "null"}


def canonical(raw: bytes) -> str:
    """The canonical JSON text of one valid JSON value, given without white space around it.

    A number beyond a double's range (`1e400`) becomes a text of the same characters, which any reader can decode and
    which has no number either (PROPOSED).
    """
    first = raw[0]
    if first == 0x22:  # a text; without an escape it is canonical as it stands
        return raw.decode("utf-8", "replace") if b"\\" not in raw else _written(raw)
    if raw in _WORDS:
        return _WORDS[raw]
    if len(raw) <= 15 and first != 0x2D and _DIGITS.issuperset(raw):
        return raw.decode()
    return _as_it_stands(raw) or _written(raw)


def text_of(raw: bytes) -> str | None:
    """The text that a JSON value is; None where it is none."""
    if raw[0] != 0x22:
        return None
    if b"\\" not in raw:
        return raw[1:-1].decode("utf-8", "replace")
    text = _decode(raw.decode("utf-8", "replace"))
    return text if isinstance(text, str) else None


def _as_it_stands(raw: bytes) -> str | None:
    """The text of most objects and lists, which are canonical already; None where that is not sure.

    What decodes and encodes to the same bytes is compact and repeats no key. Escapes, long integers and numbers that
    are spelled in another way than ours are left to the slow way.
    """
    if b"\\" in raw or _LONG in raw.translate(_ALL_ZERO):
        return None
    try:
        return raw.decode() if _encode_quickly(_decode_quickly(raw)) == raw else None
    except ValueError:  # msgspec's among them
        return None


def _usual(text: str) -> float:
    value = float(text)
    if repr(value) != text or value.is_integer():
        raise ValueError(text)
    return value


def _written(raw: bytes) -> str:
    return _encode(_decode(raw.decode("utf-8", "replace")))


def _float(text: str) -> float | int | str:
    value = float(text)
    if abs(value) < WHOLE_BELOW and value == int(value):
        return int(value)
    return text if value in (float("inf"), float("-inf")) else value


def _integer(text: str) -> float | int | str:
    return int(text) if len(text.lstrip("-")) <= INTEGER_DIGITS_MOST else _float(text)


_decode = json.JSONDecoder(parse_float=_float, parse_int=_integer).decode
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode_quickly = msgspec.json.Decoder(float_hook=_usual).decode
_encode_quickly = msgspec.json.Encoder().encode
_ALL_ZERO = bytes.maketrans(b"123456789", b"0" * 9)
_LONG = b"0" * (INTEGER_DIGITS_MOST + 1)
