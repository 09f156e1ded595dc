"""The world around the machines: time, a log in memory that may fail, and vendors with moods behind a network.

Nothing here knows what the machines should do; it only plays its part, by the seed.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from random import Random
from typing import Any

from segue.core.destination import Request, Response
from segue.core.errors import OffsetExpired, Unavailable
from segue.core.event import Record
from tests.sim.kinds import BAD, number_of

BEGIN_MS = 1_700_000_000_000
TIMEOUT_MS = 5_000


class Time:
    """What happens when. `now` is the world's; a process may see another wall clock (`Clock`)."""

    def __init__(self) -> None:
        self.now = BEGIN_MS
        self._agenda: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0

    def after(self, delay_ms: int, act: Callable[[], None]) -> None:
        self._count += 1
        heappush(self._agenda, (self.now + max(0, delay_ms), self._count, act))

    def step(self, until: int) -> bool:
        """Do the next thing, if it is due by then."""
        if not self._agenda or self._agenda[0][0] > until:
            self.now = max(self.now, until)
            return False
        self.now, _, act = heappop(self._agenda)
        act()
        return True

    def run(self, until: int) -> None:
        while self.step(until):
            pass


class Clock:
    """The clock of one process: a wall clock that may be wrong, and never goes back while it lives."""

    def __init__(self, time: Time, skew_ms: int) -> None:
        self._time = time
        self._skew_ms = skew_ms

    def now_ms(self) -> int:
        return self._time.now + self._skew_ms


class Log:
    """An event log in memory, read as the real ones are; `fails` says whether a read does."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.ordinals: dict[str, int] = {}
        self.begin = 0
        self._offsets: dict[str, list[int]] = {}
        self.fails: Callable[[], bool] = lambda: False

    def append(
        self, source: str, body: dict[str, Any], now_ms: int, *, destinations: str | None = None, user_key: str = ""
    ) -> int:
        offset = len(self.records)
        self._offsets.setdefault(source, []).append(offset)
        self.ordinals[source] = self.ordinals.get(source, 0) + 1
        raw = json.dumps(body | {"messageId": f"m{offset}"}).encode()
        self.records.append(
            Record(
                *(offset, now_ms, now_ms, source, self.ordinals[source], body["type"], user_key, f"m{offset}"),
                *(destinations, raw),
            )
        )
        return offset

    def start(self, partition: int) -> int:
        return self.begin

    def read(self, partition: int, offset: int, limit: int) -> list[Record]:
        if self.fails():
            raise Unavailable("the log cannot be read just now")
        if offset < self.begin:
            raise OffsetExpired(self.begin)
        return self.records[offset : offset + limit]

    def get(self, offsets: Iterable[int]) -> list[Record]:
        if self.fails():
            raise Unavailable("the log cannot be read just now")
        return [self.records[offset] for offset in offsets if self.begin <= offset < len(self.records)]

    def ordinals_before(self, offset: int) -> dict[str, int]:
        if offset < self.begin:
            raise OffsetExpired(self.begin)
        return {source: self.accepted_before(source, offset) for source in self._offsets}

    def accepted_before(self, source: str, offset: int) -> int:
        """How many events of the source stand before the offset."""
        return bisect_left(self._offsets.get(source, []), offset)


MOODS = (
    "fine", "slow", "flaky", "busy", "busy_no_hint", "down", "unavailable_with_hint", "broken", "silent", "forbidden",
)  # fmt: skip


class Vendor:
    """One receiver. What it did with each event stands in `arrivals`: (offset, took it), in order of arrival."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.mood = "fine"
        self.key = "key-0"
        self.batch_most = 1_000
        self.arrivals: list[tuple[int, bool]] = []

    def answer(self, request: Request, offsets: list[int], names: list[str | None]) -> Response | None:
        """What it says, None for never. Called at the moment at which the request arrives."""
        found = self._judged(request, offsets, names)
        parts = json.loads(found.body) if found is not None and found.body.startswith(b"[") else None
        for place, offset in enumerate(offsets if request.method == "POST" else ()):
            took = found is not None and found.status == 200 and (parts is None or parts[place] == 200)
            self.arrivals.append((offset, took))
        return found

    def _judged(self, request: Request, offsets: list[int], names: list[str | None]) -> Response | None:
        mood = self.mood
        if mood == "flaky":
            mood = self.random.choice(("fine", "fine", "slow", "broken", "silent", "busy", "down", "forbidden"))
        if mood == "silent":
            return None
        if mood == "down":
            return Response(status=0, error="ECONNREFUSED")
        if mood == "forbidden":
            return Response(status=0, error="ADDRESS_REFUSED")
        if mood == "broken":
            return Response(status=self.random.choice((500, 502, 503, 504, 408, 423)), body=b"oops")
        if mood == "unavailable_with_hint":
            return Response(status=503, retry_after_ms=self.random.choice((1_000, 30_000)))
        if mood.startswith("busy"):
            return Response(
                status=429, retry_after_ms=None if mood == "busy_no_hint" else self.random.choice((1_000, 9_000))
            )
        if dict(request.headers)["Key"] != self.key:
            return Response(status=self.random.choice((401, 403)), body=b"no such key")
        return self._taken(request, offsets, names)

    def _taken(self, request: Request, offsets: list[int], names: list[str | None]) -> Response:
        if len(offsets) > self.batch_most:
            return Response(status=413)
        if request.body.startswith(b"[") and request.headers[0][0] == "Key":  # the kind with one answer an item
            statuses = [400 if name == BAD else self._part() for name in names]
            return Response(status=200, body=json.dumps(statuses).encode())
        if BAD in names:
            return Response(status=400, body=b"bad")
        return Response(status=200, body=b"ok %d" % (offsets[0] % 3))

    def _part(self) -> int:
        return self.random.choice((200,) * 12 + (500, 429)) if self.mood in ("flaky", "slow") else 200


