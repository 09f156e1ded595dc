"""Engage: an audience reaches a destination: an event that makes a member, a window that closes, a first sync.

Rule: the instances are whole, started as users start them; what is measured is read from what arrives at the sink.
"""

from __future__ import annotations

import http.client
import subprocess
import sys
import time
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from bench.children import Failed, Running, environment, instance, load, speaker
from bench.events import EVENT_OF_ITS_TIME, SOURCE, WRITE_KEY
from bench.latency import percentile
from bench.load import LoadSpec
from bench.measure import Extent, tell
from bench.report import Row
from segue.core.clock import iso
from segue.state.computed import ComputedReader
from segue.state.profiles import ProfileReader
from segue.wiring.instance import Instance

PER_SECOND, SECONDS, ROUNDS = 500.0, 20.0, 2
P50_MS, P99_MS = 100.0, 1_000.0
EXITS, EXITS_WITHIN_S, EXIT_P99_MS = 4_000, 20.0, 2_000.0
HOUR_NS = 3_600 * 1_000_000_000
SYNCED = 100_000
BATCH_SIZE = 100
BATCHED_PER_SECOND, UNBATCHED_PER_SECOND = 20_000.0, 5_000.0
POST_AT_ONCE = 500
PREPARED_WITHIN_S = 200.0

MEMBERS = "event('Order Completed').count() >= 1"
OF_AN_HOUR = "event('Order Completed').within(1 hour).count() >= 1"


def latency(extent: Extent) -> list[Row]:
    """The rows `engage-latency`."""
    with extent.folder() as data, speaker("bench.sink") as sink:
        workspace = _workspace(data, sink.port, MEMBERS, {"hook": 1})
        with instance(data / "instance", workspace=workspace, sink=sink.port) as running:
            spec = LoadSpec(
                port=running.port,
                server=running.process.pid,
                path="/v1/track",
                events=1,
                event=EVENT_OF_ITS_TIME.decode(),
                seconds=extent.seconds(SECONDS * ROUNDS),
                per_second=PER_SECOND,
            )
            sent = load(spec)
            sink.ask(f"until {sent.sent_in_all}")
            found = sorted(sink.ask("latencies")["latencies"])
    if len(found) != sent.sent_in_all:
        raise Failed(f"{sent.sent_in_all} users became members, {len(found)} came")
    p50, p99 = percentile(found, 0.5), percentile(found, 0.99)
    tell(f"  {len(found):,} members, p50 {p50:.0f} ms, p99 {p99:.0f} ms, most {found[-1]:.0f} ms")
    what = f"from POST to the member's arrival at the sink at {PER_SECOND:g} events/s"
    return [
        Row(row="engage-latency", what=f"{what}, p50", value=p50, limit=P50_MS, at_least=False, unit="ms"),
        Row(row="engage-latency", what=f"{what}, p99", value=p99, limit=P99_MS, at_least=False, unit="ms"),
    ]


