"""What values are read as."""

from __future__ import annotations

import json

import pytest

from segue.compute.values import date_of, number_of, number_text, plain_number, read_number, text_of


@pytest.mark.parametrize("text", ["5", "-1.50", "1e3", "0", "-0", "0.5", "1E-7", "12345678901234567890"])
def test_a_string_is_a_number_where_it_is_exactly_one_of_json(text):
    assert number_of(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "05",
        " 5",
        "5 ",
        "5\n",
        "+5",
        "1,000",
        "1_000",
        "NaN",
        "inf",
        ".5",
        "5.",
        "1e",
        "0x1",
        "٥",
        "-",
        "true",
        "1e400",
    ],
)
def test_any_other_string_is_no_number(text):
    assert number_of(text) is None


@pytest.mark.parametrize(("number", "text"), [(5, "5"), (5.0, "5"), (-0.0, "0"), (0.1, "0.1"), (1e21, "1e+21")])
def test_a_number_has_one_text(number, text):
    assert text_of(number) == text == number_text(number)


def test_whole_doubles_below_ten_to_the_fifteenth_are_written_as_integers():
    assert number_text(999_999_999_999_999.0) == "999999999999999"
    assert number_text(1e15) == "1000000000000000.0"


def test_integers_are_exact_up_to_38_digits():
    digits = "9" * 38
    assert read_number(digits) == int(digits) and isinstance(read_number(digits), int)
    assert read_number("-" + digits) == -int(digits)
    assert isinstance(read_number("1" + "0" * 38), float)
    assert isinstance(plain_number(10**38), float)
    assert read_number("9" * 5000) is None


def test_null_is_none_of_the_three():
    assert text_of(None) is number_of(None) is date_of(None) is None


def test_an_empty_text_is_a_text():
    assert text_of("") == ""


@pytest.mark.parametrize("value", [True, False, [], [5], {}, {"a": 5}])
def test_what_is_neither_number_nor_string_has_no_number(value):
    assert number_of(value) is None


@pytest.mark.parametrize("value", [5, 5.5, True, [], {}, 20260310])
def test_only_strings_are_dates(value):
    assert date_of(value) is None


@pytest.mark.parametrize("text", ['{"b":1,"a":[true,null,0.1,"é\\n"]}', "[]", "{}", '[1e+21,5,"x"]'])
def test_an_array_or_object_is_its_canonical_json_in_the_order_received(text):
    assert text_of(json.loads(text)) == text


def test_a_truth_value_is_its_word():
    assert (text_of(True), text_of(False)) == ("true", "false")


def test_text_is_left_as_it_is():
    assert text_of("  Ärger\t") == "  Ärger\t"
