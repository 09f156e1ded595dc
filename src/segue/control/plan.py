"""The difference between what is stored and what a workspace file says.

Rule: a plan is pure and complete: applying its steps makes the stored workspace say what the file says, and
the plan of that is empty. No secret is shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from segue.control.computation_plan import check_kept, check_new, check_unneeded, computation_fields, deleted_note
from segue.control.computations import KIND_WORDS, ComputationSpec
from segue.control.computations import spec_of as computation_spec_of
from segue.control.destinations import DestinationSpec, settings_with_kept, spec_of
from segue.control.secrets import Secrets
from segue.control.setting_values import (
    SET_BEFORE_START,
    Kept,
    Secret,
    Unreadable,
    Value,
    printed_value,
    variables_of,
)
from segue.control.workspace_file import WorkspaceFile
from segue.core.profile import DEFAULT_RULES, IdentifierRule, IdentityRules
from segue.state.control import Control, SourceRow, WorkspaceRow
from segue.state.spaces import SpaceRow

Action = Literal["create", "change", "replace", "delete"]

SIGNS: dict[Action, str] = {"create": "+", "change": "~", "replace": "±", "delete": "-"}

NOTHING, SECRET, DEFAULTS = "(none)", "(secret)", "as Segment"


class FieldChange(Struct, frozen=True):
    """One field of a resource, before and after, as text; a secret is masked."""

    field: str
    before: str
    after: str


class Step(Struct, frozen=True, kw_only=True):
    """What happens to one resource. `wanted` is how it shall be; None where it is deleted."""

    action: Action
    resource: Literal["workspace", "source", "destination", "space", "computed_trait", "audience"]
    slug: str
    changes: tuple[FieldChange, ...] = ()
    note: str = ""
    wanted: WorkspaceRow | SourceRow | DestinationSpec | SpaceRow | ComputationSpec | None = None


class Plan(Struct, frozen=True):
    """Every step, in the order of the file; what is deleted comes last."""

    steps: tuple[Step, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing would change."""
        return not self.steps

    def text(self) -> str:
        """The plan for a person to read."""
        if self.empty:
            return "No changes.\n"
        return "".join(_step_text(step) for step in self.steps) + "\n" + self.summary() + "\n"

    def summary(self) -> str:
        """How many resources each action touches, in one line."""
        counts = [(action, sum(step.action == action for step in self.steps)) for action in SIGNS]
        return ", ".join(f"{count} to {action}" for action, count in counts if count or action != "replace") + "."


def make_plan(control: Control, file: WorkspaceFile, secrets: Secrets) -> Plan:
    """The steps from `control` to `file`.

    Raises Invalid where the file keeps a secret (`{kept: true}`) that is not stored, gives a key again, or changes of
    an audience what is fixed at its creation.
    """
    destinations = tuple(_destination_steps(control, file, secrets))
    anew = {step.slug for step in destinations if step.action == "replace"}
    return Plan(
        (
            *_workspace_steps(control.workspace, file.workspace),
            *_source_steps(control.sources, file.sources),
            *destinations,
            *_space_steps(control.spaces, file.spaces),
            *_computation_steps(control, file, anew),
        )
    )


def unset_variables(file: WorkspaceFile, environ: Mapping[str, str]) -> list[str]:
    """A line for each variable that the file's destinations name and `environ` has not: what to do about it."""
    missing = {
        (name, spec.slug): f"! ${{{name}}} of {spec.slug} is not set here: {SET_BEFORE_START}; without it {spec.slug} "
        "stands still"
        for spec in file.destinations
        for value in spec.settings.values()
        for name in variables_of(value)
        if name not in environ
    }
    return list(missing.values())


def _workspace_steps(stored: WorkspaceRow, wanted: WorkspaceRow) -> Iterable[Step]:
    changes = _changes(_workspace_fields(stored), _workspace_fields(wanted))
    if changes:
        yield Step(action="change", resource="workspace", slug=stored.slug, changes=changes, wanted=wanted)


def _source_steps(stored: Iterable[SourceRow], wanted: Iterable[SourceRow]) -> Iterable[Step]:
    before = {row.slug: row for row in stored}
    after = {row.slug: row for row in wanted}
    for slug, row in after.items():
        former = before.get(slug)
        changes = _changes(_source_fields(former) if former else {}, _source_fields(row))
        if changes:
            action: Action = "change" if former else "create"
            yield Step(action=action, resource="source", slug=slug, changes=changes, wanted=row)
    for slug in [slug for slug in before if slug not in after]:
        yield Step(action="delete", resource="source", slug=slug)


def _destination_steps(control: Control, file: WorkspaceFile, secrets: Secrets) -> Iterable[Step]:
    before = {row.slug: spec_of(row, secrets) for row in control.destinations}
    for place, spec in enumerate(file.destinations):
        former = before.pop(spec.slug, None)
        with file.lines_named():
            step = _destination_step(former, spec, f"destinations[{place}].settings")
        if step.changes:
            yield step
    for slug in before:
        yield Step(action="delete", resource="destination", slug=slug)


