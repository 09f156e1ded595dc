"""Planhat beside its inbound endpoint: the read side of its API, and what people do with contacts in its app.

Source: Planhat's public API docs and clients for the read side; the paths under `_sandbox` are PROPOSED.
Rule: a tenant's token shows that tenant only; the admin, which needs none, finds contacts of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from segue.sandbox.frame import Answer, Call, basic_auth, refusal
from segue.sandbox.keys import DEMO_ID, Key
from segue.sandbox.names import look_up, text_id
from segue.sandbox.planhat_mapping import Fields, email_key
from segue.sandbox.planhat_tenant import Held, Tenant
from segue.sandbox.store import Rows

if TYPE_CHECKING:
    from starlette.routing import BaseRoute

    from segue.sandbox.mount import Handler, Sandbox

CONTACTS_MAX = 2_000
COMPANIES_MAX = 5_000
"""The longest lists that Planhat gives at once (their docs)."""

SWITCHES = ("update_matched", "sticky_discard", "rate_limit")

COMPANY_STATUSES = ("prospect", "coming", "customer", "canceled", "lost")

_COMPANY_TEXTS = ("name", "externalId", "sourceId", "owner", "coOwner", "phase", "status")
_LEAN_FIELDS = ("_id", "name", "externalId", "sourceId", "slug")

Read = Callable[[Tenant, Call], Answer]


def routes(sandbox: Sandbox) -> Sequence[BaseRoute]:
    """Every further path under Planhat's mount."""
    admin = _Admin(sandbox)
    return (
        sandbox.route("/endusers", _of_tenant(_contacts)),
        sandbox.route("/endusers/{id}", _of_tenant(_contact)),
        sandbox.route("/companies", _of_tenant(_companies)),
        sandbox.route("/companies/{id}", _of_tenant(_company)),
        sandbox.route("/leancompanies", _of_tenant(_lean_companies)),
        sandbox.route("/_sandbox/companies", admin.new_company, methods=["POST"]),
        sandbox.route("/_sandbox/contacts/{id}/assign", admin.assign, methods=["POST"]),
        sandbox.route("/_sandbox/contacts/{id}/discard", admin.discard, methods=["POST"]),
        sandbox.route("/_sandbox/switches", admin.switches),
        sandbox.route("/_sandbox/switches", admin.switch, methods=["POST"]),
    )


def _of_tenant(read: Read) -> Handler:
    """A read that shows the tenant whose token the call carries, as Bearer or as Basic."""

    def handler(rows: Rows, call: Call) -> Answer:
        key = _key(rows, call)
        return key if isinstance(key, Answer) else read(Tenant(rows, key.id), call)

    return handler


def _key(rows: Rows, call: Call) -> Key | Answer:
    scheme, _, token = call.headers.get("authorization", "").partition(" ")
    wrong = (401, "Unauthorized")
    if scheme.lower() != "bearer":
        return basic_auth(call.headers, rows.find_key, missing="Missing tenant token", unknown=wrong, stopped=wrong)
    key = rows.find_key(token.strip())
    return key if key is not None and key.state == "live" else refusal(*wrong)


def _contacts(tenant: Tenant, call: Call) -> Answer:
    company, email = call.first("c"), call.first("email")
    if company is None:
        found = tenant.contacts()
    else:
        held = tenant.company_by_reference(company)
        found = tenant.contacts_of(held.row["_id"]) if held else []
    if email is not None:
        found = [row for row in found if row["email"] and email_key(row["email"]) == email_key(email)]
    return _page(found, call, longest=CONTACTS_MAX)


def _contact(tenant: Tenant, call: Call) -> Answer:
    return _one(tenant.contact_by_reference(call.path["id"]), "contact")


def _companies(tenant: Tenant, call: Call) -> Answer:
    return _page(tenant.companies(), call, longest=COMPANIES_MAX)


def _company(tenant: Tenant, call: Call) -> Answer:
    return _one(tenant.company_by_reference(call.path["id"]), "company")


def _lean_companies(tenant: Tenant, call: Call) -> Answer:
    asked = {name: call.first(name) for name in ("externalId", "sourceId", "status")}
    wanted = {name: value for name, value in asked.items() if value is not None}
    found = [row for row in tenant.companies() if all(row[name] == value for name, value in wanted.items())]
    return Answer(body=[{name: row[name] for name in _LEAN_FIELDS} for row in found])


def _one(held: Held | None, noun: str) -> Answer:
    return Answer(body=held.row) if held else refusal(404, f"There is no such {noun}")


