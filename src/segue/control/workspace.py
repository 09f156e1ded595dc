"""Apply a workspace file, and print the stored workspace as one.

Rule: a file is applied in one transaction or not at all; applying what `export` printed changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import yaml

from segue.control import computations, destinations
from segue.control.plan import Plan, Step, identity_entry, make_plan
from segue.control.secrets import Secrets
from segue.control.setting_values import printed_value, unsealed_value
from segue.control.spaces import find_space
from segue.control.workspace_file import WorkspaceFile
from segue.state.control import CONCURRENCY, Change, Control, ControlStore, DestinationRow, SourceRow, WorkspaceRow
from segue.state.spaces import SpaceRow

if TYPE_CHECKING:
    from segue.log import Ends


def apply(store: ControlStore, file: WorkspaceFile, secrets: Secrets, read_ends: Callable[[], Ends]) -> Plan:
    """Make the stored workspace say what the file says, and remember the file. The answer is what was done.

    `read_ends` is called inside the transaction, once at most, and only where a destination is new or is named by a
    space for the first time: it begins at the log's end of that moment. Raises Invalid as `make_plan`.
    """
    with store.change() as change:
        plan = make_plan(change.control(), file, secrets)
        _carry_out(change, plan.steps, secrets, read_ends)
        change.set_applied_hash(file.hash)
    return plan


def apply_if_new(
    store: ControlStore, file: WorkspaceFile, secrets: Secrets, read_ends: Callable[[], Ends]
) -> Plan | None:
    """Apply the file unless it is the one applied last: then what was changed since stays, and it is None."""
    if store.applied_hash() == file.hash:
        return None
    return apply(store, file, secrets, read_ends)


def export(control: Control) -> str:
    """The stored workspace as a file. A secret is printed as `{kept: true}`, a reference as it was written."""
    entry = {
        "workspace": _workspace_entry(control.workspace),
        "sources": [_source_entry(row) for row in control.sources],
        "destinations": [_destination_entry(row) for row in control.destinations],
        "spaces": [_space_entry(row, control) for row in control.spaces],
    }
    return yaml.dump(entry, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=100)


class _PlainDumper(yaml.SafeDumper):
    """Writes the same object twice rather than an alias, which the strict reader refuses."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _carry_out(change: Change, steps: Iterable[Step], secrets: Secrets, read_ends: Callable[[], Ends]) -> None:
    control = change.control()
    resources = ("workspace", "source", "destination", "space", "computed_trait", "audience")
    of = {name: [step for step in steps if step.resource == name] for name in resources}
    for step in of["workspace"]:
        assert isinstance(step.wanted, WorkspaceRow)
        change.put_workspace(step.wanted)
    # What reads a source goes before it, and write keys are freed before another takes them.
    for step in of["destination"]:
        if step.action in ("delete", "replace"):
            change.delete_destination(destinations.find_destination(control, step.slug).id)
    for step in of["source"]:
        change.drop_write_keys(step.slug)
    for step in of["source"]:
        if isinstance(step.wanted, SourceRow):
            change.put_source(step.wanted)
    once = cache(read_ends)
    for step in of["destination"]:
        _put_destination(change, control, step, secrets, once)
    for step in of["space"]:
        _put_space(change, control, step)
    for step in (*of["computed_trait"], *of["audience"]):
        _put_computation(change, control, step, once)
    for step in of["source"]:
        if step.action == "delete":
            change.delete_source(step.slug)


def _put_destination(
    change: Change, control: Control, step: Step, secrets: Secrets, read_ends: Callable[[], Ends]
) -> None:
    if step.action == "delete":
        return
    assert isinstance(step.wanted, destinations.DestinationSpec)
    if step.action == "change":
        row = destinations.find_destination(control, step.slug)
        destinations.put(change, row, step.wanted, secrets)
    else:
        destinations.add(change, step.wanted, secrets, read_ends())


def _put_space(change: Change, control: Control, step: Step) -> None:
    if step.action == "delete":
        change.delete_space(find_space(control, step.slug).id)
    else:
        assert isinstance(step.wanted, SpaceRow)
        change.put_space(step.wanted)


def _put_computation(change: Change, control: Control, step: Step, read_ends: Callable[[], Ends]) -> None:
    if step.action == "delete":
        space, key = step.slug.split("/")
        found = find_space(control, space).id
        change.delete_computation(next(row.id for row in control.computations_of(found) if row.key == key))
    else:
        assert isinstance(step.wanted, computations.ComputationSpec)
        computations.put(change, step.wanted, read_ends)


def _workspace_entry(row: WorkspaceRow) -> dict[str, Any]:
    return {"name": row.name, "slug": row.slug, "strict_keys": row.strict_keys}


def _source_entry(row: SourceRow) -> dict[str, Any]:
    return {
        "slug": row.slug,
        "name": row.name,
        "write_keys": list(row.write_keys),
        "enabled": row.enabled,
        "strict": row.strict,
    }


def _destination_entry(row: DestinationRow) -> dict[str, Any]:
    settings = {name: printed_value(unsealed_value(stored, None)) for name, stored in row.settings.items()}
    entry = {
        "slug": row.slug,
        "source": row.source,
        "kind": row.kind,
        "name": row.name,
        "enabled": row.enabled,
        "settings": settings,
    }
    if row.max_rate is not None:
        entry["max_rate"] = row.max_rate
    if row.max_concurrency != CONCURRENCY:
        entry["max_concurrency"] = row.max_concurrency
    return entry


def _space_entry(row: SpaceRow, control: Control) -> dict[str, Any]:
    entry: dict[str, Any] = {"slug": row.slug, "name": row.name, "sources": list(row.sources)}
    entry["identity"] = identity_entry(row.identity)
    specs = [computations.spec_of(each, control) for each in control.computations_of(row.id)]
    for name, kind in (("computed_traits", "computed_trait"), ("audiences", "audience")):
        entry[name] = [computations.computation_entry(spec) for spec in specs if spec.kind == kind]
    return {name: value for name, value in entry.items() if value or name == "sources"}
