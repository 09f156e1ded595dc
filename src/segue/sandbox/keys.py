"""The keys of a vendor: what a sender proves itself with, and which tenant its events belong to.

Rule: a key's text is unique within its vendor, and names the same tenant for ever; a revoked key is refused until it is
issued again.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import Struct

KeyState = Literal["live", "revoked", "disabled"]

MOVES: dict[str, tuple[KeyState, KeyState]] = {
    "disable": ("live", "disabled"),
    "enable": ("disabled", "live"),
}
"""What an admin may do to a key besides `revoke`, which works from every state: (from, to)."""

DEMO_ID = "demo"


class Key(Struct, frozen=True, kw_only=True):
    """One key of one vendor.

    `options` hold every option of the vendor's `key_options`, defaults filled in.
    """

    id: str
    key: str
    state: KeyState = "live"
    options: dict[str, Any] = {}

    @property
    def masked(self) -> str:
        """The key as a list may show it: its beginning only."""
        return self.key[: min(4, len(self.key) // 2)] + "…"

    def shown(self) -> dict[str, Any]:
        """The key in the list of keys."""
        return {"id": self.id, "key": self.masked, "state": self.state, **self.options}


class KeyOptions(Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen for a key of any vendor.

    A vendor with more to choose has a Struct that extends this one.
    """

    dedupe: bool = True
    """Whether an event with the messageId of one taken in the last 24 hours gets the first answer again."""


def demo_key(slug: str) -> str:
    """The key that each vendor starts with."""
    return f"demo-{slug}-key"


def checked_options(kind: type[KeyOptions], given: dict[str, Any]) -> dict[str, Any]:
    """All options of a key, defaults filled in. Raises ValueError that names what is wrong."""
    try:
        options = msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    return dict(msgspec.to_builtins(options))


def checked_key(text: object) -> str:
    """A key that fits into a header. Raises ValueError."""
    if not isinstance(text, str) or not 1 <= len(text) <= 200:
        raise ValueError("key must be a text of 1 to 200 characters")
    if not (text.isascii() and text.isprintable()) or " " in text or ":" in text:
        raise ValueError("key must hold printable ASCII characters only, no blank and no colon")
    return text
