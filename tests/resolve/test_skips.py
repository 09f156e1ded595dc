"""Events that enter no profile, by their code, and when an event counts as happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from segue.resolve.skips import SKIPS, effective_time, skip_code
from tests.resolve.events import START_MS, entry, event_of


def many(count: int) -> dict[str, int]:
    return {f"k{number}": number for number in range(count)}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"type_": "alias", "userId": "u", "previousId": "a"}, "alias"),
        ({"messageId": "m" * 100}, ""),
        ({"messageId": "m" * 101}, "message_id_too_long"),
        ({"type_": "group", "groupId": "g" * 500}, ""),
        ({"type_": "group", "groupId": "g" * 501}, "group_id_invalid"),
        ({"type_": "group", "groupId": ""}, "group_id_invalid"),
        ({"type_": "group"}, "group_id_invalid"),
        ({"type_": "group", "groupId": "g", "traits": many(300)}, ""),
        ({"type_": "group", "groupId": "g", "traits": many(301)}, "too_many_fields"),
        ({"type_": "identify", "traits": many(299)}, ""),
        ({"type_": "identify", "traits": many(300)}, "too_many_fields"),
        ({"type_": "track", "properties": many(300)}, ""),
        ({"type_": "track", "properties": many(301)}, "too_many_fields"),
        ({"type_": "page", "properties": {f"{number}": 1 for number in range(301)}}, "too_many_fields"),
    ],
)
def test_an_event_beyond_the_limits_is_skipped(fields: dict[str, Any], code: str):
    assert skip_code(event_of(**fields), 0) == code
    assert not code or code in SKIPS


def test_an_event_before_1970_is_skipped():
    assert skip_code(event_of(), -1) == "before_1970"
    assert skip_code(event_of(), 0) == ""


@pytest.mark.parametrize(
    ("timestamp", "t"),
    [
        ("1970-01-01T00:00:00.001Z", 1),
        ("1970-01-01T00:00:00.0019Z", 1),
        ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00.000Z", -62_135_596_800_000),
        ("2000-01-01T01:00:00+01:00", 946_684_800_000),
        ("2000-01-01T00:00:00", 946_684_800_000),
        ("2999-01-01T00:00:00.000Z", START_MS),
        ("soon", START_MS),
        (None, START_MS),
    ],
)
def test_an_event_happened_at_its_timestamp_but_never_after_its_receipt(timestamp: str | None, t: int):
    record, _ = entry(0)
    assert effective_time(record, event_of(timestamp=timestamp)) == t


def test_every_code_is_in_the_documentation():
    page = (Path(__file__).parents[2] / "docs/concepts/profiles.md").read_text("utf-8")
    assert [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")] == list(SKIPS)
