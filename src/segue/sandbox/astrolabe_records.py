"""What one Astrolabe connector holds: Users, Accounts, Events, and the ids it has refused.

Source: Segment's page on Astrolabe (users, accounts, properties, association). Shapes, the memory of refused
ids and what counts as the primary account are PROPOSED.
Rule: an id is either refused or some User's, never both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from segue.sandbox.names import spelled, text_id
from segue.sandbox.store import Rows

Numbered = tuple[int, dict[str, Any]]


class Who(NamedTuple):
    """The ids that a call gives for its user; at least one of them is there."""

    user_id: str | None
    anonymous_id: str | None

    @property
    def lookup(self) -> tuple[str, str]:
        """The id that decides, with the name of its lookup: the userId, else the anonymousId."""
        return next(self.lookups())

    def lookups(self) -> Iterator[tuple[str, str]]:
        """All ids given, each with the name of its lookup."""
        if self.user_id is not None:
            yield "external_id", self.user_id
        if self.anonymous_id is not None:
            yield "anonymous_id", self.anonymous_id


def who_of(event: Mapping[str, Any]) -> Who | None:
    """Whom the event is about; None where it gives no id."""
    who = Who(text_id(event, "userId"), text_id(event, "anonymousId"))
    return who if any(who) else None


class Records:
    """The rows of one connector, in the transaction of one call."""

    def __init__(self, rows: Rows, key_id: str, message_id: str | None) -> None:
        self._rows = rows
        self._key_id = key_id
        self._message_id = message_id

    def _find(self, table: str, name: str, value: str) -> Numbered | None:
        found = self._rows.find(table, self._key_id, name, value)
        return found[0] if found else None

    def has_user(self, who: Who) -> bool:
        """Whether the User is stored."""
        return self._find("users", *who.lookup) is not None

    def put_user(self, who: Who, traits: dict[str, Any]) -> None:
        """Creates the User, or merges the traits into the properties, one level deep; null stays null.

        The ids are refused no longer.
        """
        number, user = self._user(who)
        user["properties"] = {**user["properties"], **traits}
        email = spelled(traits, "email")
        if email is not None:
            user["email"] = traits[email]
        self._rows.update("users", number, user, message_id=self._message_id)
        for lookup in who.lookups():
            self._lift(*lookup)

    def _user(self, who: Who) -> Numbered:
        """The User; a bare one is made where there is none."""
        name, value = who.lookup
        found = self._find("users", name, value)
        if found is not None:
            return found
        ids: dict[str, Any] = {"external_id": None, "anonymous_id": None, name: value}
        user = {**ids, "email": None, "properties": {}, "accounts": [], "primary_account": None}
        number = self._rows.insert("users", self._key_id, user, lookups={name: value}, message_id=self._message_id)
        self._lift(name, value)
        return number, user

    def put_account(self, group_id: str, traits: dict[str, Any]) -> None:
        """Creates the Account, or merges the traits into its properties, one level deep."""
        number, account = self._account(group_id)
        account["properties"] = {**account["properties"], **traits}
        self._rows.update("accounts", number, account, message_id=self._message_id)

    def _account(self, group_id: str) -> Numbered:
        found = self._find("accounts", "external_id", group_id)
        if found is not None:
            return found
        account: dict[str, Any] = {"external_id": group_id, "properties": {}, "users": []}
        lookups = {"external_id": group_id}
        number = self._rows.insert("accounts", self._key_id, account, lookups=lookups, message_id=self._message_id)
        return number, account

    def link(self, who: Who, group_id: str) -> None:
        """Associates the User, made bare where there is none, with the Account, now the primary one."""
        user_number, user = self._user(who)
        number, account = self._account(group_id)
        _, reference = who.lookup
        if reference not in account["users"]:
            account["users"].append(reference)
            self._rows.update("accounts", number, account)
        if group_id not in user["accounts"]:
            user["accounts"].append(group_id)
        user["primary_account"] = group_id
        self._rows.update("users", user_number, user, message_id=self._message_id)

    def add_event(self, who: Who, fields: dict[str, Any]) -> None:
        """Adds an Event of the User, who is made bare where there is none."""
        _, user = self._user(who)
        name, value = who.lookup
        ids = {"external_id": user["external_id"], "anonymous_id": user["anonymous_id"]}
        row = {**ids, **fields, "messageId": self._message_id}
        self._rows.insert("events", self._key_id, row, lookups={name: value}, message_id=self._message_id)

    def is_refused(self, who: Who) -> bool:
        """Whether the id that decides was refused and has not come back since."""
        return self._find("refused", *who.lookup) is not None

    def refuse(self, who: Who) -> None:
        """Remembers the ids as refused; those of a stored User are left as they are."""
        if self.has_user(who):
            return
        for name, value in who.lookups():
            known = self._find("users", name, value) or self._find("refused", name, value)
            if known is None:
                self._rows.insert("refused", self._key_id, {name: value}, lookups={name: value})

    def _lift(self, name: str, value: str) -> None:
        for number, _ in self._rows.find("refused", self._key_id, name, value):
            self._rows.delete("refused", number)
