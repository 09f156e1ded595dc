"""Audiences and computed traits: what may be stored, and which one is meant.

Rule: a computation is known by its space and its key; which ids its rows have, only the rows know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from segue.control.cadence import REALTIME, every_text
from segue.control.spaces import find_space
from segue.control.suggestion import did_you_mean
from segue.core.errors import Invalid
from segue.state.computations import ComputationKind, ComputationRow, ConnectionRow
from segue.state.control import Change, Control

if TYPE_CHECKING:
    from segue.log import Ends

KIND_WORDS: Mapping[str, str] = {"audience": "audience", "computed_trait": "computed trait"}


class ConnectionSpec(Struct, frozen=True, kw_only=True):
    """A destination, by its slug, that shall be told. `every_ms` as in `ConnectionRow`."""

    destination: str
    identify: bool = True
    track: bool = False
    every_ms: int = 0

    def text(self) -> str:
        """In words: `identify, track, 6 hours`."""
        calls = [name for name, on in (("identify", self.identify), ("track", self.track)) if on]
        return ", ".join((*calls, every_text(self.every_ms)))


class ComputationSpec(Struct, frozen=True, kw_only=True):
    """An audience or computed trait as it should be. `space` is a slug, `definition` the normal text.

    `names`: the keys of audiences, and the traits, that the definition names.
    """

    space: str
    kind: ComputationKind
    key: str
    name: str
    definition: str
    enabled: bool = True
    include_anonymous: bool = False
    historical: bool = True
    connections: tuple[ConnectionSpec, ...] = ()
    names: frozenset[str] = frozenset()

    @property
    def label(self) -> str:
        """How it is called among all of the workspace."""
        return f"{self.space}/{self.key}"


def spec_of(row: ComputationRow, control: Control) -> ComputationSpec:
    """The stored computation as it would be said; `names` is not stored."""
    spaces = {space.id: space.slug for space in control.spaces}
    slugs = {destination.id: destination.slug for destination in control.destinations}
    return ComputationSpec(
        space=spaces[row.space],
        kind=row.kind,
        key=row.key,
        name=row.name,
        definition=row.definition,
        enabled=row.enabled,
        include_anonymous=row.include_anonymous,
        historical=row.historical,
        connections=tuple(
            ConnectionSpec(
                destination=slugs[each.destination], identify=each.identify, track=each.track, every_ms=each.every_ms
            )
            for each in row.connections
        ),
    )


def find_computation(control: Control, space: str | None, kind: ComputationKind, key: str) -> ComputationRow:
    """The audience or computed trait of this key. Raises Invalid, with a suggestion, where there is none."""
    known = computations_of(control, space, kind)
    row = next((row for row in known if row.key == key), None)
    if row is None:
        hint = did_you_mean(key, [row.key for row in known])
        raise Invalid(f"there is no {KIND_WORDS[kind]} with the key {key!r}{hint}", field="KEY")
    return row


def computations_of(control: Control, space: str | None, kind: ComputationKind) -> list[ComputationRow]:
    """Those of a space (the only one where it is None), the oldest first. Raises Invalid as `find_space`."""
    return [row for row in control.computations_of(find_space(control, space).id) if row.kind == kind]


def put(change: Change, spec: ComputationSpec, read_ends: Callable[[], Ends]) -> ComputationRow:
    """Store a computation, new or changed; its space and destinations are stored before.

    A destination that no computation of this space has named yet reads the space's own source from here on:
    `read_ends` is called for its last ordinal.
    """
    control = change.control()
    space = find_space(control, spec.space)
    destinations = {row.slug: row for row in control.destinations}
    former = next((row for row in control.computations_of(space.id) if row.key == spec.key), None)
    for each in spec.connections:
        row = destinations[each.destination]
        if space.own_source not in row.ordinals:
            last, _duplicates = read_ends().sources.get(space.own_source, (0, 0))
            change.read_too(row, space.own_source, last)
    return change.put_computation(
        ComputationRow(
            id=former.id if former else 0,
            created_at=former.created_at if former else 0,
            space=space.id,
            kind=spec.kind,
            key=spec.key,
            name=spec.name,
            definition=spec.definition,
            enabled=spec.enabled,
            include_anonymous=spec.include_anonymous,
            historical=spec.historical,
            connections=tuple(
                ConnectionRow(
                    destination=destinations[each.destination].id,
                    identify=each.identify,
                    track=each.track,
                    every_ms=each.every_ms,
                )
                for each in spec.connections
            ),
        )
    )


def computation_entry(spec: ComputationSpec) -> dict[str, Any]:
    """The computation as a workspace file says it. The key is always there, so that another name changes only that."""
    entry: dict[str, Any] = {"name": spec.name, "key": spec.key, "definition": spec.definition}
    if spec.connections:
        entry["destinations"] = [_connection_entry(each) for each in spec.connections]
    defaults = {"enabled": True, "include_anonymous": False, "historical": True}
    return entry | {
        name: getattr(spec, name) for name, default in defaults.items() if getattr(spec, name) is not default
    }


def _connection_entry(spec: ConnectionSpec) -> str | dict[str, Any]:
    entry: dict[str, Any] = {"slug": spec.destination}
    if (spec.identify, spec.track) != (True, False):
        entry |= {"identify": spec.identify, "track": spec.track}
    cadence = every_text(spec.every_ms)
    if cadence != REALTIME:
        entry["sync"] = cadence
    return entry if len(entry) > 1 else spec.destination
