from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from segue.collect.intake import Intake, Taker, random_message_id
from segue.collect.limits import CollectLimits
from segue.collect.parse import open_batch
from segue.collect.stamp import arrival
from segue.core.event import CALL_TYPES, Event
from segue.core.reasons import INGEST

from .rig import NOW, NOW_ISO, track
from .test_parse import JSON


def take(*events: Any, call: str | None = None, ip: str | None = None, **head: Any) -> Intake:
    return take_bytes(json.dumps({"batch": events, **head}).encode(), call=call, ip=ip)


def take_bytes(body: bytes, call: str | None = None, ip: str | None = None) -> Intake:
    batch = open_batch(body)
    at = arrival(NOW, ip=ip, sent_at=batch.sent_at, context=batch.context, integrations=batch.integrations)
    taker = Taker(source="website", call=call, at=at, event_bytes=CollectLimits().event_bytes, new_id=random_message_id)
    return taker.take_batch(batch.batch or [], body)


def taken(event: Any, **more: Any) -> Any:
    """One accepted event, decoded."""
    (record,) = take(event, **more).records
    return json.loads(record.body)


def reason(event: Any) -> str:
    intake = take(event)
    assert len(intake.records) + len(intake.drops) == 1
    return intake.drops[0].code if intake.drops else ""


GOOD = {
    "identify": {"type": "identify", "userId": "u"},
    "track": {"type": "track", "userId": "u", "event": "E"},
    "page": {"type": "page", "anonymousId": "a"},
    "screen": {"type": "screen", "anonymousId": "a", "name": "Home"},
    "group": {"type": "group", "userId": "u", "groupId": "g"},
    "alias": {"type": "alias", "userId": "u", "previousId": "p"},
}


@pytest.mark.parametrize("kind", CALL_TYPES)
def test_the_smallest_event_of_each_call_is_accepted(kind: str) -> None:
    (record,) = take(GOOD[kind]).records
    assert record.type == kind
    assert Event(record.body).type == kind


BROKEN = [
    ("no_user_anon_id", {"type": "track", "event": "E"}),
    ("no_user_anon_id", {"type": "track", "event": "E", "userId": None, "anonymousId": None}),
    ("id_not_string", track(userId=7)),
    ("id_not_string", track(userId="")),
    ("id_not_string", track(userId={"a": 1})),
    ("id_not_string", track(anonymousId=7)),
    ("id_not_string", track(anonymousId="")),
    ("event_not_defined", track(event=None)),
    ("event_not_defined", track(event="")),
    ("event_not_defined", track(event=" \t ")),
    ("event_not_string", track(event=5)),
    ("event_not_string", {**GOOD["page"], "event": 5}),
    ("properties_not_object", track(properties=[1])),
    ("properties_not_object", track(properties="x")),
    ("properties_not_object", {**GOOD["page"], "properties": 1}),
    ("properties_not_object", {**GOOD["screen"], "properties": 1}),
    ("traits_not_object", {**GOOD["identify"], "traits": "x"}),
    ("traits_not_object", {**GOOD["group"], "traits": []}),
    ("name_not_string", {**GOOD["page"], "name": ""}),
    ("name_not_string", {**GOOD["screen"], "name": 5}),
    ("category_not_string", {**GOOD["page"], "category": ""}),
    ("category_not_string", {**GOOD["screen"], "category": {}}),
    ("event_not_object", "x"),
    ("event_not_object", None),
    ("event_not_object", [track()]),
    ("type_unknown", {"userId": "u"}),
    ("type_unknown", {"userId": "u", "type": "delete"}),
    ("type_unknown", {"userId": "u", "type": "Track"}),
    ("type_unknown", {"userId": "u", "type": 5}),
    ("type_unknown", {"userId": "u", "type": None}),
    ("group_id_required", {"type": "group", "userId": "u"}),
    ("group_id_required", {"type": "group", "userId": "u", "groupId": ""}),
    ("group_id_required", {"type": "group", "userId": "u", "groupId": 5}),
    ("previous_id_required", {"type": "alias", "userId": "u"}),
    ("previous_id_required", {"type": "alias", "userId": "u", "previousId": 5}),
    ("user_id_required", {"type": "alias", "previousId": "p"}),
    ("user_id_required", {"type": "alias", "previousId": "p", "anonymousId": "a"}),
    ("message_id_invalid", track(messageId=5)),
    ("message_id_invalid", track(messageId="é" * 101)),
    ("context_not_object", track(context="x")),
    ("context_not_object", track(context=[])),
    ("integrations_not_object", track(integrations=[])),
    ("event_too_large", track(properties={"a": "x" * 33_000})),
]

