"""What became of an event, where a running instance is not needed to know it."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from segue.core.clock import iso
from segue.deliver.delivery import RETRY_ROWS_FULL
from segue.deliver.history import encode_history
from segue.state.control import SETTINGS_KEPT
from segue.state.deliveries import DeadLetter, DeliveredRow, RetryRow
from segue.state.quarantine import Drop, Duplicate
from segue.state.spaces import SpaceRow
from segue.wiring.texts import WAITS, explain_lines

from .files import NOW, Files


def hook(*urls: str, slug: str = "hook", **settings: Any) -> dict[str, Any]:
    return {"slug": slug, "kind": "webhook", "settings": {"hooks": list(urls), **settings}}


def delivered(files: Files, at: int, offset: int = 0, slug: str = "hook") -> DeliveredRow:
    return DeliveredRow(files.number(slug), offset, at, 7, 200, 0, None)


def letter(files: Files, history: bytes, body: bytes = b"{}", job: int = 0, offset: int = 0) -> DeadLetter:
    return DeadLetter(
        files.number("hook"), job, offset, "website", "m", NOW, '["u:u"]', NOW, "BAD_REQUEST", history, body
    )


def attempt(at: int, url: str = "", status: int = 400) -> dict[str, Any]:
    shown: dict[str, Any] = {"at": iso(at), "duration_ms": 5}
    if url:
        shown["request"] = {"method": "POST", "url": url, "headers": {}, "body": "as it was"}
    return shown | {"response": {"status": status, "body": "no"}}


def delivery(files: Files, name: str = "m") -> dict[str, Any]:
    (found,) = files.explain(name)[0]["deliveries"]
    return found


# -- events --------------------------------------------------------------------------------------------------------


def test_accepted_events_stand_before_dropped_and_duplicate_ones_of_which_the_newest_is_first(files: Files) -> None:
    files.apply()
    files.accept("m")
    files.quarantine.add([Drop("website", "id_not_string", NOW + 20, "m", b'{"userId": 1}')])
    files.quarantine.add(
        [], [Duplicate("website", NOW + 10, "m", b'{"n": 1.10}'), Duplicate("website", NOW + 30, "m", b"{}")]
    )
    found = files.explain("m")
    assert [(each["outcome"], each.get("reason")) for each in found] == [
        ("accepted", None), ("duplicate", None), ("dropped", "id_not_string"), ("duplicate", None),
    ]  # fmt: skip
    assert found[1]["receivedAt"] > found[2]["receivedAt"] > found[3]["receivedAt"]


def test_what_came_with_an_unknown_write_key_stands_behind_the_drops_of_a_source(files: Files) -> None:
    files.apply()
    files.quarantine.add(
        [
            Drop("", "unknown_source", NOW, "m", b"{}"),
            Drop("website", "id_not_string", NOW + 10, "m", b"{}"),
            Drop("website", "type_unknown", NOW + 10, "m", b"{}"),
            Drop("removed", "type_unknown", NOW + 20, "m", b"{}"),
            Drop("", "unknown_source", NOW + 30, "m", b"{}"),
        ]
    )
    assert [(each["source"], each["reason"]) for each in files.explain("m")] == [
        ("website", "type_unknown"), ("website", "id_not_string"), ("", "unknown_source"), ("removed", "type_unknown"),
        ("", "unknown_source"),
    ]  # fmt: skip


def test_a_duplicate_whose_first_has_left_the_log_is_shown_as_it_came(files: Files) -> None:
    files.apply(hook("http://a.example/"))
    files.quarantine.add([], [Duplicate("website", NOW, "m", b'{"n":1.10}')])
    (found,) = files.views.explain("m", files.secrets)
    assert bytes(found["event"]) == b'{"n":1.10}'
    assert files.explain("m") == [
        {
            "messageId": "m",
            "source": "website",
            "receivedAt": iso(NOW),
            "outcome": "duplicate",
            "event": {"n": 1.1},
            "deliveries": [],
        }
    ]


# -- outcomes ------------------------------------------------------------------------------------------------------


def test_an_event_that_was_passed_and_left_nothing_behind_was_delivered(files: Files) -> None:
    files.apply(hook("http://a.example/"))
    files.accept("m")
    assert delivery(files)["outcome"] == "waiting"
    files.passed("hook")
    assert delivery(files) == {"destination": "hook", "outcome": "delivered", "reason": "expired", "attempts": []}


def test_a_dead_letter_that_was_cut_still_says_why(files: Files) -> None:
    files.apply(hook("http://a.example/"))
    files.accept("m")
    files.passed("hook", dead=[letter(files, history=b"", body=b"")])
    assert delivery(files) == {"destination": "hook", "outcome": "refused", "reason": "BAD_REQUEST", "attempts": []}


def parked(files: Files, due_at: int) -> RetryRow:
    text = {"source": "website", "message_id": "m", "order_keys": "[]", "history": b"", "body": b"{}"}
    numbers = {"destination": files.number("hook"), "due_at": due_at}
    return RetryRow(**dict.fromkeys(RetryRow._fields, 0) | text | numbers)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("enabled", "breaker", "due_at", "said"),
    [
        (True, "closed", NOW + 500, {"due": iso(NOW + 500)}),
        (True, "closed", 0, {"waits_for": "turn"}),
        (True, "open", NOW + 500, {"waits_for": "probe"}),
        (True, "half_open", 0, {"waits_for": "probe"}),
        (False, "closed", NOW + 500, {"waits_for": "enabling"}),
        (False, "open", NOW + 500, {"waits_for": "enabling"}),
    ],
)
def test_a_retrying_event_says_when_it_is_due_only_where_a_time_decides(
    files: Files, enabled: bool, breaker: str, due_at: int, said: dict[str, str]
) -> None:
    files.apply(hook("http://a.example/") | {"enabled": enabled})
    files.accept("m")
    files.passed("hook", breaker=breaker, parked=[parked(files, due_at)])
    assert delivery(files) == {"destination": "hook", "outcome": "retrying", "attempts": [], **said}
    (shown,) = files.views.explain("m", files.secrets)
    words = said.get("due") or WAITS[said["waits_for"]]
    assert f"  next attempt {'at ' if 'due' in said else ''}{words}" in "\n".join(
        explain_lines(shown, lambda *words: " ".join(words))
    )


@pytest.mark.parametrize(
    ("stall", "said"),
    [("a setting cannot be read", {"waits_for": "stall"}), (f"{RETRY_ROWS_FULL}; ...", {"due": iso(NOW + 500)})],
)
def test_a_stalled_destination_sends_again_nothing_unless_only_its_retry_rows_are_full(
    files: Files, stall: str, said: dict[str, str]
) -> None:
    files.apply(hook("http://a.example/"))
    files.accept("m")
    files.passed("hook", stall=stall, parked=[parked(files, NOW + 500)])
    assert delivery(files) == {"destination": "hook", "outcome": "retrying", "attempts": [], **said}


@pytest.mark.parametrize("kept", ["retry", "dead_letter", "delivered", "disabled_span"])
def test_an_event_that_finishes_while_it_is_explained_has_an_outcome_of_one_moment(files: Files, kept: str) -> None:
    files.apply(hook("http://a.example/"))
    files.accept("m")
    number = files.number("hook")
    files.passed("hook", parked=[parked(files, 0)])
    begun = []

    def finish(statement: str) -> None:
        """When that table is read, the worker commits that the event is delivered."""
        if f"FROM {kept}" in statement and not begun:
            begun.append(statement)
            files.passed("hook", unparked=[(number, 0, 0)], delivered=[delivered(files, NOW)])

    connection: sqlite3.Connection = files.views.state._connection
    connection.set_trace_callback(finish)
    first = delivery(files)
    connection.set_trace_callback(None)
    assert (first["outcome"], first.get("reason"), len(begun)) == ("retrying", None, 1)
    assert delivery(files)["outcome"] == "delivered"


# -- requests ------------------------------------------------------------------------------------------------------


def test_a_request_is_made_again_with_the_settings_of_its_time(files: Files) -> None:
    files.apply(hook("http://old.example/", headers={"X-Key": "first-secret-of-many"}))
    files.accept("m")
    at = files.clock.now
    files.clock.now += 10_000
    files.apply(hook("http://new.example/?k=first-secret-of", headers={"X-Key": "first-secret-of"}))
    history = encode_history([attempt(at), attempt(files.clock.now, status=503)])
    files.passed("hook", delivered=[delivered(files, at + 5_000)._replace(history=history)])
    old, new, last = [each["request"] for each in delivery(files)["attempts"]]
    assert [each["url"] for each in (old, new, last)] == [
        "http://old.example/", "http://new.example/?k=***", "http://old.example/",
    ]  # fmt: skip
    assert {each["rebuilt"] for each in (old, new, last)} == {True}
    assert {each["headers"]["X-Key"] for each in (old, new, last)} == {"***"}


def test_a_request_of_settings_that_are_no_longer_kept_is_made_with_those_of_today(files: Files) -> None:
    files.apply(hook("http://old.example/"))
    files.accept("m")
    files.passed("hook", delivered=[delivered(files, files.clock.now)])
    for number in range(SETTINGS_KEPT + 1):
        files.clock.now += 1_000
        files.apply(hook(f"http://{number}.example/"))
    (only,) = delivery(files)["attempts"]
    assert only["request"]["url"] == f"http://{SETTINGS_KEPT}.example/"


def test_a_request_is_left_out_where_the_settings_of_its_time_cannot_be_read(files: Files) -> None:
    files.apply(hook("http://old.example/${OF_NOBODY}"))
    files.accept("m")
    files.passed("hook", delivered=[delivered(files, files.clock.now)])
    files.clock.now += 1_000
    files.apply(hook("http://new.example/"))
    (only,) = delivery(files)["attempts"]
    assert only == {"at": iso(NOW + 1), "duration_ms": 7, "response": {"status": 200, "body": ""}}


def test_an_attempt_of_several_requests_says_so(files: Files) -> None:
    urls = [f"http://{name}.example/" for name in "abc"]
    files.apply(hook(*urls))
    files.accept("m")
    at = files.clock.now
    files.passed("hook", delivered=[delivered(files, at)])
    (only,) = delivery(files)["attempts"]
    assert [each["url"] for each in (only["request"], *only["other_requests"])] == urls
    assert all(each["rebuilt"] and json.loads(each["body"])["messageId"] == "m" for each in only["other_requests"])
    assert list(only) == ["at", "duration_ms", "request", "response", "other_requests"]


def test_of_several_requests_the_one_that_was_kept_is_the_last(files: Files) -> None:
    urls = [f"http://{name}.example/" for name in "abc"]
    files.apply(hook(*urls))
    files.accept("m")
    at = files.clock.now
    files.passed("hook", dead=[letter(files, encode_history([attempt(at), attempt(at, urls[-1])]))])
    first, last = delivery(files)["attempts"]
    assert [each["url"] for each in (first["request"], *first["other_requests"])] == urls
    assert (last["request"]["body"], "rebuilt" in last["request"]) == ("as it was", False)
    assert [each["url"] for each in last["other_requests"]] == urls[:-1]


def test_a_request_that_may_have_held_other_events_says_so(files: Files) -> None:
    files.apply(hook("http://a.example/", batch_size=50))
    files.accept("m")
    files.passed("hook", delivered=[delivered(files, files.clock.now)])
    (only,) = delivery(files)["attempts"]
    assert only["batch_size"] == 50
    assert [each["messageId"] for each in json.loads(only["request"]["body"])] == ["m"]
    assert "other_requests" not in only


def test_what_a_space_says_is_explained_for_each_destination_that_reads_the_space(files: Files) -> None:
    files.apply(hook("https://a.example"), hook("https://b.example", slug="late"), hook("https://c.example", slug="no"))
    control = files.control.snapshot()
    with files.control.change() as change:
        change.put_space(SpaceRow(slug="prod", name="Prod"))
        change.read_too(control.destination("hook"), "space:prod", 0)
        change.read_too(control.destination("late"), "space:prod", 1)
    for name in ("first", "second"):
        files.accept(name, source="space:prod", destinations=str(files.number("hook")))
    for slug in ("hook", "late"):
        files.passed(slug)
    waiting = {"destination": "hook", "outcome": "delivered", "reason": "expired", "attempts": []}
    assert files.explain("first")[0]["deliveries"] == [waiting]
    assert files.explain("second")[0]["deliveries"] == [
        waiting,
        {"destination": "late", "outcome": "filtered", "reason": "NOT_ADDRESSED", "attempts": []},
    ]
