"""What a plan says of audiences and computed traits, and what it refuses.

Rule: a key is given once in a space, for ever; what is fixed at creation is never changed in silence; nothing is
deleted that another definition names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from segue.control.computations import KIND_WORDS, ComputationSpec
from segue.control.setting_values import Value
from segue.core.errors import Invalid
from segue.state.control import Control

DELETED = "nothing is computed or sent any more; its key is never given again"


def computation_fields(spec: ComputationSpec, *, without: Collection[str] = ()) -> dict[str, Value]:
    """The fields that a plan compares; those of the destinations `without` left out."""
    return {
        "name": spec.name,
        "definition": spec.definition,
        "enabled": spec.enabled,
        "include_anonymous": spec.include_anonymous,
        "historical": spec.historical,
        **{
            f"destinations.{each.destination}": each.text()
            for each in spec.connections
            if each.destination not in without
        },
    }


def check_new(control: Control, spec: ComputationSpec, path: str) -> None:
    """Raises Invalid where the key of a new computation was given before in its space."""
    space = control.space(spec.space)
    if space is not None and (space.id, spec.key) in control.retired_keys:
        raise Invalid(
            f"the key {spec.key!r} was that of an audience or computed trait that was deleted, and is never given "
            "again; give another key",
            field=f"{path}.key",
        )


def check_kept(former: ComputationSpec, spec: ComputationSpec, path: str) -> None:
    """Raises Invalid where something changes that is fixed at creation."""
    if former.kind != spec.kind:
        raise Invalid(
            f"the key {spec.key!r} is that of the {KIND_WORDS[former.kind]} {former.name!r}, and is never given again; "
            "give another key",
            field=f"{path}.key",
        )
    if former.include_anonymous != spec.include_anonymous:
        was = "true" if former.include_anonymous else "false"
        raise Invalid(
            f"is {was} since it was created and stays so; make another {KIND_WORDS[spec.kind]}, with another key",
            field=f"{path}.include_anonymous",
        )


def check_unneeded(spec: ComputationSpec, wanted: Mapping[str, ComputationSpec]) -> None:
    """Raises Invalid where a computation is left out that the definition of another names."""
    for path, other in wanted.items():
        if other.space == spec.space and spec.key in other.names:
            raise Invalid(
                f"names {spec.key!r}, the {KIND_WORDS[spec.kind]} {spec.name!r}, which this file leaves out",
                field=f"{path}.definition",
            )


def deleted_note(spec: ComputationSpec, created: Iterable[ComputationSpec]) -> str:
    """What it means that a computation is deleted; where a new one says the same, how to rename it instead."""
    for other in created:
        if (other.space, other.kind, other.definition) == (spec.space, spec.kind, spec.definition):
            return f"{DELETED}; to rename it instead, give {other.name!r} the key {spec.key}"
    return DELETED