CONSENT = "Segment Consent Preference Updated"
CONSENTS = [
    ("consent_categorypreferences_should_exist", None),
    ("consent_categorypreferences_should_exist", {}),
    ("consent_categorypreferences_should_exist", {"consent": None}),
    ("consent_categorypreferences_should_exist", {"consent": {}}),
    ("consent_categorypreferences_should_exist", {"consent": "all"}),
    ("consent_categorypreferences_should_exist", {"consent": {"categoryPreferences": None}}),
    ("consent_categorypreferences_fields_should_be_object", {"consent": {"categoryPreferences": ["Ads"]}}),
    ("consent_categorypreferences_fields_should_be_object", {"consent": {"categoryPreferences": True}}),
    ("consent_categorypreferences_fields_should_be_bool", {"consent": {"categoryPreferences": {"Ads": "true"}}}),
    ("consent_categorypreferences_fields_should_be_bool", {"consent": {"categoryPreferences": {"A": True, "B": 1}}}),
    ("consent_categorypreferences_fields_should_be_bool", {"consent": {"categoryPreferences": {"Ads": None}}}),
    ("device_advertisingid_should_be_string", {"consent": {"categoryPreferences": {}}, "device": {"advertisingId": 7}}),
    ("consent_version_should_be_number", {"consent": {"categoryPreferences": {}, "version": "2"}}),
    ("consent_version_should_be_number", {"consent": {"categoryPreferences": {}, "version": True}}),
]
GOOD_CONSENTS: list[dict[str, Any]] = [
    {"consent": {"categoryPreferences": {}}},
    {"consent": {"categoryPreferences": {"Ads": True, "Analytics": False}, "version": 2}, "device": {"model": "x"}},
    {"consent": {"categoryPreferences": {"Ads": False}, "version": -1.5e3}, "device": {"advertisingId": "7A3CBEA0"}},
    {"consent": {"categoryPreferences": {"Ads": True}, "version": None}, "device": {"advertisingId": None}},
    {"consent": {"categoryPreferences": {"Ads": True}}, "device": None},
]
BROKEN += [(code, track(event=CONSENT, context=context)) for code, context in CONSENTS]


@pytest.mark.parametrize("context", GOOD_CONSENTS)
def test_a_change_of_consent_with_true_and_false_is_accepted_as_sent(context: Any) -> None:
    assert taken(track(event=CONSENT, context=context))["context"] == context


@pytest.mark.parametrize(("code", "context"), CONSENTS)
def test_only_the_track_call_that_changes_consent_must_hold_it(code: str, context: Any) -> None:
    assert reason(track(context=context)) == ""
    assert reason(track(event=CONSENT.lower(), context=context)) == ""
    assert reason({**GOOD["page"], "event": CONSENT, "context": context}) == ""


def test_a_change_of_consent_may_stand_in_the_context_of_the_batch_and_the_item_wins() -> None:
    head = {"context": {"consent": {"categoryPreferences": {"Ads": True}}}}
    assert taken(track(event=CONSENT), **head)["context"] == head["context"]
    for consent in ({}, None):
        (drop,) = take(track(event=CONSENT, context={"consent": consent}), **head).drops
        assert drop.code == "consent_categorypreferences_should_exist"


