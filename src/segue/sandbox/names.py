"""How a receiver reads the names and ids of an event.

Source: Segment's partner page says that the casing of names varies by customer. The order is PROPOSED.
Rule: the exact name wins over every other spelling of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_+")


@lru_cache(maxsize=4096)
def spellings(name: str) -> tuple[str, ...]:
    """The name as given, then in camelCase, snake_case and lower case; each once."""
    words = [word.lower() for word in _WORD_START.split(name) if word]
    camel = words[0] + "".join(word.capitalize() for word in words[1:]) if words else name
    return tuple(dict.fromkeys((name, camel, "_".join(words), "".join(words))))


def folded(name: str) -> str:
    """The name without case and underscores: what all its spellings share."""
    return name.replace("_", "").lower()


def spelled(fields: Mapping[str, Any], name: str) -> str | None:
    """The key of `fields` that is this name in some spelling; None where there is none."""
    for spelling in spellings(name):
        if spelling in fields:
            return spelling
    wanted = folded(name)
    return next((key for key in fields if folded(key) == wanted), None)


def look_up(fields: Mapping[str, Any], *names: str) -> Any:
    """The first value that is not null under one of the names, in any spelling; None where there is none."""
    for name in names:
        key = spelled(fields, name)
        if key is not None and fields[key] is not None:
            return fields[key]
    return None


def nested(fields: Mapping[str, Any], *path: str) -> Any:
    """The value at a path of names, each in any spelling; None where a step is missing or no object."""
    value: Any = fields
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = look_up(value, name)
    return value


def members(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under this name; of anything else, an empty one."""
    value = look_up(fields, name)
    return value if isinstance(value, dict) else {}


def text_id(fields: Mapping[str, Any], *names: str) -> str | None:
    """The first id under one of the names, as text: `42` is "42".

    Blank text, a truth value, a list is no id.
    """
    for name in names:
        value = look_up(fields, name)
        if isinstance(value, str) and value.strip():
            return value
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return getattr(value, "text", str(value))
    return None
