"""Plotline's receiver: users with attributes, their events, and campaigns that are aimed by both.

Source: Segment's page on Plotline (identify updates attributes, track brings all events; both can choose the
audience and the goal of a campaign). The user key is called `distinct_id`, as in Plotline's server calls. The
address, the merge, the typing of values, the answers and the form of a campaign are PROPOSED.
Rule: an attribute keeps the value it was sent with; its string form stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segue.sandbox.frame import Answer, Call, Inbound, Key, Receiver, refusal
from segue.sandbox.keys import DEMO_ID
from segue.sandbox.names import look_up, members, text_id
from segue.sandbox.plotline_campaigns import checked_campaign, report, string_value
from segue.sandbox.store import Rows

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

TAKEN = Answer(body={"success": True})


class Plotline(Receiver):
    """Plotline: one workspace for each key."""

    slug = "plotline"
    inbound = "/segment/events"
    tables = ("users", "events", "campaigns")
    types = frozenset({"identify", "track"})
    can_disable = True

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """Identify merges attributes, track adds an event; both make a user who is not there."""
        event = inbound.event
        distinct_id = text_id(event, "userId", "anonymousId")
        if distinct_id is None:
            return refusal(400, "userId is required")
        if self.call_type(event) == "identify":
            _identify(rows, key, distinct_id, members(event, "traits"), inbound.message_id)
            return TAKEN
        name = look_up(event, "event")
        if not isinstance(name, str) or not name.strip():
            return refusal(400, "event is required")
        if not rows.find("users", key.id, "distinct_id", distinct_id):
            _identify(rows, key, distinct_id, {}, inbound.message_id)
        row = {
            "distinct_id": distinct_id,
            "event": name,
            "properties": members(event, "properties"),
            "timestamp": look_up(event, "timestamp"),
            "messageId": inbound.message_id,
        }
        lookups = {"distinct_id": distinct_id}
        rows.insert("events", key.id, row, lookups=lookups, message_id=inbound.message_id)
        return TAKEN

    def routes(self, sandbox: Sandbox) -> Sequence[BaseRoute]:
        """What a marketer sees, picks from and makes in Plotline's dashboard."""
        return (
            sandbox.route("/_sandbox/attributes", _attributes),
            sandbox.route("/_sandbox/events", _events),
            sandbox.route("/_sandbox/users/{distinct_id:path}", _users),
            sandbox.route("/_sandbox/campaigns", _new_campaign, methods=["POST"]),
            sandbox.route("/_sandbox/campaigns/{id}", _campaign),
        )


receiver = Plotline()


def _identify(rows: Rows, key: Key, distinct_id: str, traits: dict[str, Any], message_id: str | None) -> None:
    found = rows.find("users", key.id, "distinct_id", distinct_id)
    if not found:
        lookups = {"distinct_id": distinct_id}
        row = _user(distinct_id, merged({}, traits))
        rows.insert("users", key.id, row, lookups=lookups, message_id=message_id)
        return
    number, row = found[0]
    rows.update("users", number, _user(distinct_id, merged(row["attributes"], traits)), message_id=message_id)


def merged(attributes: dict[str, Any], traits: dict[str, Any]) -> dict[str, Any]:
    """The attributes after an identify: one level deep; null removes."""
    return {name: value for name, value in {**attributes, **traits}.items() if value is not None}


def _user(distinct_id: str, attributes: dict[str, Any]) -> dict[str, Any]:
    forms = {name: string_value(value) for name, value in attributes.items()}
    string_values = {name: form for name, form in forms.items() if form is not None}
    return {"distinct_id": distinct_id, "attributes": attributes, "string_values": string_values}


def _workspace(call: Call) -> str:
    return call.first("key_id") or DEMO_ID


def _attributes(rows: Rows, call: Call) -> Answer:
    """Every attribute with the values it has: what an audience can be picked from."""
    values: dict[str, dict[str, None]] = {}
    for _, user in rows.all("users", _workspace(call)):
        for name in user["attributes"]:
            picked = values.setdefault(name, {})
            if name in user["string_values"]:
                picked[user["string_values"][name]] = None
    return Answer(
        body=[{"name": name, "values": list(picked), "targetable": bool(picked)} for name, picked in values.items()]
    )


def _events(rows: Rows, call: Call) -> Answer:
    """Every event name with its count: what an audience and a goal can be picked from."""
    counts: dict[str, int] = {}
    for _, event in rows.all("events", _workspace(call)):
        counts[event["event"]] = counts.get(event["event"], 0) + 1
    return Answer(body=[{"name": name, "count": count} for name, count in counts.items()])


def _users(rows: Rows, call: Call) -> Answer:
    """One user with their events; `attributes` say of each value whether a campaign can aim by it."""
    distinct_id = call.path["distinct_id"]
    found = rows.find("users", _workspace(call), "distinct_id", distinct_id)
    if not found:
        return refusal(404, "No user has this distinct_id")
    _, user = found[0]
    attributes = {
        name: {
            "value": value,
            "string_value": user["string_values"].get(name),
            "targetable": name in user["string_values"],
        }
        for name, value in user["attributes"].items()
    }
    events = [event for _, event in rows.find("events", _workspace(call), "distinct_id", distinct_id)]
    return Answer(body={"distinct_id": distinct_id, "attributes": attributes, "events": events})


def _new_campaign(rows: Rows, call: Call) -> Answer:
    try:
        campaign = checked_campaign(call.body)
    except ValueError as error:
        return refusal(400, str(error))
    if all(key.id != campaign.key_id for key in rows.issued_keys()):
        return refusal(404, "No key has this key_id")
    row = {"id": rows.new_id(), **campaign.row()}
    rows.insert("campaigns", campaign.key_id, row, lookups={"id": row["id"]})
    return Answer(status=201, body=row)


def _campaign(rows: Rows, call: Call) -> Answer:
    key_id = _workspace(call)
    found = rows.find("campaigns", key_id, "id", call.path["id"])
    if not found:
        return refusal(404, "No campaign has this id")
    _, campaign = found[0]
    users = [user for _, user in rows.all("users", key_id)]
    events = [event for _, event in rows.all("events", key_id)]
    return Answer(body={**campaign, **report(campaign, users, events)})
