"""What the tests of control share: a store in a folder of its own, its key, a log that stands at some place."""

from __future__ import annotations

from pathlib import Path

import pytest

from segue.control.secrets import Secrets
from segue.log import Ends
from segue.state.control import ControlStore

ENDS = Ends(offset=120, sources={"website": (100, 3), "app": (20, 0)})


class StoppedClock:
    """A clock that stands."""

    def now_ms(self) -> int:
        return 1_700_000_000_000


@pytest.fixture
def store(tmp_path: Path):
    with ControlStore(tmp_path / "control.db", StoppedClock()) as store:
        yield store


@pytest.fixture(scope="session")
def secrets() -> Secrets:
    return Secrets.passing()


@pytest.fixture
def read_ends():
    return lambda: ENDS
