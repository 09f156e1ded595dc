"""What one tenant of Planhat holds: contacts, companies, activities, metrics, and the report.

Rule: a discarded contact keeps its row, but no list shows it and no call finds it by its user id or address.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from segue.core.clock import iso
from segue.sandbox.keys import DEMO_ID
from segue.sandbox.names import text_id
from segue.sandbox.planhat_mapping import SOURCE, Fields, email_key
from segue.sandbox.store import Rows


class Held(NamedTuple):
    """A row and its number."""

    number: int
    row: Fields


class Tenant:
    """The rows of one key, inside an open transaction. What is written names `message_id` as the event it is of."""

    def __init__(self, rows: Rows, key_id: str, message_id: str | None = None) -> None:
        self._rows = rows
        self._key_id = key_id
        self._message_id = message_id

    def _first(self, table: str, name: str, value: str) -> Held | None:
        found = self._rows.find(table, self._key_id, name, value)
        return Held(*found[0]) if found else None

    def contact(self, name: str, value: str) -> Held | None:
        """The oldest contact with this `_id`, `externalId` or `email` (in any case), unless it is discarded."""
        held = self._first("contacts", name, email_key(value) if name == "email" else value)
        return None if held is None or held.row["status"] == "discarded" else held

    def contact_by_reference(self, reference: str) -> Held | None:
        """The contact that a path names: `_id`, or `extid-` with its external id."""
        if reference.startswith("extid-"):
            return self.contact("externalId", reference.removeprefix("extid-"))
        return self.contact("_id", reference)

    def has_discarded(self, *, user_id: str | None, email: str | None) -> bool:
        """Whether a contact with this user id or this address was discarded."""
        return bool(
            (user_id and self._first("contacts", "discarded externalId", user_id))
            or (email and self._first("contacts", "discarded email", email_key(email)))
        )

    def contacts(self) -> list[Fields]:
        """Every contact that is not discarded, in order of arrival."""
        found = self._rows.all("contacts", self._key_id)
        return [row for _, row in found if row["status"] != "discarded"]

    def contacts_of(self, company_id: str) -> list[Fields]:
        """The contacts of a company, in order of arrival."""
        return [row for _, row in self._rows.find("contacts", self._key_id, "companyId", company_id)]

    def add_contact(self, *, user_id: str | None, email: str | None, company: Fields | None) -> Held:
        """A new contact in the shape of Planhat's API, beside `title`, `source` and `status` (PROPOSED)."""
        row: Fields = {
            "_id": self._rows.new_id(),
            "externalId": user_id,
            "name": None,
            "title": None,
            "position": None,
            "email": email,
            "companyId": company["_id"] if company else None,
            "source": SOURCE,
            "status": "assigned" if company else "unassigned",
            "custom": {},
            "tags": [],
            "__v": 0,
        }
        number = self._rows.insert(
            "contacts", self._key_id, row, lookups=_contact_lookups(row), message_id=self._message_id
        )
        return Held(number, row)

    def put_contact(self, contact: Held) -> None:
        """Stores a contact that was changed."""
        self._rows.update(
            "contacts",
            contact.number,
            contact.row,
            lookups=_contact_lookups(contact.row),
            message_id=self._message_id,
        )

    def assign(self, contact: Held, company: Fields) -> None:
        """Attaches a contact to a company; what the contact did shows on the company from now on."""
        contact.row.update(companyId=company["_id"], status="assigned")
        self.put_contact(contact)
        for number, row in self._rows.find("activities", self._key_id, "contactId", contact.row["_id"]):
            row.update(companyId=company["_id"], companyExternalId=company["externalId"])
            self._rows.update("activities", number, row)

    def discard(self, contact: Held) -> None:
        """Takes a contact out of all lists; its row stays, as `discarded`."""
        contact.row["status"] = "discarded"
        self.put_contact(contact)

    def company(self, name: str, value: str) -> Held | None:
        """The company with this `_id`, `externalId` or `sourceId`."""
        return self._first("companies", name, value) or self._adopted(name, value)

    def company_by_reference(self, reference: str) -> Held | None:
        """The company that a path or a `companyId` names: `_id`, `extid-...`, `srcid-...` or a bare external id."""
        for prefix, name in (("extid-", "externalId"), ("srcid-", "sourceId")):
            if reference.startswith(prefix):
                return self.company(name, reference.removeprefix(prefix))
        return self.company("_id", reference) or self.company("externalId", reference)

    def company_of_domain(self, domain: str) -> Fields | None:
        """The company that has this e-mail domain, where exactly one has."""
        ids = {row["companyId"] for _, row in self._rows.find("company_domains", self._key_id, "domain", domain)}
        if self._key_id != DEMO_ID:
            shared = self._rows.find("company_domains", DEMO_ID, "shared domain", domain)
            ids |= {row["companyId"] for _, row in shared}
        company = self.company("_id", ids.pop()) if len(ids) == 1 else None
        return company.row if company else None

    def companies(self) -> list[Fields]:
        """Every company, in order of arrival; those made for every tenant are among them."""
        for _, row in self._rows.find("companies", DEMO_ID, "shared", "yes"):
            self.company("_id", row["_id"])
        return [row for _, row in self._rows.all("companies", self._key_id)]

    def add_company(self, fields: Mapping[str, Any], domains: list[str], *, shared: bool) -> Fields:
        """A new company in the shape of Planhat's API. `shared`: for every tenant, this is the demo's."""
        row = {"_id": self._rows.new_id(), **fields, "domains": domains, "source": None, "custom": {}, "__v": 0}
        self._insert_company(row, shared=shared)
        return row

    def _adopted(self, name: str, value: str) -> Held | None:
        """A tenant's own copy of a shared company, made when the tenant first looks for it."""
        found = [] if self._key_id == DEMO_ID else self._rows.find("companies", DEMO_ID, f"shared {name}", value)
        if not found:
            return None
        row = {**found[0][1], "source": None, "custom": {}}
        return Held(self._insert_company(row, shared=False), row)

    def _insert_company(self, row: Fields, *, shared: bool) -> int:
        lookups = _lookups({name: row[name] for name in ("_id", "externalId", "sourceId")}, shared=shared)
        for domain in row["domains"]:
            owner = {"companyId": row["_id"]}
            by_domain = _lookups({"domain": domain}, shared=shared)
            self._rows.insert("company_domains", self._key_id, owner, lookups=by_domain)
        if shared:
            lookups["shared"] = "yes"
        return self._rows.insert("companies", self._key_id, row, lookups=lookups)

    def put_company(self, company: Held) -> None:
        """Stores a company that was changed."""
        self._rows.update("companies", company.number, company.row, message_id=self._message_id)

    def add_activity(self, contact: Fields, activity: Fields) -> None:
        """One thing that a contact did, shown on the contact and on its company."""
        company = self.company("_id", contact["companyId"]) if contact["companyId"] else None
        row = {
            "_id": self._rows.new_id(),
            **activity,
            "contactId": contact["_id"],
            "externalId": contact["externalId"],
            "email": contact["email"],
            "name": contact["name"],
            "companyId": contact["companyId"],
            "companyExternalId": company.row["externalId"] if company else None,
            "source": SOURCE,
        }
        self._add("activities", row, lookups={"contactId": contact["_id"]})

    def add_metric(self, company: Fields, *, dimension: str, value: Any, date: str) -> None:
        """One value of one dimension of a company."""
        row = {
            "dimensionId": dimension,
            "value": value,
            "model": "Company",
            "externalId": company["externalId"],
            "companyId": company["_id"],
            "date": date,
            "source": SOURCE,
        }
        self._add("metrics", row)

    def report(self, reason: str, message: str, event: Fields) -> None:
        """One line about a call that found no place, or not the whole of one. The reasons are PROPOSED."""
        row = {
            "reason": reason,
            "message": message,
            "type": event.get("type"),
            "userId": text_id(event, "userId", "user_id"),
            "anonymousId": text_id(event, "anonymous_id"),
            "groupId": text_id(event, "group_id"),
            "date": iso(self._rows.now_ms),
        }
        self._add("report", row)

    def _add(self, table: str, row: Fields, lookups: Mapping[str, str] | None = None) -> None:
        if self._message_id is not None:
            row["messageId"] = self._message_id
        self._rows.insert(table, self._key_id, row, lookups=lookups, message_id=self._message_id)


def _lookups(keys: Mapping[str, str | None], *, shared: bool = False) -> dict[str, str]:
    lookups = {name: value for name, value in keys.items() if value}
    return lookups | {f"shared {name}": value for name, value in lookups.items()} if shared else lookups


def _contact_lookups(row: Fields) -> dict[str, str]:
    keys = {"externalId": row["externalId"], "email": row["email"] and email_key(row["email"])}
    if row["status"] == "discarded":
        return _lookups({"_id": row["_id"], **{f"discarded {name}": value for name, value in keys.items()}})
    return _lookups({**keys, "_id": row["_id"], "companyId": row["companyId"]})
