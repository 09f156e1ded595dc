"""Rows of audiences and computed traits: which ids and keys are given, and what goes with what."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from segue.core.errors import Invalid
from segue.state.computations import ComputationRow, ConnectionRow
from segue.state.control import ControlStore, DestinationRow, SourceRow
from segue.state.spaces import SpaceRow

HOUR_MS = 3_600_000


class SetClock:
    """A clock that stands where it was set."""

    def __init__(self, now_ms: int) -> None:
        self.now = now_ms

    def now_ms(self) -> int:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock(1_700_000_000_000)


@pytest.fixture
def store(tmp_path: Path, clock: SetClock):
    with ControlStore(tmp_path / "control.db", clock) as store:
        with store.change() as change:
            change.put_source(SourceRow(slug="website", name="Website"))
            for slug in ("planhat", "user-com"):
                change.add_destination(DestinationRow(id=0, slug=slug, name=slug, source="website", kind="webhook"))
            change.put_space(SpaceRow(slug="prod", name="Prod", sources=("website",)))
            change.put_space(SpaceRow(slug="test", name="Test", sources=("website",)))
        yield store


BUYERS = ComputationRow(space=1, kind="audience", key="buyers", name="Buyers", definition="event('Order').count() >= 1")


def put(store: ControlStore, row: ComputationRow) -> ComputationRow:
    with store.change() as change:
        return change.put_computation(row)


def delete(store: ControlStore, row: ComputationRow) -> None:
    with store.change() as change:
        change.delete_computation(row.id)


def test_what_was_put_is_read_back_with_its_ids(store, clock):
    connections = (
        ConnectionRow(destination=2, track=True, every_ms=HOUR_MS),
        ConnectionRow(destination=1, identify=False, track=True),
    )
    row = put(store, replace(BUYERS, connections=connections, include_anonymous=True, historical=False, enabled=False))
    assert (row.id, row.ref, row.created_at) == (1, "aud_1", clock.now)
    assert [connection.id for connection in row.connections] == [1, 2]
    assert store.snapshot().computations == (row,)
    assert store.snapshot().computations_of(1) == [row]
    assert store.snapshot().computations_of(2) == []


def test_a_computed_trait_is_called_tra(store):
    assert put(store, replace(BUYERS, kind="computed_trait")).ref == "tra_1"


def test_kind_key_and_anonymous_members_stay_as_created(store, clock):
    row = put(store, BUYERS)
    clock.now += HOUR_MS
    put(store, replace(row, name="All buyers", kind="computed_trait", key="all_buyers", include_anonymous=True))
    assert store.snapshot().computations == (replace(row, name="All buyers"),)


def test_a_connection_keeps_its_id_while_it_is_there_and_gets_another_when_it_comes_back(store):
    row = put(store, replace(BUYERS, connections=(ConnectionRow(destination=1), ConnectionRow(destination=2))))
    second, first = ConnectionRow(destination=2), ConnectionRow(destination=1, track=True)
    row = put(store, replace(row, connections=(second, first)))
    assert [(each.destination, each.id, each.track) for each in row.connections] == [(2, 2, False), (1, 1, True)]
    assert store.snapshot().computations == (row,)
    row = put(store, replace(row, connections=(second,)))
    row = put(store, replace(row, connections=(second, first)))
    assert [each.id for each in row.connections] == [2, 3]


def test_a_key_is_one_of_a_space_for_audiences_and_traits_alike(store):
    put(store, BUYERS)
    with pytest.raises(Invalid, match="the key 'buyers' is taken in this space"):
        put(store, replace(BUYERS, kind="computed_trait"))
    assert put(store, replace(BUYERS, space=2)).id == 2
    assert len(store.snapshot().computations) == 2


def test_the_key_of_a_deleted_one_stays_taken_and_its_id_too(store):
    row = put(store, BUYERS)
    delete(store, row)
    assert store.snapshot().computations == ()
    assert store.snapshot().retired_keys == {(1, "buyers")}
    with pytest.raises(Invalid, match="taken"):
        put(store, BUYERS)
    assert put(store, replace(BUYERS, key="buyers_2")).id == 2


def test_a_destination_that_is_deleted_is_told_of_nothing(store):
    row = put(store, replace(BUYERS, connections=(ConnectionRow(destination=1), ConnectionRow(destination=2))))
    with store.change() as change:
        change.delete_destination(1)
    assert store.snapshot().computations == (replace(row, connections=row.connections[1:]),)


def test_a_space_that_is_deleted_takes_its_computations_and_their_keys_along(store):
    put(store, replace(BUYERS, connections=(ConnectionRow(destination=1),)))
    delete(store, put(store, replace(BUYERS, key="gone")))
    with store.change() as change:
        change.delete_space(1)
    assert (store.snapshot().computations, store.snapshot().retired_keys) == ((), frozenset())


def test_a_destination_reads_a_further_source_from_where_it_was_first_named(store):
    for last in (7, 9):
        with store.change() as change:
            row = change.control().destinations[0]
            change.read_too(row, "space:prod", last)
    assert store.snapshot().destinations[0].ordinals == {"space:prod": 7}
