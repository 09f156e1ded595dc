"""User.com's typed attributes, pure: how a name is spelt, what a value becomes in an attribute of a type.

Rule: a value that cannot be converted is `IGNORED`, never an error and never stored in another type.
The vendor documents the types and one worked example; every other conversion is PROPOSED: our own contract.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, Final

from msgspec import Struct

from segue.core.clock import from_iso, iso
from segue.sandbox import exact

NAME_CHARACTERS_MAX = 32
"""The vendor's limit on the name of an attribute (another of its pages says 255)."""

CONTENT_TYPES = {
    "clientuser": "clientuser",
    "client": "clientuser",
    "user": "clientuser",
    "company": "company",
    "activity": "activity",
    "event": "activity",
}
"""What an attribute may belong to, by every accepted spelling; each has names of its own (UC-D9)."""

IGNORED: Final = object()
"""What a conversion gives where the value cannot be converted."""


class Definition(Struct, frozen=True, kw_only=True):
    """One attribute as it is defined. `choices` and `allow_multiple_choices` belong to the type `fixed`."""

    content_type: str
    name: str
    value_type: str = "string"
    choices: tuple[Any, ...] = ()
    allow_multiple_choices: bool = False

    @property
    def name_std(self) -> str:
        """The name as keys of rows and the read API have it."""
        return name_std(self.name)


def name_std(name: str) -> str:
    """Lower case, blanks as `_`. Source: the vendor's documentation of attributes."""
    return name.strip().lower().replace(" ", "_")


def name_is_usable(name: str) -> bool:
    """Whether an attribute can have this name: 1 to 32 characters."""
    return bool(name.strip()) and len(name) <= NAME_CHARACTERS_MAX


def convert(definition: Definition, value: Any) -> Any:
    """The value as an attribute of this definition stores it, or `IGNORED`."""
    if definition.value_type == "fixed":
        return _fixed(definition, value)
    return _CONVERSIONS[definition.value_type](value)


def compact_json(value: Any) -> str:
    """JSON text without blanks, characters and numbers as they were sent."""
    return exact.encode(value).decode()


def _string(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return IGNORED if value is None else compact_json(value)


_INTEGER_TEXT = re.compile(r"[+-]?[0-9]{1,400}(\.0*)?")
_FLOAT_TEXT = re.compile(r"[+-]?([0-9]{1,400}(\.[0-9]{0,400})?|\.[0-9]{1,400})([eE][+-]?[0-9]{1,5})?", re.ASCII)


def _integer(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        return int(text.partition(".")[0]) if _INTEGER_TEXT.fullmatch(text) else IGNORED
    if isinstance(value, float):
        return int(value) if value.is_integer() else IGNORED
    return value if _is_int(value) else IGNORED


def _number(value: Any) -> Any:
    if isinstance(value, str):
        text = value.strip()
        if _INTEGER_TEXT.fullmatch(text) and "." not in text:
            return int(text)
        value = float(text) if _FLOAT_TEXT.fullmatch(text) else IGNORED
    if isinstance(value, float):
        return value if math.isfinite(value) else IGNORED
    return value if _is_int(value) else IGNORED


def _float(value: Any) -> Any:
    number = _number(value)
    try:
        return IGNORED if number is IGNORED else float(number)
    except OverflowError:
        return IGNORED


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_BOOLEAN_TEXTS = {"true": True, "false": False, "1": True, "0": False}


def _boolean(value: Any) -> Any:
    if isinstance(value, str):
        return _BOOLEAN_TEXTS.get(value.strip().lower(), IGNORED)
    if isinstance(value, bool):
        return value
    return bool(value) if _is_int(value) and value in (0, 1) else IGNORED


def _date(value: Any) -> Any:
    if not isinstance(value, str):
        return IGNORED
    text = value.strip()
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            return parse(text).isoformat()[:10]
        except ValueError:
            continue
    return IGNORED


def _datetime(value: Any) -> Any:
    try:
        if isinstance(value, str):
            return iso(from_iso(value.strip()))
        return iso(value * 1000) if _is_int(value) else IGNORED
    except (ValueError, OverflowError, OSError):
        return IGNORED


def _json(value: Any) -> Any:
    if isinstance(value, list | dict):
        return value
    if not isinstance(value, str):
        return IGNORED
    try:
        return exact.decode(value.encode())
    except ValueError:
        return IGNORED


def _fixed(definition: Definition, value: Any) -> Any:
    chosen = value if isinstance(value, list) and definition.allow_multiple_choices else [value]
    listed = {compact_json(choice) for choice in definition.choices}
    return value if chosen and all(compact_json(one) in listed for one in chosen) else IGNORED


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "string": _string,
    "integer": _integer,
    "float": _float,
    "number": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _datetime,
    "json": _json,
}

VALUE_TYPES = frozenset({*_CONVERSIONS, "fixed"})
"""The vendor's types, and `number`, the word of that page for integer and float alike (alias: PROPOSED)."""
