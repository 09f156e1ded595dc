"""One delivery on a clock, a log, a state file and a network that the test moves by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from segue.core.destination import Request, Response
from segue.core.errors import Unavailable
from segue.deliver.delivery import Delivery
from segue.deliver.ledger import Answers
from segue.deliver.limits import LIMITS, Limits
from segue.deliver.plan import Plan
from segue.log.tail import Tail
from segue.state.deliveries import DeliveryReader, DeliveryWriter, DestinationState
from tests.sim.kinds import SINGLE, SKIPPED, number_of, settings_of
from tests.sim.world import BEGIN_MS, Log

FINE = Response(status=200, body=b"ok")
BROKEN = Response(status=500, body=b"oops")
BUSY = Response(status=429)
NO_KEY = Response(status=401, body=b"no such key")
BAD = Response(status=400, body=b"bad")
NO_ADDRESS = Response(status=0, error="ADDRESS_REFUSED")
DESTINATION = 7


class Sent:
    """A request under way."""

    def __init__(self, request: Request, done: Callable[[Response], None]) -> None:
        self.request = request
        self.offsets = number_of(request.body)
        self.done = done


class FailingReads:
    """The state as a delivery reads it, until `fails` is set."""

    def __init__(self, reader: DeliveryReader) -> None:
        self.reader = reader
        self.fails = False

    def __getattr__(self, name: str) -> Any:
        if self.fails:
            raise Unavailable("the disk is gone")
        return getattr(self.reader, name)


class Rig:
    """See the module. `now` is the clock; `at` what the last pump asked for."""

    def __init__(
        self, path: Path, *, kind: Any = SINGLE, batch_size: int = 1, limits: Limits = LIMITS, **plan: Any
    ) -> None:
        self.path = path / "state.db"
        self.writer = DeliveryWriter(self.path)
        self.log = Log()
        self.now = BEGIN_MS
        self.halted = False
        self.limits = limits
        self.plan = Plan(
            **{
                "kind": kind,
                "sources": frozenset({"web"}),
                "enabled": True,
                "settings": settings_of(kind, "key-0", batch_size),
                "decide": lambda event: "UNSUPPORTED_EVENT_TYPE" if event.event == SKIPPED else None,
                "mask": lambda body: body.replace(b"key-0", b"***"),
            }
            | plan
        )
        self.begin()

    def begin(self) -> None:
        """A process starts, from what is committed."""
        self.sent: list[Sent] = []
        self.at: int | None = None
        self.woken = 0
        self.rows = FailingReads(DeliveryReader(self.path))
        self.reader = self.rows.reader
        state = self.reader.destinations().get(DESTINATION, DestinationState(position=0, passed={}))
        self.delivery = Delivery(
            DESTINATION,
            self.plan,
            state,
            clock=self,
            luck=lambda: 0.999,
            network=self,
            records=Tail(self.log),
            rows=self.rows,
            answers=Answers(self.reader),
            wake=self._wake,
            halted=lambda: self.halted,
            limits=self.limits,
        )

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def now_ms(self) -> int:
        return self.now

    def start(self, request: Request, done: Callable[[Response], None]) -> object:
        self.sent.append(Sent(request, done))
        return None

    def _wake(self, delivery: Delivery) -> None:
        self.woken += 1

    @property
    def state(self) -> DestinationState:
        return self.delivery.ledger.state

    def append(self, *users: str, name: str = "seen", source: str = "web") -> list[int]:
        """An event of each user; `a/b` is one with userId a and anonymousId b."""
        offsets = []
        for user in users:
            user_id, _, anonymous_id = user.partition("/")
            ids = {"userId": user_id} if user_id else {}
            ids |= {"anonymousId": anonymous_id} if anonymous_id else {}
            offsets.append(self.log.append(source, {"type": "track", "event": name, **ids}, self.now))
        return offsets

    def pump(self) -> int | None:
        """As the loop does: again while it asks for it at once."""
        while True:
            woken = self.woken
            self.at = self.delivery.pump()
            if woken == self.woken and (self.at is None or self.at > self.now):
                return self.at

    def wait(self, ms: int) -> None:
        self.now += ms
        self.pump()

    def wait_for_it(self) -> None:
        """Until the instant that the last pump asked for."""
        assert self.at is not None
        self.wait(self.at - self.now)

    def under_way(self) -> list[int]:
        return [offset for sent in self.sent for offset in sent.offsets]

    def answer(self, response: Response, *offsets: int, parts: list[int] | None = None) -> None:
        """Answer the requests for these offsets, or all that are under way; then pump."""
        if parts is not None:
            response = Response(status=200, body=json.dumps(parts).encode())
        for sent in list(self.sent):
            if not offsets or set(offsets) & set(sent.offsets):
                self.sent.remove(sent)
                sent.done(response)
        self.pump()

    def commit(self) -> None:
        self.writer.commit([self.delivery.take()])
        self.delivery.committed()
        self.pump()

    def crash(self) -> None:
        self.reader.close()
        self.begin()
        self.pump()

    def change(self, **changes: Any) -> None:
        self.plan = replace(self.plan, **changes)
        self.delivery.reconfigure(self.plan)
        self.pump()

    def deliver(self, *users: str) -> list[int]:
        """Append, send and have it taken."""
        offsets = self.append(*users)
        self.pump()
        while set(offsets) & set(self.under_way()):
            self.answer(FINE, *offsets)
        return offsets
