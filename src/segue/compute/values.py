"""What a value is read as: a text, a number, a date, or none of these.

Values are those of canonical JSON (one spelling of a number, the last of doubled keys), made once where events come in,
so that every reader sees the same characters.

Rule: a reading depends on the value alone; a missing value, a broken path and `null` are never told apart; text is
never trimmed, folded or normalised.

Source: Segment's "Query language" for null and strings of digits; the rest PROPOSED.
"""

from __future__ import annotations

import json
import re
from math import isfinite
from typing import TypeAlias

from segue.compute.dates import Interval, read_date

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"
"""A value of canonical JSON, decoded: integers exact, other numbers as doubles."""

INTEGER_DIGITS_MOST = 38
"""Integers of up to so many digits are exact, longer ones are doubles, as in SQL."""
INTEGER_BELOW = 10**INTEGER_DIGITS_MOST
WHOLE_BELOW = 1e15
"""Doubles below it that are whole are written as integers."""

_SMALL = 1 << 62

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def plain_number(value: int | float) -> int | float:
    """The number as canonical JSON holds it: whole doubles as integers, integers beyond 38 digits as doubles.

    Raises OverflowError for an integer that no double holds; neither infinity nor "not a number" is a JSON number.
    """
    if isinstance(value, int):
        return value if abs(value) < INTEGER_BELOW else float(value)
    if abs(value) < WHOLE_BELOW:
        return int(value) if value == int(value) else value
    if isfinite(value):
        return value
    raise OverflowError("a number out of range")


def number_text(value: int | float) -> str:
    """The canonical text of a number: `5` for `5.0`, else the shortest that reads back the same (`0.1`, `1e+21`)."""
    return repr(plain_number(value))


def text_of(value: Value) -> str | None:
    """The value as text; None for null. An array or object is its canonical JSON, in the order received."""
    if value is None or isinstance(value, str):
        return value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, int | float):
        return number_text(value)
    return _encode(value)


def number_of(value: Value) -> int | float | None:
    """The value as number: a JSON number, or a string that is exactly one; None for all else and beyond a double."""
    if type(value) is int and -_SMALL < value < _SMALL:
        return value
    if isinstance(value, str):
        return read_number(value)
    if value is True or value is False or not isinstance(value, int | float):
        return None
    return plain_number(value)


def date_of(value: Value) -> Interval | None:
    """The value as date: a string of the accepted forms; numbers are never dates."""
    return read_date(value) if isinstance(value, str) else None


def is_number(value: Value) -> bool:
    """Whether the value is a JSON number (`true` is none)."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_number(text: str) -> int | float | None:
    """The number that a text is, exactly as JSON writes numbers; None where it is none or beyond a double."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    # The bound comes first: Python refuses to read integers of thousands of digits, and takes its time below that.
    if found[1] is None and found[2] is None and len(text.lstrip("-")) <= INTEGER_DIGITS_MOST:
        return int(text)
    value = float(text)
    return value if isfinite(value) else None
