"""Starting, stopping, and what the supervisor does about children that die."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from .events import identify, track
from .running import environment, kept_port, session_of
from .waiting import until
from .workspace import vendor_entry, workspace_text


def segue(*arguments: object) -> subprocess.CompletedProcess[str]:
    """`segue ARGUMENTS` to its end."""
    command = [sys.executable, "-m", "segue.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=60, check=False)


def test_ctrl_c_ends_all_processes_without_a_word(make):
    instance = make().start()
    said = instance.said()
    os.killpg(instance.process.pid, signal.SIGINT)
    assert instance.process.wait(timeout=30) == 0
    assert not instance.pids()
    assert instance.said() == said


def test_a_port_or_a_folder_in_use_is_waited_for_and_then_named(make):
    taken, folder, patient = make(), make().start(), make().start()
    assert patient.terminate() == 0  # only a first start tries the ports before it has children
    listener = socket.create_server(("127.0.0.1", 0))
    begun = time.monotonic()
    wanted = str(listener.getsockname()[1])
    collector = taken.launch([*taken.arguments(), "--port", wanted])
    other = make()
    sandbox = other.launch([*other.arguments(), "--sandbox-port", wanted])
    second = make()
    held = second.launch([*second.arguments(), "--data", str(folder.data)])
    patient_listener = socket.create_server(("127.0.0.1", patient.port))
    waiting = patient.launch(patient.arguments())
    until(lambda: patient.pids().get("collector"), "the patient one has begun to wait")
    until(lambda: "sandboxes" in patient.pids(), "the patient one has begun to wait")
    assert waiting.poll() is None
    patient_listener.close()
    until(lambda: patient.said().count("Segue is ready") == 2, "it starts once the port is free")

    assert [process.wait(timeout=30) for process in (collector, sandbox, held)] == [1, 1, 1]
    assert time.monotonic() - begun >= 5
    listener.close()
    for instance, words in (
        (taken, f"port {wanted} of"),
        (other, f"port {wanted} of"),
        (second, "is the supervisor of"),
    ):
        (line,) = instance.said().splitlines()
        assert line.startswith("Error: ") and words in line
        assert not instance.pids()
    assert f"process {folder.process.pid} is" in second.said()
    assert folder.process.poll() is None


def test_term_finishes_requests_in_flight_and_exits_0(make):
    instance = make().start()
    body = json.dumps(identify("late", n=1)).encode()
    head = b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nAuthorization: Basic ZGVtby13cml0ZS1rZXk6\r\n"
    with socket.create_connection(("127.0.0.1", instance.port), timeout=20) as connection:
        connection.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body[:10])
        # An answered request behind it shows that the server has read this far.
        instance.send(identify("early", n=1))
        instance.process.terminate()
        until(lambda: not accepts(instance.port), "nothing new is accepted")
        connection.sendall(body[10:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert instance.process.wait(timeout=30) == 0
    assert not instance.pids()
    (source,) = instance.status()["sources"]
    assert source["accepted"] == 2


def test_term_waits_for_the_vendors_answer_to_what_is_on_its_way(make):
    instance = make()
    instance.file.write_text(workspace_text([vendor_entry(instance, "plotline", "website")]))
    instance.start()
    plotline, event = instance.vendor("plotline"), track("u1")
    plotline.fault(slow_ms=1_500)
    instance.send(event, key="website-key")
    until(lambda: plotline.requests(event["messageId"]), "the vendor has the event")
    assert instance.terminate() == 0
    assert instance.destination("website-plotline")["delivered"] == 1
    instance.start()
    assert len(instance.vendor("plotline").requests(event["messageId"])) == 1


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def test_a_dead_child_is_started_again_and_one_that_keeps_dying_ends_the_instance(make):
    instance = make().start()
    for number in range(5):
        before = instance.kill("worker")
        until(lambda before=before: instance.pids().get("worker", before) != before, "there is another worker")
        event = identify(f"u{number}", n=number)
        instance.send(event)
        instance.settled()
        assert event["messageId"] in instance.vendor("plotline").message_ids("users")
    assert "the worker ended with code -9; starting it again" in instance.said()
    instance.kill("worker")
    assert instance.process.wait(timeout=30) == 1
    assert "giving up" in instance.said()
    assert not instance.pids()


def test_term_is_obeyed_while_a_child_cannot_be_started_again(make):
    instance = make().start()
    descriptor = os.open(instance.data / "locks" / "worker.lock", os.O_RDWR)
    waiting = threading.Thread(target=fcntl.flock, args=(descriptor, fcntl.LOCK_EX))
    waiting.start()  # ahead of the next worker
    instance.kill("worker")
    waiting.join()
    until(lambda: "the worker did not start" in instance.said(), "a first restart has failed")
    assert instance.terminate() == 0
    assert not instance.pids()
    os.close(descriptor)


def test_children_end_with_a_supervisor_that_is_killed(make):
    instance = make().start()
    children = instance.pids()
    assert set(children) == {"collector", "worker", "sandboxes"}
    assert {session_of(pid) for pid in children.values()} == {instance.process.pid}
    instance.kill_supervisor()
    instance.start()


def test_it_can_be_started_at_once_after_its_supervisor_was_killed_with_slow_peers(make):
    instance = make()
    instance.file.write_text(workspace_text([vendor_entry(instance, "plotline", "website")]))
    instance.start()
    plotline, event = instance.vendor("plotline"), track("u1")
    plotline.fault(slow_ms=30_000)
    instance.send(event, key="website-key")
    until(lambda: plotline.requests(event["messageId"]), "the vendor has the event")
    with socket.create_connection(("127.0.0.1", instance.port), timeout=20) as slow:
        slow.sendall(b"POST /v1/identify HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        instance.send(track("u2"), key="website-key")
        instance.process.kill()
        instance.process.wait()
        instance.start()
    settled = instance.settled()["website-plotline"]
    assert (settled["accepted"], settled["delivered"]) == (2, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("workspace: {name: Demo", "workspace.yaml"),
        ("workspace: {name: Demo, slug: demo}\nsauces: []\n", "sauces"),
        ("workspace: {name: Demo, slug: demo}\nsources: [{slug: a, slug: b}]\n", "slug"),
    ],
)
def test_a_workspace_file_that_cannot_be_read_is_one_line_and_ends_it(make, text, words):
    instance = make(workspace=text)
    assert instance.launch(instance.arguments()).wait(timeout=30) == 1
    (line,) = instance.said().splitlines()
    assert line.startswith("Error: ") and words in line
    assert not instance.pids()


def test_the_demo_refuses_a_public_host(tmp_path):
    done = segue("up", "--demo", "--host", "0.0.0.0", "--data", tmp_path / "data")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "--host" in line and "0.0.0.0" in line


def test_without_the_demo_no_sandbox_runs_and_the_host_may_be_public(make):
    instance = make()
    keeper = kept_port()
    port = str(keeper.getsockname()[1])
    instance.start(arguments=["up", "--host", "0.0.0.0", "--port", port, "--data", str(instance.data)])
    assert set(instance.pids()) == {"collector", "worker"}
    assert requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200
    assert "No source has a write key yet" in instance.said()
    assert instance.terminate() == 0
    keeper.close()


def test_the_folder_of_a_long_path_works(make, tmp_path):
    instance = make()
    instance.data = tmp_path / ("a" * 120) / "data"
    instance.start()
    assert instance.apply(workspace_text([], ["website"])).count("\n") > 1
    assert instance.terminate() == 0
