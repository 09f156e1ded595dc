"""Load: threads that send like SDKs do, and remember what was acknowledged."""

from __future__ import annotations

import http.client
import json
import random
import threading
from base64 import b64encode
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from .running import SLUGS, Instance
from .vendor import Vendor
from .waiting import until

TRACKS_IN = {
    "plotline": "events",
    "pointillist": "events",
    "planhat": "activities",
    "user-com": "event_occurrences",
    "astrolabe": "events",
}
PAUSE_S = 0.02
USERS_IN = {"plotline": "users", "planhat": "contacts", "user-com": "users", "astrolabe": "users"}


def event_of(user: str, step: int) -> dict[str, Any]:
    """The event of a user's step: an identify, then tracks, each with the id `USER:STEP`."""
    known: dict[str, Any] = {"userId": user, "messageId": f"{user}:{step}"}
    if step == 0:
        return {"type": "identify", "traits": {"email": f"{user}@initech.com"}, **known}
    return {"type": "track", "event": f"Step {step % 7}", "properties": {"step": step}, **known}


class Sender(threading.Thread):
    """One client with users of its own. A request that was not answered 200 is sent again before the next one."""

    def __init__(
        self, port: int, name: str, stop: threading.Event, may_send: Callable[[], bool], *, key: str, users: int
    ) -> None:
        super().__init__(name=name)
        self._port = port
        self._may_send = may_send
        self._luck = random.Random(name)
        self._stop_asked = stop
        self._headers = {"Authorization": "Basic " + b64encode(f"{key}:".encode()).decode()}
        self._connection: http.client.HTTPConnection | None = None
        self.steps = {f"{name}-{number}": 0 for number in range(users)}
        self.acknowledged: list[str] = []
        self.sent: set[str] = set()
        self.statuses: set[int] = set()

    def run(self) -> None:
        while not self._stop_asked.wait(PAUSE_S):
            if not self._may_send():
                continue
            user = self._luck.choice(list(self.steps))
            begin = self.steps[user]
            events = [event_of(user, step) for step in range(begin, begin + self._luck.randint(1, 6))]
            ids = [event["messageId"] for event in events]
            self.sent.update(ids)
            if not self._deliver(events):
                break
            self.acknowledged += ids
            self.steps[user] = begin + len(events)
        if self._connection is not None:
            self._connection.close()

    def _deliver(self, events: list[dict[str, Any]]) -> bool:
        """Send until it is acknowledged; False where it was to stop before."""
        path, body = "/v1/batch", json.dumps({"batch": events})
        if len(events) == 1:
            path, body = f"/v1/{events[0]['type']}", json.dumps(events[0])
        while not self._stop_asked.is_set():
            status = self._request(path, body)
            self.statuses.add(status)
            if status == 200:
                return True
            self._stop_asked.wait(0.02)
        return False

    def _request(self, path: str, body: str) -> int:
        """The status of the answer; 0 where none came."""
        try:
            if self._connection is None:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
            self._connection.request("POST", path, body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException):
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            return 0
        return answer.status


class Load:
    """All senders together."""

    def __init__(self, instance: Instance, key: str, name: str, *, threads: int, users: int) -> None:
        self._stop = threading.Event()
        self._most = 0
        self._senders = [
            Sender(instance.port, f"{name}{number}", self._stop, self._may_send, key=key, users=users)
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin to send, as far as is allowed."""
        for sender in self._senders:
            sender.start()

    def allow(self, count: int) -> None:
        """Let about so many events more be sent; a vendor on a busy machine is slower than we are."""
        self._most = self.count + count

    @property
    def count(self) -> int:
        """How many events were answered 200."""
        return sum(len(sender.acknowledged) for sender in self._senders)

    def _may_send(self) -> bool:
        return self.count < self._most

    @property
    def acknowledged(self) -> list[str]:
        """The ids of all events that were answered 200."""
        return [message for sender in self._senders for message in list(sender.acknowledged)]

    @property
    def sent(self) -> set[str]:
        """The ids of all events of which a request was begun."""
        return {message for sender in self._senders for message in sender.sent}

    @property
    def statuses(self) -> set[int]:
        """Every answer there was; 0 for none."""
        return {status for sender in self._senders for status in sender.statuses}

    def stop(self) -> None:
        """Send no more; a request on its way is given up."""
        self._stop.set()
        for sender in self._senders:
            sender.join()


@contextmanager
def load_on(
    instance: Instance, *, key: str = "demo-write-key", name: str = "t", threads: int = 3, users: int = 8
) -> Iterator[Load]:
    """Senders that send what is allowed while the block runs; what was acknowledged can be asked for after it.

    `name` begins the names of their users.
    """
    load = Load(instance, key, name, threads=threads, users=users)
    load.start()
    try:
        yield load
    finally:
        load.stop()


def some_load(load: Load, count: int, then: int) -> None:
    """Wait until `count` more events are acknowledged, and let `then` more come after them."""
    goal = load.count + count
    load.allow(count + then)
    until(lambda: load.count >= goal, "the load goes on")


def compare(instance: Instance, load: Load, *, besides: Collection[str] = (), vendors: Collection[str] = SLUGS) -> None:
    """What every sandbox holds is what was acknowledged: none missing, none twice, each user's events in order.

    `besides` are ids of events that others have sent.
    """
    acknowledged, sent = load.acknowledged, load.sent
    for slug in vendors:
        state = instance.vendor(slug).state()
        tracks, users = (
            [message for row in state.get(table, []) for message in row["messageIds"] if message not in besides]
            for table in (TRACKS_IN[slug], USERS_IN.get(slug, ""))
        )
        held = {*tracks, *users}
        missing = [message for message in acknowledged if message not in held]
        assert not missing, f"{slug} never got {len(missing)} of {len(acknowledged)}: {missing[:10]}"
        assert held <= sent
        assert len(tracks) == len(set(tracks)), f"{slug} holds some twice"
        in_order(slug, tracks)


def in_order(slug: str, messages: list[str]) -> None:
    """Each user's steps came in order."""
    last: dict[str, int] = {}
    for message in messages:
        user, _, step = message.rpartition(":")
        assert last.get(user, -1) < int(step), f"{slug}: {message} came after step {last[user]}"
        last[user] = int(step)


def vendors(instance: Instance) -> list[Vendor]:
    """All five sandboxes."""
    return [instance.vendor(slug) for slug in SLUGS]
