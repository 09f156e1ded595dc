"""Paths into traits, properties and context: how they are written, and what they lead to.

A dot steps into an object; `\\.` is a dot that is part of a name; `$` stands for every entry of an array.

Rule: a path never fails: what it does not find is null.

Source: Segment's "Query language" (four strokes before a dot in a JSON body) and "Audiences" (`$`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from segue.compute.values import Value

EVERY = "$"

_DOT = re.compile(r"(\\*)\.")


def segments(text: str) -> tuple[str, ...]:
    """The names of a path. Any number of backslashes before a dot makes it part of a name: authors write 1, 2 or 4."""
    found = [""]
    start = 0
    for dot in _DOT.finditer(text):
        found[-1] += text[start : dot.start()]
        if dot[1]:
            found[-1] += "."
        else:
            found.append("")
        start = dot.end()
    found[-1] += text[start:]
    return tuple(found)


def path_text(path: Sequence[str]) -> str:
    """The path as it is written, before a text form escapes its backslashes."""
    return ".".join(name.replace(".", "\\.") for name in path)


def can_be_written(path: Sequence[str]) -> bool:
    """Whether the path reads back as itself: a backslash right before a dot cannot be told from an escaped dot."""
    return segments(path_text(path)) == tuple(path)


def entries(document: Value, path: Sequence[str]) -> list[Value]:
    """What a path leads to: one value, or for each `$` every entry of the array there; none where there is no array.

    A step into null, text, a number or an array without `$` gives null.
    """
    found = [document]
    for name in path:
        if name == EVERY:
            found = [entry for value in found if isinstance(value, list) for entry in value]
        else:
            found = [value.get(name) if isinstance(value, dict) else None for value in found]
    return found
