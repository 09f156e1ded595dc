"""Setting values: said, stored, used, and printed, without a secret getting out."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.control.secrets import Secrets
from segue.control.setting_values import (
    Kept,
    Reference,
    Secret,
    Unreadable,
    is_open,
    printed_value,
    read_value,
    resolved_value,
    sealed_value,
    secrets_in,
    texts_of,
    unsealed_value,
    with_kept,
)
from segue.core.errors import Invalid

SECRETS = Secrets.passing()

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.text("$${}AB", max_size=8)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


def escaped(value):
    """A literal value as a file would say it."""
    return printed_value(value)


@given(PLAIN, st.booleans())
def test_a_literal_is_used_as_it_was_meant(value, secret):
    read = read_value(escaped(value), secrets=[()] if secret else [], field="x")
    stored = json.loads(msgspec.json.encode(sealed_value(read, SECRETS)))
    assert unsealed_value(stored, SECRETS) == read
    assert resolved_value(unsealed_value(stored, SECRETS), {}, "x") == value


@given(PLAIN)
def test_what_is_printed_reads_as_equal(value):
    read = read_value(escaped(value), field="x")
    assert read_value(printed_value(read), field="x") == read


def test_a_reference_is_kept_and_resolved_when_used():
    read = read_value("${NAME}", secrets=[()], field="x")
    assert read == Reference("${NAME}")
    assert sealed_value(read, SECRETS) == {"$env": "NAME"}
    assert printed_value(read) == "${NAME}"
    assert is_open(read, {})
    assert resolved_value(read, {"NAME": "${not again}"}, "x") == "${not again}"
    with pytest.raises(Invalid, match=r"^x: the environment variable NAME is not set; it must be"):
        resolved_value(read, {}, "x")


def test_a_reference_may_be_part_of_a_text():
    read = read_value(["http://${HOST}:${PORT}/$${x}"], field="x")
    assert unsealed_value(sealed_value(read, SECRETS), SECRETS) == read
    assert resolved_value(read, {"HOST": "h", "PORT": "1"}, "x") == ["http://h:1/${x}"]


def test_a_secret_that_is_partly_a_reference_is_encrypted_whole():
    read = read_value("Bearer hunter2-${TOKEN}", secrets=[()], field="x")
    stored = sealed_value(read, SECRETS)
    assert "hunter2" not in json.dumps(stored) + repr(read) + json.dumps(printed_value(read))
    assert resolved_value(unsealed_value(stored, SECRETS), {"TOKEN": "t"}, "x") == "Bearer hunter2-t"


@pytest.mark.parametrize("text", ["${", "a ${1}", "${a b}", "$${a}${"])
def test_a_broken_reference_is_refused(text):
    with pytest.raises(Invalid, match="write a reference as"):
        read_value(text, field="x")


def test_kept_is_for_secrets_only():
    assert read_value({"kept": True}, secrets=[()], field="x") == Kept()
    assert read_value({"kept": True}, field="x") == {"kept": True}


def test_an_equal_secret_keeps_its_encrypted_text():
    stored = sealed_value(Secret("hunter2"), SECRETS)
    assert sealed_value(Secret("hunter2"), SECRETS, stored) is stored
    assert sealed_value(Secret("hunter3"), SECRETS, stored) != stored


def test_a_secret_of_another_key_stays_as_it_is_until_it_is_used():
    stored = sealed_value(Secret("hunter2"), Secrets.passing())
    value = unsealed_value(stored, SECRETS)
    assert isinstance(value, Unreadable)
    assert sealed_value(value, SECRETS) == stored
    with pytest.raises(Invalid, match="encrypted with another key"):
        resolved_value(value, {}, "x")


@pytest.mark.parametrize("raw", [{"$secret": "x"}, {"$env": "x"}, {1: 2}, 2**70, {1, 2}, "\ud800"])
def test_what_cannot_be_stored_is_refused(raw):
    with pytest.raises(Invalid, match=r"^x: "):
        read_value(raw, field="x")


def test_what_is_nested_too_deep_is_refused():
    raw = "x"
    for _ in range(20):
        raw = [raw]
    with pytest.raises(Invalid, match="nested deeper"):
        read_value(raw, field="x")


def test_every_text_in_a_secret_is_known_to_the_masker():
    assert list(texts_of({"a": ["x", {"b": "y"}], "c": 1})) == ["x", "y"]


def test_no_repr_shows_a_secret():
    assert "hunter2" not in repr([Secret("hunter2"), {"a": Secret(["hunter2"])}])


HEADERS = [("*", "headers")]


def hook(url, **headers):
    return {"hook": url, "headers": headers}


def hooks(*given):
    return read_value(list(given), secrets=HEADERS, field="hooks")


def test_a_secret_inside_a_list_is_encrypted_and_everything_else_is_not():
    read = hooks("https://a", hook("https://b", Authorization="hunter2"))
    stored = sealed_value(read, SECRETS)
    assert stored[0] == "https://a" and stored[1]["hook"] == "https://b"
    assert list(stored[1]["headers"]) == ["$secret"]
    assert "hunter2" not in repr(read) + json.dumps(stored)
    assert unsealed_value(stored, SECRETS) == read
    assert resolved_value(read, {}, "x")[1] == hook("https://b", Authorization="hunter2")
    assert printed_value(read)[1] == {"hook": "https://b", "headers": {"kept": True}}
    assert list(texts_of([resolved_value(each, {}, "x") for each in secrets_in(read, HEADERS)])) == ["hunter2"]


def test_an_equal_secret_inside_a_list_keeps_its_encrypted_text():
    stored = sealed_value(hooks(hook("https://a", X="1")), SECRETS)
    again = sealed_value(hooks(hook("https://a", X="1"), hook("https://b", X="2")), SECRETS, stored)
    assert again[0] == stored[0]


def test_a_kept_secret_inside_a_list_stays_with_its_own_entry():
    stored = hooks(hook("https://a", X="of a"), "https://plain", hook("https://b", X="of b"))
    kept = {"headers": {"kept": True}}
    wanted = hooks({"hook": "https://b", **kept}, hook("https://c", X="new"), {"hook": "https://a", **kept})
    assert with_kept(wanted, stored, "hooks") == hooks(
        hook("https://b", X="of b"), hook("https://c", X="new"), hook("https://a", X="of a")
    )


def test_of_two_equal_entries_each_keeps_its_own_secret():
    stored = hooks(hook("https://a", X="first"), hook("https://a", X="second"))
    kept = {"hook": "https://a", "headers": {"kept": True}}
    assert with_kept(hooks(kept, kept), stored, "hooks") == stored
    with pytest.raises(Invalid, match=r"^hooks\[2\].headers: .*none is stored"):
        with_kept(hooks(kept, kept, kept), stored, "hooks")


@pytest.mark.parametrize("url", ["https://evil.example", "https://a/"])
def test_a_kept_secret_does_not_follow_another_address(url):
    wanted = hooks({"hook": url, "headers": {"kept": True}})
    for stored in (hooks(hook("https://a", X="1")), hooks(url), None):
        with pytest.raises(Invalid, match=r"^hooks\[0\].headers: .*none is stored"):
            with_kept(wanted, stored, "hooks")
