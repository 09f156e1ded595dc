"""Planhat's sandbox: which contact an identify is about, and what it writes (`PH-*` of the vendor contract)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from segue.sandbox.planhat_mapping import contact_custom

from .planhat_tenant import Tenant


@pytest.fixture
def tenant(client: Any) -> Tenant:
    return Tenant(client)


def test_ph_04_to_ph_08_an_identify_fills_the_contact(tenant: Tenant):
    tenant.identify("12345", name="Peter Gibbons", title="Engineer", email="peter@initech.com")
    contact = tenant.contact()
    assert contact["externalId"] == "12345"
    assert (contact["name"], contact["email"]) == ("Peter Gibbons", "peter@initech.com")
    assert (contact["title"], contact["position"]) == ("Engineer", "Engineer")


def test_ph_04_the_external_id_is_the_user_id(tenant: Tenant):
    tenant.identify("12345", id="another")
    assert tenant.contact()["externalId"] == "12345"


def test_ph_05_the_trait_name_is_the_contacts_name(tenant: Tenant):
    tenant.identify("u1", name="Peter Gibbons", firstName="Pete")
    assert tenant.contact()["name"] == "Peter Gibbons"


def test_ph_05_without_a_name_it_is_composed_of_first_and_last_name(tenant: Tenant):
    tenant.identify("u1", first_name="Peter", LastName="Gibbons")
    assert tenant.contact()["name"] == "Peter Gibbons"
    tenant.identify("u1", title="Engineer")
    tenant.identify("u1", lastName="Bolton")
    assert tenant.contact()["name"] == "Peter Bolton"


def test_ph_06_the_trait_title_is_the_contacts_title(tenant: Tenant):
    tenant.identify("u1", Title="Engineer")
    assert tenant.contact()["title"] == "Engineer"


def test_ph_07_the_trait_email_is_the_contacts_email(tenant: Tenant):
    tenant.identify("u1", email=" peter@initech.com ")
    assert tenant.contact()["email"] == "peter@initech.com"


@pytest.mark.parametrize("spelling", ["userId", "user_id", "userid", "USER_ID"])
def test_ph_08_every_spelling_of_the_user_id_is_the_external_id(tenant: Tenant, spelling: str):
    assert tenant.raw({"type": "identify", "messageId": "m", spelling: "u7", "traits": {}}).status == 200
    assert tenant.contact()["externalId"] == "u7"


def test_ph_08_the_trait_id_stands_in_where_an_identify_has_no_user_id(tenant: Tenant):
    tenant.identify(None, id="u8")
    assert tenant.contact()["externalId"] == "u8"


def test_ph_10_a_call_is_associated_by_its_user_id_or_by_its_email(tenant: Tenant):
    tenant.identify("u1", email="peter@initech.com")
    tenant.sent("track", userId="u1", event="by id")
    tenant.sent("track", anonymousId="a", event="by mail", context={"traits": {"email": "Peter@Initech.com"}})
    contact = tenant.contact()
    assert [row["contactId"] for row in tenant.rows("activities")] == [contact["_id"]] * 2


def test_ph_11_otherwise_a_new_contact_is_created(tenant: Tenant):
    tenant.identify("u1")
    tenant.identify("u2")
    tenant.identify(None, email="x@y.io")
    assert [row["externalId"] for row in tenant.rows("contacts")] == ["u1", "u2", None]


def test_ph_d2_the_user_id_matches_exactly_and_before_the_email(tenant: Tenant):
    tenant.identify("u1", email="one@x.io")
    tenant.identify("U1", email="two@x.io")
    assert len(tenant.rows("contacts")) == 2
    tenant.sent("track", userId="U1", event="e", context={"traits": {"email": "one@x.io"}})
    assert tenant.rows("activities")[0]["externalId"] == "U1"


def test_ph_d2_the_email_matches_trimmed_and_in_any_case(tenant: Tenant):
    tenant.identify(None, email="Straße@x.io")
    tenant.identify(None, email=" STRASSE@X.IO", name="S")
    assert tenant.contact()["name"] == "S"


def test_ph_d3_an_email_match_without_external_id_takes_the_user_id(tenant: Tenant):
    tenant.identify(None, email="peter@initech.com")
    tenant.sent("track", userId="u1", event="e", context={"traits": {"email": "peter@initech.com"}})
    assert tenant.contact()["externalId"] == "u1"
    assert tenant.reasons() == []


def test_ph_d3_an_email_match_with_another_external_id_keeps_it_and_is_reported(tenant: Tenant):
    tenant.identify("u1", email="peter@initech.com")
    tenant.identify("u2", email="peter@initech.com", name="Peter")
    contact = tenant.contact()
    assert (contact["externalId"], contact["name"]) == ("u1", "Peter")
    assert tenant.reasons() == ["identity_conflict"]
    assert tenant.rows("report")[0]["userId"] == "u2"


def test_ph_d4_the_user_id_wins_over_the_email_of_another_contact(tenant: Tenant):
    tenant.identify("u1", email="one@x.io")
    tenant.identify("u2", email="two@x.io")
    before = tenant.rows("contacts")[1]
    tenant.identify("u1", email="two@x.io", name="One")
    first, second = tenant.rows("contacts")
    assert (first["name"], first["email"]) == ("One", "one@x.io")
    assert second == before
    assert tenant.reasons() == ["identity_conflict"]


def test_ph_d5_an_associated_identify_updates_what_it_gives_and_blanks_nothing(tenant: Tenant):
    tenant.identify("u1", name="Peter", title="Engineer", email="peter@initech.com", plan="free", seats=2)
    tenant.identify("u1", name="", title=None, email="  ", plan=None, seats=3)
    contact = tenant.contact()
    assert (contact["name"], contact["title"], contact["email"]) == ("Peter", "Engineer", "peter@initech.com")
    assert contact["custom"] == {"plan": "free", "seats": 3}
    tenant.identify("u1", email="new@initech.com")
    assert tenant.contact()["email"] == "new@initech.com"
    tenant.identify(None, email="new@initech.com", name="Found by the new address")
    assert tenant.contact()["name"] == "Found by the new address"


def test_ph_d5_the_switch_update_matched_leaves_a_matched_contact_as_it_is(tenant: Tenant):
    assert tenant.admin("switches", {"update_matched": False}).status == 200
    tenant.identify("u1", name="Peter")
    tenant.identify("u1", name="Paul")
    assert tenant.contact()["name"] == "Peter"


def test_ph_d6_a_new_contact_is_unassigned_and_from_segment(tenant: Tenant):
    tenant.identify("u1", companyId="nobody knows")
    contact = tenant.contact()
    assert (contact["source"], contact["status"], contact["companyId"]) == ("Segment", "unassigned", None)


@pytest.mark.parametrize(
    "fields",
    [
        {"traits": {"companyId": "ABCDE"}},
        {"traits": {"company_id": "ABCDE"}},
        {"traits": {"companyId": None, "company_id": "ABCDE"}},
        {"traits": {"company": {"id": "ABCDE", "name": "Initech"}}},
        {"context": {"groupId": "ABCDE"}},
    ],
)
def test_ph_d6_the_company_that_the_call_names_is_assigned(tenant: Tenant, fields: dict[str, Any]):
    company = tenant.company(externalId="ABCDE", name="Initech")
    tenant.sent("identify", userId="u1", **fields)
    assert (tenant.contact()["companyId"], tenant.contact()["status"]) == (company["_id"], "assigned")
    assert tenant.contact()["custom"] in ({}, {"company.name": "Initech"})


def test_ph_t1_an_identify_for_a_known_user_keeps_the_contact(tenant: Tenant):
    tenant.identify("u1")
    before = tenant.contact()
    tenant.identify("u1", name="Peter")
    after = tenant.contact()
    assert (after["_id"], after["name"]) == (before["_id"], "Peter")
    assert after["messageIds"] == ["m1", "m2"]


def test_ph_t2_an_address_in_another_case_matches_and_takes_the_user_id(tenant: Tenant):
    tenant.identify(None, email="A@x.io")
    tenant.identify("u9", email="a@X.io ")
    assert tenant.contact()["externalId"] == "u9"


def test_ph_t7_a_contact_with_a_known_company_id_is_created_assigned(tenant: Tenant):
    company = tenant.company(externalId="ABCDE", name="Initech")
    tenant.identify("u1", companyId="ABCDE")
    assert (tenant.contact()["status"], tenant.contact()["companyId"]) == ("assigned", company["_id"])


def test_an_unassigned_contact_is_attached_when_a_call_names_its_company_and_stays_there(tenant: Tenant):
    company = tenant.company(externalId="ABCDE", name="Initech")
    tenant.company(externalId="B", name="Globex")
    tenant.identify("u1")
    tenant.sent("track", userId="u1", event="e", context={"groupId": "ABCDE"})
    tenant.identify("u1", companyId="B")
    assert tenant.contact()["companyId"] == company["_id"]
    assert tenant.rows("activities")[0]["companyId"] == company["_id"]


def test_ph_t8_a_domain_of_exactly_one_company_assigns(tenant: Tenant):
    company = tenant.company(externalId="A", name="Initech", domains=["initech.com"])
    tenant.identify("u1", email="x@INITECH.com")
    assert tenant.contact()["companyId"] == company["_id"]
    tenant.company(externalId="B", name="Initrode", domains=["initech.com"])
    tenant.identify("u2", email="y@initech.com")
    tenant.identify("u3", email="no address")
    assert [row["status"] for row in tenant.rows("contacts")] == ["assigned", "unassigned", "unassigned"]


def test_ph_t19_entering_and_leaving_an_audience_is_a_custom_field_of_one_contact(tenant: Tenant):
    personas = {"computation_class": "audience", "computation_key": "order_completed_last_30days"}
    for inside in (True, False):
        traits = {"order_completed_last_30days": inside}
        tenant.sent("identify", userId="u1", traits=traits, context={"personas": personas})
        assert tenant.contact()["custom"] == {"order_completed_last_30days": inside}


def test_ph_t20_a_legacy_body_with_user_id_only_is_the_same(tenant: Tenant):
    tenant.identify("u1")
    assert tenant.raw({"type": "identify", "user_id": "u1", "traits": {"name": "Peter"}}).status == 200
    assert tenant.raw({"type": "track", "user_id": "u1", "event": "e", "properties": {}}).status == 200
    assert tenant.contact()["name"] == "Peter"
    assert len(tenant.rows("activities")) == 1


def test_ph_t22_a_title_that_a_later_identify_leaves_out_is_kept(tenant: Tenant):
    tenant.identify("u1", title="Engineer")
    tenant.identify("u1", name="Peter")
    assert (tenant.contact()["title"], tenant.contact()["position"]) == ("Engineer", "Engineer")


def test_a_user_id_that_is_a_number_is_its_text(tenant: Tenant):
    tenant.raw({"type": "identify", "userId": 42, "traits": {}})
    assert tenant.contact()["externalId"] == "42"


def test_ids_and_keys_may_hold_any_character(tenant: Tenant):
    tenant.identify("ü/🙂 x", **{"größe €": "ja", "a.b": {"c": 1}})
    assert tenant.contact()["custom"] == {"größe €": "ja", "a.b.c": 1}
    assert tenant.read("/endusers?email=" + quote("ü+x@x.io")).body == []


def test_custom_fields_are_one_level_of_plain_values():
    traits = {"name": "n", "companyId": "c", "tags": ["a"], "a": {"b": {"c": 1}, "d": []}, "e": None, "f": 1.5}
    assert contact_custom({"traits": traits}) == {"a.b.c": 1, "f": 1.5}


def test_a_hundred_levels_and_two_thousand_keys_are_taken(tenant: Tenant):
    deep: Any = 1
    for _ in range(100):
        deep = {"k": deep}
    tenant.identify("u1", **{f"key {number}": number for number in range(2_000)}, deep=deep)
    assert len(tenant.contact()["custom"]) == 2_001