def reason_by_types(context: dict[str, Any]) -> str:
    """The reason code of a change of consent, from the decoded context."""
    consent = context["consent"] if isinstance(context.get("consent"), dict) else {}
    device = context["device"] if isinstance(context.get("device"), dict) else {}
    preferences = consent.get("categoryPreferences")
    if preferences is None:
        return "consent_categorypreferences_should_exist"
    if not isinstance(preferences, dict):
        return "consent_categorypreferences_fields_should_be_object"
    if not all(isinstance(value, bool) for value in preferences.values()):
        return "consent_categorypreferences_fields_should_be_bool"
    if not isinstance(device.get("advertisingId"), str | None):
        return "device_advertisingid_should_be_string"
    version = consent.get("version")
    return "" if not isinstance(version, bool | str | list | dict) else "consent_version_should_be_number"


BOOLS = st.dictionaries(st.text(max_size=3), st.booleans(), max_size=3)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "consent": JSON
            | st.fixed_dictionaries({"categoryPreferences": BOOLS}, optional={"version": JSON})
            | st.fixed_dictionaries({}, optional={"categoryPreferences": JSON, "version": JSON}),
            "device": JSON | st.fixed_dictionaries({"advertisingId": JSON}),
        },
    )
)
def test_any_change_of_consent_is_judged_by_the_types_of_what_it_holds(context: dict[str, Any]) -> None:
    assert reason(track(event=CONSENT, context=context)) == reason_by_types(context)


def test_a_change_of_consent_is_first_of_all_a_track_call() -> None:
    assert reason(track(event=CONSENT, userId=5)) == "id_not_string"
    assert reason(track(event=CONSENT, context=5)) == "context_not_object"


@pytest.mark.parametrize(("code", "event"), BROKEN)
def test_a_broken_event_is_dropped_with_its_reason(code: str, event: Any) -> None:
    assert reason(event) == code


def test_an_empty_batch_is_one_drop() -> None:
    assert [drop.code for drop in take().drops] == ["empty_batch"]


def test_an_event_nested_deeper_than_200_levels_is_dropped_and_the_rest_goes_on() -> None:
    deep: Any = 1
    for _ in range(250):
        deep = [deep]
    intake = take(track(), track(properties={"a": deep}), track())
    assert [drop.code for drop in intake.drops] == ["nested_too_deep"]
    assert intake.places == [1]
    assert len(intake.records) == 2


def test_every_reason_of_ingest_has_its_test() -> None:
    elsewhere = {"empty_batch", "nested_too_deep", "unknown_source", "source_disabled"}
    assert {code for code, _ in BROKEN} | elsewhere == set(INGEST)


@pytest.mark.parametrize("field", ["properties", "context", "integrations", "messageId", "anonymousId", "timestamp"])
def test_null_is_like_absent(field: str) -> None:
    assert reason(track(**{field: None})) == ""


@pytest.mark.parametrize("event", [track(name=5, category=5, groupId=5, previousId=5, traits=5), track(version=1)])
def test_a_field_that_the_call_does_not_use_is_not_checked(event: Any) -> None:
    assert reason(event) == ""


def test_a_type_may_be_written_with_escapes() -> None:
    assert len(take_bytes(rb'{"batch":[{"typ\u0065":"tr\u0061ck","userId":"u","event":"E"}]}').records) == 1


def test_a_drop_keeps_the_bytes_and_the_message_id() -> None:
    (drop,) = take_bytes(b'{"batch":[{"messageId" : "m\\u0031","type":"x"}]}').drops
    assert drop == ("website", "type_unknown", NOW, "m1", b'{"messageId" : "m\\u0031","type":"x"}')


def test_the_path_wins_over_the_type() -> None:
    assert taken(GOOD["identify"] | {"type": "track"}, call="identify")["type"] == "identify"


def test_the_record_has_the_user_key_and_message_id() -> None:
    (first, second) = take(track(messageId="m-ü", anonymousId="a"), {**GOOD["page"], "messageId": "n"}).records
    assert (first.source, first.user_key, first.message_id, first.received_at) == ("website", "u1", "m-ü", NOW)
    assert (second.user_key, second.message_id) == ("a", "n")


@pytest.mark.parametrize("given_id", [None, "", ...])
def test_a_missing_message_id_is_assigned(given_id: Any) -> None:
    event = track() if given_id is ... else track(messageId=given_id)
    (record,) = take(event).records
    assert json.loads(record.body)["messageId"] == record.message_id
    assert record.message_id.startswith("segue-")


