"""The Profile API of a running instance: tokens by the CLI, profiles by the worker, answers by the collector."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from .running import Instance
from .waiting import until

pytestmark = pytest.mark.xdist_group("instance-profile-api")  # they share one

SOURCES = {"workspace": {"name": "Demo", "slug": "demo"}, "sources": [{"slug": "web", "write_keys": ["web-key"]}]}
PROD = {"slug": "prod", "sources": ["web"]}
USER = "prod/collections/users/profiles/user_id:u1"


@pytest.fixture(scope="module")
def instance(make_shared: Any) -> Iterator[Instance]:
    yield make_shared(workspace=yaml.safe_dump(SOURCES)).start()


def ask(instance: Instance, path: str, token: str) -> requests.Response:
    return requests.get(f"{instance.url}/v1/spaces/{path}", auth=(token, ""), timeout=10)


def test_a_space_made_while_it_runs_is_read_by_its_token_until_it_is_revoked(instance: Instance):
    assert ask(instance, f"{USER}/traits", "x").status_code == 401
    instance.apply(yaml.safe_dump({**SOURCES, "spaces": [PROD]}))
    token = instance.cli("profiles", "token", "create", "desk", "--space", "prod", "--json")
    token = yaml.safe_load(token)["token"]
    instance.send({"type": "identify", "userId": "u1", "traits": {"plan": "pro"}}, key="web-key")
    instance.send({"type": "group", "userId": "u1", "groupId": "g1", "traits": {"name": "Acme"}}, key="web-key")
    until(lambda: ask(instance, f"{USER}/links", token).json().get("data"), "the profile is linked")
    assert ask(instance, f"{USER}/traits", token).json()["traits"] == {"plan": "pro"}
    account = ask(instance, "prod/collections/accounts/profiles/group_id:g1/traits", token).json()
    assert account["traits"] == {"name": "Acme"}

    instance.kill("worker")
    assert ask(instance, f"{USER}/traits", token).json()["traits"] == {"plan": "pro"}
    instance.send({"type": "identify", "userId": "u1", "traits": {"plan": "max"}}, key="web-key")
    plan = {"plan": "max"}
    until(lambda: ask(instance, f"{USER}/traits", token).json()["traits"] == plan, "the next worker goes on")

    assert token not in instance.said()
    instance.cli("profiles", "token", "revoke", "desk", "--space", "prod")
    until(lambda: ask(instance, f"{USER}/traits", token).status_code == 401, "the token is revoked")


def test_an_event_is_answered_a_moment_after_it_was_sent(instance: Instance):
    instance.apply(yaml.safe_dump({**SOURCES, "spaces": [PROD]}))
    token = yaml.safe_load(instance.cli("profiles", "token", "create", "events", "--space", "prod", "--json"))["token"]
    for n in range(3):
        sent = {"type": "track", "userId": "u2", "event": "Order Completed", "properties": {"n": n}}
        instance.send(sent, key="web-key")

        def answered() -> list[int]:
            found = ask(instance, "prod/collections/users/profiles/user_id:u2/events", token).json().get("data", [])
            return [event["properties"]["n"] for event in found]

        until(lambda: answered()[:1] == [n], "the newest is answered first")  # noqa: B023 - within the turn
    listed = yaml.safe_load(instance.cli("profiles", "events", "user_id:u2", "--json"))
    assert [event["properties"]["n"] for event in listed["events"]] == [2, 1, 0]


def test_a_space_that_was_deleted_and_made_again_knows_nothing_of_the_former_token(instance: Instance):
    instance.apply(yaml.safe_dump({**SOURCES, "spaces": [PROD]}))
    former = yaml.safe_load(instance.cli("profiles", "token", "create", "former", "--json"))["token"]
    until(lambda: ask(instance, f"{USER}/traits", former).status_code in (200, 404), "the token is known")
    instance.apply(yaml.safe_dump(SOURCES))
    until(lambda: ask(instance, f"{USER}/traits", former).status_code == 401, "the space is gone")
    instance.apply(yaml.safe_dump({**SOURCES, "spaces": [PROD]}))
    token = yaml.safe_load(instance.cli("profiles", "token", "create", "new", "--json"))["token"]
    until(lambda: ask(instance, f"{USER}/traits", token).status_code in (200, 404), "the new one is known")
    assert ask(instance, f"{USER}/traits", former).status_code == 401
