"""What User.com's receiver does with each call (UC-02..24, UC-D1..D12, UC-T1..T23 of the vendor contract).

Keys, domains and the read side are in `test_user_com_access`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sandbox.conftest import Client, ManualClock, basic
from tests.sandbox.user_com_app import INBOUND, KEY, AppUnderTest

CHROME = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_9_5) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/40.0.2214.115 Safari/537.36"
)
TEN = "2026-11-20T10:00:00.000Z"
NINE = "2026-11-20T09:00:00.000Z"

PAYLOADS: dict[str, dict[str, Any]] = {
    "identify": {"traits": {"plan": "pro"}},
    "page": {"name": "Home"},
    "track": {"event": "Signed Up"},
    "group": {"groupId": "g1"},
}

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TRAITS = ("email", "phone", "gender", "address", "employees", "name", "first_name", "user_key", "x")
CONTEXT = ("userAgent", "os", "device", "screen", "page", "ip", "locale", "timezone")
ADDRESS = ("city", "state", "street", "url", "path", "width", "height", "name", "version", "type")
NESTED = JSON_VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(ADDRESS, JSON_VALUES))
OBJECTS = JSON_VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys((*TRAITS, *CONTEXT), NESTED))
ANY_FIELDS = {
    **dict.fromkeys(("traits", "properties", "context"), OBJECTS),
    **dict.fromkeys(("userId", "anonymousId", "groupId", "event", "name", "timestamp"), JSON_VALUES),
}


@pytest.fixture
def app(client: Client) -> AppUnderTest:
    return AppUnderTest(client)


class TestWhoTheUserIs:
    @pytest.mark.parametrize("call", PAYLOADS)
    def test_uc_02_every_method_selects_by_user_id_else_by_anonymous_id(self, app: AppUnderTest, call: str) -> None:
        app.taken("identify", userId="u1")
        app.taken("identify", anonymousId="a1")
        app.taken(call, userId="u1", anonymousId="a1", **PAYLOADS[call])
        app.taken(call, anonymousId="a1", **PAYLOADS[call])
        users = app.rows("users")
        assert [(user["custom_id"], user["anonymous_id"]) for user in users] == [("u1", None), (None, "a1")]

    @pytest.mark.parametrize("call", PAYLOADS)
    @pytest.mark.parametrize("id_name", ["userId", "anonymousId"])
    def test_uc_03_uc_t4_an_unknown_id_makes_a_user_and_is_never_404(
        self, app: AppUnderTest, call: str, id_name: str
    ) -> None:
        app.taken(call, **{id_name: "new"}, **PAYLOADS[call])
        column = "custom_id" if id_name == "userId" else "anonymous_id"
        assert app.only("users")[column] == "new"

    def test_uc_d1_with_a_user_id_the_anonymous_id_is_not_looked_at(self, app: AppUnderTest) -> None:
        app.taken("identify", anonymousId="a1", traits={"email": "a@shop.io"})
        app.taken("identify", userId="u1", anonymousId="a1")
        assert app.user("u1")["email"] is None

    @pytest.mark.parametrize("ids", [{}, {"userId": ""}, {"userId": None, "anonymousId": " "}])
    def test_uc_d1_without_any_id_the_answer_is_400(self, app: AppUnderTest, ids: dict[str, Any]) -> None:
        reply = app.send("identify", **ids)
        assert (reply.status, reply.body) == (400, {"message": "userId or anonymousId is required"})
        assert app.rows("users") == []

    def test_uc_d2_a_user_is_made_as_a_visitor_seen_at_the_time_of_the_event(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="E", timestamp=TEN)
        user = app.only("users")
        assert user["status"] == "visitor"
        assert user["first_seen"] == TEN
        assert user["last_seen"] is None
        assert user["page_views"] == 0
        assert user["gender"] == "unknown"

    def test_uc_d2_an_event_without_a_usable_time_counts_as_now(self, app: AppUnderTest, clock: ManualClock) -> None:
        clock.time_ms = 1_763_632_800_000
        for number, time in enumerate((None, "soon", 5, "9999-12-31T23:59:59-23:00")):
            app.taken("track", userId=f"u{number}", event="E", timestamp=time)
        assert {user["first_seen"] for user in app.rows("users")} == {"2025-11-20T10:00:00.000Z"}

    def test_uc_d3_an_anonymous_profile_is_not_merged(self, app: AppUnderTest) -> None:
        app.taken("page", anonymousId="a1")
        app.taken("page", userId="u1", anonymousId="a1")
        app.taken("page", anonymousId="a1")
        counts = {(user["custom_id"], user["anonymous_id"]): user["page_views"] for user in app.rows("users")}
        assert counts == {(None, "a1"): 2, ("u1", None): 1}

    def test_an_id_that_is_a_number_is_its_text(self, app: AppUnderTest) -> None:
        app.taken("identify", userId=42)
        app.taken("identify", userId="42")
        assert app.only("users")["custom_id"] == "42"

    def test_two_apps_do_not_see_each_others_users(self, app: AppUnderTest) -> None:
        other = app.another_key("other")
        app.taken("identify", userId="u1", traits={"email": "a@shop.io"})
        other.taken("identify", userId="u1")
        assert [user["email"] for user in app.rows("users")] == ["a@shop.io", None]
        assert len({user["key_id"] for user in app.rows("users")}) == 2


class TestMergingSwitchedOn:
    @pytest.fixture
    def merging(self, app: AppUnderTest) -> AppUnderTest:
        return app.another_key("merging", merge_anonymous=True)

    def test_uc_d3_the_anonymous_profile_becomes_the_new_user(self, merging: AppUnderTest) -> None:
        merging.taken("page", anonymousId="a1", timestamp=NINE)
        merging.taken("identify", userId="u1", anonymousId="a1", traits={"email": "a@shop.io"})
        merging.taken("page", anonymousId="a1", timestamp=TEN)
        user = merging.only("users")
        assert (user["custom_id"], user["anonymous_id"], user["page_views"]) == ("u1", "a1", 2)

    def test_uc_d3_the_anonymous_profile_goes_into_a_user_who_is_there(self, merging: AppUnderTest) -> None:
        merging.taken("page", userId="u1", timestamp=TEN)
        merging.taken("group", userId="u1", groupId="g1")
        merging.taken("page", anonymousId="a1", timestamp=NINE)
        merging.taken("identify", anonymousId="a1", traits={"email": "a@shop.io", "plan": "pro"})
        merging.taken("track", anonymousId="a1", event="E")
        merging.taken("group", anonymousId="a1", groupId="g2")
        merging.taken("identify", userId="u1", anonymousId="a1")
        user = merging.only("users")
        assert (user["custom_id"], user["anonymous_id"]) == ("u1", "a1")
        assert (user["page_views"], user["first_seen"], user["last_seen"]) == (2, NINE, TEN)
        assert (user["email"], user["plan"]) == ("a@shop.io", "pro")
        assert {membership["custom_id"] for membership in user["companies"]} == {"g1", "g2"}
        assert [company["employees"] for company in merging.rows("companies")] == [[user["id"]]] * 2
        assert merging.only("event_occurrences")["user"] == user["id"]
        assert {view["user"] for view in merging.rows("page_views")} == {user["id"]}
        assert set(user["messageIds"]) == {f"merging-{number}" for number in (1, 2, 3, 4, 6, 7)}

    def test_uc_d3_a_profile_that_is_somebodys_stays_theirs(self, merging: AppUnderTest) -> None:
        merging.taken("page", userId="u1", anonymousId="a1")
        merging.taken("page", userId="u2", anonymousId="a1")
        assert merging.user("u1")["page_views"] == 1
        assert merging.user("u2")["anonymous_id"] is None


class TestIdentify:
    def test_uc_04_the_five_traits_become_profile_fields(self, app: AppUnderTest) -> None:
        traits = {
            "email": "ada@shop.io",
            "first_name": "Ada",
            "last_name": "Bell",
            "phone": "+48 1",
            "gender": "F",
        }
        app.taken("identify", userId="u1", traits=traits)
        user = app.only("users")
        assert (user["email"], user["first_name"], user["last_name"]) == ("ada@shop.io", "Ada", "Bell")
        assert (user["phone_number"], user["gender"]) == ("+48 1", "female")
        assert app.rows("attributes") == []

    @pytest.mark.parametrize("name", ["first_name", "firstName", "firstname", "FIRST_NAME", "First_Name"])
    def test_uc_04_the_casing_of_a_trait_does_not_matter(self, app: AppUnderTest, name: str) -> None:
        app.taken("identify", userId="u1", traits={name: "Ada"})
        assert app.only("users")["first_name"] == "Ada"
        assert app.rows("attributes") == []

    def test_uc_04_names_are_cut_at_40_characters(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"first_name": "a" * 41, "last_name": "b" * 40})
        user = app.only("users")
        assert (user["first_name"], user["last_name"]) == ("a" * 40, "b" * 40)

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            ("F", "female"),
            ("female", "female"),
            (3, "female"),
            ("m", "male"),
            ("x", "male"),
            (None, "male"),
            ("u", "unknown"),
        ],
    )
    def test_uc_t19_gender_is_one_of_three_or_unchanged(self, app: AppUnderTest, given: Any, stored: str) -> None:
        app.taken("identify", userId="u1", traits={"gender": "male"})
        app.taken("identify", userId="u1", traits={"gender": given})
        assert app.only("users")["gender"] == stored

    def test_uc_05_uc_t14_an_address_gives_country_region_and_city(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"address": {"city": "SF", "state": "CA", "country": "USA"}})
        app.taken("identify", userId="u2", traits={"address": {"region": "Mazovia", "street": "6th St"}})
        user = app.user("u1")
        assert (user["country"], user["region"], user["city"]) == ("USA", "CA", "SF")
        assert app.user("u2")["region"] == "Mazovia"
        assert app.rows("attributes") == []

    def test_uc_t14_an_address_of_one_line_gives_nothing(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"address": "6th St"})
        user = app.only("users")
        assert (user["country"], user["region"], user["city"]) == (None, None, None)
        assert app.rows("attributes") == []

    def test_uc_06_eleven_fields_come_from_the_context(self, app: AppUnderTest) -> None:
        context = {
            "userAgent": CHROME,
            "locale": "pl-PL",
            "screen": {"width": 1440, "height": 900},
            "ip": "8.8.8.8",
            "timezone": "Europe/Warsaw",
            "page": {"url": "https://shop.io/a"},
        }
        app.taken("identify", userId="u1", context=context)
        user = app.only("users")
        assert {name: user[name] for name in ELEVEN} == {
            "user_agent": CHROME,
            "os": "Mac OS X 10.9.5",
            "device_name": "Mac",
            "device_type": "desktop",
            "language": "pl-PL",
            "resolution": "1440x900",
            "ip_address": "8.8.8.8",
            "browser_family": "Chrome",
            "browser_version": "40.0.2214",
            "timezone": "Europe/Warsaw",
            "current_url": "https://shop.io/a",
        }

    def test_uc_06_what_the_context_says_wins_over_the_user_agent(self, app: AppUnderTest) -> None:
        context = {
            "userAgent": CHROME,
            "os": {"name": "iOS", "version": "17.4"},
            "device": {"model": "iPhone15,2", "type": "ios"},
        }
        app.taken("identify", userId="u1", context=context)
        user = app.only("users")
        assert (user["os"], user["device_name"], user["device_type"]) == ("iOS 17.4", "iPhone15,2", "ios")

    def test_uc_06_a_context_that_says_nothing_leaves_the_fields(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", context={"userAgent": CHROME, "locale": "pl"})
        context = {"userAgent": "analytics-python/1.4", "screen": {"width": "x"}, "os": "iOS", "page": []}
        app.taken("identify", userId="u1", context=context)
        user = app.only("users")
        assert (user["os"], user["browser_family"], user["language"]) == ("Mac OS X 10.9.5", "Chrome", "pl")
        assert (user["user_agent"], user["resolution"]) == ("analytics-python/1.4", None)

    def test_the_personas_of_the_context_never_become_a_user_attribute(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", context={"personas": {"computation_key": "k"}})
        assert app.rows("attributes") == []

    def test_uc_07_other_traits_become_custom_attributes(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"Favourite Colour": "teal", "name": "Ada Bell"})
        user = app.only("users")
        assert (user["favourite_colour"], user["name"]) == ("teal", "Ada Bell")

    def test_uc_08_uc_d4_a_new_attribute_is_made_as_a_string(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"logins": 5, "Tags Seen": ["a", 1]})
        user = app.only("users")
        assert (user["logins"], user["tags_seen"]) == ("5", '["a",1]')
        logins = app.attribute("clientuser", "logins")
        assert logins is not None
        assert logins["value_type"] == "string"

    def test_uc_08_null_makes_no_attribute(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"plan": None})
        assert app.rows("attributes") == []
        assert "plan" not in app.only("users")

    @pytest.mark.parametrize(
        ("value_type", "given", "stored"),
        [
            ("integer", "7", 7),
            ("float", "1.5", 1.5),
            ("boolean", "true", True),
            ("date", "2026-01-02T03:04:05Z", "2026-01-02"),
            ("json", '{"a":1}', {"a": 1}),
            ("string", 7, "7"),
        ],
    )
    def test_uc_09_a_value_is_converted_to_the_type_of_its_attribute(
        self, app: AppUnderTest, value_type: str, given: Any, stored: Any
    ) -> None:
        app.define("clientuser", "x", value_type)
        app.taken("identify", userId="u1", traits={"x": given})
        assert app.only("users")["x"] == stored

    def test_uc_10_uc_t1_the_worked_example(self, app: AppUnderTest) -> None:
        assert app.define("clientuser", "custom_integer", "number").status == 201
        app.taken("identify", userId="u1", traits={"custom_integer": "123", "custom_integer_new": 999})
        user = app.only("users")
        assert user["custom_integer"] == 123
        assert isinstance(user["custom_integer"], int)
        assert user["custom_integer_new"] == "999"
        assert app.attribute("clientuser", "custom_integer")["value_type"] == "number"  # type: ignore[index]
        assert app.attribute("clientuser", "custom_integer_new")["value_type"] == "string"  # type: ignore[index]

    def test_uc_t2_uc_d5_what_cannot_be_converted_leaves_the_old_value(self, app: AppUnderTest) -> None:
        app.define("clientuser", "custom_integer", "number")
        app.taken("identify", userId="u1", traits={"custom_integer": 5})
        app.taken("identify", userId="u1", traits={"custom_integer": "abc", "plan": "pro", "email": "a@b.io"})
        user = app.only("users")
        assert (user["custom_integer"], user["plan"], user["email"]) == (5, "pro", "a@b.io")
        note = app.only("ignored")
        assert (note["name"], note["value"], note["reason"]) == (
            "custom_integer",
            '"abc"',
            "not convertible to number",
        )

    def test_uc_d7_identify_touches_neither_page_views_nor_last_seen(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", timestamp=TEN)
        app.taken("track", userId="u1", event="E", timestamp=TEN)
        app.taken("group", userId="u1", groupId="g", timestamp=TEN)
        user = app.only("users")
        assert (user["page_views"], user["last_seen"]) == (0, None)

    def test_uc_t20_protected_fields_are_ignored_and_noted(self, app: AppUnderTest) -> None:
        app.taken("page", userId="u1")
        before = app.only("users")
        protected = ("id", "user_key", "custom_id", "page_views", "first_seen", "last_seen", "created_at")
        traits = dict.fromkeys((*protected, "updated_at", "companies", "ID", "Page Views"), 99)
        app.taken("identify", userId="u1", traits=traits)
        after = app.only("users")
        assert {name: after[name] for name in protected} == {name: before[name] for name in protected}
        assert after["companies"] == []
        assert {row["name"] for row in app.rows("ignored")} == set(traits)
        assert app.rows("attributes") == []

    def test_a_trait_with_a_key_over_32_characters_is_ignored_and_noted(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={"k" * 33: 1, "k" * 32: 2})
        assert app.only("users")["k" * 32] == "2"
        assert app.only("ignored")["name"] == "k" * 33

    def test_uc_t23_an_audience_is_a_text_unless_it_is_defined_as_boolean(self, app: AppUnderTest) -> None:
        app.define("clientuser", "vip_eu", "boolean")
        for entered in (True, False):
            traits = {"order_completed_last_30days": entered, "vip_eu": entered}
            app.taken("identify", userId="u1", traits=traits)
            user = app.only("users")
            assert user["order_completed_last_30days"] == str(entered).lower()
            assert user["vip_eu"] is entered

    def test_two_thousand_traits_are_taken_in_one_call(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="u1", traits={f"trait_{number}": number for number in range(2_000)})
        assert app.only("users")["trait_1999"] == "1999"
        assert len(app.rows("attributes")) == 2_000

    def test_a_trait_in_any_script_is_kept(self, app: AppUnderTest) -> None:
        app.taken("identify", userId="użytkownik 1", traits={"Köder": "日本", "name": "\ud83d"})
        user = app.user("użytkownik 1")
        assert (user["köder"], user["name"]) == ("日本", "�")


ELEVEN = (
    "user_agent",
    "os",
    "device_name",
    "device_type",
    "language",
    "resolution",
    "ip_address",
    "browser_family",
    "browser_version",
    "timezone",
    "current_url",
)


class TestPage:
    def test_uc_12_each_page_counts(self, app: AppUnderTest) -> None:
        for _ in range(3):
            app.taken("page", userId="u1")
        assert app.only("users")["page_views"] == 3

    def test_uc_13_uc_t7_uc_d6_last_seen_never_goes_back(self, app: AppUnderTest) -> None:
        app.taken("page", userId="u1", timestamp=TEN)
        app.taken("page", userId="u1", timestamp=NINE)
        user = app.only("users")
        assert (user["page_views"], user["last_seen"]) == (2, TEN)
        assert [view["timestamp"] for view in app.rows("page_views")] == [TEN, NINE]

    def test_uc_13_last_seen_follows_a_newer_page(self, app: AppUnderTest) -> None:
        app.taken("page", userId="u1", timestamp=NINE)
        app.taken("page", userId="u1", timestamp="2026-11-20T12:00:00+02:00")
        assert app.only("users")["last_seen"] == TEN

    def test_uc_14_a_page_view_holds_the_page(self, app: AppUnderTest) -> None:
        properties = {"url": "https://shop.io/a?b=1", "path": "/a", "title": "A", "referrer": "https://x.io/"}
        app.taken("page", userId="u1", name="Home", properties=properties)
        view = app.only("page_views")
        assert {name: view[name] for name in properties} == properties
        assert (view["name"], view["custom_id"], view["messageId"]) == ("Home", "u1", f"{KEY}-1")

    def test_uc_14_what_properties_lack_comes_from_the_context(self, app: AppUnderTest) -> None:
        app.taken("page", userId="u1", context={"page": {"url": "https://shop.io/b", "title": "B"}})
        view = app.only("page_views")
        assert (view["url"], view["path"], view["title"]) == ("https://shop.io/b", "/b", "B")

    def test_uc_14_page_views_can_be_filtered_and_aggregated(self, app: AppUnderTest) -> None:
        for user, path in (("u1", "/a"), ("u1", "/a"), ("u2", "/a"), ("u2", "/b")):
            app.taken("page", userId=user, properties={"path": path})
        reply = app.client.get("/user-com/_sandbox/page_views?by=path")
        assert reply.body["results"] == [
            {"path": "/a", "count": 3, "users": 2},
            {"path": "/b", "count": 1, "users": 1},
        ]
        reply = app.client.get("/user-com/_sandbox/page_views?by=path&custom_id=u2")
        assert [(row["path"], row["count"]) for row in reply.body["results"]] == [("/a", 1), ("/b", 1)]
        assert app.client.get("/user-com/_sandbox/page_views?by=colour").status == 400

    def test_uc_t8_a_page_delivered_twice_counts_once(self, app: AppUnderTest) -> None:
        event = {"type": "page", "messageId": "m1", "userId": "u1"}
        first = app.client.post(INBOUND, event, headers=basic(KEY))
        again = app.client.post(INBOUND, event, headers=basic(KEY))
        assert (first.status, again.status) == (200, 200)
        assert again.headers["x-sandbox-duplicate"] == "1"
        assert app.only("users")["page_views"] == 1
        assert len(app.rows("page_views")) == 1

    def test_uc_t8_with_dedupe_off_it_counts_twice(self, app: AppUnderTest) -> None:
        app.another_key("twice", dedupe=False)
        event = {"type": "page", "messageId": "m1", "userId": "u1"}
        for _ in range(2):
            app.client.post(INBOUND, event, headers=basic("twice"))
        assert app.only("users")["page_views"] == 2
        assert len(app.rows("page_views")) == 2


class TestTrack:
    def test_uc_15_an_occurrence_is_recorded(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="Order Completed", properties={"plan": "pro"}, timestamp=TEN)
        occurrence = app.only("event_occurrences")
        assert (occurrence["name"], occurrence["data"]) == ("Order Completed", {"plan": "pro"})
        assert (occurrence["custom_id"], occurrence["timestamp"]) == ("u1", TEN)
        assert (occurrence["messageId"], occurrence["messageIds"]) == (f"{KEY}-1", [f"{KEY}-1"])

    def test_uc_15_users_can_be_bucketed_by_their_events(self, app: AppUnderTest) -> None:
        for user, times in (("u1", 3), ("u2", 1)):
            for _ in range(times):
                app.taken("track", userId=user, event="Order Completed")
        app.taken("track", userId="u3", event="Other")
        for at_least, members in ((1, ["u1", "u2"]), (2, ["u1"]), (4, [])):
            url = f"/user-com/_sandbox/segments?event=Order%20Completed&count_gte={at_least}"
            body = app.client.get(url).body
            assert [user["custom_id"] for user in body["users"]] == members
            assert body["count"] == len(members)
        assert app.client.get("/user-com/_sandbox/segments?count_gte=1").status == 400
        assert app.client.get("/user-com/_sandbox/segments?event=E&count_gte=x").status == 400

    def test_uc_16_a_new_event_name_defines_the_event_and_its_properties(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="Signed Up", properties={"plan": "pro", "seats": 3})
        assert app.only("events")["name"] == "Signed Up"
        assert app.only("event_occurrences")["data"] == {"plan": "pro", "seats": "3"}
        assert [row["name"] for row in app.rows("attributes")] == ["plan", "seats"]
        assert {row["content_type"] for row in app.rows("attributes")} == {"activity"}

    def test_uc_17_properties_are_typed_as_traits_are(self, app: AppUnderTest) -> None:
        app.define("event", "price", "float")
        app.taken("track", userId="u1", event="E", properties={"price": "9.5", "Unit Price": 2})
        assert app.only("event_occurrences")["data"] == {"price": 9.5, "unit_price": "2"}

    def test_uc_t10_a_property_that_cannot_be_converted_is_left_out(self, app: AppUnderTest) -> None:
        app.define("activity", "price", "float")
        app.taken("track", userId="u1", event="E", properties={"price": "free", "plan": "pro"})
        assert app.only("event_occurrences")["data"] == {"plan": "pro"}

    def test_uc_t5_an_unknown_anonymous_id_makes_a_user_and_an_occurrence(self, app: AppUnderTest) -> None:
        app.taken("track", anonymousId="a1", event="E")
        user = app.only("users")
        assert (user["custom_id"], user["anonymous_id"]) == (None, "a1")
        assert app.only("event_occurrences")["user"] == user["id"]

    def test_uc_d8_the_first_occurrence_says_that_the_event_is_new(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="E")
        app.taken("track", userId="u2", event="E")
        app.taken("track", userId="u2", event="e")
        occurrences = app.rows("event_occurrences")
        assert [(row["name"], row["created"]) for row in occurrences] == [
            ("E", True),
            ("E", False),
            ("e", True),
        ]
        assert [row["name"] for row in app.rows("events")] == ["E", "e"]

    def test_uc_d9_event_client_and_company_attributes_are_three_namespaces(self, app: AppUnderTest) -> None:
        app.define("activity", "size", "integer")
        app.define("company", "size", "float")
        app.taken("identify", userId="u1", traits={"size": "7"})
        app.taken("track", userId="u1", event="E", properties={"size": "7"})
        app.taken("group", userId="u1", groupId="g1", traits={"size": "7.5"})
        assert app.only("users")["size"] == "7"
        assert app.only("event_occurrences")["data"] == {"size": 7}
        assert app.only("companies")["size"] == 7.5

    def test_a_property_may_have_the_name_of_a_protected_user_field(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="E", properties={"id": "sku-1"})
        assert app.only("event_occurrences")["data"] == {"id": "sku-1"}

    def test_a_track_without_a_name_is_400_and_leaves_nothing(self, app: AppUnderTest) -> None:
        reply = app.send("track", userId="u1")
        assert (reply.status, reply.body) == (400, {"message": "event is required"})
        assert app.rows("users") == []


SEMANTIC: dict[str, Any] = {
    "name": "Initech",
    "description": "Software",
    "email": "hi@initech.com",
    "phone": "555",
    "employees": 329,
}


class TestGroup:
    def test_uc_19_uc_20_an_unknown_group_id_makes_a_company(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1")
        app.taken("group", userId="u2", groupId="g1")
        assert app.only("companies")["custom_id"] == "g1"

    def test_uc_19_uc_d10_a_known_one_keeps_what_is_not_named(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1", traits={"name": "Initech", "plan": "pro"})
        app.taken("group", userId="u1", groupId="g1", traits={"plan": "free"})
        company = app.only("companies")
        assert (company["name"], company["plan"]) == ("Initech", "free")

    def test_uc_21_uc_t11_the_events_user_is_made_and_linked(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1", traits={"name": "Initech"})
        user, company = app.only("users"), app.only("companies")
        assert [(one["id"], one["name"]) for one in user["companies"]] == [(company["id"], "Initech")]
        assert company["employees"] == [user["id"]]

    def test_uc_d10_the_link_is_made_once_and_a_user_may_have_many(self, app: AppUnderTest) -> None:
        for group in ("g1", "g1", "g2"):
            app.taken("group", userId="u1", groupId=group)
        assert [one["custom_id"] for one in app.only("users")["companies"]] == ["g1", "g2"]
        assert [len(company["employees"]) for company in app.rows("companies")] == [1, 1]

    def test_uc_d10_a_new_name_of_a_company_is_seen_at_all_its_users(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1", traits={"name": "Initech"})
        app.taken("group", userId="u2", groupId="g1", traits={"name": "Initrode"})
        names = {user["custom_id"]: user["companies"][0]["name"] for user in app.rows("users")}
        assert names == {"u1": "Initrode", "u2": "Initrode"}

    def test_uc_22_custom_traits_follow_the_logic_of_identify(self, app: AppUnderTest) -> None:
        app.define("company", "seats", "integer")
        traits = {"seats": "12", "industry": "Technology", "total billed": 830, "custom_id": "x"}
        app.taken("group", userId="u1", groupId="g1", traits=traits)
        company = app.only("companies")
        assert (company["seats"], company["industry"], company["total_billed"]) == (12, "Technology", "830")
        assert company["custom_id"] == "g1"
        assert app.attribute("company", "industry")["value_type"] == "string"  # type: ignore[index]

    def test_uc_23_the_six_semantic_traits_have_fields_of_their_own(self, app: AppUnderTest) -> None:
        address = {
            "street": "6th St",
            "city": "SF",
            "state": "CA",
            "postalCode": "94103",
            "country": "USA",
        }
        app.taken("group", userId="u1", groupId="g1", traits={**SEMANTIC, "address": address})
        company = app.only("companies")
        assert (company["name"], company["description"]) == ("Initech", "Software")
        assert (company["email"], company["phone_numbers"]) == ("hi@initech.com", "555")
        assert company["employees_count"] == 329
        assert company["address"] == "6th St, SF, CA, 94103, USA"
        assert (company["country"], company["region"], company["city"]) == ("USA", "CA", "SF")
        assert app.rows("attributes") == []

    def test_uc_23_an_address_of_one_line_is_kept_as_it_is(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1", traits={"address": "6th St"})
        company = app.only("companies")
        assert (company["address"], company["country"]) == ("6th St", None)

    def test_uc_t13_employees_that_are_no_number_are_ignored(self, app: AppUnderTest) -> None:
        app.taken("group", userId="u1", groupId="g1", traits={"employees": "51-200", "name": "Initech"})
        company = app.only("companies")
        assert (company["employees_count"], company["name"]) == (None, "Initech")
        assert app.only("ignored")["name"] == "employees"

    @pytest.mark.parametrize("group", [{}, {"groupId": None}, {"groupId": ""}])
    def test_uc_d11_without_a_group_id_the_answer_is_400(self, app: AppUnderTest, group: dict[str, Any]) -> None:
        reply = app.send("group", userId="u1", **group)
        assert (reply.status, reply.body) == (400, {"message": "groupId is required"})
        assert app.rows("users") == []

    def test_uc_d12_an_anonymous_user_is_linked_too(self, app: AppUnderTest) -> None:
        app.taken("group", anonymousId="a1", groupId="g1")
        user = app.only("users")
        assert user["anonymous_id"] == "a1"
        assert app.only("companies")["employees"] == [user["id"]]


class TestTheRest:
    @pytest.mark.parametrize("call", ["screen", "alias", "delete"])
    def test_uc_d15_other_calls_are_501(self, app: AppUnderTest, call: str) -> None:
        reply = app.send(call, userId="u1")
        assert (reply.status, reply.body) == (501, {"message": f"{call} is not supported"})

    def test_every_row_names_the_events_that_made_or_changed_it(self, app: AppUnderTest) -> None:
        app.taken("track", userId="u1", event="E", properties={"a": 1})
        app.taken("identify", userId="u1")
        app.taken("group", userId="u1", groupId="g1")
        app.taken("page", userId="u1")
        first, second, third, fourth = (f"{KEY}-{number}" for number in range(1, 5))
        assert app.only("users")["messageIds"] == [first, second, third, fourth]
        assert app.only("companies")["messageIds"] == [third]
        assert app.only("events")["messageIds"] == [first]
        assert app.only("attributes")["messageIds"] == [first]
        assert app.only("event_occurrences")["messageId"] == first
        assert app.only("page_views")["messageId"] == fourth

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
    @given(call=st.sampled_from(sorted(PAYLOADS)), fields=st.fixed_dictionaries({}, optional=ANY_FIELDS))
    def test_no_shape_of_an_event_makes_it_fail(self, app: AppUnderTest, call: str, fields: dict[str, Any]) -> None:
        """A 500 would be retried by a sender for four hours."""
        assert app.send(call, **{"userId": "u1", **PAYLOADS[call], **fields}).status in (200, 400)

    def test_the_state_survives_a_restart(self, open_client: Callable[[], Client]) -> None:
        app = AppUnderTest(open_client())
        app.taken("group", userId="u1", groupId="g1", traits={"seats": 1})
        app.taken("track", userId="u1", event="E")
        before = app.client.state("user-com")
        app.client = open_client()
        assert app.client.state("user-com") == before
        app.taken("page", userId="u1")
        assert app.only("users")["page_views"] == 1
