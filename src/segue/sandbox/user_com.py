"""User.com's receiver: users, companies, typed attributes, event occurrences and page views.

The vendor's own: what each call does, that unknown users and attributes are made, and that a revoked key or a
domain that is not trusted is answered with 403. PROPOSED, our own contract: the path, Basic authentication,
the texts of the answers, that profiles are not merged, and what a key of this sandbox may choose.
Rule: a trait or property that cannot be used never costs the rest of its call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from segue.core.clock import iso
from segue.sandbox.frame import Answer, FindKey, Inbound, Key, KeyOptions, Receiver, basic_auth, refusal
from segue.sandbox.names import look_up, text_id
from segue.sandbox.store import Row, Rows
from segue.sandbox.user_com_admin import admin_routes, trusted_domains
from segue.sandbox.user_com_app import App
from segue.sandbox.user_com_attributes import IGNORED, Definition, convert
from segue.sandbox.user_com_mapping import (
    company_fields,
    company_traits,
    custom_traits,
    employees,
    event_properties,
    event_time_ms,
    page_view,
    profile_fields,
    text_of,
)
from segue.sandbox.user_com_read import read_routes
from segue.sandbox.user_com_trust import is_trusted, request_domain
from segue.sandbox.user_com_users import row_lookups, user_of

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

OK = Answer(body={"status": "ok"})

_EMPLOYEES = Definition(content_type="company", name="employees_count", value_type="integer")


class Options(KeyOptions, kw_only=True, forbid_unknown_fields=True):
    """What may be chosen for a key of User.com."""

    kind: Literal["segment", "rest"] = "segment"
    """A Segment API key takes events; a REST key reads. Neither works in the other's place."""
    app: Annotated[str, Meta(max_length=200)] = ""
    """The app of the key: the id of the app's first key. Empty: the key has an app of its own."""
    merge_anonymous: bool = False
    """Whether the anonymous profile of an event with both ids becomes the user's."""


class Subject:
    """One event, the app it came to and the time it happened."""

    def __init__(self, app: App, event: Mapping[str, Any], *, merge_anonymous: bool) -> None:
        self.app = app
        self.event = dict(event)
        self.time_ms = event_time_ms(self.event, otherwise=app.rows.now_ms)
        self.user_id = text_id(event, "userId")
        self.anonymous_id = text_id(event, "anonymousId")
        self._merge_anonymous = merge_anonymous

    def user(self) -> Row:
        """The user that the event is about, made where unknown."""
        return user_of(
            self.app,
            self.user_id,
            self.anonymous_id,
            at_ms=self.time_ms,
            merge_anonymous=self._merge_anonymous,
        )

    def trace(self, user: Row) -> Row:
        """What every row of one event about one user holds."""
        return {
            "user": user["id"],
            "custom_id": user["custom_id"],
            "anonymous_id": user["anonymous_id"],
            "timestamp": iso(self.time_ms),
            "messageId": self.app.message_id,
        }


class UserCom(Receiver):
    """The mount `/user-com`."""

    slug = "user-com"
    inbound = "/api/segment/"
    tables = ("users", "companies", "attributes", "events", "event_occurrences", "page_views", "ignored")
    types = frozenset({"identify", "track", "page", "group"})
    key_options = Options

    def authenticate(self, headers: Mapping[str, str], find_key: FindKey) -> Key | Answer:
        """401 without Basic authentication, 403 for any key that is not a live Segment API key."""
        key = basic_auth(
            headers,
            find_key,
            unknown=(403, "Segment API key unknown"),
            stopped=(403, "Segment API key revoked"),
        )
        if isinstance(key, Key) and key.options["kind"] != "segment":
            return refusal(403, "A REST API key is not a Segment API key")
        return key

    def receive(self, rows: Rows, key: Key, inbound: Inbound) -> Answer:
        """One event of one app."""
        app = App(rows, app_of(key), inbound.message_id)
        if not is_trusted(request_domain(inbound.event, inbound.headers), trusted_domains(rows, app.id)):
            return refusal(403, "Domain not trusted")
        subject = Subject(app, inbound.event, merge_anonymous=key.options["merge_anonymous"])
        if subject.user_id is None and subject.anonymous_id is None:
            return refusal(400, "userId or anonymousId is required")
        return _CALLS[inbound.event["type"]](subject)

    def routes(self, sandbox: Sandbox) -> Sequence[BaseRoute]:
        """The read side, and the admin's own actions."""
        return [*read_routes(sandbox, app_of), *admin_routes(sandbox)]


def app_of(key: Key) -> str:
    """The app that a key belongs to."""
    return key.options["app"] or key.id


def _identify(subject: Subject) -> Answer:
    user = subject.user()
    user |= subject.app.typed("clientuser", custom_traits(subject.event))
    user |= profile_fields(subject.event)
    subject.app.save_user(user)
    return OK


def _page(subject: Subject) -> Answer:
    user = subject.user()
    seen = iso(subject.time_ms)
    user["page_views"] += 1
    user["last_seen"] = max(user["last_seen"] or seen, seen)
    subject.app.save_user(user)
    view = {**page_view(subject.event), **subject.trace(user)}
    subject.app.add("page_views", view, row_lookups(view))
    return OK


def _track(subject: Subject) -> Answer:
    name = text_of(look_up(subject.event, "event"))
    if name is None:
        return refusal(400, "event is required")
    app, user = subject.app, subject.user()
    definition = app.first("events", "name", name)
    created = definition is None
    if definition is None:
        definition = app.add("events", {"name": name, "created_at": app.now}, {"name": name})
    occurrence = {
        "event": definition["id"],
        "name": name,
        "data": app.typed("activity", event_properties(subject.event)),
        "created": created,
        **subject.trace(user),
    }
    app.add("event_occurrences", occurrence, {**row_lookups(occurrence), "name": name})
    return OK


def _group(subject: Subject) -> Answer:
    group_id = text_id(subject.event, "groupId")
    if group_id is None:
        return refusal(400, "groupId is required")
    app, user = subject.app, subject.user()
    company = app.first("companies", "custom_id", group_id) or app.add_company(group_id)
    old_name = company["name"]
    company |= app.typed("company", company_traits(subject.event))
    company |= company_fields(subject.event)
    _count_employees(subject, company)
    app.link(user, company)
    app.save_user(user)
    app.save_company(company)
    if company["name"] != old_name:
        app.rename_in_members(company)
    return OK


def _count_employees(subject: Subject, company: Row) -> None:
    given = employees(subject.event)
    if given is None:
        return
    count = convert(_EMPLOYEES, given)
    if count is IGNORED:
        subject.app.note("company", "employees", given, "not convertible to integer")
    else:
        company["employees_count"] = count


_CALLS: dict[str, Callable[[Subject], Answer]] = {
    "identify": _identify,
    "page": _page,
    "track": _track,
    "group": _group,
}

receiver = UserCom()
