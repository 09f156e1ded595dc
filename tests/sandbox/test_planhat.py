"""Planhat's sandbox, called as the adapter calls it (`PH-*` of the vendor contract)."""

from __future__ import annotations

import itertools
import json
from base64 import b64encode
from typing import Any
from urllib.parse import quote

import pytest

from segue.core.destination import Verdict, check_settings, verdict
from segue.core.event import Event
from segue.destinations.planhat import destination
from segue.sandbox.planhat_mapping import contact_custom, metrics

NOON = "2026-11-21T12:00:00.000Z"


class Tenant:
    """One tenant: sends events through the adapter and looks at what the sandbox then holds."""

    def __init__(self, client: Any, *, token: str = "demo-planhat-key", key_id: str = "demo") -> None:
        self.client = client
        self.token = token
        self.key_id = key_id
        self._numbers = itertools.count(1)

    def send(self, call_type: str, **fields: Any) -> Any:
        """The answer to one event; `subdomain` is a setting of the adapter, all else belongs to the event."""
        settings = {"apiKey": self.token, "subdomain": fields.pop("subdomain", "api")}
        event = {"type": call_type, "messageId": f"m{next(self._numbers)}", "timestamp": NOON, **fields}
        flow = destination.send(check_settings(destination, settings), Event(json.dumps(event).encode()))
        request = next(flow)
        return self.client.post("/planhat/dock/segment", raw=request.body, headers=dict(request.headers))

    def sent(self, call_type: str, **fields: Any) -> None:
        reply = self.send(call_type, **fields)
        assert (reply.status, reply.body) == (200, {})

    def identify(self, user_id: str | None = None, /, **traits: Any) -> None:
        who = {"userId": user_id} if user_id else {"anonymousId": "a1"}
        self.sent("identify", **who, traits=traits)

    def raw(self, body: Any, *, authorization: str | None = None) -> Any:
        """The answer to a body that is posted as it stands."""
        if authorization is None:
            authorization = "Basic " + b64encode(f"{self.token}:".encode()).decode()
        return self.client.post("/planhat/dock/segment", body, headers={"Authorization": authorization})

    def read(self, path: str) -> Any:
        return self.client.get(f"/planhat{path}", headers={"Authorization": f"Bearer {self.token}"})

    def admin(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/planhat/_sandbox/{path}", body)

    def rows(self, table: str) -> list[dict[str, Any]]:
        return [row for row in self.client.state("planhat")[table] if row["key_id"] == self.key_id]

    def reasons(self) -> list[str]:
        return [row["reason"] for row in self.rows("report")]

    def contact(self) -> dict[str, Any]:
        (row,) = self.rows("contacts")
        return row

    def company(self, **fields: Any) -> dict[str, Any]:
        reply = self.admin("companies", fields)
        assert reply.status == 201
        return dict(reply.body)


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


def test_ph_09_every_record_that_a_call_makes_has_segment_as_its_source(tenant: Tenant):
    tenant.company(externalId="ABCDE", name="Initech")
    tenant.sent("track", userId="u1", event="e", context={"groupId": "ABCDE"}, source="web")
    tenant.sent("page", userId="u1", source="web")
    tenant.sent("group", userId="u1", groupId="ABCDE", traits={"employees": 12, "plan": "pro"})
    made = [row for table in ("contacts", "activities", "metrics", "companies") for row in tenant.rows(table)]
    assert len(made) == 5
    assert {row["source"] for row in made} == {"Segment"}


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
        {"traits": {"company": {"id": "ABCDE", "name": "Initech"}}},
        {"context": {"groupId": "ABCDE"}},
    ],
)
def test_ph_d6_the_company_that_the_call_names_is_assigned(tenant: Tenant, fields: dict[str, Any]):
    company = tenant.company(externalId="ABCDE", name="Initech")
    tenant.sent("identify", userId="u1", **fields)
    assert (tenant.contact()["companyId"], tenant.contact()["status"]) == (company["_id"], "assigned")
    assert tenant.contact()["custom"] in ({}, {"company.name": "Initech"})


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


def test_ph_t4_and_t5_an_unassigned_contact_is_listed_by_its_company_once_assigned(tenant: Tenant):
    company = tenant.company(name="Initech", externalId="ABCDE")
    tenant.identify("u2")
    assert tenant.read(f"/endusers?c={company['_id']}").body == []
    tenant.admin(f"contacts/{tenant.contact()['_id']}/assign", {"companyId": company["_id"]})
    for reference in (company["_id"], "extid-ABCDE"):
        assert [row["externalId"] for row in tenant.read(f"/endusers?c={reference}").body] == ["u2"]
    assert tenant.read("/endusers?c=unknown").body == []


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


def test_a_duplicate_makes_one_record_only(tenant: Tenant):
    tenant.identify("u1")
    first = tenant.send("track", userId="u1", event="e", messageId="same")
    again = tenant.send("track", userId="u1", event="e", messageId="same")
    assert (first.body, again.body) == ({}, {})
    assert again.headers["x-sandbox-duplicate"] == "1"
    assert len(tenant.rows("activities")) == 1


def test_tenants_do_not_see_each_other_but_share_companies_made_for_all(tenant: Tenant):
    issued = tenant.admin("keys", {"key": "second-token"}).body
    second = Tenant(tenant.client, token="second-token", key_id=issued["id"])
    shared = tenant.company(externalId="ABCDE", name="Initech", domains=["initech.com"])
    tenant.company(externalId="OWN", name="Globex", key_id="demo")
    tenant.identify("u1", companyId="ABCDE")
    assert second.read("/endusers").body == []
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
        assert tenant.admin("companies", body).status == 400
    assert tenant.admin("companies", {"key_id": "nobody"}).status == 404


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


def test_custom_fields_are_one_level_of_plain_values():
    traits = {"name": "n", "companyId": "c", "tags": ["a"], "a": {"b": {"c": 1}, "d": []}, "e": None, "f": 1.5}
    assert contact_custom({"traits": traits}) == {"a.b.c": 1, "f": 1.5}


def test_a_metric_without_a_letter_or_digit_in_its_name_is_left_a_custom_field(tenant: Tenant):
    assert metrics({"traits": {"€": 1, "a b-c": 2, "d": {"e": 3}, "f": False}}) == {"abc": 2, "de": 3}
    tenant.company(externalId="ABCDE")
    tenant.sent("group", anonymousId="a", groupId="ABCDE", traits={"€": 1})
    assert tenant.rows("companies")[0]["custom"] == {"€": 1}


def test_a_hundred_levels_and_two_thousand_keys_are_taken(tenant: Tenant):
    deep: Any = 1
    for _ in range(100):
        deep = {"k": deep}
    tenant.identify("u1", **{f"key {number}": number for number in range(2_000)}, deep=deep)
    assert len(tenant.contact()["custom"]) == 2_001