def exits(extent: Extent) -> list[Row]:
    """The row `exit`. Each userId is the instant at which the user's window closes, by the monotonic clock."""
    count = extent.count(EXITS)
    with extent.folder() as data, speaker("bench.sink") as sink:
        workspace = _workspace(data, sink.port, OF_AN_HOUR, {"hook": 1})
        with instance(data / "instance", workspace=workspace, sink=sink.port) as running:
            first = time.monotonic_ns() + 15 * 1_000_000_000
            wall = time.time_ns() - time.monotonic_ns()
            # To the millisecond, for that is what timestamps have.
            wall -= wall % 1_000_000
            step = int(EXITS_WITHIN_S * 1e9) // count
            closings = [(first + turn * step) // 1_000_000 * 1_000_000 for turn in range(count)]
            _post(running, [_order(f"{each:020d}", (each + wall - HOUR_NS) // 1_000_000) for each in closings])
            sink.ask(f"until {2 * count}")
            found = sorted(each for each in sink.ask("latencies")["latencies"] if each > 0)
    if len(found) != count:
        raise Failed(f"{count} windows closed, {len(found)} exits came after it")
    p99 = percentile(found, 0.99)
    tell(f"  {count:,} exits, p50 {percentile(found, 0.5):.0f} ms, p99 {p99:.0f} ms, most {found[-1]:.0f} ms")
    what = "from the window's end to the exit's arrival at the sink, p99"
    return [Row(row="exit", what=what, value=p99, limit=EXIT_P99_MS, at_least=False, unit="ms")]


def first_sync(extent: Extent) -> list[Row]:
    """The rows `first-sync`: one after the other, over the same members."""
    count = extent.count(SYNCED)
    rates: dict[str, float] = {}
    with extent.folder() as data, speaker("bench.sink") as sink:
        workspace = _workspace(data, sink.port, MEMBERS, {})
        with instance(data / "instance", workspace=workspace, sink=sink.port) as running:
            now = time.time_ns() // 1_000_000
            _post(running, [_order(f"user-{number:08d}", now) for number in range(count)])
            _members(data / "instance", count)
            came, sizes = 0, {}
            for name, size in (("batched", BATCH_SIZE), ("unbatched", 1)):
                sizes[name] = size
                _workspace(data, sink.port, MEMBERS, sizes)
                sink.ask("times")
                apply = [sys.executable, "-m", "segue.cli", "apply", "--data", str(data / "instance"), str(workspace)]
                subprocess.run(apply, check=True, env=environment(sink.port), stdout=subprocess.DEVNULL)
                came += count
                sink.ask(f"messages {came}")
                times = sink.ask("times")
                rates[name] = count / (times["last"] - times["first"])
                tell(f"  {name}: {rates[name]:,.0f} users/s")
    return [
        _synced("to a batching webhook", rates["batched"], BATCHED_PER_SECOND),
        _synced("to an unbatched one", rates["unbatched"], UNBATCHED_PER_SECOND),
    ]


def _synced(what: str, rate: float, limit: float) -> Row:
    return Row(row="first-sync", what=f"users/s of a {SYNCED:,}-member audience {what}", value=rate, limit=limit)


def _workspace(folder: Path, sink: int, definition: str, sizes: dict[str, int]) -> Path:
    """One space with one audience, for webhooks of these batch sizes that no event of the source goes to."""
    hooks = [
        {
            "slug": name,
            "source": "nobody",
            "kind": "webhook",
            "name": name,
            "enabled": True,
            "settings": {"hooks": [f"http://127.0.0.1:{sink}/events"], "batch_size": size},
        }
        for name, size in sizes.items()
    ]
    audience = {"name": "Members", "definition": definition, "destinations": list(sizes)}
    file = {
        "workspace": {"name": "Bench", "slug": "bench"},
        "sources": [{"slug": SOURCE, "write_keys": [WRITE_KEY]}, {"slug": "nobody", "write_keys": ["nobody"]}],
        "destinations": hooks,
        "spaces": [{"slug": "prod", "sources": [SOURCE], "audiences": [audience]}],
    }
    path = folder / "workspace.yaml"  # of which JSON is a part
    path.write_bytes(msgspec.json.encode(file))
    return path


def _order(user: str, at_ms: int) -> dict[str, Any]:
    properties = {"orderId": user, "revenue": 25.5}
    event = {"type": "track", "event": "Order Completed", "userId": user, "properties": properties}
    return {**event, "messageId": f"order-{user}", "timestamp": iso(at_ms)}


def _post(running: Running, events: list[dict[str, Any]]) -> None:
    head = {
        "Authorization": f"Basic {b64encode(f'{WRITE_KEY}:'.encode()).decode()}",
        "Content-Type": "application/json",
    }
    with closing(http.client.HTTPConnection("127.0.0.1", running.port)) as connection:
        for place in range(0, len(events), POST_AT_ONCE):
            body = msgspec.json.encode({"batch": events[place : place + POST_AT_ONCE]})
            connection.request("POST", "/v1/batch", body, head)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise Failed(f"a batch was answered {answer.status}")


def _members(data: Path, count: int) -> None:
    """Wait until there are so many, and nothing is left to be resolved."""
    path = Instance(data).profiles(1)
    give_up_at = time.monotonic() + PREPARED_WITHIN_S
    with closing(ProfileReader(path)) as profiles, closing(ComputedReader(path)) as computed:
        while profiles.state().applied < count or computed.count(1) < count:
            if time.monotonic() > give_up_at:
                raise Failed(f"{computed.count(1)} of {count} became members")
            time.sleep(0.2)
