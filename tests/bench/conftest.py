"""The benchmark stands beside the tests, not in the installed package. Rule: only these tests see it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(autouse=True)
def bench_is_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import `bench` from the checkout."""
    monkeypatch.syspath_prepend(str(ROOT))
