"""How often: which texts are read, and that what is printed reads back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.control.cadence import CADENCE_PATTERN, every_ms, every_text
from segue.core.errors import Invalid

MINUTE_MS = 60_000


@given(st.integers(0, 24 * 60))
def test_what_is_printed_reads_back_and_fits_the_schema(minutes):
    text = every_text(minutes * MINUTE_MS)
    assert every_ms(text, "sync") == minutes * MINUTE_MS
    assert re.search(CADENCE_PATTERN, text)


@pytest.mark.parametrize(
    ("text", "minutes"), [("realtime", 0), ("1 minute", 1), ("90 minutes", 90), ("1 hour", 60), ("24 hours", 1440)]
)
def test_a_cadence_is_realtime_or_minutes_or_hours(text, minutes):
    assert every_ms(text, "sync") == minutes * MINUTE_MS


@pytest.mark.parametrize(
    "text", ["", "0 minutes", "1441 minutes", "25 hours", "6h", "6  hours", "6 hours\n", "²  hours"]
)
def test_anything_else_is_refused(text):
    with pytest.raises(Invalid, match=r"^sync: must be"):
        every_ms(text, "sync")
