"""Planhat's receiver: what its inbound Segment endpoint makes of identify, track, page and group.

Source: Segment's page on Planhat and Planhat's public docs, for the address, the matching of contacts, the calls that
are dropped without an error and listed in a report, and the limit of 200 calls a minute. The answers, the report's
reasons, the switches, and what page and group store are PROPOSED: our own contract.
Rule: Planhat answers 200 to every call of a known tenant that it can read; what it could not place is in the report.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from segue.core.clock import iso
from segue.sandbox import planhat_contacts as contacts
from segue.sandbox.frame import Answer, FindKey, Inbound, Key, KeyOptions, Receiver, basic_auth, refusal
from segue.sandbox.names import look_up, members, text_id
from segue.sandbox.planhat_mapping import (
    SOURCE,
    Fields,
    Person,
    company_custom,
    metrics,
    page_action,
    person,
    text_of,
    weight,
)
from segue.sandbox.planhat_routes import routes
from segue.sandbox.planhat_tenant import Held, Tenant
from segue.sandbox.store import Rows

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

CALLS_PER_MINUTE = 200
"""Planhat's soft limit for a tenant (their docs, "Authentication & limits")."""

ANY_HOME = frozenset({"analytics"})
"""Hosts that serve tenants of every region: the same path is seen on the analytics host in a public client."""


class PlanhatOptions(KeyOptions, kw_only=True, forbid_unknown_fields=True):
    """A tenant: where its home is, and the switches for what no document of Planhat decides."""

    subdomain: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,32}$")] = "api"
    """The tenant's home. Its token is unauthorized on any other regional host."""
    update_matched: bool = True
    """Whether an identify updates the contact that it matches; a help page of Planhat says that it does not."""
    sticky_discard: bool = False
    """Whether a discarded contact stays discarded when it is seen again, instead of being made anew."""
    rate_limit: bool | Annotated[int, Meta(ge=1, le=1_000_000)] = False
    """Calls a minute; true means 200, false no limit."""


class Planhat(Receiver):
    """Planhat: one tenant for each key."""

    slug = "planhat"
    inbound = "/dock/segment"
    tables = ("contacts", "companies", "activities", "metrics", "report")
    key_options = PlanhatOptions

    def authenticate(self, headers: Mapping[str, str], find_key: FindKey) -> Key | Answer:
        """The tenant of the token; 401 also for a token that is revoked, or of another region than the call's."""
        wrong = (401, "Unauthorized")
        key = basic_auth(headers, find_key, missing="Missing tenant token", unknown=wrong, stopped=wrong)
        if isinstance(key, Answer):
            return key
        called = _called_subdomain(headers)
        if called is None or called in ANY_HOME or called == key.options["subdomain"]:
            return key
        return refusal(*wrong, {"WWW-Authenticate": "Basic"})

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """Takes one call: 200, but for a call that cannot be read, or is one too many in this minute."""
        call_type = self.call_type(inbound.event)
        if call_type is None:
            return refusal(400, "type is required")
        limits = _counted(rows, key)
        if limits is None:
            return refusal(429, "Too many calls in this minute", _limit_headers(key, 0))
        take = _TAKEN.get(call_type, _not_taken)
        return take(_Call(rows, key, inbound)) or Answer(headers=limits)

    def routes(self, sandbox: Sandbox) -> Sequence[BaseRoute]:
        """Planhat's read side, and under `_sandbox` what its users do in the app."""
        return routes(sandbox)


receiver = Planhat()


class _Call:
    """One call and the tenant it is for."""

    def __init__(self, rows: Rows, key: Key, inbound: Inbound) -> None:
        self.event = inbound.event
        self.options = key.options
        self.tenant = Tenant(rows, key.id, inbound.message_id)
        self.person = person(inbound.event)
        self.date = text_of(look_up(inbound.event, "timestamp")) or iso(rows.now_ms)

    def report(self, reason: str, message: str) -> None:
        self.tenant.report(reason, message, self.event)


def _identify(call: _Call) -> Answer | None:
    contact = _contact(call)
    if contact is not None:
        if call.options["update_matched"]:
            contacts.write(call.tenant, call.event, contact)
            contacts.attach(call.tenant, call.event, contact)
        return None
    if _may_create(call):
        company = contacts.company_for(call.tenant, call.event, call.person)
        contacts.write(call.tenant, call.event, _created(call, company))
    return None