def test_the_write_key_is_removed_and_received_at_is_the_servers() -> None:
    event = taken(track(writeKey="wk", receivedAt="1999-01-01T00:00:00Z"))
    assert "writeKey" not in event
    assert event["receivedAt"] == NOW_ISO


TIMES = [
    # timestamp, sentAt, corrected
    ("2026-09-21T14:00:00.000Z", "2026-09-21T14:00:10.000Z", "2026-09-21T14:13:10.000Z"),
    ("2026-09-21T16:00:00.000+02:00", "2026-09-21T14:00:10Z", "2026-09-21T14:13:10.000Z"),
    ("2026-09-21T14:00:00.123456789Z", None, "2026-09-21T14:00:00.123Z"),
    ("2026-09-21T14:00:00", None, "2026-09-21T14:00:00.000Z"),
    ("2026-09-21", None, "2026-09-21T00:00:00.000Z"),
    ("2026-09-21T16:00:00+0200", None, "2026-09-21T14:00:00.000Z"),
    ("yesterday", None, NOW_ISO),
    ("yesterday", "2026-09-21T14:00:10Z", NOW_ISO),
    (1_790_000_000, None, NOW_ISO),
    ("", None, NOW_ISO),
    ("0001-01-01T00:00:00+02:00", None, NOW_ISO),
    ("0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z", NOW_ISO),
    ("2026-09-21T14:00:00Z", "soon", "2026-09-21T14:00:00.000Z"),
    ("2026-09-21T14:00:00Z", 5, "2026-09-21T14:00:00.000Z"),
]


@pytest.mark.parametrize(("timestamp", "sent_at", "corrected"), TIMES)
def test_the_timestamp_is_corrected_by_the_clock_of_the_device(timestamp: Any, sent_at: Any, corrected: str) -> None:
    event = taken(track(timestamp=timestamp, sentAt=sent_at))
    assert (event["originalTimestamp"], event["timestamp"]) == (timestamp, corrected)


def test_sent_at_of_the_batch_counts_where_the_item_has_none() -> None:
    head = {"sentAt": "2026-09-21T14:00:10Z"}
    event = taken(track(timestamp="2026-09-21T14:00:00Z"), **head)
    assert (event["timestamp"], event["sentAt"]) == ("2026-09-21T14:13:10.000Z", "2026-09-21T14:00:10Z")
    event = taken(track(timestamp="2026-09-21T14:00:00Z", sentAt="2026-09-21T14:00:01Z"), **head)
    assert (event["timestamp"], event["sentAt"]) == ("2026-09-21T14:13:19.000Z", "2026-09-21T14:00:01Z")


def test_without_a_timestamp_the_server_says_the_time() -> None:
    event = taken(track(sentAt="2026-09-21T14:00:10Z"))
    assert (event["timestamp"], event["originalTimestamp"]) == (NOW_ISO, NOW_ISO)


def test_an_original_timestamp_counts_only_where_no_timestamp_is_given() -> None:
    original = "2026-09-20T10:00:00Z"
    assert taken(track(originalTimestamp=original))["timestamp"] == "2026-09-20T10:00:00.000Z"
    event = taken(track(originalTimestamp=original, timestamp="2026-09-21T10:00:00Z"))
    assert event["originalTimestamp"] == "2026-09-21T10:00:00Z"


def test_context_and_integrations_of_the_batch_are_merged_and_the_item_wins() -> None:
    head = {"context": {"a": 1, "b": {"x": 1}}, "integrations": {"All": True, "Planhat": False}}
    event = taken(track(context={"b": {"y": 2}, "c": 3}, integrations={"All": False}), **head)
    assert event["context"] == {"b": {"y": 2}, "c": 3, "a": 1}
    assert event["integrations"] == {"All": False, "Planhat": False}
    event = taken(track(integrations=None), **head)
    assert event["context"] == head["context"]
    assert event["integrations"] == head["integrations"]


