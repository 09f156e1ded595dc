"""What the Profile API answers of a user's events, wherever they stand: in the lake, in the log, or some in each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from segue.api.views import EVENTS_KEPT_MS
from segue.core.clock import iso
from tests.resolve.events import START_MS

from .rig import Api

SECOND, DAY = 1_000, 86_400_000


def track(user: str, event: str = "Seen", **fields: Any) -> tuple[str, dict[str, Any]]:
    return "track", {"userId": user, "event": event, **fields}


@pytest.fixture(params=["log", "lake"])
def settle(request: pytest.FixtureRequest, api: Api) -> Callable[[], None]:
    """Bring what was sent so far into the lake, or leave it to the log; what is sent later is in the log alone."""
    api.clock.now = START_MS + DAY
    return api.flush if request.param == "lake" else lambda: None


def names(answer: Any) -> list[str]:
    return [entry["message_id"] for entry in answer["data"]]


def test_an_event_is_answered_as_segment_does(api: Api, settle: Callable[[], None]):
    api.send(
        track(
            "u1", "Order Completed", anonymousId="a1", properties={"revenue": 25.50, "new": None}, context={"ip": "1"}
        )
    )
    settle()
    answer = api.get("user_id:u1", "events")
    own = api.profiles.read("user_id", "u1").segment_id
    assert answer["data"] == [
        {
            "external_ids": [
                {"collection": "users", "type": "user_id", "id": "u1", "encoding": "none"},
                {"collection": "users", "type": "anonymous_id", "id": "a1", "encoding": "none"},
            ],
            "context": {"ip": "1"},
            "type": "track",
            "message_id": "m0",
            "source_id": "web",
            "timestamp": iso(START_MS),
            "properties": {"revenue": 25.5, "new": None},
            "event": "Order Completed",
            "related": {"users": []},
        }
    ]
    assert answer["cursor"] == {
        "url": f"/v1/spaces/prod/collections/users/profiles/{own}/events",
        "has_more": False,
        "next": "",
        "limit": 10,
    }


def test_page_after_page_every_track_call_comes_once_in_its_order(api: Api, settle: Callable[[], None]):
    times = [5, 3, 3, 9, 1, 3, 7, 2, 8, 3]
    api.send(
        *(track("u1" if n % 2 else "u2", anonymousId="a", t=START_MS - t * SECOND) for n, t in enumerate(times[:6]))
    )
    settle()
    api.send(*(track("u1", t=START_MS - t * SECOND) for t in times[6:]), ("page", {"userId": "u1"}), track("other"))
    mine = [n for n, _ in enumerate(times) if n % 2 or n >= 6]
    expected = sorted(mine, key=lambda n: (-times[n], START_MS + n * SECOND, f"m{n}"))
    for sort in ("asc", "desc"):
        found, start, more = [], "", True
        while more:
            answer = api.get("user_id:u1", "events", limit=3, sort=sort, next=start)
            assert len(answer["data"]) <= 3
            found += names(answer)
            more, start = answer["cursor"]["has_more"], answer["cursor"]["next"]
        ordered = expected if sort == "asc" else expected[::-1]
        assert found == [f"m{n}" for n in ordered]


def test_events_from_before_a_merge_are_there_after_it(api: Api, settle: Callable[[], None]):
    api.send(track("u1", "One"), ("track", {"anonymousId": "a1", "event": "Two"}))
    settle()
    api.send(track("u1", "Three", anonymousId="a1"))
    assert names(api.get("user_id:u1", "events")) == ["m2", "m1", "m0"]
    assert names(api.get("anonymous_id:a1", "events")) == ["m2", "m1", "m0"]


def test_events_are_chosen_by_name_and_time(api: Api, settle: Callable[[], None]):
    api.send(*(track("u1", name, t=START_MS - DAY + n) for n, name in enumerate(("A", "B", "C", "A"))))
    settle()
    assert names(api.get("user_id:u1", "events", include="A,C")) == ["m3", "m2", "m0"]
    assert names(api.get("user_id:u1", "events", exclude="A")) == ["m2", "m1"]
    assert names(api.get("user_id:u1", "events", start=iso(START_MS - DAY + 1), end=str(START_MS - DAY + 3))) == [
        "m2",
        "m1",
    ]


def test_what_happened_more_than_fourteen_days_ago_is_not_answered(api: Api, settle: Callable[[], None]):
    api.clock.now = START_MS
    api.send(track("u1", t=START_MS - EVENTS_KEPT_MS - 1), track("u1", t=START_MS - EVENTS_KEPT_MS))
    settle()
    assert names(api.get("user_id:u1", "events", start="1")) == ["m1"]


def test_an_account_has_no_track_calls(api: Api):
    api.send(("group", {"userId": "u1", "groupId": "g1"}))
    assert api.get("group_id:g1", "events", "accounts")["data"] == []


@pytest.mark.parametrize(
    "query", ["start=yesterday", "end=x", "sort=up", "next=x", "next=1.2.3", "next=a.b.c.d", "limit=101"]
)
def test_what_cannot_be_used_is_refused_by_name(api: Api, query: str):
    api.send(track("u1"))
    path = f"prod/collections/users/profiles/user_id:u1/events?{query}"
    assert api.refused(path) == (400, "invalid_request_error")
