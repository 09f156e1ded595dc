"""Mistakes of type, in words."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from segue.control.type_words import plain_words
from segue.destinations._partner import ENDPOINT_PATTERN


@pytest.mark.parametrize(
    ("wanted", "value", "words"),
    [
        (str, 5, "must be a text, not a whole number; put it in quotes if it is meant as a text"),
        (str, True, "must be a text, not true or false; put it in quotes if it is meant as a text"),
        (bool, "x", "must be true or false, not a text"),
        (list[str], "x", "must be a list, not a text"),
        (list[str], None, "must be a list, and nothing stands there"),
        (dict[str, str] | None, "x", "must be a map, not a text"),
        (str | dict[str, str], [], "must be a text or a map, not a list"),
        (Annotated[str, Meta(pattern=ENDPOINT_PATTERN)], "ftp://x", "must be an address that begins with http:// or https://"),
        (Annotated[str, Meta(pattern=r"\S")], " ", "must not be blank"),
        (Annotated[str, Meta(pattern="^a$")], "b", "does not have the form that is asked for"),
        (Annotated[str, Meta(min_length=1)], "", "must have at least 1 character"),
        (Annotated[list[int], Meta(max_length=1)], [1, 2], "must have at most 1 entry"),
        (Annotated[int, Meta(ge=1)], 0, "must be at least 1"),
        (Annotated[float, Meta(lt=2)], 2.0, "must be less than 2.0"),
    ],
)  # fmt: skip
def test_a_mistake_of_type_is_told_without_the_words_of_a_library(wanted, value, words):
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, wanted)
    assert plain_words(str(caught.value)) == words


def test_a_message_that_is_not_known_stays():
    assert plain_words("Something else") == "something else"
    assert plain_words("") == ""
