"""The wire of family A, to the byte."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from segue.destinations._partner import basic, post_event


def test_the_headers_are_those_of_segments_partner_page() -> None:
    request = post_event("https://receiver.example/segment", "segment", b"{}")
    assert request.method == "POST"
    assert dict(request.headers) == {
        "Accept": "*/*",
        "Authorization": "Basic c2VnbWVudDo=",
        "Cache-Control": "no-cache",
        "Content-Type": "application/json",
        "User-Agent": "Segment.io/1.0",
    }


def test_other_settings_travel_as_base64_of_json_and_only_where_there_are_any() -> None:
    shown = {"customSettingOne": "custom setting value"}
    headers = dict(post_event("https://receiver.example/", "k", b"{}", shown_settings=shown).headers)
    assert headers["X-Segment-Settings"] == "eyJjdXN0b21TZXR0aW5nT25lIjoiY3VzdG9tIHNldHRpbmcgdmFsdWUifQ=="
    assert "X-Segment-Settings" not in dict(post_event("https://receiver.example/", "k", b"{}").headers)


def test_the_body_is_the_events_own_bytes() -> None:
    body = b'{ "b": 1.50,\n"a": "\\u00e5" }'
    assert post_event("https://receiver.example/", "k", body).body is body


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_the_key_is_the_user_and_the_password_is_empty(key: str) -> None:
    scheme, _, encoded = basic(key).partition(" ")
    assert scheme == "Basic"
    assert base64.b64decode(encoded, validate=True).decode() == key + ":"


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text(), min_size=1))
def test_shown_settings_decode_to_what_they_were(shown: dict[str, str]) -> None:
    header = dict(post_event("https://receiver.example/", "k", b"{}", shown_settings=shown).headers)
    assert json.loads(base64.b64decode(header["X-Segment-Settings"])) == shown