def test_what_the_batch_adds_counts_to_the_size_of_an_event() -> None:
    intake = take(track(), track(properties={"a": "x" * 2000}), context={"a": "x" * 31_000})
    assert [drop.code for drop in intake.drops] == ["event_too_large"]


@pytest.mark.parametrize(
    "name",
    ["analytics.js", "analytics-ios", "analytics-android", "analytics-react-native", "analytics-kotlin",
     "analytics-swift", "@segment/analytics-react-native"],
)  # fmt: skip
def test_a_library_on_a_device_gets_the_address_of_the_client(name: str) -> None:
    event = taken(track(context={"library": {"name": name}, "x": 1}), ip="203.0.113.9")
    assert event["context"] == {"library": {"name": name}, "x": 1, "ip": "203.0.113.9"}


def test_direct_asks_for_the_address() -> None:
    assert taken(track(context={"direct": True}), ip="203.0.113.9")["context"]["ip"] == "203.0.113.9"
    assert taken(track(), ip="203.0.113.9", context={"direct": True})["context"]["ip"] == "203.0.113.9"


@pytest.mark.parametrize(
    "context",
    [
        {"library": {"name": "analytics-python"}},
        {"library": {"name": 5}},
        {"library": "analytics.js"},
        {"direct": "true"},
        {"direct": True, "ip": "198.51.100.1"},
        {"direct": True, "ip": None},
        {},
        None,
    ],
)
def test_no_address_is_added_to_a_servers_event_or_over_a_given_one(context: Any) -> None:
    assert taken(track(context=context), ip="203.0.113.9")["context"] == context


def test_a_wrong_member_of_the_context_does_not_hide_the_others() -> None:
    event = taken(track(context={"library": 5, "direct": True, "locale": "de"}), ip="203.0.113.9")
    assert event["context"]["ip"] == "203.0.113.9"


STAMPED = {"type", "messageId", "timestamp", "originalTimestamp", "receivedAt", "sentAt", "writeKey"}
RESERVED = STAMPED | {"userId", "anonymousId", "context", "integrations", "event", "properties", "traits"}


@given(
    st.dictionaries(st.text(max_size=8).filter(lambda key: key not in RESERVED), JSON, max_size=5),
    st.dictionaries(st.text(max_size=8), JSON, max_size=4),
)
def test_what_is_not_stamped_keeps_its_bytes_and_its_place(extra: dict[str, Any], properties: dict[str, Any]) -> None:
    sent = {"zeta": 1, **extra, **track(properties=properties, messageId="m")}
    try:
        body = json.dumps({"batch": [sent]}, ensure_ascii=False, separators=(", ", " : ")).encode()
    except UnicodeEncodeError:
        return
    (item,) = open_batch(body).batch or []
    (record,) = take_bytes(body).records
    before, after = exact(bytes(item)), exact(record.body)
    assert {key: after[key] for key in before if key not in STAMPED} == {
        key: value for key, value in before.items() if key not in STAMPED
    }
    assert [key for key in after if key in before] == list(before)


def exact(body: bytes) -> dict[str, bytes]:
    import msgspec

    return {key: bytes(value) for key, value in msgspec.json.decode(body, type=dict[str, Raw]).items()}


@given(st.lists(JSON | st.fixed_dictionaries({"type": st.sampled_from(CALL_TYPES)}, optional=dict.fromkeys(
    ["userId", "anonymousId", "event", "name", "groupId", "previousId", "context", "properties", "traits", "timestamp",
     "sentAt", "messageId", "integrations"], JSON)), max_size=6))  # fmt: skip
def test_every_event_is_one_record_or_one_drop_and_every_record_can_be_read(events: list[Any]) -> None:
    try:
        body = json.dumps({"batch": events}, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        body = json.dumps({"batch": events}).encode()
    intake = take_bytes(body, ip="203.0.113.9")
    assert len(intake.records) + len(intake.drops) == max(1, len(events))
    for record in intake.records:
        event = Event(record.body)
        assert event.order_keys and event.message_id == record.message_id
        assert isinstance(event.context, dict) and isinstance(event.traits, dict)
    assert all(drop.code in INGEST for drop in intake.drops)
