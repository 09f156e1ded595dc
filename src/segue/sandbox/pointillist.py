"""Pointillist's receiver: events of actors, with labels to filter by and numbers to measure.

Source: the address, the header `apiToken` and the body's shape stand in a public loader; that an event needs a type, a
time and an identifier stands in the vendor's workshop; that earlier events of an anonymousId go to the userId, on
Segment's page. Everything else, the answers and `X-Message-Id` among it, is PROPOSED.
Rule: an event that has its own userId is never moved, and one that was given to a user stays with that user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from math import isinf
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from segue.core.clock import from_iso
from segue.sandbox.frame import Answer, Call, FindKey, Inbound, Key, Receiver, refusal
from segue.sandbox.keys import DEMO_ID
from segue.sandbox.names import text_id
from segue.sandbox.pointillist_metrics import chosen, measured
from segue.sandbox.store import Rows

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

TAKEN = Answer(status=202, body={"status": "accepted"})

_NUMERIC_TEXT = re.compile(r"-?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


class Pointillist(Receiver):
    """Pointillist: one account for each token."""

    slug = "pointillist"
    inbound = "/event"
    tables = ("events",)
    content_type_required = False  # the loader sends none
    can_disable = True

    def authenticate(self, headers: Mapping[str, str], find_key: FindKey) -> Key | Answer:
        """The token stands in a header of its own."""
        token = headers.get("apitoken")
        if not token:
            return refusal(401, "apiToken is required")
        key = find_key(token)
        if key is None:
            return refusal(401, "Invalid apiToken")
        return key if key.state == "live" else refusal(403, "apiToken disabled")

    def message_id(self, headers: Mapping[str, str], event: Mapping[str, Any]) -> str | None:
        """The body has no field for it: `X-Message-Id`, percent-encoded behind `utf-8''` where it must be."""
        text = headers.get("x-message-id", "").strip()
        return (unquote(text[7:]) if text.startswith("utf-8''") else text) or None

    def call_type(self, event: Mapping[str, Any]) -> str | None:
        """The call that the sender made this event of."""
        return "identify" if event.get("eventType") == "identify" else "track"

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """Stores the event under its actor, and joins its two ids where it has both."""
        event = inbound.event
        wrong = fault_of(event)
        if wrong is not None:
            return refusal(400, wrong)
        actors = event["actors"]
        customer = actors.get("Customer") if isinstance(actors.get("Customer"), dict) else {}
        user_id, anonymous_id = text_id(customer, "userId"), text_id(customer, "anonymousId")
        if user_id and anonymous_id:
            _associate(rows, key, user_id, anonymous_id)
        elif anonymous_id:
            user_id = _user_of(rows, key, anonymous_id)
        actor = user_id or anonymous_id or first_identifier(actors)
        row = {**event, "actor": actor, "messageId": inbound.message_id}
        lookups = {"unclaimed": anonymous_id} if anonymous_id and not user_id else {}
        rows.insert("events", key.id, row, lookups=lookups, message_id=inbound.message_id)
        return TAKEN

    def routes(self, sandbox: Sandbox) -> Sequence[BaseRoute]:
        """What labels and numbers are for: filters and metrics."""
        return (
            sandbox.route("/_sandbox/events", _events),
            sandbox.route("/_sandbox/metrics/{name:path}", _metric),
        )


receiver = Pointillist()


def _user_of(rows: Rows, key: Key, anonymous_id: str) -> str | None:
    found = rows.find("links", key.id, "anonymousId", anonymous_id)
    return found[0][1]["userId"] if found else None


def _associate(rows: Rows, key: Key, user_id: str, anonymous_id: str) -> None:
    """From now on the anonymousId speaks for this user, who also gets its events that nobody has claimed."""
    link = {"anonymousId": anonymous_id, "userId": user_id}
    found = rows.find("links", key.id, "anonymousId", anonymous_id)
    if not found:
        rows.insert("links", key.id, link, lookups={"anonymousId": anonymous_id})
    elif found[0][1] != link:
        rows.update("links", found[0][0], link)
    for number, event in rows.find("events", key.id, "unclaimed", anonymous_id):
        rows.update("events", number, {**event, "actor": user_id}, lookups={})


def fault_of(event: Mapping[str, Any]) -> str | None:
    """What keeps a body from being an event, naming the field; None where nothing does."""
    if not isinstance(event.get("eventType"), str) or not event["eventType"].strip():
        return "eventType is required"
    if not event.get("eventTime"):
        return "eventTime is required"
    if not is_time(event["eventTime"]):
        return "eventTime must be a time such as 2026-11-21T10:00:00.000Z or 2026-11-21 10:00:00+0000"
    if not isinstance(event.get("actors"), dict) or first_identifier(event["actors"]) is None:
        return "actors must hold at least one identifier"
    return _fault_of_values(event)


def _fault_of_values(event: Mapping[str, Any]) -> str | None:
    for field in ("labels", "numbers"):
        if not isinstance(event.get(field, {}), dict):
            return f"{field} must be an object"
    for name, value in event.get("labels", {}).items():
        if not isinstance(value, str):
            return f"labels.{name} must be a text"
    for name, value in event.get("numbers", {}).items():
        if not is_numeric(value):
            return f"numbers.{name} must be a number, or a text that is one"
    return None


def first_identifier(actors: Mapping[str, Any]) -> str | None:
    """The first identifier of the first actor type that has one."""
    for identifiers in actors.values():
        if isinstance(identifiers, dict):
            found = text_id(identifiers, *identifiers)
            if found is not None:
                return found
    return None


def is_time(value: object) -> bool:
    """Whether it is a time as the loader writes it (`2015-9-24 7:6:23-0700`) or in ISO 8601."""
    if not isinstance(value, str):
        return False
    try:
        datetime.strptime(value, "%Y-%m-%d %H:%M:%S%z")
    except ValueError:
        try:
            from_iso(value)
        except (ValueError, OverflowError):
            return False
    return True


def is_numeric(value: object) -> bool:
    """Whether it is a finite number, or a text that spells one."""
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        return _NUMERIC_TEXT.fullmatch(value) is not None and not isinf(float(value))
    if isinstance(value, int):
        return value.bit_length() < 1024
    return isinstance(value, float) and not isinf(value)


def _events(rows: Rows, call: Call) -> Answer:
    """The events that have all these labels: `?label.coupon=XMAS&eventType=...&actor=...`."""
    return Answer(body=chosen(_account(rows, call), call.query))


def _metric(rows: Rows, call: Call) -> Answer:
    """A number of the events chosen, put together: `?agg=sum&by=actor`, filters as for events."""
    events = chosen(_account(rows, call), call.query)
    agg, by = call.first("agg") or "sum", call.first("by")
    try:
        return Answer(body=measured(events, call.path["name"], agg=agg, by=by))
    except ValueError as error:
        return refusal(400, str(error))


def _account(rows: Rows, call: Call) -> list[dict[str, Any]]:
    return [event for _, event in rows.all("events", call.first("key_id") or DEMO_ID)]
