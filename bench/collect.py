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
from bench.measure import Extent, folder, tell
from bench.report import Row, middle

ROUNDS = 15
SECONDS = 1.0
WARM_UP_SECONDS = 0.4
LOAD_CPU_MOST = 0.9

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
        share = {server: _load_share(results) for server, results in found.items()}
        for server, taken in share.items():
            if taken > LOAD_CPU_MOST:
                tell(f"  the load took {taken:.0%} of its core against `{server}`: its figure may be the load's")
        detail = {
            "events_per_second": {server: middle(values) for server, values in rates.items()},
            "server_cpu_us_per_event": {server: _cpu_us(results, events) for server, results in found.items()},
            "load_cpu_share": share,
            "rounds": rates,
        }
        ratio = {server: _ratio(rates["segue"], values) for server, values in rates.items()}
        rows.append(Row(row=f"collect-{name}", what=what, value=ratio["stamp"], limit=limit, detail=detail))
        rows.append(Row(row=f"collect-{name}", what="the same, of a handler that does nothing", value=ratio["nothing"]))
    return rows


def _rounds(extent: Extent, *, path: str, events: int) -> dict[str, list[LoadResult]]:
    results: dict[str, list[LoadResult]] = {"segue": [], "stamp": [], "nothing": []}
    with (
        folder() as data,
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
                spec = LoadSpec(port=port, server=process, path=path, events=events, seconds=extent.seconds(SECONDS))
                result = load(spec)
                results[server].append(result)
                tell(
                    f"  {path} round {number + 1}, {server}: {result.requests * events / result.seconds:,.0f} events/s"
                )
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


def _load_share(results: list[LoadResult]) -> float:
    return max(one.load_cpu_seconds / one.seconds for one in results)


def _ratio(ours: list[float], theirs: list[float]) -> float:
    """The median of the rounds' ratios."""
    return middle([one / other for one, other in zip(ours, theirs, strict=True)])
