"""Planhat's sandbox: tokens, pages, tracks, groups, limits and the report (`PH-*` of the vendor contract)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from segue.core.destination import Verdict, verdict
from segue.sandbox.planhat_mapping import metrics

from .planhat_tenant import NOON, Tenant


@pytest.fixture
def tenant(client: Any) -> Tenant:
    return Tenant(client)


def test_ph_01_identify_page_track_and_group_reach_the_receiver(tenant: Tenant):
    tenant.company(externalId="ABCDE", name="Initech")
    tenant.identify("u1", companyId="ABCDE")
    tenant.sent("page", userId="u1", name="Settings")
    tenant.sent("track", userId="u1", event="Signed In")
    tenant.sent("group", userId="u1", groupId="ABCDE", traits={"employees": 12})
    assert [len(tenant.rows(table)) for table in ("contacts", "activities", "metrics")] == [1, 2, 1]
    assert tenant.reasons() == []


def test_ph_09_every_record_that_a_call_makes_has_segment_as_its_source(tenant: Tenant):
    tenant.company(externalId="ABCDE", name="Initech")
    tenant.sent("track", userId="u1", event="e", context={"groupId": "ABCDE"}, source="web")
    tenant.sent("page", userId="u1", source="web")
    tenant.sent("group", userId="u1", groupId="ABCDE", traits={"employees": 12, "plan": "pro"})
    made = [row for table in ("contacts", "activities", "metrics", "companies") for row in tenant.rows(table)]
    assert len(made) == 5
    assert {row["source"] for row in made} == {"Segment"}


def test_ph_d1_a_missing_or_malformed_token_answers_401(tenant: Tenant):
    bodies = [tenant.raw({"type": "identify"}, authorization=sent) for sent in ("", "Basic !", "Bearer x")]
    assert {(reply.status, reply.body["message"]) for reply in bodies} == {(401, "Missing tenant token")}
    assert all(reply.headers["www-authenticate"] == "Basic" for reply in bodies)


def test_ph_d1_an_unknown_or_revoked_token_answers_401(tenant: Tenant):
    unknown = Tenant(tenant.client, token="nobody").send("identify", userId="u1")
    assert (unknown.status, unknown.body) == (401, {"message": "Unauthorized"})
    assert tenant.admin("keys/demo/revoke").status == 200
    revoked = tenant.send("identify", userId="u1")
    assert (revoked.status, revoked.body) == (401, {"message": "Unauthorized"})


def test_ph_d1_a_token_on_another_regions_host_answers_401(tenant: Tenant):
    wrong = tenant.send("identify", userId="u1", subdomain="api-eu")
    assert (wrong.status, wrong.body) == (401, {"message": "Unauthorized"})
    tenant.sent("identify", userId="u1", subdomain="analytics")
    issued = tenant.admin("keys", {"key": "eu-token", "subdomain": "api-eu"}).body
    european = Tenant(tenant.client, token="eu-token", key_id=issued["id"])
    european.sent("identify", userId="u2", subdomain="api-eu")
    assert european.send("identify", userId="u2").status == 401


@pytest.mark.parametrize("shown", ["", "!", "e30", b64encode(b"[1]").decode(), b64encode(b"\xff").decode()])
def test_ph_d1_a_call_that_names_no_subdomain_is_taken(tenant: Tenant, shown: str):
    token = b64encode(b"demo-planhat-key:").decode()
    headers = {"Authorization": f"Basic {token}", "X-Segment-Settings": shown}
    event = {"type": "identify", "userId": "u1"}
    assert tenant.client.post("/planhat/dock/segment", event, headers=headers).status == 200


@pytest.mark.parametrize("call_type", ["alias", "screen", "delete"])
def test_ph_d9_other_call_types_answer_200_and_leave_a_line_in_the_report(tenant: Tenant, call_type: str):
    tenant.sent(call_type, userId="u1", previousId="a1", groupId="g")
    assert tenant.rows("contacts") == tenant.rows("activities") == []
    assert [(row["reason"], row["type"]) for row in tenant.rows("report")] == [("unsupported_type", call_type)]


def test_ph_d9_a_call_without_a_type_answers_400(tenant: Tenant):
    reply = tenant.raw({"userId": "u1"})
    assert (reply.status, reply.body) == (400, {"message": "type is required"})


def test_ph_d10_a_track_for_an_unknown_user_of_a_company_makes_contact_and_activity(tenant: Tenant):
    company = tenant.company(externalId="ABCDE", name="Initech", domains=["Initech.com"])
    tenant.sent("track", userId="u1", event="e", context={"traits": {"companyId": "ABCDE"}})
    tenant.sent("page", anonymousId="a", context={"traits": {"email": "x@initech.com"}})
    assert [row["status"] for row in tenant.rows("contacts")] == ["assigned"] * 2
    assert [row["companyId"] for row in tenant.rows("activities")] == [company["_id"]] * 2


def test_ph_d10_and_ph_t11_a_track_for_an_unknown_user_of_no_company_is_only_reported(tenant: Tenant):
    tenant.sent("track", userId="u1", event="e", properties={"companyId": "unknown"})
    tenant.sent("page", userId="u1")
    assert tenant.rows("contacts") == tenant.rows("activities") == []
    assert tenant.reasons() == ["unassigned_event"] * 2
    assert tenant.rows("report")[0]["messageIds"] == ["m1"]


@pytest.mark.parametrize("call_type", ["identify", "track", "page"])
def test_ph_d11_and_ph_t10_a_call_with_an_anonymous_id_only_is_only_reported(tenant: Tenant, call_type: str):
    tenant.sent(call_type, anonymousId="a1", event="e", traits={"name": "Nobody"})
    assert tenant.rows("contacts") == tenant.rows("activities") == []
    assert tenant.reasons() == ["no_identity"]


def test_ph_d12_a_group_for_an_unknown_company_is_only_reported(tenant: Tenant):
    tenant.sent("group", userId="u1", groupId="ABCDE", traits={"employees": 12})
    assert tenant.rows("companies") == tenant.rows("metrics") == []
    assert tenant.reasons() == ["unknown_company"]
    assert tenant.rows("report")[0]["groupId"] == "ABCDE"


def test_ph_d13_there_is_no_rate_limit_unless_it_is_switched_on(tenant: Tenant):
    assert "x-rate-limit-limit" not in tenant.send("identify", userId="u1").headers
    tenant.admin("switches", {"rate_limit": True})
    headers = tenant.send("identify", userId="u1").headers
    assert (headers["x-rate-limit-limit"], headers["x-rate-limit-remaining"]) == ("200", "199")


def test_ph_d13_one_call_too_many_in_a_minute_answers_429_and_is_taken_in_the_next(tenant: Tenant, clock: Any):
    tenant.admin("switches", {"rate_limit": 2})
    clock.time_ms -= clock.time_ms % 60_000
    left = [tenant.send("identify", userId=f"u{number}") for number in range(3)]
    assert [reply.status for reply in left] == [200, 200, 429]
    assert [reply.headers["x-rate-limit-remaining"] for reply in left] == ["1", "0", "0"]
    assert left[2].headers["x-rate-limit-limit"] == "2"
    assert verdict(left[2].status) is Verdict.RETRY
    assert len(tenant.rows("contacts")) == 2
    clock.time_ms += 60_000
    tenant.sent("identify", userId="u2", messageId="m3")
    assert len(tenant.rows("contacts")) == 3


def test_ph_t13_a_page_is_an_activity_in_the_words_of_planhats_tracker(tenant: Tenant):
    tenant.identify("u1")
    tenant.sent("page", userId="u1", name="Settings", properties={"path": "/settings"})
    tenant.sent("page", userId="u1", properties={"path": "/settings"})
    tenant.sent("page", userId="u1")
    actions = [(row["action"], row["source"], row["date"]) for row in tenant.rows("activities")]
    assert actions == [
        ("Viewed Settings Page", "Segment", NOON),
        ("Viewed Page '/settings'", "Segment", NOON),
        ("Viewed a Page", "Segment", NOON),
    ]


def test_a_track_is_an_activity_with_its_properties_as_info(tenant: Tenant):
    tenant.identify("u1")
    tenant.sent("track", userId="u1", event="Exported", properties={"rows": 12, "weight": 2.5})
    tenant.sent("track", userId="u1", event="Exported", properties={"weight": True})
    first, second = tenant.rows("activities")
    assert (first["action"], first["info"]) == ("Exported", {"rows": 12, "weight": 2.5})
    assert (first["weight"], second["weight"]) == (2.5, 1)
    assert (first["messageId"], first["messageIds"]) == ("m2", ["m2"])
    assert tenant.send("track", userId="u1", event=" ").status == 400


def test_ph_t14_a_group_brings_metrics_and_custom_fields(tenant: Tenant):
    tenant.company(externalId="ABCDE", name="Initech")
    traits = {"name": "Other", "employees": 12, "plan": "pro", "total billed": 830, "vip": True}
    tenant.sent("group", userId="u1", groupId="ABCDE", traits=traits)
    values = {row["dimensionId"]: (row["value"], row["model"]) for row in tenant.rows("metrics")}
    assert values == {"employees": (12, "Company"), "totalbilled": (830, "Company")}
    (company,) = tenant.rows("companies")
    assert (company["custom"], company["name"]) == ({"plan": "pro", "vip": True}, "Initech")


def test_a_groups_name_fills_an_empty_company_name_only(tenant: Tenant):
    tenant.company(externalId="ABCDE")
    tenant.sent("group", anonymousId="a1", groupId="ABCDE", traits={"name": "Initech"})
    tenant.sent("group", anonymousId="a1", groupId="ABCDE", traits={"name": "Other"})
    assert tenant.rows("companies")[0]["name"] == "Initech"


def test_ph_t17_a_wrong_token_refuses_for_good_with_a_message(tenant: Tenant):
    reply = Tenant(tenant.client, token="wrong").send("identify", userId="u1")
    assert verdict(reply.status) is Verdict.REFUSED
    assert reply.headers["content-type"] == "application/json"
    assert reply.body["message"] == "Unauthorized"


def test_a_duplicate_makes_one_record_only(tenant: Tenant):
    tenant.identify("u1")
    first = tenant.send("track", userId="u1", event="e", messageId="same")
    again = tenant.send("track", userId="u1", event="e", messageId="same")
    assert (first.body, again.body) == ({}, {})
    assert again.headers["x-sandbox-duplicate"] == "1"
    assert len(tenant.rows("activities")) == 1


def test_a_metric_without_a_letter_or_digit_in_its_name_is_left_a_custom_field(tenant: Tenant):
    assert metrics({"traits": {"€": 1, "a b-c": 2, "d": {"e": 3}, "f": False}}) == {"abc": 2, "de": 3}
    tenant.company(externalId="ABCDE")
    tenant.sent("group", anonymousId="a", groupId="ABCDE", traits={"€": 1})
    assert tenant.rows("companies")[0]["custom"] == {"€": 1}
