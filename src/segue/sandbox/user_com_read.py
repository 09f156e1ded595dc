"""User.com's public REST API, the part of it that reads.

Source: the vendor's API documentation for paths, `Token` authentication and the trailing slash; that a
missing slash is 404 is PROPOSED.
Rule: a REST key reads its own app and no other, and a Segment API key reads nothing.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from segue.sandbox.frame import Answer, Call, refusal
from segue.sandbox.keys import Key
from segue.sandbox.store import Row, Rows
from segue.sandbox.user_com_app import App

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Handler, Sandbox

PAGE_ROWS_MAX = 100
SEARCHES = {"email": "email", "key": "user_key", "phone_number": "phone_number"}

Reader = Callable[[App, Call], Answer]
AppOf = Callable[[Key], str]


def read_routes(sandbox: Sandbox, app_of: AppOf) -> Sequence[BaseRoute]:
    """The routes under `/api/public/`."""
    readers: dict[str, Reader] = {
        "users/": _page_of("users"),
        "users/search/": _search,
        "users/{id:int}/": _one_user,
        "users-by-id/{custom_id:path}/": _by_custom_id("users"),
        "companies/": _page_of("companies"),
        "companies-by-id/{custom_id:path}/": _by_custom_id("companies"),
        "attributes/": _page_of("attributes"),
    }
    return [sandbox.route(f"/api/public/{path}", _with_token(read, app_of)) for path, read in readers.items()]


def _with_token(read: Reader, app_of: AppOf) -> Handler:
    """The reader behind `Authorization: Token KEY`."""

    def handler(rows: Rows, call: Call) -> Answer:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "token" or not token.strip():
            return _refusal(401, "Authentication credentials were not provided.")
        key = rows.find_key(token.strip())
        if key is None or key.state != "live" or key.options["kind"] != "rest":
            return _refusal(401, "Invalid token.")
        return read(App(rows, app_of(key)), call)

    return handler


def _refusal(status: int, detail: str) -> Answer:
    """Both shapes of an error: `message` as of every sandbox, `detail` as this API has it."""
    return Answer(status=status, body={"message": detail, "detail": detail})


def _found(row: Row | None) -> Answer:
    return _refusal(404, "Not found.") if row is None else Answer(body=row)


def _page_of(table: str) -> Reader:
    """A reader of the rows of a table, at most `PAGE_ROWS_MAX` at a time, behind the id `cursor`."""

    def read(app: App, call: Call) -> Answer:
        cursor = call.first("cursor") or "0"
        if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
            return refusal(400, "cursor must be one that this list gave")
        rows = [row for _, row in app.rows.all(table, app.id)]
        later = [row for row in rows if row["id"] > int(cursor)]
        page = later[:PAGE_ROWS_MAX]
        address = call.url.partition("?")[0]
        following = f"{address}?{urlencode({'cursor': page[-1]['id']})}" if len(later) > len(page) else None
        earlier = [row["id"] for row in rows if row["id"] <= int(cursor)]
        previous = None
        if earlier:
            start = earlier[-PAGE_ROWS_MAX - 1] if len(earlier) > PAGE_ROWS_MAX else 0
            previous = f"{address}?{urlencode({'cursor': start})}"
        return Answer(body={"count": len(rows), "next": following, "previous": previous, "results": page})

    return read


def _one_user(app: App, call: Call) -> Answer:
    return _found(app.first("users", "id", str(call.path["id"])))


def _search(app: App, call: Call) -> Answer:
    """By e-mail or user key the one user; by phone number a list."""
    for parameter, lookup in SEARCHES.items():
        value = call.first(parameter)
        if value is None:
            continue
        found = [row for _, row in app.rows.find("users", app.id, lookup, value)]
        if parameter == "phone_number":
            return Answer(body={"results": found})
        return _found(found[0] if found else None)
    return _refusal(400, f"one of {', '.join(SEARCHES)} is required")


def _by_custom_id(table: str) -> Reader:
    """A reader of one row by its id outside User.com, plain or in base64: there are clients of both kinds."""

    def read(app: App, call: Call) -> Answer:
        custom_id = call.path["custom_id"]
        return _found(app.first(table, "custom_id", custom_id) or _by_encoded_id(app, table, custom_id))

    return read


def _by_encoded_id(app: App, table: str, encoded: str) -> Row | None:
    try:
        custom_id = b64decode(encoded, validate=True).decode()
    except (binascii.Error, ValueError):
        return None
    return app.first(table, "custom_id", custom_id)
