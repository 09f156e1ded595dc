"""JSON in and out of the sandboxes, whose numbers keep the text they were sent with.

Rule: what was decoded here and is encoded again says the same number, digit for digit. Text may hold anything
that a sender can write; half of a surrogate pair becomes U+FFFD, for no storage takes it.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_LONGEST_INTEGER = 4_000  # Python refuses to convert longer ones; they are kept as a Number


class Number(float):
    """A JSON number that is no plain integer: computes as a float, prints as it was sent."""

    text: str

    def __new__(cls, text: str) -> Number:
        number = super().__new__(cls, text)
        number.text = text
        return number


def _spelled(value: object) -> msgspec.Raw:
    if isinstance(value, Number):
        return msgspec.Raw(value.text.encode("ascii"))
    raise TypeError(f"{type(value).__name__} is not JSON")


def _integer(text: str) -> int | Number:
    return int(text) if len(text) <= _LONGEST_INTEGER else Number(text)


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is not JSON")


encode = msgspec.json.Encoder(enc_hook=_spelled).encode
_decode = msgspec.json.Decoder(float_hook=Number).decode


def decode(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises ValueError where it is none, or is nested too deep to read.
    """
    try:
        return _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass  # it may still be JSON: half a surrogate pair, an integer of 5,000 digits
    except RecursionError:
        raise ValueError("nested too deep") from None
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_float=Number, parse_int=_integer, parse_constant=_no_constant)
        return _storable(value) if "\\u" in text else value
    except RecursionError:
        raise ValueError("nested too deep") from None


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {without_lone_surrogates(key): _storable(item) for key, item in value.items()}
    return value


def without_lone_surrogates(text: str) -> str:
    """The text with U+FFFD in the place of each half of a surrogate pair."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
