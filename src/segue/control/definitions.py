"""The audiences and computed traits of one space in a workspace file, checked together.

Rule: what passes can be computed: every definition reads, names only what exists, and none waits for itself. Only this
module of `control` reads definitions, and it is imported where there are any: the grammar costs time and memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from msgspec.structs import replace

from segue.compute import Kind, Mistaken, cautions, check, check_key, in_order, key_of, print_definition, references
from segue.compute.parse import Reading, read
from segue.control.cadence import every_ms
from segue.control.computation_entries import ComputationEntry, ConnectionEntry
from segue.control.computations import KIND_WORDS, ComputationSpec, ConnectionSpec
from segue.control.destinations import DestinationSpec
from segue.control.slugs import check_name
from segue.control.suggestion import did_you_mean
from segue.core.errors import Invalid
from segue.state.computations import ComputationKind
from segue.state.spaces import SpaceRow

_LANGUAGE: Mapping[ComputationKind, Kind] = {"audience": "audience", "computed_trait": "trait"}


class Entry(NamedTuple):
    """An entry of the file, and in which of the two lists it stands."""

    kind: ComputationKind
    said: ComputationEntry


class Checked(NamedTuple):
    """What the entries mean, by their path in the file, and a line for each thing that is often not meant."""

    specs: dict[str, ComputationSpec]
    cautions: list[str]


def check_computations(
    space: SpaceRow, entries: Mapping[str, Entry], destinations: Mapping[str, DestinationSpec]
) -> Checked:
    """Everything that a space computes. `entries` by their path. Raises Invalid naming the path of what is wrong."""
    specs: dict[str, ComputationSpec] = {}
    paths: dict[str, str] = {}
    for path, entry in entries.items():
        spec = _spec(space, entry, path, destinations)
        if spec.key in paths:
            words = KIND_WORDS[specs[paths[spec.key]].kind]
            raise Invalid(
                f"the {words} {specs[paths[spec.key]].name!r} has the key {spec.key!r} already",
                field=f"{path}.{'name' if entry.said.key is None else 'key'}",
            )
        specs[path], paths[spec.key] = spec, path
    readings = {path: _reading(spec, path, specs) for path, spec in specs.items()}
    _check_order({specs[path].key: reading for path, reading in readings.items()}, paths)
    for path, reading in readings.items():
        named = references(reading.tree)
        definition = print_definition(reading.tree)
        specs[path] = replace(specs[path], definition=definition, names=named.audiences | named.traits)
    found = [line for path, spec in specs.items() for line in _cautions(spec, readings[path], space)]
    return Checked(specs, found)


def _spec(space: SpaceRow, entry: Entry, path: str, destinations: Mapping[str, DestinationSpec]) -> ComputationSpec:
    said = entry.said
    check_name(said.name, f"{path}.name")
    with _field(f"{path}.{'name' if said.key is None else 'key'}"):
        key = key_of(said.name) if said.key is None else said.key
        check_key(key, id_types={rule.type for rule in space.identity.identifiers})
    return ComputationSpec(
        space=space.slug,
        kind=entry.kind,
        key=key,
        name=said.name,
        definition=said.definition,
        enabled=said.enabled,
        include_anonymous=said.include_anonymous,
        historical=said.historical,
        connections=tuple(_connections(said, path, destinations)),
    )


def _connections(
    said: ComputationEntry, path: str, destinations: Mapping[str, DestinationSpec]
) -> Iterator[ConnectionSpec]:
    usual = every_ms(said.sync, f"{path}.sync")
    seen: set[str] = set()
    for place, entry in enumerate(said.destinations):
        field = f"{path}.destinations[{place}]"
        each, at = (ConnectionEntry(slug=entry), field) if isinstance(entry, str) else (entry, f"{field}.slug")
        if each.slug not in destinations:
            hint = did_you_mean(each.slug, destinations)
            raise Invalid(f"the file has no destination {each.slug!r}{hint}", field=at)
        if each.slug in seen:
            raise Invalid("this destination stands here twice", field=at)
        if not each.identify and not each.track:
            raise Invalid("one of identify and track must be true; else nothing is sent", field=field)
        seen.add(each.slug)
        yield ConnectionSpec(
            destination=each.slug,
            identify=each.identify,
            track=each.track,
            every_ms=usual if each.sync is None else every_ms(each.sync, f"{field}.sync"),
        )


def _reading(spec: ComputationSpec, path: str, specs: Mapping[str, ComputationSpec]) -> Reading:
    audiences = {each.key for each in specs.values() if each.kind == "audience"}
    kind = _LANGUAGE[spec.kind]
    with _field(f"{path}.definition"):
        reading = read(spec.definition, kind)
        mistakes = check(reading.tree, kind, audiences=audiences)
        if mistakes:
            raise Mistaken(reading.placed(mistakes))
    return reading


def _check_order(readings: Mapping[str, Reading], paths: Mapping[str, str]) -> None:
    try:
        in_order({key: reading.tree for key, reading in readings.items()})
    except Mistaken as error:
        raise Invalid(str(error), field=f"{paths[error.mistakes[0].found]}.definition") from None


def _cautions(spec: ComputationSpec, reading: Reading, space: SpaceRow) -> Iterator[str]:
    for mistake in reading.placed(cautions(reading.tree, sources=space.sources)):
        yield f"! {spec.label}: {mistake}"


@contextmanager
def _field(field: str) -> Iterator[None]:
    """An error about a key or a definition names where it stands; several mistakes stand in one line."""
    try:
        yield
    except Mistaken as error:
        raise Invalid("; ".join(map(str, error.mistakes)), field=field) from None
    except Invalid as error:
        raise Invalid(str(error), field=field) from None
