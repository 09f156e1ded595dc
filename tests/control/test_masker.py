"""The masker: no form of a secret comes through, and other text is left alone."""

from __future__ import annotations

import json
from base64 import b64encode
from urllib.parse import quote, quote_plus

from hypothesis import given
from hypothesis import strategies as st

from segue.control.masker import MASK, Masker

SECRET = 'se/cret+"ä key='

SECRETS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="*"), min_size=4, max_size=40).filter(
    lambda text: text.strip()
)


def wire_forms(secret: str) -> list[str]:
    basic = b64encode(f"{secret}:".encode()).decode()
    return [
        secret,
        basic,
        basic.rstrip("="),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ]


def test_every_form_on_the_wire_is_masked():
    masker = Masker([SECRET])
    for form in wire_forms(SECRET):
        assert masker.mask_text(f"<{form}>").strip("=") in (f"<{MASK}>", f"<{MASK}=>", f"<{MASK}==>")
        assert form.encode() not in masker.mask(f"<{form}>".encode())


@given(secret=SECRETS, around=st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_no_form_of_any_secret_comes_through(secret, around):
    masker = Masker([secret])
    for form in wire_forms(secret):
        assert form not in masker.mask_text(around + form + around)
        assert form.encode() not in masker.mask((around + form + around).encode())


@given(st.binary(max_size=200))
def test_bytes_without_a_secret_come_out_as_they_went_in(body):
    assert Masker(["a secret that is not in there"]).mask(body) is body


def test_a_longer_secret_is_masked_whole_where_it_begins_with_a_shorter():
    assert Masker(["abcdef", "abcdefghij"]).mask_text("abcdefghij abcdefgh") == f"{MASK} {MASK}gh"


def test_the_credential_of_a_header_is_masked_without_its_scheme_too():
    masker = Masker(["Bearer hunter2", "two words"])
    assert masker.mask_text("Authorization: Bearer hunter2") == f"Authorization: {MASK}"
    assert masker.mask_text("no such token: hunter2; words") == f"no such token: {MASK}; words"


def test_a_short_secret_is_masked_only_as_the_user_of_basic_authentication():
    basic = b64encode(b"abc:").decode()
    assert Masker(["abc"]).mask_text(f"abc Basic {basic}") == f"abc Basic {MASK}"


def test_a_value_of_this_call_is_masked_too():
    assert Masker([]).mask(b"X-Signature: 123abc", ["123abc", ""]) == b"X-Signature: ***"
    assert Masker([]).mask_text("X-Signature: 123abc", ["123abc"]) == "X-Signature: ***"


def test_an_empty_secret_masks_nothing():
    assert Masker(["", ""]).mask_text("text") == "text"


def test_its_repr_shows_no_secret():
    assert SECRET not in repr(Masker([SECRET]))
