"""Watching the balance: in every status, for every destination, the numbers add up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance as Folder
from segue.wiring.views import open_views

from .running import Instance


def adds_up(entry: dict[str, Any]) -> bool:
    """accepted = delivered + filtered + refused + retrying + lag, none of them negative."""
    parts = [
        entry["delivered"], sum(entry["filtered"].values()), sum(entry["refused"].values()), entry["retrying"],
        entry["lag"],
    ]  # fmt: skip
    return entry["accepted"] == sum(parts) and min(parts) >= 0


class Watch(threading.Thread):
    """Reads the status again and again; keeps what did not add up, and how it was used."""

    def __init__(self, instance: Instance, *, same: bool) -> None:
        super().__init__(name="watch")
        self._same = same
        self._folder = Folder(instance.data)
        self.asked_to_stop = threading.Event()
        self.answers = 0
        self.wrong: list[dict[str, Any]] = []
        self.seen: set[str] = set()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            with open_views(self._folder, SystemClock()) as views:
                accepted: dict[str, int] = {}
                while not self.asked_to_stop.is_set():
                    for entry in views.status()["destinations"]:
                        self._look(entry, accepted)
                    self.answers += 1
                    self.asked_to_stop.wait(0.02)
        except BaseException as error:  # handed to the test, which is another thread
            self.error = error

    def _look(self, entry: dict[str, Any], accepted: dict[str, int]) -> None:
        went_back = self._same and entry["accepted"] < accepted.get(entry["slug"], 0)
        if went_back or not adds_up(entry):
            self.wrong.append(entry)
        accepted[entry["slug"]] = entry["accepted"]
        self.seen.update(name for name in ("retrying", "lag") if entry[name])
        self.seen.update({"filtered", "refused"} & {name for name, found in entry.items() if found})
        self.seen.add(entry["breaker"])


@contextmanager
def watched(instance: Instance, *, same: bool = True) -> Iterator[Watch]:
    """The balance is watched while the block runs, and must have held all the time.

    `same` says that no destination is replaced meanwhile by another of its slug, which counts anew.
    """
    watch = Watch(instance, same=same)
    watch.start()
    try:
        yield watch
    finally:
        watch.asked_to_stop.set()
        watch.join()
    assert watch.error is None, watch.error
    assert not watch.wrong, watch.wrong[:3]