def _destination_step(former: DestinationSpec | None, spec: DestinationSpec, field: str) -> Step:
    # A secret is another kind's business once the kind has changed.
    kept = former.settings if former is not None and former.kind == spec.kind else {}
    wanted = replace(spec, settings=settings_with_kept(spec.settings, kept, field))
    action: Action = "create"
    if former is not None:
        same = (former.source, former.kind) == (wanted.source, wanted.kind)
        action = "change" if same else "replace"
    changes = _changes(_destination_fields(former) if former else {}, _destination_fields(wanted))
    return Step(action=action, resource="destination", slug=spec.slug, changes=changes, wanted=wanted)


def _space_steps(stored: Iterable[SpaceRow], wanted: Iterable[SpaceRow]) -> Iterable[Step]:
    before = {row.slug: row for row in stored}
    for row in wanted:
        former = before.pop(row.slug, None)
        changes = _changes(_space_fields(former) if former else {}, _space_fields(row))
        if changes:
            action: Action = "change" if former else "create"
            yield Step(action=action, resource="space", slug=row.slug, changes=changes, wanted=row)
    for slug in before:
        yield Step(action="delete", resource="space", slug=slug)


def _computation_steps(control: Control, file: WorkspaceFile, anew: set[str]) -> Iterable[Step]:
    """`anew`: destinations that are deleted and created, and with them what they were told."""
    slugs = {space.slug for space in file.spaces}
    stored = (computation_spec_of(row, control) for row in control.computations)
    before = {spec.label: spec for spec in stored if spec.space in slugs}
    created = [spec for spec in file.computations.values() if spec.label not in before]
    for path, spec in file.computations.items():
        former = before.pop(spec.label, None)
        with file.lines_named():
            if former is None:
                check_new(control, spec, path)
            else:
                check_kept(former, spec, path)
        known = computation_fields(former, without=anew) if former else {}
        changes = _changes(known, computation_fields(spec))
        if changes:
            action: Action = "change" if former else "create"
            yield Step(action=action, resource=spec.kind, slug=spec.label, changes=changes, wanted=spec)
    for spec in before.values():
        with file.lines_named():
            check_unneeded(spec, file.computations)
        yield Step(action="delete", resource=spec.kind, slug=spec.label, note=deleted_note(spec, created))


def identity_entry(rules: IdentityRules) -> dict[str, Any]:
    """The rules as a workspace file says them; a list that is Segment's default is left out."""
    entry: dict[str, Any] = {}
    if rules.identifiers != DEFAULT_RULES.identifiers:
        entry["identifiers"] = [_identifier_entry(rule) for rule in rules.identifiers]
    if rules.blocked != DEFAULT_RULES.blocked:
        entry["blocked"] = list(rules.blocked)
    return entry


def _identifier_entry(rule: IdentifierRule) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": rule.type, "limit": rule.limit}
    if rule.per != "ever":
        entry["per"] = rule.per
    if rule.keys:
        entry["keys"] = list(rule.keys)
    return entry


def _workspace_fields(row: WorkspaceRow) -> dict[str, Value]:
    return {"slug": row.slug, "name": row.name, "strict_keys": row.strict_keys}


def _source_fields(row: SourceRow) -> dict[str, Value]:
    return {
        "name": row.name,
        "write_keys": list(row.write_keys),
        "enabled": row.enabled,
        "strict": row.strict,
    }


def _destination_fields(spec: DestinationSpec) -> dict[str, Value]:
    return {
        "source": spec.source,
        "kind": spec.kind,
        "name": spec.name,
        "enabled": spec.enabled,
        **{f"settings.{name}": value for name, value in spec.settings.items()},
        "max_rate": spec.max_rate,
        "max_concurrency": spec.max_concurrency,
    }


def _space_fields(row: SpaceRow) -> dict[str, Value]:
    rules = {"identifiers": DEFAULTS, "blocked": DEFAULTS} | identity_entry(row.identity)
    return {
        "name": row.name,
        "sources": list(row.sources),
        **{f"identity.{name}": value for name, value in rules.items()},
    }


def _changes(before: Mapping[str, Value], after: Mapping[str, Value]) -> tuple[FieldChange, ...]:
    found = []
    for field in {**before, **after}:
        was, becomes = before.get(field), after.get(field)
        if field in before and field in after and was == becomes and type(was) is type(becomes):
            continue
        was_text = _shown(was) if field in before else NOTHING
        becomes_text = _shown(becomes) if field in after else NOTHING
        if was_text == becomes_text:
            becomes_text = "(another secret)"
        found.append(FieldChange(field, was_text, becomes_text))
    return tuple(found)


def _shown(value: Value) -> str:
    if isinstance(value, Secret | Unreadable | Kept):
        return SECRET
    return json.dumps(printed_value(value, SECRET), ensure_ascii=False)


def _step_text(step: Step) -> str:
    resource = KIND_WORDS.get(step.resource, step.resource)
    lines = [f"{SIGNS[step.action]} {resource} {step.slug}"]
    if step.note:
        lines[0] += f" ({step.note})"
    if step.action == "delete" and step.resource == "space":
        lines[0] += " (with its profiles, its audiences and computed traits, and its tokens)"
    if step.action == "replace":
        lines[0] += " (deleted and created anew: what waits for the old one is not sent)"
    for change in step.changes:
        after = change.after if step.action == "create" else f"{change.before} -> {change.after}"
        if step.action != "create" or change.after != "null":
            lines.append(f"    {change.field}: {after}")
    return "\n".join(lines) + "\n"
