"""The Engage lines of each vendor, on the destination's side: what an audience or a computed trait becomes there.

Each vendor's line (PL-12, PT-16, PH-14, UC-27, AS-15) stands for the same common ones: EN-1 (a user property), EN-2 (an
identify for each user who comes or goes), EN-3 and EN-4 (the key, true or false). When such calls are made, EN-5 to
EN-7, is for whoever computes them to say.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from segue.core.event import Event
from segue.destinations import catalog
from segue.route.decide import SEND, decide
from tests.sandbox.conftest import Client, deliver

KEY = "order_completed_last_30days"
"""EN-4's own example: what `Order completed last 30days` is called."""

State = dict[str, list[dict[str, Any]]]


class Vendor(NamedTuple):
    """Where a vendor keeps the properties of a user, and what it makes of a value."""

    line: str
    slug: str
    properties: Callable[[State], list[dict[str, Any]]]
    """Those of the one user: once where the vendor keeps the newest, once for each call where it keeps events."""
    text: bool = False
    """A value that was never defined there is kept as a text."""
    number_is_text: bool = False


VENDORS = [
    Vendor("PL-12", "plotline", lambda state: [row["attributes"] for row in state["users"]]),
    Vendor(
        "PT-16", "pointillist", lambda state: [row["labels"] | row["numbers"] for row in state["events"]], text=True
    ),
    Vendor("PH-14", "planhat", lambda state: [row["custom"] for row in state["contacts"]]),
    Vendor("UC-27", "user-com", lambda state: state["users"], text=True, number_is_text=True),
    Vendor("AS-15", "astrolabe", lambda state: [row["properties"] for row in state["users"]]),
]
EVERY = pytest.mark.parametrize("vendor", [pytest.param(vendor, id=vendor.line) for vendor in VENDORS])

_numbers = itertools.count(1)


def computed(vendor: Vendor, key: str, value: Any, computation: str) -> dict[str, Any]:
    """The identify call that Engage makes of a computation's value, for this vendor alone."""
    personas = {
        "computation_class": computation,
        "computation_id": "aud_1" if computation == "audience" else "tra_1",
        "computation_key": key,
        "namespace": "spa_1",
        "space_id": "spa_1",
    }
    return {
        "type": "identify",
        "userId": "u1",
        "messageId": f"personas_{next(_numbers)}",
        "traits": {"email": "ada@initech.com", key: value},
        "context": {"personas": personas},
        "integrations": {"All": False, catalog()[vendor.slug].name: True},
    }


def as_event(event: dict[str, Any]) -> Event:
    return Event(json.dumps(event).encode())


def sent(client: Client, vendor: Vendor, key: str, value: Any, computation: str) -> None:
    """Through the route and the mapping into the sandbox, which must take it."""
    kind, event = catalog()[vendor.slug], computed(vendor, key, value, computation)
    assert decide(as_event(event), kind, enabled=True, catalog_names=kind.names) is SEND
    assert 200 <= deliver(client, kind, event).status < 300


def kept(vendor: Vendor, value: Any) -> Any:
    """What the vendor is to keep of a value."""
    if isinstance(value, bool):
        return str(value).lower() if vendor.text else value
    return str(value) if vendor.number_is_text else value


@EVERY
def test_en_1_to_en_4_an_audience_is_a_user_property_true_after_entering_and_false_after_leaving(
    client: Client, vendor: Vendor
) -> None:
    for inside in (True, False, True):
        sent(client, vendor, KEY, inside, "audience")
        found = vendor.properties(client.state(vendor.slug))[-1]
        assert (found[KEY], type(found[KEY])) == (kept(vendor, inside), type(kept(vendor, inside)))


@EVERY
def test_en_1_each_user_is_one_profile_however_often_they_come_and_go(client: Client, vendor: Vendor) -> None:
    for inside in (True, False):
        sent(client, vendor, KEY, inside, "audience")
    found = vendor.properties(client.state(vendor.slug))
    if vendor.slug == "pointillist":  # it logs events: the calls belong to one actor
        assert {row["actor"] for row in client.state(vendor.slug)["events"]} == {"u1"} and len(found) == 2
    else:
        assert len(found) == 1


@EVERY
@pytest.mark.parametrize("value", [42, 12.5, "gold", 0])
def test_en_1_a_computed_trait_is_a_user_property_with_its_newest_value(
    client: Client, vendor: Vendor, value: Any
) -> None:
    for newest in (7, value):
        sent(client, vendor, "lifetime_value", newest, "trait")
    assert vendor.properties(client.state(vendor.slug))[-1]["lifetime_value"] == kept(vendor, value)


@EVERY
def test_en_1_a_property_of_one_computation_leaves_those_of_others(client: Client, vendor: Vendor) -> None:
    sent(client, vendor, "vip_eu", True, "audience")
    sent(client, vendor, "logins", 3, "trait")
    sent(client, vendor, "vip_eu", False, "audience")
    found: dict[str, Any] = {}
    for properties in vendor.properties(client.state(vendor.slug)):
        found |= properties
    assert (found["vip_eu"], found["logins"]) == (kept(vendor, False), kept(vendor, 3))


@EVERY
def test_what_engage_says_of_the_computation_is_no_property(client: Client, vendor: Vendor) -> None:
    sent(client, vendor, KEY, True, "audience")
    found = vendor.properties(client.state(vendor.slug))[-1]
    assert not [name for name in found if "personas" in name or "computation" in name or "space" in name]


def test_uc_27_an_audience_that_is_defined_as_boolean_there_is_one(client: Client) -> None:
    vendor = next(vendor for vendor in VENDORS if vendor.slug == "user-com")
    for name, value_type in ((KEY, "boolean"), ("lifetime_value", "number")):
        body = {"content_type": "clientuser", "name": name, "value_type": value_type}
        assert client.post("/user-com/_sandbox/attributes", body).status == 201
    sent(client, vendor, "lifetime_value", 42, "trait")
    for inside in (True, False):
        sent(client, vendor, KEY, inside, "audience")
        (user,) = client.state("user-com")["users"]
        assert (user[KEY], user["lifetime_value"]) == (inside, 42)


@EVERY
def test_a_call_for_another_destination_is_not_sent(vendor: Vendor) -> None:
    other = next(each for each in VENDORS if each is not vendor)
    kind = catalog()[vendor.slug]
    event = as_event(computed(other, KEY, True, "audience"))
    assert decide(event, kind, enabled=True, catalog_names=kind.names) is not SEND
