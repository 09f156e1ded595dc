"""What a tester sets up in the User.com sandbox, as its owner would in the app's settings, and asks of it.

- `POST _sandbox/attributes {"content_type", "name", "value_type", "app"?}`; the type `fixed` needs `choices`,
  and may have `allow_multiple_choices`
- `POST _sandbox/domains {"domains": [...], "app"?}`
- `GET _sandbox/segments?event=NAME&count_gte=N[&app=ID]`: users bucketed by their events
- `GET _sandbox/page_views?by=COLUMN[&COLUMN=VALUE...][&app=ID]`: page views filtered and aggregated

All of it is PROPOSED.
Rule: without `app`, an attribute or a list of domains is for every app, also for later ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from segue.sandbox.frame import Answer, Call, refusal
from segue.sandbox.keys import DEMO_ID
from segue.sandbox.store import Row, Rows
from segue.sandbox.user_com_app import App
from segue.sandbox.user_com_attributes import CONTENT_TYPES, VALUE_TYPES, Definition, name_is_usable
from segue.sandbox.user_com_mapping import PROTECTED
from segue.sandbox.user_com_trust import checked_domains

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Sandbox

EVERY_APP = ""

PAGE_VIEW_COLUMNS = (
    "url",
    "path",
    "title",
    "referrer",
    "name",
    "custom_id",
    "anonymous_id",
    "user",
    "key_id",
)


def admin_routes(sandbox: Sandbox) -> Sequence[BaseRoute]:
    """The routes under `_sandbox` that only User.com has."""
    return [
        sandbox.route("/_sandbox/attributes", _define_attribute, methods=["POST"]),
        sandbox.route("/_sandbox/domains", _trust_domains, methods=["POST"]),
        sandbox.route("/_sandbox/segments", _segment),
        sandbox.route("/_sandbox/page_views", _page_views),
    ]


def trusted_domains(rows: Rows, app_id: str) -> list[str]:
    """The domains that an app takes calls from; empty: all."""
    for owner in (app_id, EVERY_APP):
        found = rows.find("domains", owner, "list", "trusted")
        if found:
            return list(found[0][1]["domains"])
    return []


def _define_attribute(rows: Rows, call: Call) -> Answer:
    try:
        definition, app_id = _checked_definition(dict(call.body))
    except ValueError as error:
        return refusal(400, str(error))
    app = App(rows, DEMO_ID if app_id == EVERY_APP else app_id)
    known = app.definition(definition.content_type, definition.name_std) is not None
    app.define(definition, shared=app_id == EVERY_APP)
    if app_id == EVERY_APP:
        _retype_everywhere(rows, definition)
    body = app.first("attributes", "name_std", f"{definition.content_type}/{definition.name_std}")
    return Answer(status=200 if known else 201, body=body)


def _retype_everywhere(rows: Rows, definition: Definition) -> None:
    owners = {row["key_id"] for row in rows.listing("attributes")} - {DEMO_ID}
    for owner in sorted(owners):
        app = App(rows, owner)
        if app.first("attributes", "name_std", f"{definition.content_type}/{definition.name_std}") is not None:
            app.define(definition)


def _checked_definition(given: dict[str, Any]) -> tuple[Definition, str]:
    """The attribute and its app. Raises ValueError that names what is wrong."""
    app_id = _checked_app(given.pop("app", EVERY_APP))
    content_type = CONTENT_TYPES.get(str(given.get("content_type")))
    if content_type is None:
        raise ValueError(f"content_type must be one of {', '.join(CONTENT_TYPES)}")
    if str(given.get("value_type")) not in VALUE_TYPES:
        raise ValueError(f"value_type must be one of {', '.join(sorted(VALUE_TYPES))}")
    try:
        definition = msgspec.convert(given | {"content_type": content_type}, Definition)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if not name_is_usable(definition.name):
        raise ValueError("name must be a text of 1 to 32 characters")
    if definition.content_type != "activity" and definition.name_std in PROTECTED:
        raise ValueError(f"{definition.name_std} is a field of its own")
    if definition.value_type == "fixed" and not definition.choices:
        raise ValueError("an attribute of type fixed needs choices")
    return definition, app_id


def _checked_app(given: object) -> str:
    if not isinstance(given, str):
        raise ValueError("app must be the id of the app's first key")
    return given


def _trust_domains(rows: Rows, call: Call) -> Answer:
    try:
        domains = checked_domains(call.body.get("domains"))
        app_id = _checked_app(call.body.get("app", EVERY_APP))
    except ValueError as error:
        return refusal(400, str(error))
    replaced = rows.all("domains") if app_id == EVERY_APP else rows.all("domains", app_id)
    for number, _ in replaced:
        rows.delete("domains", number)
    rows.insert("domains", app_id, {"domains": domains}, lookups={"list": "trusted"})
    return Answer(body={"domains": domains})


def _segment(rows: Rows, call: Call) -> Answer:
    name, at_least = call.first("event"), call.first("count_gte") or "1"
    if not name:
        return refusal(400, "event is required")
    if not (at_least.isascii() and at_least.isdigit() and len(at_least) < 10):
        return refusal(400, "count_gte must be a number")
    app_id = call.first("app")
    occurrences = rows.all("event_occurrences", app_id)
    counts = Counter(row["user"] for _, row in occurrences if row["name"] == name)
    users = [
        {**user, "count": counts[user["id"]]}
        for user in rows.listing("users")
        if app_id in (None, user["key_id"]) and counts[user["id"]] >= int(at_least)
    ]
    return Answer(body={"event": name, "count_gte": int(at_least), "count": len(users), "users": users})


def _page_views(rows: Rows, call: Call) -> Answer:
    by = call.first("by") or "path"
    filters = [(name, value) for name, value in call.query if name not in ("by", "app")]
    unknown = {by, *(name for name, _ in filters)} - set(PAGE_VIEW_COLUMNS)
    if unknown:
        return refusal(400, f"a page view has {', '.join(PAGE_VIEW_COLUMNS)}; it has no {', '.join(sorted(unknown))}")
    app_id = call.first("app")
    views = [
        view
        for view in rows.listing("page_views")
        if app_id in (None, view["key_id"]) and all(str(view[name]) == value for name, value in filters)
    ]
    return Answer(body={"by": by, "count": len(views), "results": _aggregated(views, by)})


def _aggregated(views: list[Row], by: str) -> list[Row]:
    """The page views of each value of a column, most viewed first."""
    counts = Counter(view[by] for view in views)
    users = {value: len({view["user"] for view in views if view[by] == value}) for value in counts}
    return [{by: value, "count": count, "users": users[value]} for value, count in counts.most_common()]
