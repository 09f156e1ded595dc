"""A start without the sandboxes to which destinations send: they wait for them, whatever else was forgotten."""

from __future__ import annotations

import pytest

from .events import identify
from .running import SLUGS, Instance
from .waiting import until


def restarted(instance: Instance, *more: str) -> None:
    """End it, and start it by its own port and what is given."""
    assert instance.terminate() == 0
    instance.start(arguments=["up", "--data", str(instance.data), "--port", str(instance.port), *more])


@pytest.mark.parametrize("more", [[], ["--single"]])
def test_events_wait_for_sandboxes_that_do_not_run_and_reach_them_when_they_do(make, more):
    instance = make().start()
    restarted(instance, *more)
    instance.send(identify("u1", n=1), identify("u2", n=2))
    remedy = f"start Segue with --sandbox-port {instance.sandbox_port}"
    until(lambda: all(remedy in each.get("stall", "") for each in instance.status()["destinations"]), "all stand still")
    for entry in instance.status()["destinations"]:
        assert (entry["lag"], entry["refused"], entry["sandbox"]) == (2, {}, True)
    stalled = [line for line in instance.log_lines() if line["event"] == "destination stalled"]
    assert len(stalled) == len(SLUGS) and all(remedy in line["reason"] for line in stalled)
    restarted(instance, "--sandbox-port", str(instance.sandbox_port))
    assert {slug: entry["delivered"] for slug, entry in instance.settled().items()} == dict.fromkeys(SLUGS, 2)


def test_a_restored_instance_knows_the_sandboxes_of_the_original(make):
    instance, other = make().start(), make()
    folder = instance.folder / "copy"
    instance.cli("backup", str(folder))
    assert instance.terminate() == 0
    start = f"--port {instance.port} --sandbox-port {instance.sandbox_port} --data {other.data}"
    assert start in other.cli("restore", str(folder))
    other.start(arguments=["up", "--data", str(other.data), "--port", str(other.port)])
    until(lambda: "--sandbox-port" in other.destination("plotline").get("stall", ""), "it waits for the sandboxes")


def test_sandboxes_on_another_port_are_not_those_that_are_missed(make):
    instance = make().start()
    restarted(instance, "--sandbox-port", "0")
    instance.send(identify("u1", n=1))
    restarted(instance)
    for _ in range(2):  # the first address is known however often they were elsewhere since
        until(lambda: instance.destination("plotline").get("stall"), "it stands still")
        assert f"--sandbox-port {instance.sandbox_port}," in instance.destination("plotline")["stall"]
        restarted(instance, "--sandbox-port", "0")
    restarted(instance, "--sandbox-port", str(instance.sandbox_port))
    assert instance.settled("plotline")["plotline"]["delivered"] == 1


def test_an_address_that_the_operator_allows_by_itself_is_not_waited_for(make):
    instance = make()
    instance.environment["SEGUE_ALLOW_INTERNAL"] = f"localhost:{instance.sandbox_port}"
    instance.start()
    instance.apply(instance.cli("export").replace("127.0.0.1", "localhost").replace("{kept: true}", "k"))
    restarted(instance)
    instance.send(identify("u1", n=1))
    until(lambda: instance.destination("plotline")["retrying"], "nothing listens there, which may pass")
    assert "stall" not in instance.destination("plotline")
