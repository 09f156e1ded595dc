"""Reading what profiles have of audiences and computed traits."""

from __future__ import annotations

from contextlib import closing

import msgspec
import pytest

from segue.state.computed import ComputedReader
from segue.state.computed_rows import OFF, ComputedDelta, ComputeState, HoldingRow
from segue.state.profile_rows import ProfilesDelta, ProfilesState
from segue.state.profiles import ProfileWriter

VALUES = {1: "true", 2: "false", 3: "null", 4: None, 5: "25.5"}


@pytest.fixture
def reader(tmp_path):
    path = tmp_path / "profiles.db"
    rows = [(7, HoldingRow(number, value, 0, 1, False)) for number, value in VALUES.items()]
    computed = ComputedDelta(state=ComputeState(), holdings=rows)
    with closing(ProfileWriter(path)) as writer:
        writer.commit([ProfilesDelta(state=msgspec.msgpack.encode(ProfilesState()), computed=computed)])
    with closing(ComputedReader(path)) as found:
        yield found


def test_a_computed_trait_that_is_false_is_a_value(reader):
    off = OFF["computed_trait"]
    assert [row.profile for row in reader.members(7, off)] == [1, 2, 5]
    assert reader.count(7, off) == 3


def test_who_has_left_an_audience_is_no_member(reader):
    assert 2 not in [row.profile for row in reader.members(7, OFF["audience"])]
