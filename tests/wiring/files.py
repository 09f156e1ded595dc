"""The files of an instance that no process serves, written and looked at by the tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Any

import msgspec
import structlog

from segue.control.secrets import Secrets
from segue.control.workspace import apply
from segue.control.workspace_file import parse_workspace
from segue.core.event import NewRecord
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.control import ControlStore
from segue.state.deliveries import DeliveryReader, DeliveryWriter, Delta, DestinationState
from segue.state.quarantine import Quarantine
from segue.wiring.instance import Instance
from segue.wiring.views import Views, open_views
from segue.wiring.worker import Worker

NOW = 1_790_000_000_000  # 2026-09-21T14:13:20Z


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self) -> None:
        self.now = NOW

    def now_ms(self) -> int:
        return self.now


class Files:
    """Log, control, state and quarantine of one folder, open for writing, and the views of them."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.clock = SetClock()
        self.instance = Instance(folder)
        self.instance.create()
        self.secrets = Secrets.open(folder)
        self.log = stack.enter_context(closing(SQLiteLogWriter(self.instance.log, self.clock)))
        self.quarantine = stack.enter_context(Quarantine(self.instance.quarantine))
        self.control = stack.enter_context(ControlStore(self.instance.control, self.clock))
        self.state = stack.enter_context(closing(DeliveryWriter(self.instance.state)))
        self.views: Views = stack.enter_context(open_views(self.instance, self.clock))

    def apply(self, *destinations: dict[str, Any]) -> None:
        """Make the workspace hold one source and these destinations."""
        body = msgspec.json.encode(
            {
                "workspace": {"name": "Demo", "slug": "demo"},
                "sources": [{"slug": "website", "name": "Website", "write_keys": ["wk"]}],
                "destinations": [
                    {"source": "website", "name": each["slug"], "enabled": True, **each} for each in destinations
                ],
            }
        )
        apply(self.control, parse_workspace(body, {}), self.secrets, self.log.ends)

    def accept(self, *names: str, source: str = "website", destinations: str | None = None) -> None:
        """Append a record for each name, which is its messageId, a millisecond apart."""
        for name in names:
            self.clock.now += 1
            body = msgspec.json.encode({"type": "track", "userId": "u", "event": "Seen", "messageId": name})
            self.log.append([NewRecord(source, "track", "u", name, self.clock.now, body, destinations)])

    def passed(self, slug: str, *, breaker: str = "closed", stall: str = "", **rows: Any) -> None:
        """Write what a worker would that has read the whole log for this destination."""
        end = self.log.ends()
        number = self.number(slug)
        passed = {name: last for name, (last, _) in end.sources.items()}
        state = DestinationState(position=end.offset, passed=passed, breaker=breaker, stall=stall)
        self.state.commit([Delta(destination=number, state=state, **rows)])

    def number(self, slug: str) -> int:
        """The id of a destination."""
        row = self.control.snapshot().destination(slug)
        assert row is not None
        return row.id

    def explain(self, message_id: str) -> list[dict[str, Any]]:
        """What `segue explain --json` prints, all of it."""
        found = self.views.explain(message_id, self.secrets)
        return msgspec.json.decode(msgspec.json.encode(found), type=list[dict[str, Any]])


@asynccontextmanager
async def working(files: Files) -> AsyncIterator[Worker]:
    """A worker that has taken up every destination."""
    with (
        closing(DeliveryReader(files.instance.state)) as rows,
        closing(SQLiteLogReader(files.instance.log)) as reader,
    ):
        worker = Worker(
            instance=files.instance,
            control=files.control,
            secrets=files.secrets,
            reader=reader,
            writer=files.state,
            rows=rows,
            network=None,
            clock=files.clock,
            log=structlog.get_logger(),
        )
        worker.start()
        yield worker
        await worker.close(5)
