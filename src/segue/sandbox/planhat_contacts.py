"""How Planhat finds the contact that a call is about, and what an identify writes.

Source: Segment's page on Planhat (a userId or `traits.email` that matches an existing contact associates the call,
otherwise there is a new contact). The order, the folding of addresses and what happens on a conflict are PROPOSED.
Rule: a matched contact never loses a field, and no call moves a user id or an address from one contact to another.
"""

from __future__ import annotations

from segue.sandbox.planhat_mapping import (
    Fields,
    Person,
    company_key,
    contact_custom,
    contact_fields,
    email_domain,
)
from segue.sandbox.planhat_tenant import Held, Tenant


def company_for(tenant: Tenant, event: Fields, person: Person) -> Fields | None:
    """The company of a new contact: the one that the call names, else the only one with the address's domain."""
    named = company_named(tenant, event)
    if named is not None:
        return named
    domain = email_domain(person.email) if person.email else None
    return tenant.company_of_domain(domain) if domain else None


def company_named(tenant: Tenant, event: Fields) -> Fields | None:
    """The company whose external id the call carries, where there is one."""
    key = company_key(event)
    company = tenant.company("externalId", key) if key else None
    return company.row if company else None


def matched(tenant: Tenant, event: Fields, person: Person) -> Held | None:
    """The contact with the user id, else the one with the address; a conflict between them is reported."""
    by_id = tenant.contact("externalId", person.user_id) if person.user_id else None
    by_email = tenant.contact("email", person.email) if person.email else None
    if by_id is not None:
        if by_email is not None and by_email.number != by_id.number:
            _report_conflict(tenant, event, "the e-mail address belongs to another contact, which stays as it is")
        return by_id
    if by_email is not None and person.user_id:
        if by_email.row["externalId"] is None:
            by_email.row["externalId"] = person.user_id
            tenant.put_contact(by_email)
        else:
            _report_conflict(tenant, event, "the contact with this e-mail address keeps its own external id")
    return by_email


def _report_conflict(tenant: Tenant, event: Fields, message: str) -> None:
    tenant.report("identity_conflict", message, event)


def attach(tenant: Tenant, event: Fields, contact: Held) -> None:
    """Assigns a contact without a company to the one that the call names; an assigned one stays where it is."""
    company = company_named(tenant, event) if contact.row["companyId"] is None else None
    if company is not None:
        tenant.assign(contact, company)


def write(tenant: Tenant, event: Fields, contact: Held) -> None:
    """Writes what an identify says into a contact; fields that it does not speak of stay."""
    fields = contact_fields(event)
    email = fields.get("email")
    if email is not None and not _may_take(tenant, contact, email):
        del fields["email"]
    contact.row.update(fields)
    if "name" not in fields and fields.keys() & {"firstName", "lastName"}:
        contact.row["name"] = _composed_name(contact.row)
    contact.row["custom"].update(contact_custom(event))
    tenant.put_contact(contact)


def _may_take(tenant: Tenant, contact: Held, email: str) -> bool:
    """Whether an address is nobody else's."""
    holder = tenant.contact("email", email)
    return holder is None or holder.number == contact.number


def _composed_name(row: Fields) -> str | None:
    """First and last name, where both are known or there is no name yet."""
    parts = [row[part] for part in ("firstName", "lastName") if row.get(part)]
    if len(parts) == 2 or (parts and row["name"] is None):
        return " ".join(parts)
    name: str | None = row["name"]
    return name