class Network:
    """The way to one vendor, for one life of the process: `alive` ends with it."""

    def __init__(self, time: Time, random: Random, vendor: Vendor, log: Log) -> None:
        self._time = time
        self._random = random
        self._vendor = vendor
        self._log = log
        self.alive = True
        self.in_flight: dict[int, list[int]] = {}
        self.on_start: Callable[[Request, list[int]], None] = lambda request, offsets: None
        self.around_answer: Callable[[Response, Callable[[], None]], None] = lambda response, give: give()
        self._count = 0

    def start(self, request: Request, done: Callable[[Response], None]) -> object:
        offsets = number_of(request.body)
        self.on_start(request, offsets)
        self._count += 1
        number = self._count
        self.in_flight[number] = offsets
        slow = self._vendor.mood == "slow" or self._random.random() < 0.05
        there = self._random.randint(1, 4_000 if slow else 40)
        back = self._random.randint(0, 4_000 if slow else 40)
        if self._random.random() < 0.01:
            there = 2 * TIMEOUT_MS  # it arrives when nobody waits for the answer any more
        lost = self._random.random() < 0.01  # the request never arrives
        names = [json.loads(self._log.records[offset].body).get("event") for offset in offsets]

        def arrive() -> None:
            # A request under way when the process dies arrives, or does not.
            if lost or not (self.alive or self._random.random() < 0.5):
                return
            found = self._vendor.answer(request, offsets, names)
            if found is not None and there + back < TIMEOUT_MS:
                self._time.after(back, lambda: give(found))

        def give(found: Response) -> None:
            if self.alive and self.in_flight.pop(number, None) is not None:
                self.around_answer(found, lambda: done(found))

        self._time.after(there, arrive)
        self._time.after(TIMEOUT_MS, lambda: give(Response(status=0, error="ETIMEDOUT")))
        return None
