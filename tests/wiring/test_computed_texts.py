"""What people read about audiences and computed traits."""

from __future__ import annotations

import pytest

from segue.wiring.computed_texts import lasting_text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (40, "40s"), (60, "1m 0s"), (605, "10m 5s"), (21_660, "6h 1m"), (21_659, "6h 0m"), (90_000, "1d 1h")],
)
def test_what_is_left_is_said_in_the_two_largest_units(seconds: int, text: str) -> None:
    assert lasting_text(seconds) == text
