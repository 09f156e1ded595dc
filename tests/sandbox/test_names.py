"""Names and ids in any casing."""

from __future__ import annotations

from typing import Any

import pytest

from segue.sandbox.names import look_up, members, nested, spellings, text_id


def test_the_spellings_come_in_the_order_exact_camel_snake_lower() -> None:
    assert spellings("firstName") == ("firstName", "first_name", "firstname")
    assert spellings("first_name") == ("first_name", "firstName", "firstname")
    assert spellings("FirstName") == ("FirstName", "firstName", "first_name", "firstname")


@pytest.mark.parametrize("key", ["firstName", "first_name", "firstname", "FirstName", "FIRST_NAME"])
def test_a_name_is_found_in_any_casing(key: str) -> None:
    assert look_up({"other": 1, key: "Ada"}, "firstName") == "Ada"


def test_the_exact_name_wins() -> None:
    assert look_up({"first_name": "snake", "firstName": "exact"}, "firstName") == "exact"


def test_null_under_one_name_lets_the_next_be_looked_up() -> None:
    assert look_up({"userId": None, "anonymousId": "a"}, "userId", "anonymousId") == "a"
    assert look_up({}, "userId") is None


def test_a_path_ends_at_what_is_no_object() -> None:
    assert nested({"company": {"ID": 7}}, "company", "id") == 7
    assert nested({"company": "x"}, "company", "id") is None
    assert members({"traits": [1]}, "traits") == {}


@pytest.mark.parametrize(
    ("value", "text"),
    [("u1", "u1"), (" u1 ", " u1 "), (42, "42"), (4.5, "4.5"), ("", None), ("  ", None), (True, None), ([], None)],
)
def test_an_id_is_text_and_numbers_become_text(value: Any, text: str | None) -> None:
    assert text_id({"userId": value}, "userId") == text
