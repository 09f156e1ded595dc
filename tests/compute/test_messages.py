"""The messages of a value: exactly the bodies of the contract, and ids that nothing else has."""

from __future__ import annotations

import json
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from segue.compute.messages import Subject, message_id, messages
from segue.compute.tuples import IdentityTuple
from segue.core.event import Event
from segue.core.profile import ExternalId
from tests.compute.histories import T0

AUDIENCE = Subject(
    space=1,
    computation=1,
    generation=1,
    kind="audience",
    key="order_completed_last_30days",
    connection=1,
    catalog_name="Planhat",
)
TRAIT = replace(AUDIENCE, kind="trait", key="lifetime_revenue")
U1 = IdentityTuple("u1", "a@x.io")


def said(subject: Subject, each: IdentityTuple = U1, value: str = "true", **more):
    """The messages and their bodies, decoded."""
    given_ = {"profile": 7, "segment_id": "use_7", "version": 1, "at_ms": T0} | more
    found = messages(subject, each, value, **given_)
    return found, [json.loads(message.body) for message in found]


def personas(class_: str, id_: str, key: str) -> dict[str, str]:
    return {
        "computation_class": class_,
        "computation_id": id_,
        "computation_key": key,
        "namespace": "spa_1",
        "space_id": "spa_1",
    }


def test_an_identify_call_says_that_a_user_is_in_an_audience():
    (message,), (body,) = said(AUDIENCE)
    assert body == {
        "type": "identify",
        "messageId": message.message_id,
        "userId": "u1",
        "timestamp": "2026-03-10T12:00:00.000Z",
        "originalTimestamp": "2026-03-10T12:00:00.000Z",
        "traits": {"order_completed_last_30days": True, "email": "a@x.io"},
        "context": {"personas": personas("audience", "aud_1", "order_completed_last_30days")},
        "integrations": {"All": False, "Planhat": True},
    }
    assert (message.type, message.user_key, message.timestamp_ms) == ("identify", "u1", T0)
    assert message.message_id.startswith("personas_") and len(message.message_id) == 49


def test_a_track_call_names_what_happened():
    subject = replace(AUDIENCE, identify=False, track=True, catalog_name="Plotline")
    (message,), (body,) = said(subject, value="false")
    assert body == {
        "type": "track",
        "event": "Audience Exited",
        "messageId": message.message_id,
        "userId": "u1",
        "timestamp": "2026-03-10T12:00:00.000Z",
        "originalTimestamp": "2026-03-10T12:00:00.000Z",
        "properties": {"audience_key": "order_completed_last_30days", "order_completed_last_30days": False},
        "context": {
            "traits": {"email": "a@x.io"},
            "personas": personas("audience", "aud_1", "order_completed_last_30days"),
        },
        "integrations": {"All": False, "Plotline": True},
    }
    _, (entered,) = said(subject)
    assert entered["event"] == "Audience Entered"
    assert entered["properties"]["order_completed_last_30days"] is True


def test_a_computed_trait_is_said_with_its_value():
    _, (identify, track) = said(replace(TRAIT, track=True), value="450.5")
    assert identify["traits"] == {"lifetime_revenue": 450.5, "email": "a@x.io"}
    assert identify["context"] == {"personas": personas("trait", "tra_1", "lifetime_revenue")}
    assert track["event"] == "Trait Computed"
    assert track["properties"] == {"trait_key": "lifetime_revenue", "lifetime_revenue": 450.5}


def test_a_trait_of_false_is_computed_too():
    _, (body,) = said(replace(TRAIT, identify=False, track=True), value="false")
    assert body["event"] == "Trait Computed"


def test_no_value_is_said_as_null():
    _, (identify, track) = said(replace(TRAIT, track=True), value="null")
    assert identify["traits"]["lifetime_revenue"] is None
    assert track["properties"]["lifetime_revenue"] is None


def test_a_long_number_keeps_its_digits():
    (message,), _ = said(TRAIT, value="12345678901234567890123456789012345678")
    assert b'"lifetime_revenue":12345678901234567890123456789012345678,' in message.body


def test_nothing_is_said_where_both_kinds_of_call_are_off():
    assert said(replace(AUDIENCE, identify=False)) == ((), [])


def test_who_has_an_email_alone_is_called_by_it_and_kept_in_order_by_the_profile():
    (message,), (body,) = said(AUDIENCE, IdentityTuple(email="a@x.io"))
    assert "userId" not in body and "anonymousId" not in body
    assert body["traits"]["email"] == "a@x.io"
    assert message.user_key == "use_7"
    assert Event(message.body).order_keys == ()


def test_an_anonymous_id_is_named_and_is_the_key_where_there_is_no_user_id():
    (message,), (body,) = said(AUDIENCE, IdentityTuple(anonymous_id="1"))
    assert body["anonymousId"] == "1"
    assert message.user_key == "1"
    (message,), (body,) = said(AUDIENCE, IdentityTuple("u1", None, "1"))
    assert (body["userId"], body["anonymousId"], message.user_key) == ("u1", "1", "u1")


def test_a_device_stands_where_identity_resolution_looks_for_it():
    _, (body,) = said(AUDIENCE, IdentityTuple(idfa=ExternalId("ios.idfa", "I")))
    assert body["context"]["device"] == {"type": "ios", "advertisingId": "I"}
    assert "email" not in body["traits"]


def test_saying_it_again_makes_the_same_message():
    subject = replace(AUDIENCE, track=True)
    assert said(subject) == said(subject)


numbers = st.integers(0, 12)
SAID = st.tuples(
    st.builds(
        Subject,
        space=numbers,
        computation=numbers,
        generation=numbers,
        kind=st.just("audience"),
        key=st.just("k"),
        connection=numbers,
        catalog_name=st.just("Planhat"),
        sync_run=numbers,
    ),
    st.builds(IdentityTuple, st.sampled_from(["u", "u1", "1"]), st.sampled_from([None, "1"]), st.just(None)),
    st.sampled_from(["identify", "track"]),
    numbers,
    numbers,
)


@given(st.lists(SAID, min_size=2, max_size=20, unique=True))
def test_two_changes_never_share_an_id(many):
    made = [message_id(subject, each, call, profile=p, version=v) for subject, each, call, p, v in many]
    assert all(one != other for one, other in combinations(made, 2))
