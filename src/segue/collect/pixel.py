"""The pixel: an event in the query of a picture's address.

Rule: what cannot be read is still one dropped event; the picture itself is always sent.
Source: Segment, "Pixel Tracking API".
"""

from __future__ import annotations

import binascii
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from segue.collect.limits import DEPTH_MOST

_FIELDS_MOST = 1000

_encode = msgspec.json.Encoder().encode


def pixel_body(query: bytes) -> bytes:
    """The event's JSON: of `data`, base64 in either alphabet, or of the other parameters, dots in names nesting.

    Where `data` is not base64 it is taken as it is; whether that is a JSON object is for the caller to see.
    """
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_FIELDS_MOST)
    except ValueError:
        return query
    values = dict(pairs)
    data = values.pop("data", None)
    if data is None:
        return _encode(_nested(values))
    body = _from_base64(data)
    key = values.get("writeKey")
    return _with_write_key(body, key) if key else body


def _with_write_key(body: bytes, key: str) -> bytes:
    """The key may also stand beside `data`; the one inside wins, as the last of two equal names."""
    if body[:1] != b"{":
        return body
    comma = b"," if body[1:].lstrip()[:1] != b"}" else b""
    return b'{"writeKey":' + _encode(key) + comma + body[1:]


def _from_base64(text: str) -> bytes:
    # A query's decoder makes a space of `+`, which is in the standard alphabet.
    plain = text.strip().replace(" ", "+").replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError:
        return text.encode()


def _nested(values: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        # One level more than is allowed is enough to be seen as too deep.
        *path, last = name.split(".", DEPTH_MOST + 1)
        place = found
        for step in path:
            inner = place.setdefault(step, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            if not isinstance(place.get(last), dict):
                place[last] = value
    return found