def _page(found: list[Fields], call: Call, *, longest: int) -> Answer:
    try:
        offset, limit = (_count(call, name) for name in ("offset", "limit"))
    except ValueError as error:
        return refusal(400, str(error))
    first = offset or 0
    return Answer(body=found[first : first + min(longest if limit is None else limit, longest)])


def _count(call: Call, name: str) -> int | None:
    text = call.first(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ValueError(f"{name} must be a number that is not negative")
    return int(text)


class _Admin:
    """What is done by hand in Planhat's app, and the switches of the sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def new_company(self, rows: Rows, call: Call) -> Answer:
        """A company of the tenant `key_id`; without it, of the demo tenant and of every other that names it."""
        key_id = text_id(call.body, "key_id")
        if key_id is not None and all(key.id != key_id for key in rows.issued_keys()):
            return refusal(404, "No key has this id")
        tenant = Tenant(rows, key_id or DEMO_ID)
        try:
            fields, domains = _company_fields(call.body), _domains(call.body)
        except ValueError as error:
            return refusal(400, str(error))
        for name in ("externalId", "sourceId"):
            if (value := fields[name]) and tenant.company(name, value):
                return refusal(400, f"There is a company with this {name}")
        return Answer(status=201, body=tenant.add_company(fields, domains, shared=key_id is None))

    def assign(self, rows: Rows, call: Call) -> Answer:
        """Assigns a contact to the company that `companyId` names."""
        tenant, contact = _found(rows, call)
        if tenant is None or contact is None:
            return refusal(404, "There is no such contact")
        reference = text_id(call.body, "company_id")
        if reference is None:
            return refusal(400, "companyId is required")
        company = tenant.company_by_reference(reference)
        if company is None:
            return refusal(404, "There is no such company")
        tenant.assign(contact, company.row)
        return Answer(body=contact.row)

    def discard(self, rows: Rows, call: Call) -> Answer:
        """Discards a contact."""
        tenant, contact = _found(rows, call)
        if tenant is None or contact is None:
            return refusal(404, "There is no such contact")
        tenant.discard(contact)
        return Answer(body=contact.row)

    def switches(self, rows: Rows, call: Call) -> Answer:
        """The switches of each tenant."""
        return Answer(body=[_switches_of(key) for key in rows.issued_keys()])

    def switch(self, rows: Rows, call: Call) -> Answer:
        """Sets switches of the tenant `key_id`; without it, of every tenant there is."""
        given = dict(call.body)
        key_id = given.pop("key_id", None)
        if not given or any(name not in SWITCHES for name in given):
            return refusal(400, f"Give one or more of {', '.join(SWITCHES)}")
        keys = [key for key in rows.issued_keys() if key_id in (None, key.id)]
        if not keys:
            return refusal(404, "No key has this id")
        for key in keys:
            try:
                key.options.update(self._sandbox.receiver.new_key({**key.options, **given}))
            except ValueError as error:
                return refusal(400, str(error))
            rows.put_key(key)
        return Answer(body=[_switches_of(key) for key in keys])


def _switches_of(key: Key) -> Fields:
    return {"key_id": key.id, **{name: key.options[name] for name in SWITCHES}}


def _found(rows: Rows, call: Call) -> tuple[Tenant | None, Held | None]:
    """The contact that the path names, with its tenant, whichever that is."""
    for key in rows.issued_keys():
        tenant = Tenant(rows, key.id)
        contact = tenant.contact_by_reference(call.path["id"])
        if contact is not None:
            return tenant, contact
    return None, None


def _company_fields(body: Fields) -> dict[str, str | None]:
    """The texts of a company, in any spelling of their names. Raises ValueError that names what is wrong.

    Planhat requires a name; one with an external id may go without, for the first group call to fill it.
    """
    fields = {name: text_id(body, name) for name in _COMPANY_TEXTS}
    if not (fields["name"] or fields["externalId"]):
        raise ValueError("name is required")
    fields["status"] = fields["status"] or "customer"
    if fields["status"] not in COMPANY_STATUSES:
        raise ValueError(f"status must be one of {', '.join(COMPANY_STATUSES)}")
    slug = (fields["name"] or "").lower().split()
    return {**fields, "slug": "-".join(slug) or None}


def _domains(body: Fields) -> list[str]:
    """The e-mail domains of a company, folded, each once. Raises ValueError."""
    given: Any = look_up(body, "domains") or []
    if not isinstance(given, list) or not all(isinstance(domain, str) and domain.strip() for domain in given):
        raise ValueError("domains must be a list of texts")
    return list(dict.fromkeys(email_key(domain) for domain in given))