def _track(call: _Call) -> Answer | None:
    action = call.event.get("event")
    if not isinstance(action, str) or not action.strip():
        return refusal(400, "event is required")
    _add_activity(call, action)
    return None


def _page(call: _Call) -> Answer | None:
    _add_activity(call, page_action(call.event))
    return None


def _add_activity(call: _Call, action: str) -> None:
    contact = _contact(call)
    if contact is not None:
        if call.options["update_matched"]:
            contacts.attach(call.tenant, call.event, contact)
    elif _may_create(call):
        company = contacts.company_for(call.tenant, call.event, call.person)
        if company is None:
            call.report("unassigned_event", "Nobody has this user id or address, and no company can be told")
            return
        contact = _created(call, company)
    if contact is not None:
        activity = {
            "action": action,
            "info": members(call.event, "properties"),
            "weight": weight(call.event),
            "date": call.date,
        }
        call.tenant.add_activity(contact.row, activity)


def _contact(call: _Call) -> Held | None:
    """The contact that the call is about, where the tenant has it."""
    return contacts.matched(call.tenant, call.event, call.person) if call.person.known else None


def _may_create(call: _Call) -> bool:
    """Whether a new contact can be made of a call that matches none; if not, the report says why."""
    who: Person = call.person
    if not who.known:
        call.report("no_identity", "The call has neither a user id nor an e-mail address")
        return False
    if call.options["sticky_discard"] and call.tenant.has_discarded(user_id=who.user_id, email=who.email):
        call.report("discarded_contact", "The contact was discarded and stays so")
        return False
    return True


def _created(call: _Call, company: Fields | None) -> Held:
    return call.tenant.add_contact(user_id=call.person.user_id, email=call.person.email, company=company)


def _group(call: _Call) -> Answer | None:
    group_id = text_id(call.event, "group_id")
    company = call.tenant.company("externalId", group_id) if group_id else None
    if company is None:
        call.report("unknown_company", "No company has this external id; companies are not made from Segment")
        return None
    for dimension, value in metrics(call.event).items():
        call.tenant.add_metric(company.row, dimension=dimension, value=value, date=call.date)
    company.row["custom"].update(company_custom(call.event))
    company.row["name"] = company.row["name"] or text_of(look_up(members(call.event, "traits"), "name"))
    company.row["source"] = SOURCE
    call.tenant.put_company(company)
    return None


def _not_taken(call: _Call) -> Answer | None:
    call.report("unsupported_type", "Planhat makes nothing of this call type")
    return None


_TAKEN = {"identify": _identify, "track": _track, "page": _page, "group": _group}


def _called_subdomain(headers: Mapping[str, str]) -> str | None:
    """The subdomain that the sender meant to call.

    A sandbox is called on loopback, so the host says nothing; but Segment sends all settings but the key along.
    """
    try:
        shown = msgspec.json.decode(b64decode(headers.get("x-segment-settings", ""), validate=True))
    except (binascii.Error, ValueError):
        return None
    called = shown.get("subdomain") if isinstance(shown, dict) else None
    return called if isinstance(called, str) and called else None


def _calls_per_minute(key: Key) -> int | None:
    limit: Any = key.options["rate_limit"]
    return CALLS_PER_MINUTE if limit is True else limit or None


def _counted(rows: Rows, key: Key) -> dict[str, str] | None:
    """Counts a call in its minute: the headers that say how many are left, or None where it is one too many."""
    limit = _calls_per_minute(key)
    if limit is None:
        return {}
    minute = rows.now_ms // 60_000
    found = rows.all("minutes", key.id)
    calls = found[0][1]["calls"] if found and found[0][1]["minute"] == minute else 0
    if calls >= limit:
        return None
    counted = {"minute": minute, "calls": calls + 1}
    if found:
        rows.update("minutes", found[0][0], counted)
    else:
        rows.insert("minutes", key.id, counted)
    return _limit_headers(key, limit - calls - 1)


def _limit_headers(key: Key, remaining: int) -> dict[str, str]:
    return {
        "X-Rate-Limit-Limit": str(_calls_per_minute(key)),
        "X-Rate-Limit-Remaining": str(remaining),
    }
