"""Latency: from the POST of an event to its arrival at the sink, through a whole instance at a modest rate.

Rule: the clock starts when the request is written and stops when the sink has read the delivery; both processes read
the same monotonic clock.
"""

from __future__ import annotations

from bench.children import Failed, instance, load, speaker, write_workspace
from bench.load import LoadSpec
from bench.machine import cpu_seconds, family
from bench.measure import Extent, tell
from bench.report import Row, middle

ROUNDS = 3
SECONDS = 20.0
PER_SECOND = 500.0
P50_MS, P99_MS = 10.0, 50.0


def measure(extent: Extent) -> list[Row]:
    """The rows `latency`."""
    halves, most, cpu = [], [], []
    with extent.folder() as data, speaker("bench.sink") as sink:
        workspace = write_workspace(data, destinations=[f"http://127.0.0.1:{sink.port}/events"])
        with instance(data / "instance", workspace=workspace, sink=sink.port) as running:
            came = 0
            for number in range(extent.rounds(ROUNDS)):
                spec = LoadSpec(
                    port=running.port,
                    server=running.process.pid,
                    path="/v1/track",
                    events=1,
                    seconds=extent.seconds(SECONDS),
                    per_second=PER_SECOND,
                )
                processes = family(running.process.pid)
                before = sum(map(cpu_seconds, processes))
                sent = load(spec)
                came += sent.sent_in_all
                sink.ask(f"until {came}")
                latencies = sorted(sink.ask("latencies")["latencies"])
                if len(latencies) != sent.sent_in_all:
                    raise Failed(f"{sent.sent_in_all} events were sent, {len(latencies)} came")
                cpu.append((sum(map(cpu_seconds, processes)) - before) / sent.sent_in_all * 1e6)
                halves.append(percentile(latencies, 0.5))
                most.append(percentile(latencies, 0.99))
                tell(
                    f"  round {number + 1}: {len(latencies)} events, p50 {halves[-1]:.1f} ms, p99 {most[-1]:.1f} ms, "
                    f"most {latencies[-1]:.1f} ms, {sent.held_up} held up, CPU {cpu[-1]:.0f} us an event"
                )
    detail = {"p50_ms": halves, "p99_ms": most, "cpu_us_per_event": cpu}
    what = f"from POST to arrival at the sink at {PER_SECOND:g} events/s"
    return [
        Row(
            row="latency",
            what=f"{what}, p50",
            value=middle(halves),
            limit=P50_MS,
            at_least=False,
            unit="ms",
            detail=detail,
        ),
        Row(row="latency", what=f"{what}, p99", value=middle(most), limit=P99_MS, at_least=False, unit="ms"),
    ]


def percentile(ordered: list[float], part: float) -> float:
    """The value below which this part of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
