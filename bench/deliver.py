"""Deliver: the worker alone, one HTTP request an event, beside a client that does nothing else.

Three instances run side by side: one destination, fifty, and one whose log holds five million events before the
first that it sends. In each round each of them, and the bare client, posts as many events to the same sink.

Rule: CPU time counts until the last outcome is committed; that every event was delivered is read from the state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from bench.bare_client import BareSpec
from bench.children import Failed, Role, Speaker, bare_client, role, speaker, write_workspace
from bench.events import Records
from bench.machine import cpu_seconds
from bench.measure import Extent, tell
from bench.report import Row, middle
from segue.control.secrets import Secrets
from segue.control.workspace import apply
from segue.control.workspace_file import load_workspace
from segue.log.sqlite import SQLiteLogWriter
from segue.state.control import ControlStore
from segue.state.deliveries import DeliveryReader
from segue.wiring.clock import SystemClock
from segue.wiring.instance import Instance

ROUNDS = 9
DELIVERIES = 15_000
MANY = 50
LONG_LOG = 5_000_000
AT_ONCE = 50
APPEND = 5_000
COMMITTED_WITHIN_SECONDS = 60.0
RATIO, RATIO_OF_FIRST = 0.15, 0.8


class Bench:
    """One instance whose worker runs, and the writer of its log."""

    def __init__(self, data: Path, log: SQLiteLogWriter, worker: Role, destinations: int) -> None:
        self._instance = Instance(data)
        self._log = log
        self._worker = worker
        self._destinations = destinations

    def round(self, sink: Speaker, records: Records, deliveries: int) -> float:
        """Deliver so many; gives the CPU seconds of each."""
        events = deliveries // self._destinations
        self._append(records, events)
        before = self._delivered()
        came = sink.ask("until 0")["count"]
        cpu = cpu_seconds(self._worker.process.pid)
        self._worker.wake()
        sink.ask(f"until {came + events * self._destinations}")
        give_up_at = time.monotonic() + COMMITTED_WITHIN_SECONDS
        while self._delivered() < before + events * self._destinations:
            if time.monotonic() > give_up_at or self._worker.process.poll() is not None:
                raise Failed(f"{self._delivered() - before} of {events * self._destinations} were committed")
            time.sleep(0.05)
        return (cpu_seconds(self._worker.process.pid) - cpu) / (events * self._destinations)

    def _append(self, records: Records, count: int) -> None:
        append(self._log, records, count)

    def _delivered(self) -> int:
        with closing(DeliveryReader(self._instance.state)) as state:
            return sum(one.delivered for one in state.destinations().values())


def measure(extent: Extent) -> list[Row]:
    """The rows `deliver`."""
    records = Records(SystemClock().now_ms())
    deliveries = extent.count(DELIVERIES)
    cpu: dict[str, list[float]] = {"bare": [], "one": [], "many": [], "long": []}
    with extent.folder() as place, speaker("bench.sink") as sink, ExitStack() as stack:
        bodies = place / "bodies"
        bodies.write_bytes(b"\n".join(record.body for record in records.fresh(1_000)))
        benches = {
            "one": stack.enter_context(_bench(place / "one", sink.port, records)),
            "many": stack.enter_context(_bench(place / "many", sink.port, records, destinations=MANY)),
            "long": stack.enter_context(_bench(place / "long", sink.port, records, before=extent.count(LONG_LOG))),
        }
        for bench in benches.values():
            bench.round(sink, records, max(MANY, deliveries // 5))  # connections and caches are there from now on
        for number in range(extent.rounds(ROUNDS)):
            spec = BareSpec(port=sink.port, bodies=str(bodies), count=deliveries, connections=AT_ONCE)
            cpu["bare"].append(bare_client(spec).cpu_seconds / deliveries)
            for name, bench in benches.items():
                cpu[name].append(bench.round(sink, records, deliveries))
            shown = ", ".join(f"{name} {values[-1] * 1e6:.1f}" for name, values in cpu.items())
            tell(f"  round {number + 1}, CPU us a delivery: {shown}")
    return _rows(cpu)


def append(log: SQLiteLogWriter, records: Records, count: int) -> None:
    """Fill the log."""
    while count > 0:
        log.append(records.fresh(min(count, APPEND)))
        count -= APPEND


def _rows(cpu: dict[str, list[float]]) -> list[Row]:
    detail = {
        "cpu_us_per_delivery": {name: middle(values) * 1e6 for name, values in cpu.items()},
        "rounds": {name: [value * 1e6 for value in values] for name, values in cpu.items()},
    }

    def ratio(theirs: str, ours: str) -> float:
        return middle([one / other for one, other in zip(cpu[theirs], cpu[ours], strict=True)])

    return [
        Row(
            row="deliver",
            what="CPU of a bare client for each request, over ours for each delivery",
            value=ratio("bare", "one"),
            limit=RATIO,
            detail=detail,
        ),
        Row(
            row="deliver-many",
            what=f"{MANY} destinations, of the first",
            value=ratio("one", "many"),
            limit=RATIO_OF_FIRST,
        ),
        Row(
            row="deliver-long",
            what=f"a log of {LONG_LOG // 1_000_000} million events, of the first",
            value=ratio("one", "long"),
            limit=RATIO_OF_FIRST,
        ),
    ]


@contextmanager
def _bench(data: Path, sink: int, records: Records, *, destinations: int = 1, before: int = 0) -> Iterator[Bench]:
    """A worker with so many destinations, on a log that holds `before` events that they do not get."""
    instance, clock = Instance(data), SystemClock()
    instance.create()
    url = f"http://127.0.0.1:{sink}/events"
    file = load_workspace(write_workspace(data, destinations=[url] * destinations), {})
    with closing(SQLiteLogWriter(instance.log, clock)) as log:
        if before:
            tell(f"  filling a log with {before:,} events ...")
            append(log, records, before)
        with closing(ControlStore(instance.control, clock)) as control:
            apply(control, file, Secrets.open(instance.folder, ""), log.ends)
        with role("worker", data, sink=sink) as worker:
            yield Bench(data, log, worker, destinations)
