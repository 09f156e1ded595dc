from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from segue.collect.answer import Unacceptable
from segue.collect.parse import open_batch, open_event, too_deep


def fields(body: bytes) -> dict[str, Raw]:
    return open_event(body)[0]


def refused(body: bytes) -> tuple[int, str, str]:
    with pytest.raises(Unacceptable) as caught:
        fields(body)
    return caught.value.status, caught.value.code, str(caught.value)


def test_the_bytes_of_every_value_survive() -> None:
    body = b'{"a": 12345678901234567890, "b": 1.10, "c":  {"z" : [1e999, -0.0]}, "d": "\\u00e9\\u0000\\/"}'
    assert {key: bytes(value) for key, value in fields(body).items()} == {
        "a": b"12345678901234567890",
        "b": b"1.10",
        "c": b'{"z" : [1e999, -0.0]}',
        "d": b'"\\u00e9\\u0000\\/"',
    }


def test_of_equal_keys_the_last_wins_at_the_top_and_both_stay_below() -> None:
    assert fields(b'{"a":1,"a":2,"b":{"x":1,"x":2}}') == fields(b'{"a":2,"b":{"x":1,"x":2}}')


def test_invalid_utf8_is_named_with_its_byte() -> None:
    assert refused(b'{"a":"\xff"}') == (400, "invalid_utf8", "the body is not UTF-8: invalid start byte at byte 6")


def test_a_surrogate_in_utf8_is_invalid() -> None:
    assert refused(b'{"a":"\xed\xa0\xbd"}')[1] == "invalid_utf8"


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_json_number_is_named_with_its_byte(word: str) -> None:
    status, code, message = refused(f'{{"a":{word}}}'.encode())
    assert (status, code) == (400, "invalid_json")
    assert message == f"the body is not JSON: {word} at byte 5 is no JSON number"


def test_a_body_that_is_cut_says_where_it_ends() -> None:
    assert refused(b'{"a":"x')[2] == "the body is not JSON: it ends too early, at byte 7"


def test_a_comma_too_many_is_named_with_its_byte() -> None:
    assert "(byte 7)" in refused(b'{"a":1,}')[2]


@pytest.mark.parametrize("body", [b"", b"  \n"])
def test_an_empty_body_is_said_to_be_empty(body: bytes) -> None:
    assert refused(body)[1:] == ("invalid_json", "the body is empty")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1", b"true"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused(body)[:2] == (400, "not_an_object")
    with pytest.raises(Unacceptable):
        open_batch(body)


@pytest.mark.parametrize("opener", ["[", '{"a":'])
def test_nesting_of_3000_levels_is_refused(opener: str) -> None:
    body = ('{"a":' + opener * 3000 + "1" + ("]" if opener == "[" else "}") * 3000 + "}").encode()
    assert refused(body)[:2] == (400, "nested_too_deep")


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (r'"cut \ud83d"', r'"cut \ufffd"'),
        (r'"\ude00 alone"', r'"\ufffd alone"'),
        (r'"\ud83d\ud83d\ude00"', r'"\ufffd\ud83d\ude00"'),
        (r'"\uD83Dx"', r'"\ufffdx"'),
        (r'"\\ud83d \ud83d"', r'"\\ud83d \ufffd"'),
    ],
)
def test_half_a_surrogate_pair_becomes_the_replacement_character(sent: str, kept: str) -> None:
    assert bytes(fields(f'{{"a":{sent}}}'.encode())["a"]) == kept.encode()


def test_a_whole_surrogate_pair_stays_as_sent() -> None:
    assert bytes(fields(rb'{"a":"\ud83d\ude00"}')["a"]) == rb'"\ud83d\ude00"'


def test_a_byte_order_mark_is_passed_over() -> None:
    assert fields(b"\xef\xbb\xbf{}") == {}


@pytest.mark.parametrize("batch", [b"{}", b'{"batch":null}', b'{"batch":5}', b'{"batch":{"a":1}}'])
def test_a_batch_without_a_list_holds_none_and_keeps_its_key(batch: bytes) -> None:
    opened = open_batch(b'{"writeKey":"wk",' + batch[1:] if batch != b"{}" else b'{"writeKey":"wk"}')
    assert opened.batch is None
    assert bytes(opened.write_key) == b'"wk"'


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=6), st.booleans())
def test_whatever_a_json_encoder_writes_is_opened_exactly(value: dict[str, object], ascii_only: bool) -> None:
    def written(part: object) -> bytes:
        return json.dumps(part, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")

    try:
        body = written(value)
        body.decode()
    except UnicodeDecodeError:
        return
    opened = fields(body)
    assert {key: bytes(raw) for key, raw in opened.items()} == {key: written(part) for key, part in value.items()}


@given(st.binary(max_size=60) | st.text(alphabet='{}[]":,\\ud83de0 1', max_size=60).map(str.encode))
def test_any_bytes_are_opened_or_refused_with_a_reason(body: bytes) -> None:
    for opened in (open_event, open_batch):
        try:
            opened(body)
        except Unacceptable as error:
            assert error.status == 400 and error.code and str(error)


@pytest.mark.parametrize(("levels", "deep"), [(200, False), (201, True)])
def test_an_event_may_be_nested_200_levels(levels: int, deep: bool) -> None:
    assert too_deep(b"[" * levels + b"]" * levels) is deep


def test_brackets_in_texts_and_beside_each_other_are_no_depth() -> None:
    assert not too_deep(b'{"a":"' + b"[{" * 400 + b'\\"[","b":[' + b",".join([b"{}"] * 300) + b"]}")
