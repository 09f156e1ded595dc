"""What is kept of attempts: bounded, masked, and readable whatever it holds."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import Request, Response
from segue.deliver.history import (
    ANSWER_BYTES_MOST,
    ATTEMPTS_MOST,
    attempt_shown,
    decode_history,
    encode_history,
    request_shown,
    with_attempt,
)

HEADERS = (("X-Signature", "abc"), ("Authorization", "Basic s3cret"))


def mask(body: bytes) -> bytes:
    return body.replace(b"s3cret", b"***")


def shown(**others: Any) -> dict[str, Any]:
    request = Request(url="https://vendor.example/?key=s3cret", headers=HEADERS, body=b'{"key": "s3cret"}')
    parts: dict[str, Any] = {"request": request, "response": Response(status=400, body=b"no s3cret"), "message": ""}
    return attempt_shown(at=0, duration_ms=7, mask=mask, **(parts | others))


def test_no_secret_and_no_signature_is_kept() -> None:
    kept = encode_history([shown(), shown(message="KeyError: s3cret")])
    assert b"s3cret" not in kept
    assert b"abc" not in kept
    assert kept.count(b"***") >= 8


def test_512_bytes_of_an_answer_are_kept_and_a_secret_is_masked_before_it_is_cut() -> None:
    body = b"x" * (ANSWER_BYTES_MOST - 3) + b"s3cret" + b"y" * 900
    kept = shown(response=Response(status=500, body=body))["response"]["body"]
    assert len(kept) == ANSWER_BYTES_MOST
    assert kept.endswith("***")


def test_a_long_message_is_cut_too() -> None:
    assert len(shown(message="x" * 40_000)["error"]) == ANSWER_BYTES_MOST


def test_without_an_answer_the_error_says_why() -> None:
    assert shown(response=Response(status=0, error="ETIMEDOUT"))["error"] == "ETIMEDOUT"


def test_ten_attempts_are_kept_the_newest_with_its_request() -> None:
    history: list[dict[str, Any]] = []
    for number in range(25):
        history = with_attempt(history, shown() | {"at": number})
    assert [attempt["at"] for attempt in history] == list(range(15, 25))
    assert len(history) == ATTEMPTS_MOST
    assert [attempt["at"] for attempt in history if "request" in attempt] == [24]
    assert decode_history(encode_history(history)) == history


def test_no_history_is_an_empty_list() -> None:
    assert encode_history([]) == b"[]"
    assert decode_history(b"") == decode_history(b"[]") == []


TEXT = st.text(st.characters())  # lone surrogates too: an event's text may hold them


@given(TEXT, TEXT, st.binary())
def test_whatever_a_request_holds_it_can_be_shown_and_stored(url: str, header: str, body: bytes) -> None:
    request = Request(url=url, headers=(("X-Name", header),), body=body)
    found = attempt_shown(
        at=0, duration_ms=0, request=request, response=Response(status=400, body=body), message=header, mask=mask
    )
    assert decode_history(encode_history([found])) == [found]
    assert request_shown(request, mask) == found["request"]
