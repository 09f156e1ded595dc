"""Events for tests."""

from __future__ import annotations

from itertools import count
from typing import Any

Event = dict[str, Any]

_numbers = count(1)


def message_id() -> str:
    """One that this run of the tests has not used."""
    return f"m-{next(_numbers)}"


def track(user: str, event: str = "Order Completed", **more: Any) -> Event:
    """A track call with a messageId."""
    return {"type": "track", "userId": user, "event": event, "messageId": message_id(), **more}


def identify(user: str, **traits: Any) -> Event:
    """An identify call with a messageId."""
    return {"type": "identify", "userId": user, "traits": traits, "messageId": message_id()}


def one_of_each(user: str) -> list[Event]:
    """A call of every type by one user, who is known by an address and works for a company."""
    about = {"userId": user}
    calls: list[Event] = [
        {"type": "identify", "traits": {"email": f"{user}@initech.com", "name": "Peter"}},
        {"type": "track", "event": "Order Completed", "properties": {"revenue": 25.5}},
        {"type": "page", "name": "Settings", "properties": {"path": "/settings"}},
        {"type": "screen", "name": "Home"},
        {"type": "group", "groupId": f"{user}-group", "traits": {"name": "Initech", "employees": 329}},
        {"type": "alias", "previousId": f"{user}-before"},
    ]
    return [{**call, **about, "messageId": message_id()} for call in calls]
