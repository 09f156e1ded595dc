"""What the collector is measured against: its own server, with parts of the rest left out.

`python -m bench.bare_collector PART` serves until stdin ends and prints its port as one line of JSON. PART is
`stamp` (the collector's parsing, checks and stamps; nothing is appended or waited for) or `nothing` (an answer).

Rule: what is not left out is the collector's own code, set up as the collector process sets it up.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from typing import Any

import msgspec
import uvloop

from bench.events import SOURCE, WRITE_KEY
from segue.collect.answer import SUCCESS
from segue.collect.app import Collector
from segue.collect.auth import SourceKeys
from segue.collect.metrics import CollectMetrics
from segue.collect.server import serve
from segue.core.event import NewRecord
from segue.settings import read_settings
from segue.state.control import SourceRow
from segue.state.quarantine import Drop
from segue.wiring.clock import SystemClock
from segue.wiring.ports import listen


class NoCommitter:
    """Stands where the group commit is; counts, and has its answer at once."""

    def __init__(self) -> None:
        self.records = 0

    def check_room(self) -> None:
        """There is always room."""

    def submit(self, records: Sequence[NewRecord], _drops: Sequence[Drop]) -> asyncio.Future[list[int | None]]:
        """The answer that a commit would give, without one."""
        done: asyncio.Future[list[int | None]] = asyncio.get_running_loop().create_future()
        done.set_result([None] * len(records))
        self.records += len(records)
        return done


async def nothing(_scope: Any, receive: Any, send: Any) -> None:
    """Read a request, and answer it."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": SUCCESS.status, "headers": SUCCESS.headers})
    await send({"type": "http.response.body", "body": SUCCESS.body})


async def run(part: str) -> None:
    """Serve until stdin ends."""
    settings = read_settings(os.environ)
    metrics, limits = CollectMetrics(), settings.collect.limits()
    source = SourceRow(slug=SOURCE, name=SOURCE, write_keys=(WRITE_KEY,), enabled=True, strict=False)
    committer: Any = NoCommitter()
    app: Any = nothing
    if part == "stamp":
        app = Collector(
            keys=SourceKeys([source]), committer=committer, clock=SystemClock(), limits=limits, metrics=metrics
        )
    server = await serve(app, listen("127.0.0.1", 0), limits=limits, metrics=metrics)
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin)
    sys.stdout.buffer.write(msgspec.json.encode({"port": server.port}) + b"\n")
    sys.stdout.buffer.flush()
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    await stdin.read()
    await server.close()


if __name__ == "__main__":
    uvloop.run(run(sys.argv[1]))
