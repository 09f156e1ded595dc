"""Soak: ten minutes at 5,000 events/s from POST to sink; memory must not grow.

Rule: what is compared is the processes' memory without mapped files: the median of the last five minutes against
that of minutes 2 to 4; every event that was acknowledged must come to the sink, nearly all of them meanwhile.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench import machine
from bench.children import Failed, instance, load, speaker, write_workspace
from bench.events import BATCH_EVENTS
from bench.load import LoadResult, LoadSpec
from bench.measure import Extent, tell
from bench.report import Row, middle

SECONDS = 600.0
EVENTS_PER_SECOND = 5_000.0
EARLY = (2 / 10, 4 / 10)
LATE = (5 / 10, 10 / 10)
GROWTH_PERCENT = 5.0
KEPT_UP = 0.99
TELL_SECONDS = 60.0

Samples = list[tuple[float, int]]
"""Seconds since the load began, and bytes."""


def measure(extent: Extent) -> list[Row]:
    """The row `soak`."""
    seconds = 20.0 if extent.quick else SECONDS
    with extent.folder() as data, speaker("bench.sink") as sink:
        workspace = write_workspace(data, destinations=[f"http://127.0.0.1:{sink.port}/events"])
        with instance(data / "instance", workspace=workspace, sink=sink.port) as running:
            sent, samples = _loaded(running.port, running.process.pid, seconds)
            in_time = sink.ask("until 0")["count"]
            events = sent.sent_in_all * BATCH_EVENTS
            came = sink.ask(f"until {events}")["count"]
        disk = _size(data)
    if came < events:
        raise Failed(f"{events} events were acknowledged, {came} came")
    early, late = (_median(samples, seconds, part) for part in (EARLY, LATE))
    rate = in_time / events * sent.requests * BATCH_EVENTS / sent.seconds
    tell(f"  {rate:,.0f} events/s, {early / 1e6:.1f} MB then, {late / 1e6:.1f} MB in the end, {disk / 1e9:.2f} GB")
    detail = {
        "events": events,
        "came": came,
        "held_up": sent.held_up,
        "cpu_share_of_load": sent.load_cpu_seconds / sent.seconds,
        "early_mb": early / 1e6,
        "late_mb": late / 1e6,
        "mb_each_10_seconds": [round(size / 1e6, 2) for _, size in samples[::10]],
    }
    what = f"growth of memory in {seconds / 60:.3g} minutes at {EVENTS_PER_SECOND:,.0f} events/s"
    growth = 100 * (late / early - 1)
    return [
        Row(row="soak", what=what, value=growth, limit=GROWTH_PERCENT, at_least=False, unit="%", detail=detail),
        Row(row="soak", what="events/s that came to the sink meanwhile", value=rate, limit=KEPT_UP * EVENTS_PER_SECOND),
    ]


def _loaded(port: int, process: int, seconds: float) -> tuple[LoadResult, Samples]:
    """Load the instance; meanwhile look at its memory once a second."""
    spec = LoadSpec(
        port=port,
        server=process,
        path="/v1/batch",
        events=BATCH_EVENTS,
        seconds=seconds,
        per_second=EVENTS_PER_SECOND / BATCH_EVENTS,
    )
    samples: Samples = []
    with ThreadPoolExecutor(1) as thread:
        running, begun, told = thread.submit(load, spec), time.monotonic(), 0.0
        while not running.done():
            time.sleep(1)
            at = time.monotonic() - begun
            samples.append((at, machine.unmapped_bytes(machine.family(process))))
            if at - told >= TELL_SECONDS:
                told = at
                tell(f"  {at:.0f} s: {samples[-1][1] / 1e6:.1f} MB")
        return running.result(), samples


def _median(samples: Samples, seconds: float, part: tuple[float, float]) -> float:
    return middle([size for at, size in samples if part[0] * seconds <= at <= part[1] * seconds])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
