"""Audiences under SIGKILL: whatever is killed while a new definition reads its past, a destination has its first sync,
a message is between outbox and log, or time closes a window, every member is told exactly once by its messageId.

KILL_ROUNDS sets how often it kills (3), KILL_SEED which moments and processes it chooses.
"""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import yaml

from .balance import watched
from .conftest import Make
from .events import Event, identify, track
from .receiver import Receiver
from .running import Instance
from .test_kill import RESTARTS_IN_PEACE
from .told import is_quiet
from .waiting import until
from .workspace import workspace_text

ROUNDS = int(os.environ.get("KILL_ROUNDS", "3"))
SEED = int(os.environ.get("KILL_SEED", "1"))

MEMBERS = 800
"""Told of two values: more than first syncs may be ahead of their destination, and several pages of every walk."""
AUDIENCE = "event('Order Completed').within(30 days).count() >= 1"
TRAIT = "event('Order Completed').sum(property('revenue'))"


def text(receiver: Receiver, *, computed: bool) -> str:
    """A space, and a destination that is told of what it computes alone."""
    entry = {
        "slug": "hook", "source": "quiet", "kind": "webhook", "enabled": True,
        "settings": {"hooks": [receiver.url], "batch_size": 50},
    }  # fmt: skip
    space: dict[str, Any] = {"slug": "prod", "sources": ["website"]}
    if computed:
        space["audiences"] = [{"name": "Buyers", "definition": AUDIENCE, "destinations": ["hook"]}]
        space["computed_traits"] = [{"name": "Revenue", "definition": TRAIT, "destinations": ["hook"]}]
    return yaml.safe_dump({**yaml.safe_load(workspace_text([entry], ["website", "quiet"])), "spaces": [space]})


def orders(first: int, last: int) -> Iterator[list[Event]]:
    """Each of these users orders once, in batches; some are known by an address too, and some order nothing."""
    for begin in range(first, last, 200):
        batch: list[Event] = []
        for number in range(begin, min(begin + 200, last)):
            if number % 10 == 0:
                batch += [identify(f"n{number}", plan="free"), track(f"n{number}", "Seen")]
            batch.append(track(f"u{number}", properties={"revenue": number}))
        yield batch


class Told:
    """What the destination was told: of each key and user the messageIds, in order, each with its value."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def of(self, key: str) -> dict[str, dict[str, Any]]:
        """By user and messageId."""
        found: dict[str, dict[str, Any]] = defaultdict(dict)
        for batch in list(self._receiver.bodies):
            for event in batch:
                assert event["messageId"].startswith("personas_"), event
                if key in event["traits"]:
                    before = found[event["userId"]].setdefault(event["messageId"], event["traits"][key])
                    assert before == event["traits"][key], "one messageId, one message"
        return found

    def values(self, key: str) -> dict[str, list[Any]]:
        """What each user was told, each messageId once."""
        return {user: list(messages.values()) for user, messages in self.of(key).items()}

    @property
    def count(self) -> int:
        """How many messages there were, repeats too."""
        return sum(len(batch) for batch in list(self._receiver.bodies))


class Killer:
    """Kills one thing a time, and sees to it that the instance comes back."""

    def __init__(self, instance: Instance, luck: random.Random) -> None:
        self._instance = instance
        self._luck = luck
        self._killed: dict[str, int] = {}

    def strike(self) -> None:
        """One kill: of the worker, which computes and sends, of the collector, which moves, or of all."""
        target = self._luck.choice(["worker", "worker", "collector", "all"])
        if target != "all" and self._killed.get(target, 0) < RESTARTS_IN_PEACE:
            self._killed[target] = self._killed.get(target, 0) + 1
            self._instance.kill(target)
        else:
            self._instance.kill_all()
            self._killed.clear()
            self._instance.start()


def killed_meanwhile(killer: Killer, told: Told, luck: random.Random, most: int) -> Iterator[int]:
    """Each time the destination has been told of some more, up to so many messages, something is killed."""
    marks = sorted(luck.randint(0, most) for _ in range(ROUNDS))
    for number, mark in enumerate([0, *marks[1:]]):
        before = told.count
        until(lambda goal=mark: told.count >= goal, f"{mark} messages, {before} until now")
        yield number
        killer.strike()


@pytest.mark.timeout(120 + 40 * ROUNDS)
def test_whatever_is_killed_every_member_is_told_exactly_once_of_entering_and_of_leaving(make: Make) -> None:
    luck = random.Random(SEED)
    with Receiver(lambda _: 200).serving() as receiver:
        instance, told = make(SEGUE_ALLOW_INTERNAL=f"127.0.0.1:{receiver.port}"), Told(receiver)
        instance.file.write_text(text(receiver, computed=False))
        instance.start()
        killer = Killer(instance, luck)
        for batch in orders(0, MEMBERS):
            instance.send(*batch, key="website-key")
        people = MEMBERS
        with watched(instance):
            instance.apply(text(receiver, computed=True))
            for _ in killed_meanwhile(killer, told, luck, 2 * MEMBERS):
                # Those who come while the past is read and the first sync runs.
                for batch in orders(people, people + 20):
                    until(lambda batch=batch: is_taken(instance, batch), "the collector is back")
                people += 20
            until(lambda: is_quiet(instance), "nothing is on its way")
            users = {f"u{number}" for number in range(people)}
            assert told.values("buyers") == {user: [True] for user in users}
            assert told.values("revenue") == {user: [int(user[1:])] for user in users}
            emitted = balanced(instance)
        # A month passes while it is down: the windows close, and it is killed while it says so.
        assert instance.terminate() == 0
        instance.environment["SEGUE_CLOCK"] = "offset:+31d"
        instance.start()
        so_far = told.count
        for number in range(2):
            until(lambda least=so_far + 1 + number * 500: told.count >= least, "some have left")
            killer.strike()
        until(lambda: is_quiet(instance), "nothing is on its way")
        assert told.values("buyers") == {user: [True, False] for user in users}
        assert told.values("revenue") == {user: [int(user[1:])] for user in users}
        assert balanced(instance) == emitted + len(users)


def is_taken(instance: Instance, batch: list[Event]) -> bool:
    """Send them; whether there was a collector that took them."""
    try:
        instance.send(*batch, key="website-key")
    except requests.ConnectionError:
        return False
    return True


def balanced(instance: Instance) -> int:
    """Everything that was said is in the log once and delivered once, and nothing else; gives how much that was."""
    entry = instance.destination("hook")
    assert (entry["delivered"], entry["filtered"], entry["refused"]) == (entry["accepted"], {}, {})
    assert not any(source["duplicates"] for source in instance.status()["sources"])
    return int(entry["accepted"])
