"""A collector on a port, with the Profile API of two spaces: `prod`, with profiles by a real resolver, and `dev`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .rig import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    with Api.served(tmp_path) as found:
        yield found
