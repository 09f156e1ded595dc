"""What is said of a value of the wrong type, in the words of whoever writes a file. Pure.

Rule: nothing of the value itself is quoted, for it may be a secret; where a message is not known, it stays.
"""

from __future__ import annotations

import re

from segue.control.units import counted
from segue.destinations._partner import ENDPOINT_PATTERN

NAMES = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "null": "nothing",
    "object": "a map",
    "str": "a text",
}
FORMS = {
    ENDPOINT_PATTERN: "must be an address that begins with http:// or https://",
    r"\S": "must not be blank",
}

OTHER_FORM = "does not have the form that is asked for"
"""Of a form that has no words here; who knows the setting can say more."""

_TYPES = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_FORM = re.compile(r"Expected `str` matching regex (.+)", re.DOTALL)
_LENGTH = re.compile(r"Expected `(str|array|object)` of length (>=|<=) (\d+)")
_RANGE = re.compile(r"Expected `(?:int|float)` (>=|<=|>|<) (\S+)")
_BOUNDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


def plain_words(message: str) -> str:
    """A message of msgspec, without the place, as a sentence about the value."""
    types = _TYPES.fullmatch(message)
    if types:
        return _about_types(types[1].split(" | "), types[2])
    form = _FORM.fullmatch(message)
    if form:
        known = (words for pattern, words in FORMS.items() if repr(pattern) == form[1])
        return next(known, OTHER_FORM)
    length = _LENGTH.fullmatch(message)
    if length:
        unit = ("character", "characters") if length[1] == "str" else ("entry", "entries")
        return f"must have {_BOUNDS[length[2]]} {counted(int(length[3]), *unit)}"
    bound = _RANGE.fullmatch(message)
    return f"must be {_BOUNDS[bound[1]]} {bound[2]}" if bound else message[:1].lower() + message[1:]


def _about_types(wanted: list[str], got: str) -> str:
    names = [NAMES.get(name, name) for name in wanted if name != "null"] or ["nothing"]
    words = "must be " + " or ".join(names)
    if got == "null":
        return f"{words}, and nothing stands there"
    words += f", not {NAMES.get(got, got)}"
    return (
        f"{words}; put it in quotes if it is meant as a text"
        if "str" in wanted and got in ("int", "float", "bool")
        else words
    )
