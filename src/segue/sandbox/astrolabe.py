"""Astrolabe's receiver: identify makes Users, group makes Accounts and links Users, track adds Events.

Source: Segment's page on Astrolabe: what each call does, and that a connector allows or blocks users with
free e-mail providers. The address, the answers and all that follows from blocking are PROPOSED.
Rule: a connector that blocks never stores a User by a call that shows a free e-mail address.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta

from segue.sandbox.astrolabe_records import Records, Who, who_of
from segue.sandbox.frame import Answer, Inbound, Key, Receiver, refusal
from segue.sandbox.free_email import is_address, is_free
from segue.sandbox.keys import KeyOptions
from segue.sandbox.names import look_up, members, nested, text_id
from segue.sandbox.store import Rows

FREE_PROVIDER = "free_email_provider"
IGNORED = Answer(body={"status": "ignored", "reason": FREE_PROVIDER})
NO_ID = refusal(400, "userId or anonymousId is required")


class Connector(KeyOptions, kw_only=True, forbid_unknown_fields=True):
    """What is chosen when a Segment.com connector is added."""

    name: Annotated[str, Meta(min_length=1, max_length=200, pattern=r"\S")] = "Segment.com"
    free_email: Literal["allow", "block"] = "allow"


class Astrolabe(Receiver):
    """Astrolabe: each key is a connector, and sees what came through it alone."""

    slug = "astrolabe"
    inbound = "/connectors/segment"
    tables = ("users", "accounts", "events", "connectors")
    types = frozenset({"identify", "group", "track"})
    key_options = Connector
    demo_options = {"name": "Demo", "free_email": "allow"}  # noqa: RUF012 - the frame's ClassVar
    can_disable = True

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """The call's meaning to this connector."""
        records = Records(rows, key.id, inbound.message_id)
        blocks = key.options["free_email"] == "block"
        act = {"identify": _identify, "group": _group, "track": _track}[inbound.event["type"]]
        return act(records, inbound.event, blocks)

    def state(self, rows: Rows) -> dict[str, list[dict[str, Any]]]:
        """The tables, and each key as the connector that it is."""
        listings = {table: rows.listing(table) for table in self.tables}
        listings["connectors"] = [_connector(key) for key in rows.issued_keys()]
        return listings


receiver = Astrolabe()


def _connector(key: Key) -> dict[str, Any]:
    return {
        "name": key.options["name"],
        "key": key.masked,
        "free_email": key.options["free_email"],
        "enabled": key.state == "live",
        "key_id": key.id,
    }


def _identify(records: Records, event: dict[str, Any], blocks: bool) -> Answer:
    """Creates or updates the User, unless the connector blocks the e-mail address."""
    who = who_of(event)
    if who is None:
        return NO_ID
    traits = members(event, "traits")
    email = look_up(traits, "email")
    if email is None:
        email = _context_email(event)
    if blocks and is_free(email):
        records.refuse(who)
        return IGNORED
    # An update without an address says nothing new of somebody refused: only another address lifts that.
    if blocks and records.is_refused(who) and not is_address(email):
        return IGNORED
    records.put_user(who, traits)
    return Answer(body={"status": "ok", "user": who.lookup[1]})


def _group(records: Records, event: dict[str, Any], blocks: bool) -> Answer:
    """Creates or updates the Account, and links the User where one is given and not blocked."""
    group_id = text_id(event, "groupId")
    if group_id is None:
        return refusal(400, "groupId is required")
    records.put_account(group_id, members(event, "traits"))
    answer = {"status": "ok", "account": group_id}
    who = who_of(event)
    if who is None:
        return Answer(body=answer)
    if blocks and _kept_out(records, event, who):
        return Answer(body={**answer, "user": None, "reason": FREE_PROVIDER})
    records.link(who, group_id)
    return Answer(body={**answer, "user": who.lookup[1]})


def _track(records: Records, event: dict[str, Any], blocks: bool) -> Answer:
    """Adds the Event, unless its user is blocked."""
    name = look_up(event, "event")
    if not isinstance(name, str) or not name.strip():
        return refusal(400, "event is required")
    who = who_of(event)
    if who is None:
        return NO_ID
    if blocks and _kept_out(records, event, who):
        return IGNORED
    context = members(event, "context")
    fields = {
        "event": name,
        "properties": members(event, "properties"),
        "timestamp": look_up(event, "timestamp"),
        "account": text_id(context, "groupId"),
    }
    records.add_event(who, fields)
    return Answer(body={"status": "ok", "user": who.lookup[1]})


def _kept_out(records: Records, event: dict[str, Any], who: Who) -> bool:
    """Whether a call that would make a bare User is by somebody blocked. Users who are stored stay."""
    if records.has_user(who):
        return False
    if is_free(_context_email(event)):
        records.refuse(who)
        return True
    return records.is_refused(who)


def _context_email(event: dict[str, Any]) -> Any:
    return nested(event, "context", "traits", "email")
