"""An empty lake."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .rig import Rig


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "lake")
    yield made
    made.close()
