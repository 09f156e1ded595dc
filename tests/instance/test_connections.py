"""The life of a connection between an audience and its destinations: what each is told at every turn of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml

from .conftest import Make
from .events import identify, message_id, track
from .running import Instance
from .told import all_told, is_quiet, told_of
from .waiting import until
from .workspace import vendor_entry, workspace_text

ONCE = "event('Order Completed').count() >= 1"
TWICE = "event('Order Completed').count() >= 2"
BOTH = ("plotline", "astrolabe")


def text(
    instance: Instance, *, told: tuple[str, ...] = BOTH, on: tuple[str, ...] = BOTH, saved: bool = True, **more: Any
) -> str:
    """Two destinations and one audience. `told` are those it names, `on` those that are switched on."""
    entries = [vendor_entry(instance, kind, "website", kind, enabled=kind in on) for kind in BOTH]
    file = yaml.safe_load(workspace_text(entries))
    audience = {"name": "Buyers", "definition": ONCE, "destinations": [*told], **more}
    space = {"slug": "prod", "sources": ["website"], "audiences": [audience] if saved else []}
    return yaml.safe_dump({**file, "spaces": [space]})


def said_at(call: dict[str, Any]) -> str:
    """The instant that a message names."""
    return str(call["body"]["timestamp"])


class Watch:
    """What is told since one looked last."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._seen = dict.fromkeys(BOTH, 0)

    def new(self, *expected: int) -> tuple[dict[tuple[str, Any], int], ...]:
        """How often each user was told each value, by either vendor, once so many calls came and no more will."""
        instance = self._instance

        def all_came() -> bool:
            counts = [len(all_told(instance, slug)) - self._seen[slug] for slug in BOTH]
            return all(count >= wanted for count, wanted in zip(counts, expected, strict=True))

        until(all_came, f"told {expected} times")
        until(lambda: is_quiet(instance), "nothing is on its way")
        found = []
        for slug in BOTH:
            told = all_told(instance, slug)
            found.append(Counter((user, value) for user, _, _, value in told[self._seen[slug] :]))
            self._seen[slug] = len(told)
        return tuple(found)


@pytest.fixture
def begun(make: Make) -> tuple[Instance, Watch]:
    """One whose audience has two members, told to Plotline alone; u3 is known and not in it."""
    instance = make()
    instance.file.write_text(text(instance, told=("plotline",)))
    instance.start()
    people = [identify(user, email=f"{user}@initech.com") for user in ("u1", "u2", "u3")]
    instance.send(*people, track("u1"), track("u2"), key="website-key")
    watch = Watch(instance)
    assert watch.new(2, 0) == ({("u1", True): 1, ("u2", True): 1}, {})
    return instance, watch


def test_another_destination_has_its_own_first_sync_and_one_that_was_off_gets_the_difference(begun):
    instance, watch = begun
    instance.apply(text(instance))
    assert watch.new(0, 2) == ({}, {("u1", True): 1, ("u2", True): 1})
    # Its messages are of the time of its sync, not of when they entered.
    first, second = (
        {said_at(call) for call in instance.vendor(slug).requests() if any(told_of(call))} for slug in BOTH
    )
    assert max(first) < min(second)
    instance.apply(text(instance, on=("astrolabe",)))
    instance.send(track("u3"), key="website-key")
    assert watch.new(0, 1) == ({}, {("u3", True): 1})
    instance.apply(text(instance))
    assert watch.new(1, 0) == ({("u3", True): 1}, {})
    # One that is taken away and named again begins anew.
    instance.apply(text(instance, told=("astrolabe",)))
    instance.apply(text(instance))
    assert watch.new(3, 0) == ({("u1", True): 1, ("u2", True): 1, ("u3", True): 1}, {})


def test_an_edit_and_a_pause_tell_the_difference_and_an_end_tells_nothing(begun):
    instance, watch = begun
    instance.apply(text(instance, told=("plotline",), definition=TWICE))
    assert watch.new(2, 0) == ({("u1", False): 1, ("u2", False): 1}, {})
    instance.send(track("u2"), key="website-key")
    assert watch.new(1, 0) == ({("u2", True): 1}, {})
    instance.apply(text(instance, told=("plotline",), definition=TWICE, enabled=False))
    instance.send(track("u1"), key="website-key")
    assert watch.new(0, 0) == ({}, {})
    instance.apply(text(instance, told=("plotline",), definition=TWICE))
    assert watch.new(1, 0) == ({("u1", True): 1}, {})
    instance.apply(text(instance, saved=False))
    assert watch.new(0, 0) == ({}, {})
    kept = {user: instance.cli("profiles", "get", f"user_id:{user}") for user in ("u1", "u2", "u3")}
    assert ["buyers  true" in kept[user] for user in ("u1", "u2", "u3")] == [True, True, False]


def test_a_new_address_and_a_visitor_who_signs_up_are_told_of(begun):
    instance, watch = begun
    instance.send(identify("u1", email="u1@home.example"), key="website-key")
    assert watch.new(1, 0) == ({("u1", True): 1}, {})
    visitor = {"type": "track", "event": "Order Completed", "anonymousId": "a4"}
    instance.send({**visitor, "messageId": message_id()}, key="website-key")
    assert watch.new(0, 0) == ({}, {})
    instance.send({**identify("u4"), "anonymousId": "a4"}, key="website-key")
    assert watch.new(1, 0) == ({("u4", True): 1}, {})
