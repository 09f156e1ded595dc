from __future__ import annotations

import requests
import yaml

from .running import SLUGS
from .waiting import until


def test_a_port_of_0_takes_a_free_one_for_both_and_the_demo_works_with_it(make):
    instance = make()
    instance.start(arguments=["up", "--demo", "--data", str(instance.data), "--port", "0", "--sandbox-port", "0"])
    address = instance.address
    instance.port, instance.sandbox_port = (int(url.rpartition(":")[2]) for url in (address.url, address.sandbox_url))
    assert 0 not in (instance.port, instance.sandbox_port)
    assert address.url in instance.said() and address.sandbox_url in instance.said()
    endpoints = [entry["settings"]["endpoint"] for entry in yaml.safe_load(instance.cli("export"))["destinations"]]
    assert endpoints == [instance.endpoint(slug) for slug in SLUGS]

    instance.send({"type": "identify", "userId": "u1", "traits": {"email": "ann@initech.com"}, "messageId": "m1"})
    assert {slug: entry["delivered"] for slug, entry in instance.settled().items()} == dict.fromkeys(SLUGS, 1)
    assert all(entry["sandbox"] for entry in instance.status()["destinations"])
    for slug, table in (("plotline", "users"), ("planhat", "contacts"), ("user-com", "users"), ("astrolabe", "users")):
        assert instance.vendor(slug).message_ids(table) == ["m1"]
    assert instance.vendor("pointillist").message_ids() == ["m1"]

    # A process that is started anew takes the port that the first one had.
    for role in ("collector", "sandboxes"):
        instance.kill(role)
        until(lambda role=role: instance.pids().get(role), f"there is a {role} again")
    until(lambda: answers(instance.url + "/livez") and answers(instance.sandbox_url), "both answer")
    instance.send({"type": "identify", "userId": "u1", "traits": {"name": "Ann"}, "messageId": "m2"})
    instance.settled()
    assert instance.vendor("plotline").message_ids("users") == ["m1", "m2"]


def answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).status_code == 200
    except requests.ConnectionError:
        return False
