"""Planhat's sandbox: the read side, assigning, discarding and switches (`PH-*` of the vendor contract)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from .planhat_tenant import Tenant


@pytest.fixture
def tenant(client: Any) -> Tenant:
    return Tenant(client)


def test_ph_12_a_new_contact_can_be_discarded(tenant: Tenant):
    tenant.identify("u1")
    assert tenant.admin(f"contacts/{tenant.contact()['_id']}/discard").status == 200
    assert tenant.contact()["status"] == "discarded"


def test_ph_13_a_new_contact_can_be_assigned_to_a_company(tenant: Tenant):
    company = tenant.company(name="Initech")
    tenant.identify("u1")
    reply = tenant.admin(f"contacts/{tenant.contact()['_id']}/assign", {"companyId": company["_id"]})
    assert (reply.status, reply.body["status"]) == (200, "assigned")
    assert tenant.contact()["companyId"] == company["_id"]


def test_ph_d7_an_assigned_contacts_activities_show_on_the_company(tenant: Tenant):
    company = tenant.company(externalId="ABCDE", name="Initech")
    tenant.identify("u1")
    tenant.sent("track", userId="u1", event="before")
    contact = tenant.contact()
    assert tenant.rows("activities")[0]["companyId"] is None
    tenant.admin(f"contacts/{contact['_id']}/assign", {"companyId": company["_id"]})
    tenant.sent("track", userId="u1", event="after")
    assert [row["companyId"] for row in tenant.rows("activities")] == [company["_id"]] * 2
    assert [row["companyExternalId"] for row in tenant.rows("activities")] == ["ABCDE"] * 2


def test_ph_d7_an_unknown_company_or_contact_answers_404(tenant: Tenant):
    tenant.identify("u1")
    path = f"contacts/{tenant.contact()['_id']}/assign"
    assert tenant.admin(path, {"companyId": "nobody"}).status == 404
    assert tenant.admin(path, {}).status == 400
    assert tenant.admin("contacts/nobody/assign", {"companyId": "x"}).status == 404
    assert tenant.admin("contacts/nobody/discard").status == 404


def test_ph_d8_a_discarded_contact_is_gone_from_lists_and_made_anew_when_seen_again(tenant: Tenant):
    tenant.identify("u1", email="peter@initech.com")
    old = tenant.contact()
    tenant.admin(f"contacts/{old['_id']}/discard")
    assert tenant.read("/endusers").body == []
    assert tenant.read(f"/endusers/{old['_id']}").status == 404
    assert tenant.admin(f"contacts/{old['_id']}/discard").status == 404
    tenant.identify("u1", email="peter@initech.com")
    kept, new = tenant.rows("contacts")
    assert (kept["_id"], kept["status"]) == (old["_id"], "discarded")
    assert (new["externalId"], new["status"]) == ("u1", "unassigned")
    assert new["_id"] != old["_id"]


@pytest.mark.parametrize("who", [{"userId": "u1"}, {"anonymousId": "a", "traits": {"email": "P@INITECH.com"}}])
def test_ph_d8_the_switch_sticky_discard_lets_nobody_come_back(tenant: Tenant, who: dict[str, Any]):
    tenant.admin("switches", {"sticky_discard": True})
    tenant.identify("u1", email="p@initech.com")
    tenant.admin(f"contacts/{tenant.contact()['_id']}/discard")
    tenant.sent("identify", **who)
    assert tenant.contact()["status"] == "discarded"
    assert tenant.reasons() == ["discarded_contact"]


def test_ph_d14_contacts_are_read_in_planhats_shape(tenant: Tenant):
    traits = {"name": "Peter Gibbons", "title": "Engineer", "email": "peter@initech.com"}
    tenant.identify("12345", **traits, order_completed_last_30days=True)
    (row,) = tenant.read("/endusers?email=Peter@initech.com").body
    assert len(row.pop("_id")) == 24
    assert row == {
        "externalId": "12345",
        "name": "Peter Gibbons",
        "title": "Engineer",
        "position": "Engineer",
        "email": "peter@initech.com",
        "companyId": None,
        "source": "Segment",
        "status": "unassigned",
        "custom": {"order_completed_last_30days": True},
        "tags": [],
        "__v": 0,
    }


def test_ph_d14_one_contact_is_read_by_its_id_or_its_external_id(tenant: Tenant):
    tenant.identify("u1")
    by_external_id = tenant.read("/endusers/extid-u1").body
    assert tenant.read(f"/endusers/{by_external_id['_id']}").body == by_external_id
    assert tenant.read("/endusers/nobody").status == 404


def test_ph_d14_companies_are_read_whole_and_lean(tenant: Tenant):
    tenant.company(externalId="A", sourceId="S", name="Initech Ltd", domains=["initech.com"], status="lost")
    tenant.company(externalId="B", name="Globex")
    whole = tenant.read("/companies").body
    assert [(row["name"], row["domains"], row["status"]) for row in whole] == [
        ("Initech Ltd", ["initech.com"], "lost"),
        ("Globex", [], "customer"),
    ]
    assert tenant.read("/companies/srcid-S").body == whole[0]
    for query in ("externalId=A", "sourceId=S", "status=lost"):
        (lean,) = tenant.read(f"/leancompanies?{query}").body
        assert lean.pop("_id") == whole[0]["_id"]
        assert lean == {"name": "Initech Ltd", "externalId": "A", "sourceId": "S", "slug": "initech-ltd"}


def test_ph_d14_lists_take_limit_and_offset(tenant: Tenant):
    for number in range(4):
        tenant.identify(f"u{number}")
    assert [row["externalId"] for row in tenant.read("/endusers?limit=2&offset=1").body] == ["u1", "u2"]
    assert tenant.read("/endusers?limit=0").body == []
    assert tenant.read("/endusers?limit=-1").status == 400


@pytest.mark.parametrize("path", ["/endusers", "/endusers/x", "/companies", "/companies/x", "/leancompanies"])
def test_ph_d14_the_read_side_wants_the_token_as_bearer_or_basic(tenant: Tenant, path: str):
    basic = b64encode(b"demo-planhat-key:").decode()
    for header, authorized in (("", False), ("Bearer x", False), ("Basic x", False), (f"Basic {basic}", True)):
        status = tenant.client.get(f"/planhat{path}", headers={"Authorization": header}).status
        assert (status != 401) is authorized
    assert tenant.read(path).status != 401
    tenant.admin("keys/demo/revoke")
    assert tenant.read(path).status == 401


def test_ph_t4_and_ph_t5_an_unassigned_contact_is_listed_by_its_company_once_assigned(tenant: Tenant):
    company = tenant.company(name="Initech", externalId="ABCDE")
    tenant.identify("u2")
    assert tenant.read(f"/endusers?c={company['_id']}").body == []
    tenant.admin(f"contacts/{tenant.contact()['_id']}/assign", {"companyId": company["_id"]})
    for reference in (company["_id"], "extid-ABCDE"):
        assert [row["externalId"] for row in tenant.read(f"/endusers?c={reference}").body] == ["u2"]
    assert tenant.read("/endusers?c=unknown").body == []


def test_tenants_do_not_see_each_other_but_share_companies_made_for_all(tenant: Tenant):
    issued = tenant.admin("keys", {"key": "second-token"}).body
    second = Tenant(tenant.client, token="second-token", key_id=issued["id"])
    shared = tenant.company(externalId="ABCDE", name="Initech", domains=["initech.com"])
    tenant.company(externalId="OWN", name="Globex", key_id="demo")
    tenant.identify("u1", companyId="ABCDE")
    assert second.read("/endusers").body == []
    assert [row["externalId"] for row in second.read("/companies").body] == ["ABCDE"]
    assert len(second.read("/companies").body) == 1
    second.identify("u1", email="x@initech.com")
    second.sent("group", userId="u1", groupId="ABCDE", traits={"plan": "pro"})
    second.sent("group", userId="u1", groupId="OWN", traits={})
    assert second.contact()["companyId"] == shared["_id"]
    assert second.reasons() == ["unknown_company"]
    assert [row["custom"] for row in second.rows("companies")] == [{"plan": "pro"}]
    assert tenant.rows("companies")[0]["custom"] == {}
    tenant.admin(f"contacts/{second.contact()['_id']}/discard")
    assert second.contact()["status"] == "discarded"
    assert tenant.contact()["status"] == "assigned"


def test_a_company_is_refused_where_its_id_is_taken_or_its_fields_are_wrong(tenant: Tenant):
    tenant.company(external_id="A")
    for body in ({"externalId": "A"}, {"status": "happy"}, {"domains": "initech.com"}, {"domains": [1]}):
        assert tenant.admin("companies", {"name": "Initech", **body}).status == 400
    assert tenant.admin("companies", {"key_id": "nobody"}).status == 404


@pytest.mark.parametrize("body", [None, {}, {"name": ""}, {"sourceId": "S"}, {"domains": ["initech.com"]}])
def test_a_company_needs_a_name_or_an_external_id_by_which_a_group_call_gives_it_one(tenant: Tenant, body: Any):
    refused = tenant.admin("companies", body)
    assert (refused.status, refused.body) == (400, {"message": "name is required"})
    tenant.company(externalId="ABCDE")
    tenant.sent("group", userId="u1", groupId="ABCDE", traits={"name": "Initech"})
    assert [row["name"] for row in tenant.rows("companies")] == ["Initech"]


def test_switches_are_shown_and_set_for_one_tenant_or_for_all(tenant: Tenant):
    issued = tenant.admin("keys", {"key": "second-token", "sticky_discard": True}).body
    tenant.admin("switches", {"key_id": "demo", "rate_limit": 5})
    assert tenant.client.get("/planhat/_sandbox/switches").body == [
        {"key_id": "demo", "update_matched": True, "sticky_discard": False, "rate_limit": 5},
        {"key_id": issued["id"], "update_matched": True, "sticky_discard": True, "rate_limit": False},
    ]
    assert tenant.admin("switches", {"rate_limit": False}).body[0]["rate_limit"] is False
    for body in ({}, {"dedupe": False}, {"rate_limit": 0}, {"update_matched": "no"}):
        assert tenant.admin("switches", body).status == 400
    assert tenant.admin("switches", {"key_id": "nobody", "rate_limit": 1}).status == 404


def test_what_the_tenant_holds_survives_a_restart_and_not_a_reset(open_client: Any):
    tenant = Tenant(open_client())
    tenant.company(externalId="ABCDE", name="Initech")
    tenant.identify("u1", companyId="ABCDE")
    before = tenant.client.state("planhat")
    assert list(before) == ["contacts", "companies", "activities", "metrics", "report"]
    tenant.client = open_client()
    assert tenant.client.state("planhat") == before
    tenant.admin("reset")
    assert all(rows == [] for rows in tenant.client.state("planhat").values())
