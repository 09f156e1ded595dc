"""What `segue.route.decide` must hold, by example and against a slow oracle."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.destination import Destination, Request, Response
from segue.core.event import CALL_TYPES, Event
from segue.core.reasons import FILTERED
from segue.route import decide as module
from segue.route.decide import DISABLED, EXCLUDED, SEND, SENT_CLIENT_SIDE, UNSUPPORTED, Filtered, Send, decide

USER_COM_NAMES = ("UserEngage", "“User.com”", "User.com")


class NoSettings(msgspec.Struct):
    """A kind that asks for nothing."""


def no_requests(_settings: Any, _event: Event) -> Generator[Request, Response, None]:
    """A flow that has nothing to send."""
    yield from ()


def kind(name: str, *previous_names: str, methods: frozenset[str] = frozenset(CALL_TYPES)) -> Destination:
    return Destination(
        name=name,
        slug="kind",
        id="0",
        settings=NoSettings,
        send=no_requests,
        methods=methods,
        description="",
        previous_names=previous_names,
    )


PLANHAT = kind("Planhat", methods=frozenset({"identify", "track", "page", "group", "alias"}))
USER_COM = kind("User.com", *USER_COM_NAMES)


def decided(destination: Destination, *, enabled: bool = True, **members: object) -> Send | Filtered:
    event = {"type": "track", "messageId": "m", "userId": "u", "event": "Signed Up", **members}
    return decide(Event(json.dumps(event).encode()), destination, enabled=enabled, catalog_names=destination.names)


def test_an_event_that_names_nothing_is_sent() -> None:
    assert decided(PLANHAT) is SEND
    assert decided(PLANHAT, integrations={}) is SEND
    assert decided(PLANHAT, integrations=None, _metadata=None) is SEND


def test_a_disabled_destination_gets_nothing() -> None:
    assert decided(PLANHAT, enabled=False) is DISABLED


def test_all_false_excludes_a_destination_that_is_not_named() -> None:
    assert decided(PLANHAT, integrations={"All": False}) is EXCLUDED
    assert decided(PLANHAT, integrations={"All": False, "Plotline": True}) is EXCLUDED


def test_all_false_does_not_exclude_a_destination_named_true() -> None:
    assert decided(PLANHAT, integrations={"All": False, "Planhat": True}) is SEND


def test_all_true_does_not_include_a_destination_named_false() -> None:
    assert decided(PLANHAT, integrations={"All": True, "Planhat": False}) is EXCLUDED
    assert decided(PLANHAT, integrations={"Planhat": False}) is EXCLUDED


def test_names_are_case_sensitive() -> None:
    assert decided(PLANHAT, integrations={"All": False, "planhat": True}) is EXCLUDED
    assert decided(PLANHAT, integrations={"planhat": False}) is SEND
    assert decided(PLANHAT, integrations={"all": False}) is SEND


def test_an_object_of_options_counts_as_true() -> None:
    assert decided(PLANHAT, integrations={"All": False, "Planhat": {}}) is SEND
    assert decided(PLANHAT, integrations={"All": False, "Planhat": {"companyId": "c"}}) is SEND
    assert decided(PLANHAT, integrations={"All": {"anything": 1}}) is SEND


@pytest.mark.parametrize("value", [None, 0, 1, "false", "true", [], [True], 1.5])
def test_a_value_that_is_neither_boolean_nor_object_is_as_if_it_were_not_there(value: object) -> None:
    assert decided(PLANHAT, integrations={"Planhat": value}) is SEND
    assert decided(PLANHAT, integrations={"All": False, "Planhat": value}) is EXCLUDED
    assert decided(PLANHAT, integrations={"All": value}) is SEND


def test_warehouses_and_unknown_names_do_not_matter() -> None:
    assert decided(PLANHAT, integrations={"Warehouses": {"all": False}, "Nobody": False}) is SEND
    assert decided(PLANHAT, integrations={"All": False, "Warehouses": {"all": True}, "Nobody": True}) is EXCLUDED


@pytest.mark.parametrize("name", USER_COM_NAMES)
def test_uc_t22_each_name_of_user_com_lets_the_event_through(name: str) -> None:
    assert decided(USER_COM, integrations={"All": False, name: True}) is SEND
    assert decided(USER_COM, integrations={"All": True, name: False}) is EXCLUDED


@pytest.mark.parametrize("name", ["user.com", "userengage", '"User.com"', "“user.com”", "User.com ", "Usercom"])
def test_uc_t22_a_name_in_the_wrong_case_or_quotes_does_not(name: str) -> None:
    assert decided(USER_COM, integrations={"All": False, name: True}) is EXCLUDED
    assert decided(USER_COM, integrations={name: False}) is SEND


def test_a_curly_quoted_name_counts_escaped_and_as_it_is() -> None:
    body = '{"type":"track","messageId":"m","integrations":{"All":false,"“User.com”":true}}'.encode()
    assert decide(Event(body), USER_COM, enabled=True, catalog_names=USER_COM.names) is SEND


def test_of_names_that_disagree_one_false_excludes() -> None:
    assert decided(USER_COM, integrations={"UserEngage": True, "User.com": False}) is EXCLUDED
    assert decided(USER_COM, integrations={"UserEngage": False, "User.com": True}) is EXCLUDED
    assert decided(USER_COM, integrations={"All": False, "UserEngage": None, "User.com": True}) is SEND


def test_what_the_browser_has_served_is_not_sent_again() -> None:
    assert decided(PLANHAT, _metadata={"bundled": ["Segment.io", "Planhat"]}) is SENT_CLIENT_SIDE
    assert decided(USER_COM, _metadata={"bundled": ["UserEngage"]}) is SENT_CLIENT_SIDE


def test_names_bundled_for_others_and_unbundled_ones_do_not_matter() -> None:
    assert decided(PLANHAT, _metadata={"bundled": ["Segment.io", "planhat"], "unbundled": ["Planhat"]}) is SEND
    assert decided(PLANHAT, _metadata={"unbundled": ["Planhat"], "bundledIds": []}) is SEND


@pytest.mark.parametrize("bundled", [None, True, "Planhat", {"Planhat": True}, 1, []])
def test_a_bundled_that_is_no_list_of_names_serves_nobody(bundled: object) -> None:
    assert decided(PLANHAT, _metadata={"bundled": bundled}) is SEND


@pytest.mark.parametrize("metadata", [[], "Planhat", 7, True, ["Planhat"]])
def test_a_metadata_that_is_no_object_serves_nobody(metadata: object) -> None:
    assert decided(PLANHAT, _metadata=metadata) is SEND


def test_a_name_among_odd_items_of_bundled_still_counts() -> None:
    assert decided(PLANHAT, _metadata={"bundled": [None, 1, ["x"], "Planhat"]}) is SENT_CLIENT_SIDE


def test_a_call_type_that_the_destination_does_not_take_is_filtered() -> None:
    assert decided(PLANHAT, type="screen") is UNSUPPORTED
    assert decided(PLANHAT, type="page") is SEND


def test_the_first_check_in_order_names_the_reason() -> None:
    everything = {
        "type": "screen",
        "integrations": {"All": False},
        "_metadata": {"bundled": ["Planhat"]},
    }
    assert decided(PLANHAT, enabled=False, **everything) is DISABLED
    assert decided(PLANHAT, **everything) is EXCLUDED
    assert decided(PLANHAT, **{**everything, "integrations": {}}) is SENT_CLIENT_SIDE
    assert decided(PLANHAT, type="screen") is UNSUPPORTED


def test_each_code_is_in_the_table_of_reasons() -> None:
    codes = {value.code for value in vars(module).values() if isinstance(value, Filtered)}
    assert len(codes) == 4
    assert codes <= set(FILTERED)


VALUES = st.one_of(
    st.booleans(),
    st.just({}),
    st.none(),
    st.integers(-2, 2),
    st.sampled_from(["true", "false", ""]),
    st.just({"a": {"b": [False]}}),
    st.lists(st.booleans(), max_size=2),
)
KEYS = st.sampled_from(["All", "all", *USER_COM_NAMES, "user.com", "Planhat", "planhat", "Warehouses", "Nobody"])
INTEGRATIONS = st.one_of(VALUES, st.dictionaries(KEYS, VALUES, max_size=5))
BUNDLED = st.one_of(VALUES, st.lists(st.one_of(KEYS, VALUES), max_size=4))
METADATA = st.one_of(VALUES, st.fixed_dictionaries({}, optional={"bundled": BUNDLED, "unbundled": BUNDLED}))


def oracle(event: dict[str, Any], destination: Destination, *, enabled: bool) -> str | None:
    """The rule once more, written for reading: the reason code, or None for an event that is sent."""
    if not enabled:
        return "DESTINATION_DISABLED"
    names = [destination.name, *destination.previous_names]
    integrations = event.get("integrations")
    wanted = None
    if isinstance(integrations, dict):
        said = [integrations[name] for name in names if isinstance(integrations.get(name), bool | dict)]
        if not said and isinstance(integrations.get("All"), bool | dict):
            said = [integrations["All"]]
        wanted = all(value is not False for value in said)
    if wanted is False:
        return "FILTERED_BY_INTEGRATIONS_OBJECT"
    metadata = event.get("_metadata")
    bundled = metadata.get("bundled") if isinstance(metadata, dict) else None
    if isinstance(bundled, list) and any(isinstance(name, str) and name in names for name in bundled):
        return "MESSAGE_SENT_CLIENT_SIDE"
    return None if event["type"] in destination.methods else "UNSUPPORTED_EVENT_TYPE"


@given(
    destination=st.sampled_from([PLANHAT, USER_COM]),
    enabled=st.booleans(),
    call=st.sampled_from(CALL_TYPES),
    members=st.fixed_dictionaries({}, optional={"integrations": INTEGRATIONS, "_metadata": METADATA}),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 1]),
)
def test_the_decision_is_that_of_the_oracle(
    destination: Destination,
    enabled: bool,
    call: str,
    members: dict[str, Any],
    ascii_only: bool,
    indent: int | None,
) -> None:
    event = {"type": call, "messageId": "m", **members}
    body = json.dumps(event, ensure_ascii=ascii_only, indent=indent).encode()
    decision = decide(Event(body), destination, enabled=enabled, catalog_names=destination.names)
    code = decision.code if isinstance(decision, Filtered) else None
    assert code == oracle(event, destination, enabled=enabled)
