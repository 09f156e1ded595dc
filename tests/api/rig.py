"""The Profile API on a real server, its tokens in a real control.db, its profiles made by a real resolver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import structlog

from segue.api.limits import ApiLimits
from segue.api.profiles import PREFIX, ProfileApi
from segue.collect.metrics import CollectMetrics
from segue.control import space_tokens
from segue.core.event import Event, NewRecord
from segue.lake.rows import Entry
from segue.lake.writer import LakeWriter
from segue.log.sqlite import SQLiteLogWriter
from segue.log.sqlite_reader import SQLiteLogReader
from segue.state.control import ControlStore, SourceRow
from segue.state.spaces import SpaceRow
from tests.collect.rig import SetClock, served
from tests.resolve.events import entry
from tests.resolve.rig import Rig as Profiles


class Api:
    """What a test has of it. Profiles are there once `profiles` was asked for and has committed."""

    def __init__(self, folder: Path, limits: ApiLimits) -> None:
        self.folder = folder
        self.clock = SetClock()
        self.control = ControlStore(folder / "control.db", self.clock)
        with self.control.change() as change:
            change.put_source(SourceRow(slug="web", name="Web", write_keys=("wk",)))
            self.spaces = {
                slug: change.put_space(SpaceRow(slug=slug, name=slug, sources=("web",))) for slug in ("prod", "dev")
            }
        self.token, _ = space_tokens.create(self.control, "prod", "one")
        self.other_token, _ = space_tokens.create(self.control, "dev", "two")
        self.log = SQLiteLogWriter(folder / "log", self.clock)
        self.reader = SQLiteLogReader(folder / "log")
        self.app = ProfileApi(
            self.path_of,
            lake_of=self.lake_of,
            log=self.reader,
            clock=self.clock,
            lines=structlog.get_logger(),
            limits=limits,
        )
        self.reload()
        self.url = ""
        self.metrics = CollectMetrics()
        self._profiles: Profiles | None = None

    @classmethod
    @contextmanager
    def served(cls, folder: Path, limits: ApiLimits = ApiLimits()) -> Iterator[Api]:
        api = cls(folder, limits)
        (folder / "collector").mkdir()
        with served(folder / "collector", mounted={PREFIX: api.app}) as server:
            api.url, api.metrics = server.url, server.rig.metrics
            yield api
        asyncio.run(api.app.close())
        api.close()

    def path_of(self, space: int) -> Path:
        return self.folder / "spaces" / str(space) / "profiles.db"

    def lake_of(self, space: int) -> Path:
        return self.path_of(space).parent / "lake"

    @property
    def profiles(self) -> Profiles:
        """The resolver of `prod`."""
        if self._profiles is None:
            path = self.path_of(self.spaces["prod"].id)
            path.parent.mkdir(parents=True)
            self._profiles = Profiles(path)
        return self._profiles

    def send(self, *events: tuple[str, dict[str, Any]]) -> None:
        """Events of the space's source, in the log, resolved and committed."""
        rig = self.profiles
        for type_, fields in events:
            record, event = entry(rig.offset, type_, **fields)
            self.log.append([NewRecord("web", type_, "", record.message_id, record.received_at, record.body)])
            rig.apply([(record, event)])
            rig.offset += 1
        rig.commit()

    def flush(self) -> None:
        """Bring into the lake what has been resolved."""
        with closing(LakeWriter(self.lake_of(self.spaces["prod"].id))) as lake, self.profiles.reader.snapshot():
            end = self.profiles.reader.state().position
            placed = {each.offset: each for each in self.profiles.reader.placed(lake.position.offset)}
            records = self.reader.get(sorted(placed))
            entries = [Entry(record, Event(record.body), placed[record.offset]) for record in records]
            lake.write(entries, position=end, breathe=lambda: None)

    def reload(self) -> None:
        """As after any change of control."""
        self.app.use(self.control.snapshot())

    def request(self, path: str, *, method: str = "GET", token: str | None = None, **more: Any) -> requests.Response:
        """A request below `/v1/spaces`, with prod's token unless told."""
        auth = (self.token if token is None else token, "")
        return requests.request(method, f"{self.url}/v1/spaces/{path}", **{"auth": auth, "timeout": 10, **more})

    def get(self, identifier: str, view: str, collection: str = "users", **query: Any) -> Any:
        """What is answered of one of prod's profiles; it must be there."""
        path = f"prod/collections/{collection}/profiles/{quote(identifier, safe='')}/{view}"
        answer = self.request(path, params=query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        return answer.json()

    def refused(self, path: str, **more: Any) -> tuple[int, str]:
        """The status and the code of an error, which must have Segment's form."""
        answer = self.request(path, **more)
        error = answer.json()["error"]
        assert set(answer.json()) == {"error"} and set(error) == {"code", "message"} and error["message"]
        assert answer.headers["request-id"]
        return answer.status_code, error["code"]

    def close(self) -> None:
        if self._profiles is not None:
            self._profiles.close()
        self.reader.close()
        self.log.close()
        self.control.close()
