"""Who may send to User.com's receiver, what its owner can set up, and how it is read (UC-01, UC-11, UC-18, UC-24..26,
UC-D13..D16, UC-T16, UC-T17 of the vendor contract)."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from tests.sandbox.conftest import Client, Reply
from tests.sandbox.user_com_app import ADMIN, INBOUND, AppUnderTest

API = "/user-com/api/public"


@pytest.fixture
def app(client: Client) -> AppUnderTest:
    return AppUnderTest(client)


def page_at(app: AppUnderTest, url: str | None, **headers: str) -> Reply:
    context = {} if url is None else {"context": {"page": {"url": url}}}
    return app.send("page", userId="u1", headers=headers, **context)


def revoke(client: Client, key_id: str) -> None:
    assert client.post(f"{ADMIN}/keys/{key_id}/revoke").status == 200


class TestKeys:
    def test_uc_01_an_app_has_several_keys_which_share_its_users(self, app: AppUnderTest) -> None:
        second = app.another_key("second", app="demo")
        app.taken("page", userId="u1")
        second.taken("page", userId="u1")
        user = app.only("users")
        assert (user["page_views"], user["key_id"]) == (2, "demo")

    def test_uc_25_uc_t16_a_revoked_key_is_403_and_another_one_still_works(self, app: AppUnderTest) -> None:
        second = app.another_key("second", app="demo")
        revoke(app.client, "demo")
        reply = app.send("identify", userId="u1")
        assert (reply.status, reply.body) == (403, {"message": "Segment API key revoked"})
        assert reply.headers["content-type"] == "application/json"
        second.taken("identify", userId="u1")

    def test_uc_d13_a_key_that_was_never_issued_is_403(self, app: AppUnderTest) -> None:
        reply = AppUnderTest(app.client, "nobody").send("identify", userId="u1")
        assert reply.status == 403
        assert "message" in reply.body

    @pytest.mark.parametrize("header", ["", "Bearer x", "Basic !", "Basic eA==", "Basic eDp5", "Token demo"])
    def test_uc_d13_no_or_malformed_authorization_is_401(self, app: AppUnderTest, header: str) -> None:
        event = {"type": "identify", "messageId": "m", "userId": "u1"}
        reply = app.client.post(INBOUND, event, headers={"Authorization": header})
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Basic"

    def test_a_rest_key_does_not_work_on_the_segment_endpoint(self, app: AppUnderTest) -> None:
        rest = app.another_key("rest-key", kind="rest", app="demo")
        assert rest.send("identify", userId="u1").status == 403

    @pytest.mark.parametrize("options", [{"kind": "root"}, {"merge_anonymous": 1}, {"colour": "red"}])
    def test_an_option_that_no_key_has_is_refused(self, app: AppUnderTest, options: dict[str, Any]) -> None:
        assert app.client.post(f"{ADMIN}/keys", {"key": "k", **options}).status == 400


class TestTrustedDomains:
    def trust(self, sender: AppUnderTest, *domains: Any, **more: Any) -> Reply:
        return sender.client.post(f"{ADMIN}/domains", {"domains": list(domains), **more})

    def test_uc_26_uc_t17_only_trusted_domains_and_those_below_them_may_send(self, app: AppUnderTest) -> None:
        assert self.trust(app, "shop.io").status == 200
        reply = page_at(app, "https://evil.io/")
        assert (reply.status, reply.body) == (403, {"message": "Domain not trusted"})
        assert app.rows("users") == []
        assert page_at(app, "https://www.shop.io/").status == 200
        assert page_at(app, "https://shop.io:8443/a").status == 200
        assert page_at(app, "https://notshop.io/").status == 403
        assert page_at(app, "https://shop.io.evil.io/").status == 403

    def test_uc_t17_a_call_without_a_domain_passes(self, app: AppUnderTest) -> None:
        self.trust(app, "shop.io")
        app.taken("track", userId="u1", event="E")
        assert page_at(app, "not an address").status == 200

    def test_uc_d14_with_no_list_every_domain_is_trusted(self, app: AppUnderTest) -> None:
        assert page_at(app, "https://evil.io/").status == 200
        self.trust(app, "shop.io")
        self.trust(app)
        assert page_at(app, "https://evil.io/").status == 200

    def test_uc_d14_the_page_wins_over_origin_and_origin_over_referer(self, app: AppUnderTest) -> None:
        self.trust(app, "shop.io")
        good, evil = "https://shop.io/", "https://evil.io/"
        assert page_at(app, good, Origin=evil, Referer=evil).status == 200
        assert page_at(app, None, Origin=evil, Referer=good).status == 403
        assert page_at(app, None, Referer=evil).status == 403
        assert page_at(app, None, Origin="null", Referer=good).status == 200

    def test_uc_d14_a_domain_may_be_written_in_several_ways(self, app: AppUnderTest) -> None:
        reply = self.trust(app, "https://Shop.io/x", "*.other.io", "bücher.example.", "shop.io")
        assert reply.body == {"domains": ["shop.io", "other.io", "xn--bcher-kva.example"]}
        assert page_at(app, "https://bücher.example/").status == 200

    def test_uc_d14_a_list_for_one_app_leaves_the_others_alone(self, app: AppUnderTest) -> None:
        other = app.another_key("other")
        self.trust(app, "shop.io", app="demo")
        assert page_at(app, "https://evil.io/").status == 403
        assert page_at(other, "https://evil.io/").status == 200
        self.trust(app, "elsewhere.io")
        assert page_at(app, "https://shop.io/").status == 403
        assert page_at(other, "https://evil.io/").status == 403

    @pytest.mark.parametrize("domains", [None, "shop.io", [5], [""], ["https://"]])
    def test_domains_that_are_none_are_refused(self, app: AppUnderTest, domains: Any) -> None:
        assert app.client.post(f"{ADMIN}/domains", {"domains": domains}).status == 400


class TestDefinedAttributes:
    @pytest.mark.parametrize(
        ("spelling", "content_type"),
        [("clientuser", "clientuser"), ("client", "clientuser"), ("company", "company"), ("event", "activity")],
    )
    def test_uc_11_uc_18_uc_24_attributes_of_each_kind_can_be_defined_before(
        self, app: AppUnderTest, spelling: str, content_type: str
    ) -> None:
        reply = app.define(spelling, "My Attribute", "integer")
        assert reply.status == 201
        assert (reply.body["name"], reply.body["name_std"]) == ("My Attribute", "my_attribute")
        assert app.attribute(content_type, "my_attribute") == {
            **reply.body,
            "key_id": "demo",
        }

    def test_uc_11_a_definition_is_for_every_app_also_for_later_ones(self, app: AppUnderTest) -> None:
        earlier = app.another_key("earlier")
        earlier.taken("identify", userId="u0", traits={"seats": "1"})
        app.define("clientuser", "seats", "integer")
        later = app.another_key("later")
        for number, one in enumerate((app, earlier, later), start=1):
            one.taken("identify", userId=f"u{number}", traits={"seats": "7"})
        seats = {user["custom_id"]: user["seats"] for user in app.rows("users")}
        assert seats == {"u0": "1", "u1": 7, "u2": 7, "u3": 7}

    def test_uc_11_a_definition_can_be_for_one_app(self, app: AppUnderTest) -> None:
        other = app.another_key("other")
        app.define("clientuser", "seats", "integer", app="demo")
        other.taken("identify", userId="u1", traits={"seats": "7"})
        assert app.user("u1")["seats"] == "7"

    def test_an_attribute_can_be_given_another_type(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"seats": 7})
        assert app.define("clientuser", "seats", "integer").status == 200
        app.taken("identify", userId="u1", traits={"seats": "8"})
        assert app.only("users")["seats"] == 8

    def test_a_fixed_attribute_takes_its_choices(self, app: AppUnderTest) -> None:
        app.define("clientuser", "plan", "fixed", choices=["free", "pro"], allow_multiple_choices=True)
        app.taken("identify", userId="u1", traits={"plan": ["free", "pro"]})
        app.taken("identify", userId="u1", traits={"plan": "gold"})
        assert app.only("users")["plan"] == ["free", "pro"]

    @pytest.mark.parametrize(
        "wrong",
        [
            {"content_type": "deal"},
            {"content_type": ["clientuser"]},
            {"value_type": "money"},
            {"value_type": "fixed"},
            {"name": ""},
            {"name": "k" * 33},
            {"name": 5},
            {"name": "Page Views"},
            {"app": 5},
            {"choices": "ab", "value_type": "fixed"},
        ],
    )
    def test_a_definition_that_cannot_be_is_refused(self, app: AppUnderTest, wrong: dict[str, Any]) -> None:
        given = {"content_type": "clientuser", "name": "x", "value_type": "string", **wrong}
        reply = app.client.post(f"{ADMIN}/attributes", given)
        assert reply.status == 400
        assert reply.body["message"]
        assert app.rows("attributes") == []


class TestReadSide:
    @pytest.fixture
    def rest(self, app: AppUnderTest) -> str:
        app.another_key("rest-key", kind="rest", app="demo")
        traits = {"email": "a@shop.io", "phone": "555", "plan": "pro"}
        app.taken("identify", userId="u/1 ü", traits=traits)
        app.taken("group", userId="u2", groupId="g1", traits={"name": "Initech"})
        return "rest-key"

    def read(self, app: AppUnderTest, path: str, token: str = "rest-key") -> Reply:
        return app.client.get(f"{API}/{path}", headers={"Authorization": f"Token {token}"})

    def test_uc_d16_one_user_by_id_and_by_custom_id(self, app: AppUnderTest, rest: str) -> None:
        user = app.user("u2")
        reply = self.read(app, f"users/{user['id']}/")
        assert reply.status == 200
        assert reply.body == {name: user[name] for name in user if name not in ("key_id", "messageIds")}
        assert self.read(app, "users-by-id/u2/").body == reply.body
        assert self.read(app, f"users-by-id/{b64encode(b'u2').decode()}/").body == reply.body
        assert self.read(app, "users-by-id/u/1 ü/").body["email"] == "a@shop.io"
        assert self.read(app, "users/999999/").status == 404
        assert self.read(app, "users-by-id/nobody/").status == 404

    def test_uc_d16_search_by_email_key_and_phone(self, app: AppUnderTest, rest: str) -> None:
        user = app.user("u/1 ü")
        assert self.read(app, "users/search/?email=a%40shop.io").body["id"] == user["id"]
        assert self.read(app, f"users/search/?key={user['user_key']}").body["id"] == user["id"]
        assert [row["id"] for row in self.read(app, "users/search/?phone_number=555").body["results"]] == [user["id"]]
        assert self.read(app, "users/search/?email=x%40y.io").status == 404
        assert self.read(app, "users/search/").status == 400

    def test_uc_d16_companies_and_attributes(self, app: AppUnderTest, rest: str) -> None:
        assert self.read(app, "companies-by-id/g1/").body["name"] == "Initech"
        attributes = self.read(app, "attributes/").body
        assert attributes["count"] == 1
        (plan,) = attributes["results"]
        assert (plan["name_std"], plan["value_type"], plan["content_type"]) == (
            "plan",
            "string",
            "clientuser",
        )

    def test_uc_d4_a_new_definition_is_visible_on_the_read_side(self, app: AppUnderTest, rest: str) -> None:
        app.taken("identify", userId="u2", traits={"Custom Integer New": 999})
        names = [row["name_std"] for row in self.read(app, "attributes/").body["results"]]
        assert names == ["plan", "custom_integer_new"]

    def test_uc_d16_a_list_comes_in_pages_of_100(self, app: AppUnderTest, rest: str) -> None:
        for number in range(203):
            app.taken("track", userId=f"p{number}", event="E")
        found, url = [], f"{API}/users/"
        seen = []
        while url:
            body = app.client.get(url, headers={"Authorization": "Token rest-key"}).body
            seen.append((len(body["results"]), body["previous"]))
            found += [user["custom_id"] for user in body["results"]]
            assert body["count"] == 205
            url = body["next"]
        assert found == ["u/1 ü", "u2", *(f"p{number}" for number in range(203))]
        assert [size for size, _ in seen] == [100, 100, 5]
        back = app.client.get(seen[2][1], headers={"Authorization": "Token rest-key"}).body
        assert [user["custom_id"] for user in back["results"]] == found[100:200]

    @pytest.mark.parametrize(
        "path", ["users", "users/1", "users-by-id/u2", "users/search?email=a", "companies-by-id/g1", "attributes"]
    )
    def test_uc_d16_a_missing_slash_is_404(self, app: AppUnderTest, rest: str, path: str) -> None:
        assert self.read(app, path).status == 404

    def test_uc_d16_a_token_is_required_and_a_segment_key_is_none(self, app: AppUnderTest, rest: str) -> None:
        assert app.client.get(f"{API}/users/").status == 401
        for token in ("demo-user-com-key", "nobody"):
            reply = self.read(app, "users/", token=token)
            assert (reply.status, reply.body["detail"]) == (401, "Invalid token.")
            assert "message" in reply.body
        revoke(app.client, next(key["id"] for key in app.client.get(f"{ADMIN}/keys").body if key["id"] != "demo"))
        assert self.read(app, "users/").status == 401

    def test_a_rest_key_reads_its_own_app_only(self, app: AppUnderTest, rest: str) -> None:
        app.another_key("stranger", kind="rest")
        assert self.read(app, "users/", token="stranger").body["results"] == []
