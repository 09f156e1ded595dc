"""Every test that asks for `engine` runs once for each engine of the list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from segue.log import LogReader, LogWriter

from .engines import ENGINES, Engine, SetClock


@pytest.fixture(params=ENGINES, ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log"


class Log:
    """A log whose writer can be closed and opened again; everything is closed when the test ends."""

    def __init__(self, engine: Engine, folder: Path, clock: SetClock) -> None:
        self.engine, self.folder, self.clock = engine, folder, clock
        self.limits: dict[str, int] = {}
        self._opened: list[LogWriter | LogReader] = []

    def open(self, **limits: int) -> LogWriter:
        self.limits = limits
        writer = self.engine.writer(self.folder, self.clock, **limits)
        self._opened.append(writer)
        return writer

    def reopen(self, writer: LogWriter) -> LogWriter:
        writer.close()
        return self.open(**self.limits)

    def reader(self) -> LogReader:
        reader = self.engine.reader(self.folder)
        self._opened.append(reader)
        return reader

    def close(self) -> None:
        for opened in self._opened:
            opened.close()


@pytest.fixture
def log(engine: Engine, folder: Path, clock: SetClock) -> Iterator[Log]:
    log = Log(engine, folder, clock)
    yield log
    log.close()
