"""Instances for tests: one of one's own, and one that a module shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .running import Instance

Make = Callable[..., Instance]


def making(folder: Path) -> Iterator[Make]:
    """Makes instances below a folder; ends them all. None may have met an error that nobody had foreseen."""
    made: list[Instance] = []

    def make(**settings: Any) -> Instance:
        own = folder / f"instance-{len(made)}"
        own.mkdir()
        instance = Instance(own, **settings)
        made.append(instance)
        return instance

    yield make
    for instance in made:
        instance.close()
    for instance in made:
        assert "Traceback" not in instance.said(), instance.said()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Makes instances of the test's own, not yet started."""
    yield from making(tmp_path)


@pytest.fixture(scope="module")
def make_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Makes instances that all tests of a module share."""
    yield from making(tmp_path_factory.mktemp("shared"))
