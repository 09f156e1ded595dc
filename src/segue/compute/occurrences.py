"""An event of the log as definitions see it, decoded no further than they ask.

Rule: what a path leads to is the same as in the canonical JSON of the event, decoded whole.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from msgspec import Raw

from segue.compute.history import Occurrence
from segue.compute.values import Value
from segue.core.canonical import canonical
from segue.core.event import Event

_DIGITS = frozenset(b"0123456789")
_decode = json.JSONDecoder().decode


class Members(dict[str, Any]):
    """The members of a JSON object, each decoded when it is first got."""

    def get(self, name: str, default: Any = None) -> Any:
        """The value of a member."""
        found = super().get(name, default)
        if type(found) is Raw:
            found = self[name] = value_of(bytes(found))
        return found


class Happened(Occurrence):
    """An event of the log; `t` and `received_at` in ms since 1970."""

    def __init__(self, event: Event, *, t: int, received_at: int, source: str) -> None:
        kind = event.type
        self.t = t
        self.received_at = received_at
        self.message_id = event.message_id
        self.source = source
        self.type = kind
        self.name = (event.event if kind == "track" else event.name if kind in ("page", "screen") else None) or ""
        self._event = event

    @cached_property
    def properties(self) -> Value:
        """What `property(…)` reads: of page and screen calls also their name."""
        found = Members(self._event.properties)
        if self.name and self.type in ("page", "screen"):
            found[f"{self.type}_name"] = self.name
        return found

    @cached_property
    def context(self) -> Value:
        """What `context(…)` reads."""
        return Members(self._event.context)


def value_of(raw: bytes) -> Value:
    """The value of valid JSON without white space around it, as its canonical text says."""
    first = raw[0]
    if first == 0x22 and b"\\" not in raw:
        return raw[1:-1].decode("utf-8", "replace")
    if len(raw) <= 15:
        if first != 0x2D and _DIGITS.issuperset(raw):
            return int(raw)
        if b"." in raw and first in _DIGITS:
            number = float(raw)
            if not number.is_integer():
                return number
    found: Value = _decode(canonical(raw))
    return found
