"""Family A on the wire: one event, one POST with Basic authentication; the receiver maps.

Source: Segment's partner pages ("Build a webhook", "Direct destination").
Rule: the body is the event's own bytes; nothing here reads or rewrites it.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

import msgspec

from segue.core.destination import Request

USER_AGENT = "Segment.io/1.0"

ENDPOINT_PATTERN = r"^https?://[^\s/?#]+(?:[/?][^\s#]*)?$(?!\n)"
"""What a setting that holds an address must look like: http or https, a host, no blanks, no fragment.

JSON Schema, which reads it too, knows no `\\Z`; in Python `$` alone would let a line end through."""

Headers = tuple[tuple[str, str], ...]

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


def post_event(
    endpoint: str, api_key: str, body: bytes, *, shown_settings: Mapping[str, str] = _NO_SETTINGS
) -> Request:
    """One event as Segment posts it to a partner.

    `shown_settings` are all settings but the key and the endpoint; they travel as `X-Segment-Settings`,
    which is left out where there are none (PROPOSED: Segment's pages only show it with something in it).
    """
    shown = tuple(shown_settings.items()) if shown_settings else ()
    return Request(url=endpoint, headers=partner_headers(api_key, shown), body=body)


@lru_cache(maxsize=1024)
def partner_headers(api_key: str, shown_settings: tuple[tuple[str, str], ...] = ()) -> Headers:
    """The headers of every post with this key. Cached: they are the dearest part of a delivery's mapping."""
    headers: Headers = (
        ("Accept", "*/*"),
        ("Authorization", basic(api_key)),
        ("Cache-Control", "no-cache"),
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
    )
    if shown_settings:
        headers += (("X-Segment-Settings", _base64(msgspec.json.encode(dict(shown_settings)))),)
    return headers


def basic(api_key: str) -> str:
    """The value of `Authorization`: the key as user, an empty password; the colon is always there."""
    return "Basic " + _base64(f"{api_key}:".encode())


def _base64(text: bytes) -> str:
    return b64encode(text).decode("ascii")
