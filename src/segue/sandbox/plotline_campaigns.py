"""Plotline's campaigns, pure: whom one is for, what it says to each, and how often its goal was reached.

Source: Segment's page on Plotline says that attributes and events define audiences, that attributes
personalise content and that events are goals; the form is PROPOSED.
Rule: attributes are compared by their string form, so a list or an object aims at nobody.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

from segue.sandbox import exact
from segue.sandbox.keys import DEMO_ID

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


class Audience(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is meant: users with all these string forms who sent each of these events at least once."""

    attributes: dict[str, str | bool | int | float] = {}
    events: list[str] = []


class Campaign(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A campaign: an audience, the event that is its goal, and a text with `{{attribute}}` in it."""

    audience: Audience = Audience()
    goal_event: str = ""
    template: str = ""
    key_id: str = DEMO_ID

    def row(self) -> dict[str, Any]:
        """The campaign as it is stored; the key stands on the row itself."""
        row: dict[str, Any] = msgspec.to_builtins(self)
        del row["key_id"]
        return row


def checked_campaign(given: dict[str, Any]) -> Campaign:
    """A campaign made of plain values. Raises ValueError that names what is wrong."""
    try:
        return msgspec.convert(given, Campaign)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


def string_value(value: Any) -> str | None:
    """The string form of an attribute, by which campaigns compare; None for a list or an object, which has
    none.

    Source: Plotline's React Native wrapper sends numbers and truth values as text and drops lists and
    objects.
    """
    if isinstance(value, (list, dict)):
        return None
    return value if isinstance(value, str) else exact.encode(value).decode()


def report(row: dict[str, Any], users: list[dict[str, Any]], events: list[dict[str, Any]]) -> dict[str, Any]:
    """What the campaign has come to: its members, the text for each, and how often its goal was reached."""
    audience = msgspec.convert(row["audience"], Audience)
    sent: dict[str, set[str]] = {}
    for event in events:
        sent.setdefault(event["distinct_id"], set()).add(event["event"])
    members = [user for user in users if _meant(audience, user, sent.get(user["distinct_id"], set()))]
    names = {user["distinct_id"] for user in members}
    goals = [
        event["distinct_id"]
        for event in events
        if event["event"] == row["goal_event"] and event["distinct_id"] in names
    ]
    return {
        "members": [user["distinct_id"] for user in members],
        "texts": {user["distinct_id"]: filled(row["template"], user["string_values"]) for user in members},
        "goal_count": len(goals),
        "converting_users": len(set(goals)),
    }


def _meant(audience: Audience, user: dict[str, Any], sent: set[str]) -> bool:
    forms = user["string_values"]
    return sent.issuperset(audience.events) and all(
        forms.get(name) == string_value(wanted) for name, wanted in audience.attributes.items()
    )


def filled(template: str, values: dict[str, str]) -> str:
    """The text with each `{{name}}` replaced by that attribute's value, by nothing where there is none."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), template)
