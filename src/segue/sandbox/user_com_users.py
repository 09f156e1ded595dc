"""Which user of a User.com app an event is about.

Rule: `userId` alone decides where it is given, else `anonymousId`; a user that is not there is made.
With the switch `merge_anonymous` (PROPOSED, off) the anonymous profile of an event with both ids becomes the
user's.
"""

from __future__ import annotations

from segue.sandbox.store import Row
from segue.sandbox.user_com_app import App

_MERGED_APART = frozenset({"id", "user_key", "custom_id", "page_views", "first_seen", "last_seen", "companies"})


def user_of(app: App, user_id: str | None, anonymous_id: str | None, *, at_ms: int, merge_anonymous: bool) -> Row:
    """The user of these ids, of which one at least is given; made, first seen at `at_ms`, where unknown."""
    if user_id is None:
        assert anonymous_id is not None
        return app.first("users", "anonymous_id", anonymous_id) or app.add_user(
            custom_id=None, anonymous_id=anonymous_id, first_seen_ms=at_ms
        )
    user = app.first("users", "custom_id", user_id)
    if merge_anonymous and anonymous_id is not None:
        return _merged(app, user, user_id, anonymous_id, at_ms=at_ms)
    return user or app.add_user(custom_id=user_id, anonymous_id=None, first_seen_ms=at_ms)


def _merged(app: App, user: Row | None, user_id: str, anonymous_id: str, *, at_ms: int) -> Row:
    """The user with the anonymous profile in it. A profile that is somebody else's by now stays theirs."""
    profile = app.first("users", "anonymous_id", anonymous_id)
    if profile is None:
        user = user or app.add_user(custom_id=user_id, anonymous_id=anonymous_id, first_seen_ms=at_ms)
        user["anonymous_id"] = anonymous_id
    elif profile["custom_id"] is not None:
        return user or app.add_user(custom_id=user_id, anonymous_id=None, first_seen_ms=at_ms)
    elif user is None:
        user = {**profile, "custom_id": user_id}
    else:
        _absorb(app, user, profile)
    app.save_user(user)
    return user


def _absorb(app: App, user: Row, profile: Row) -> None:
    for name, value in profile.items():
        if name not in _MERGED_APART and user.get(name) in (None, "unknown"):
            user[name] = value
    user["anonymous_id"] = profile["anonymous_id"]
    user["page_views"] += profile["page_views"]
    user["first_seen"] = min(user["first_seen"], profile["first_seen"])
    user["last_seen"] = max(filter(None, (user["last_seen"], profile["last_seen"])), default=None)
    _move_memberships(app, user, profile)
    for table in ("event_occurrences", "page_views"):
        for number, row in app.rows.find(table, app.id, "user", str(profile["id"])):
            row |= {"user": user["id"], "custom_id": user["custom_id"]}
            app.rows.update(table, number, row, lookups={**row_lookups(row), "id": str(number)})
    listed = next(row for row in app.rows.listing("users") if row["id"] == profile["id"])
    for message_id in listed.get("messageIds", ()):
        app.rows.update("users", user["id"], user, message_id=message_id)
    app.rows.delete("users", profile["id"])


def _move_memberships(app: App, user: Row, profile: Row) -> None:
    for membership in profile["companies"]:
        company = app.first("companies", "id", str(membership["id"]))
        if company is not None:
            company["employees"].remove(profile["id"])
            app.link(user, company)
            app.save_company(company)


def row_lookups(row: Row) -> dict[str, str]:
    """How a page view or an occurrence is found again: by its user."""
    return {"user": str(row["user"])}
