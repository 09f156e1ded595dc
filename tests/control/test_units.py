"""Counts as people read them; durations and sizes are tested with the settings that hold them."""

from __future__ import annotations

import pytest

from segue.control.units import counted


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 events"), (1, "1 event"), (2, "2 events"), (21, "21 events"), (1000, "1000 events")]
)
def test_one_is_one_and_everything_else_is_many(count: int, words: str) -> None:
    assert counted(count, "event") == words


def test_many_may_be_another_word() -> None:
    assert [counted(count, "entry", "entries") for count in (1, 2)] == ["1 entry", "2 entries"]
