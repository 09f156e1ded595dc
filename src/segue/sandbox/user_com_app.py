"""One User.com app: its users, companies, events and typed attributes, as one call finds and changes them.

Rule: a value is stored in the type of its attribute or not at all; what was not is noted in `ignored`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from segue.core.clock import iso
from segue.sandbox.keys import DEMO_ID
from segue.sandbox.store import Row, Rows
from segue.sandbox.user_com_attributes import (
    IGNORED,
    NAME_CHARACTERS_MAX,
    Definition,
    compact_json,
    convert,
    name_is_usable,
    name_std,
)
from segue.sandbox.user_com_mapping import PROTECTED

NOTED_CHARACTERS_MAX = 200

_USER_LOOKUPS = ("id", "user_key", "custom_id", "anonymous_id", "email", "phone_number")

_BLANK_USER: Row = {
    **dict.fromkeys(("email", "name", "first_name", "last_name", "phone_number")),
    "gender": "unknown",
    "status": "visitor",
    "score": 0,
    "page_views": 0,
    "unsubscribed": False,
    **dict.fromkeys(("country", "region", "city", "user_agent", "os", "device_name", "device_type", "language")),
    **dict.fromkeys(("resolution", "ip_address", "browser_family", "browser_version", "timezone", "current_url")),
}

_BLANK_COMPANY: Row = dict.fromkeys(
    (
        "name",
        "description",
        "email",
        "phone_numbers",
        "employees_count",
        "address",
        "country",
        "region",
        "city",
    )
)


class App:
    """What one call sees of an app, in the open transaction. Every row it writes names the call's message."""

    def __init__(self, rows: Rows, app_id: str, message_id: str | None = None) -> None:
        self.rows = rows
        self.id = app_id
        self.message_id = message_id
        self.now = iso(rows.now_ms)

    def add(self, table: str, row: Row, lookups: dict[str, str]) -> Row:
        """Adds a row with an `id` of its own; the row."""
        number = self.rows.insert(table, self.id, row, message_id=self.message_id)
        row = {"id": number, **row}
        self.rows.update(table, number, row, lookups={**lookups, "id": str(number)})
        return row

    def first(self, table: str, lookup: str, value: str) -> Row | None:
        """The oldest row with this lookup."""
        found = self.rows.find(table, self.id, lookup, value)
        return found[0][1] if found else None

    def add_user(self, *, custom_id: str | None, anonymous_id: str | None, first_seen_ms: int) -> Row:
        """A user nobody has heard of before. Defaults: what the vendor's read API shows of a new visitor."""
        row = {
            "user_key": self.rows.new_id(),
            "custom_id": custom_id,
            "anonymous_id": anonymous_id,
            **_BLANK_USER,
            "first_seen": iso(first_seen_ms),
            "last_seen": None,
            "created_at": self.now,
            "updated_at": self.now,
            "companies": [],
            "tags": [],
            "lists": [],
        }
        return self.add("users", row, _user_lookups(row))

    def save_user(self, user: Row) -> None:
        """Stores a changed user."""
        user["updated_at"] = self.now
        lookups = _user_lookups(user)
        self.rows.update("users", user["id"], user, lookups=lookups, message_id=self.message_id)

    def add_company(self, custom_id: str) -> Row:
        """A company of which only the id is known."""
        row = {
            "custom_id": custom_id,
            **_BLANK_COMPANY,
            "created_at": self.now,
            "updated_at": self.now,
            "employees": [],
        }
        return self.add("companies", row, {"custom_id": custom_id})

    def save_company(self, company: Row) -> None:
        """Stores a changed company."""
        company["updated_at"] = self.now
        self.rows.update("companies", company["id"], company, message_id=self.message_id)

    def link(self, user: Row, company: Row) -> None:
        """Makes the user a member of the company, once; both are left to be saved."""
        membership = next((one for one in user["companies"] if one["id"] == company["id"]), None)
        if membership is None:
            membership = {"id": company["id"], "custom_id": company["custom_id"], "member_since": self.now}
            user["companies"].append(membership)
        membership["name"] = company["name"]
        if user["id"] not in company["employees"]:
            company["employees"].append(user["id"])

    def rename_in_members(self, company: Row) -> None:
        """Writes the company's name into the memberships of its users."""
        for user_id in company["employees"]:
            user = self.first("users", "id", str(user_id))
            if user is not None:
                for membership in user["companies"]:
                    if membership["id"] == company["id"]:
                        membership["name"] = company["name"]
                self.rows.update("users", user["id"], user)

    def typed(self, content_type: str, values: dict[str, Any]) -> Row:
        """The values as attributes of this content type store them, by name_std; what cannot be is noted."""
        return dict(self._typed(content_type, values))

    def _typed(self, content_type: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            key = name_std(name)
            if not name_is_usable(name):
                self.note(content_type, name, value, f"the name is not 1 to {NAME_CHARACTERS_MAX} characters long")
            elif key in PROTECTED and content_type != "activity":
                self.note(content_type, name, value, "the field is protected")
            elif (stored := self._stored(content_type, name, value)) is not IGNORED:
                yield key, stored

    def _stored(self, content_type: str, name: str, value: Any) -> Any:
        definition = self.definition(content_type, name_std(name))
        if definition is None:
            definition = Definition(content_type=content_type, name=name)
            if value is not None:
                self.define(definition)
        stored = convert(definition, value)
        if stored is IGNORED:
            self.note(content_type, name, value, f"not convertible to {definition.value_type}")
        return stored

    def note(self, content_type: str, name: str, value: Any, reason: str) -> None:
        """Keeps what was ignored and why, for whoever looks at the app."""
        shown = compact_json(value)[:NOTED_CHARACTERS_MAX]
        row = {
            "content_type": content_type,
            "name": name[:NOTED_CHARACTERS_MAX],
            "value": shown,
            "reason": reason,
        }
        self.rows.insert("ignored", self.id, row, message_id=self.message_id)

    def definition(self, content_type: str, key: str) -> Definition | None:
        """The attribute of this name_std: the app's own, else the one defined for every app."""
        found = self.first("attributes", "name_std", f"{content_type}/{key}")
        if found is None and self.id != DEMO_ID:
            shared = self.rows.find("attributes", DEMO_ID, "shared", f"{content_type}/{key}")
            if shared:
                return self.define(msgspec.convert(shared[0][1], Definition))
        return None if found is None else msgspec.convert(found, Definition)

    def define(self, definition: Definition, *, shared: bool = False) -> Definition:
        """Adds an attribute, or gives the one of this name another type; `shared` (demo app only): for all apps."""
        row = msgspec.to_builtins(definition) | {"name_std": definition.name_std}
        lookups = {"name_std": f"{definition.content_type}/{definition.name_std}"}
        if shared:
            lookups["shared"] = lookups["name_std"]
        found = self.first("attributes", "name_std", lookups["name_std"])
        if found is None:
            self.add("attributes", {**row, "created_at": self.now}, lookups)
        else:
            lookups["id"] = str(found["id"])
            self.rows.update("attributes", found["id"], {**found, **row}, lookups=lookups)
        return definition


def _user_lookups(user: Row) -> dict[str, str]:
    return {name: str(user[name]) for name in _USER_LOOKUPS if user.get(name) is not None}
