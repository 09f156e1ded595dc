"""A disk that gets short or fails: nothing is acknowledged in vain, and no restart is needed afterwards."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from .events import Event, identify, message_id, track
from .running import Instance
from .waiting import until
from .workspace import vendor_entry, workspace_text

pytestmark = pytest.mark.xdist_group("disk")  # one of them fills it

LARGE = "x" * 25_000


@contextmanager
def filled(folder: Path, size: int) -> Iterator[None]:
    """So much of the disk is really taken while the block runs."""
    path = folder / "filler"
    with path.open("wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, size)
    try:
        yield
    finally:
        path.unlink()


@contextmanager
def files_no_larger_than(pid: int, size: int) -> Iterator[None]:
    """The process cannot write beyond so many bytes of any file while the block runs, as on a disk that is full."""
    soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (soft, hard))


def large(user: str) -> Event:
    return track(user, properties={"text": LARGE})


def ready(instance: Instance) -> requests.Response:
    return requests.get(f"{instance.url}/readyz", timeout=10)


def test_below_the_floor_events_are_refused_and_taken_again_once_there_is_room(make, tmp_path):
    free = shutil.disk_usage(tmp_path).free
    spare = min(4 * 2**30, free // 4)  # much more than what others write to this disk meanwhile
    instance = make(SEGUE_DISK_FLOOR=f"{(free - spare) // 1024}KB").start()
    first, second = identify("u1", n=1), identify("u1", n=2)
    instance.vendor("plotline").fault(status=503)
    instance.send(first)
    with filled(tmp_path, spare * 3 // 2):
        until(lambda: ready(instance).status_code == 503, "it says that it is not ready")
        (reason,) = ready(instance).json()["reasons"]
        assert reason.startswith("disk is short")
        answer = instance.post("/v1/identify", second)
        assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")
        assert int(answer.headers["retry-after"]) > 0
        pixel = requests.get(f"{instance.url}/v1/pixel/track", timeout=10)
        assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")
        instance.settled()  # what was taken before is delivered all the same
    until(lambda: ready(instance).status_code == 200, "it is ready again")
    instance.send(second)
    instance.settled()
    assert instance.vendor("plotline").message_ids("users") == [first["messageId"], second["messageId"]]
    said = [line["event"] for line in instance.log_lines() if "disk" in line["event"]]
    assert said == ["disk is short: events are refused", "disk has room again"]


def test_a_log_that_cannot_be_written_acknowledges_nothing_and_remembers_no_id(make):
    instance = make().start()
    before, event = large("u1"), large("u1")
    instance.send(before)
    instance.settled()
    with files_no_larger_than(instance.pids()["collector"], 20_000):
        answer = instance.post("/v1/track", event)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        assert int(answer.headers["retry-after"]) > 0
        batch = instance.post("/v1/batch", {"batch": [large("u2"), large("u3")]})
        assert batch.status_code == 503
        assert requests.get(f"{instance.url}/livez", timeout=10).status_code == 200
    instance.send(event)  # the very same, as an SDK sends it again
    instance.settled()
    (source,) = instance.status()["sources"]
    assert (source["accepted"], source["duplicates"]) == (2, 0)
    assert instance.vendor("plotline").message_ids() == [before["messageId"], event["messageId"]]
    instance.send(event)
    assert instance.status()["sources"][0]["duplicates"] == 1


def test_a_quarantine_that_cannot_be_written_refuses_the_request_and_keeps_what_was_good_once(make):
    instance = make().start()
    bad = {"type": "track", "userId": 7, "event": LARGE, "messageId": message_id()}
    good = track("u1")
    with files_no_larger_than(instance.pids()["collector"], 20_000):
        assert instance.post("/v1/batch", {"batch": [bad, good]}).status_code == 503
    instance.send(bad, good)
    instance.settled()
    (source,) = instance.status()["sources"]
    assert (source["accepted"], source["dropped"]) == (1, {"id_not_string": 1})
    assert instance.vendor("plotline").message_ids() == [good["messageId"]]


def test_a_state_that_cannot_be_written_stops_sending_and_loses_no_outcome(make):
    instance = make()
    instance.file.write_text(workspace_text([vendor_entry(instance, "plotline", "website")]))
    instance.start()
    instance.send(track("u0"), key="website-key")
    instance.settled()
    first, later = [track(f"a{n}") for n in range(20)], [track(f"b{n}") for n in range(20)]
    with files_no_larger_than(instance.pids()["worker"], 20_000):
        instance.send(*first, key="website-key")
        until(lambda: any("state not written" in line["event"] for line in instance.log_lines()), "it says so")
        sent = len(instance.vendor("plotline").requests())
        instance.send(*later, key="website-key")
        assert instance.destination("website-plotline")["lag"] == 40
        seen = len(instance.log_lines())
        until(lambda: len(instance.log_lines()) > seen, "it tries again")
        assert len(instance.vendor("plotline").requests()) == sent
    settled = instance.settled()["website-plotline"]
    assert (settled["delivered"], settled["accepted"]) == (41, 41)
    calls = [call["body"]["messageId"] for call in instance.vendor("plotline").requests()]
    assert len(calls) == len(set(calls)) == 41
