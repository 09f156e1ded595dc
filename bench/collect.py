"""Collect: the collector process alone on one core, durable and deduplicating, against itself with less to do.

Rates are per second of the server's core: on a machine that does other things as well, what these take of the core
is left out of the time. On a quiet one it is the time that passes.

Rule: the three servers run side by side and are loaded in turn, so that what slows one round slows all of them.
"""

from __future__ import annotations

from bench.children import Failed, load, role, speaker, write_workspace
from bench.events import BATCH_EVENTS
from bench.load import LoadResult, LoadSpec
from bench.machine import SERVER_CORE
from bench.measure import Extent, tell
from bench.report import Row, middle

ROUNDS = 15
SECONDS = 1.0
WARM_UP_SECONDS = 0.4
UNUSED_MOST = 0.1

CASES = (
    ("batch", "/v1/batch", BATCH_EVENTS, 0.40, "batches of 20 events: events/s, of those with nothing appended"),
    ("track", "/v1/track", 1, 0.55, "single track: requests/s, of those with nothing appended"),
)


def measure(extent: Extent) -> list[Row]:
    """The rows `collect`."""
    rows = []
    for name, path, events, limit, what in CASES:
        found = _rounds(extent, path=path, events=events)
        rates = {server: [_rate(one, events) for one in results] for server, results in found.items()}
        detail = {
            "events_per_second": {server: middle(values) for server, values in rates.items()},
            "server_cpu_us_per_event": {server: _cpu_us(results, events) for server, results in found.items()},
            "load_cpu_share": {server: _share_of_load(results) for server, results in found.items()},
            "unused_share_of_core": {server: _unused(results) for server, results in found.items()},
            "rounds": rates,
        }
        for server in ("stamp", "nothing"):
            if _unused(found[server]) > UNUSED_MOST:
                tell(f"  {path}, {server}: {_unused(found[server]):.0%} of the core unused: the load was the limit")
        of_stamp, of_nothing = (_ratio(rates["segue"], rates[server]) for server in ("stamp", "nothing"))
        by_cpu = _cpu_us(found["stamp"], events) / _cpu_us(found["segue"], events)
        row = f"collect-{name}"
        rows += [
            Row(row=row, what=what, value=of_stamp, limit=limit, detail=detail),
            Row(row=row, what="the same by CPU time, without what is waited for", value=by_cpu),
            Row(row=row, what="the same, of a handler that does nothing", value=of_nothing),
        ]
    return rows


def _rounds(extent: Extent, *, path: str, events: int) -> dict[str, list[LoadResult]]:
    results: dict[str, list[LoadResult]] = {"segue": [], "stamp": [], "nothing": []}
    with (
        extent.folder() as data,
        role("collector", data, workspace=write_workspace(data)) as collector,
        speaker("bench.bare_collector", "stamp", core=SERVER_CORE) as stamp,
        speaker("bench.bare_collector", "nothing", core=SERVER_CORE) as nothing,
    ):
        servers = {
            "segue": (collector.port, collector.process.pid),
            "stamp": (stamp.port, stamp.process.pid),
            "nothing": (nothing.port, nothing.process.pid),
        }
        for number in range(extent.rounds(ROUNDS)):
            for server, (port, process) in servers.items():
                results[server].append(load(_spec(port, process, path, events)))
            shown = ", ".join(f"{server} {_rate(done[-1], events):,.0f}" for server, done in results.items())
            tell(f"  {path} round {number + 1}, events/s: {shown}")
        if collector.process.poll() is not None:
            raise Failed("the collector ended")
    return results


def _spec(port: int, process: int, path: str, events: int) -> LoadSpec:
    return LoadSpec(
        port=port, server=process, path=path, events=events, seconds=SECONDS, warm_up_seconds=WARM_UP_SECONDS
    )


def _rate(one: LoadResult, events: int) -> float:
    """Events a second of the server's core."""
    return one.requests * events / (one.seconds - one.others_seconds)


def _cpu_us(results: list[LoadResult], events: int) -> float:
    return middle([one.server_cpu_seconds / (one.requests * events) * 1e6 for one in results])


def _share_of_load(results: list[LoadResult]) -> float:
    return middle([one.load_cpu_seconds / one.seconds for one in results])


def _unused(results: list[LoadResult]) -> float:
    """How much of the server's core nobody used: of a server that waits for nothing, none."""
    return middle([1 - (one.server_cpu_seconds + one.others_seconds) / one.seconds for one in results])


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios."""
    return middle([one / other for one, other in zip(ours, theirs, strict=True)])
