"""Destinations: create, change, switch, delete, and open their settings for use.

Rule: settings are stored only after the kind's own check, secrets only encrypted; a destination keeps its
source, its kind and the place in the log where it began.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from segue.control.masker import Masker
from segue.control.secrets import Secrets
from segue.control.setting_values import (
    Value,
    is_open,
    read_value,
    resolved_value,
    sealed_value,
    secrets_in,
    texts_of,
    unsealed_value,
    with_kept,
)
from segue.control.slugs import check_name, check_slug
from segue.control.sources import find_source
from segue.control.suggestion import did_you_mean
from segue.control.type_words import OTHER_FORM, plain_words
from segue.core.destination import Destination, SettingField, check_settings, setting_fields
from segue.core.errors import Invalid
from segue.destinations import catalog
from segue.state.control import CONCURRENCY, Change, Control, ControlStore, DestinationRow

if TYPE_CHECKING:
    from segue.log import Ends

DESTINATIONS_MAX = 1000
CONCURRENCY_MAX = 1000
RATE_MAX = 100_000


class DestinationSpec(Struct, frozen=True, kw_only=True):
    """A destination as it should be.

    `max_rate` is in requests a second; None and 0 mean no limit. What the kind suggests (`Destination.max_rate`) is for
    people to read: the pace is off until someone sets it.
    """

    slug: str
    name: str
    source: str
    kind: str
    enabled: bool = False
    settings: dict[str, Value] = {}
    max_rate: float | None = None
    max_concurrency: int = CONCURRENCY


def find_kind(slug: str, field: str = "kind") -> Destination:
    """The catalog entry of this slug. Raises Invalid, with a suggestion, where there is none."""
    kinds = catalog()
    if slug not in kinds:
        raise Invalid(
            f"there is no kind of destination {slug!r}{did_you_mean(slug, kinds)}"
            f" (there are: {', '.join(sorted(kinds))})",
            field=field,
        )
    return kinds[slug]


def find_destination(control: Control, slug: str) -> DestinationRow:
    """The destination of this slug. Raises Invalid, with a suggestion, where there is none."""
    row = control.destination(slug)
    if row is None:
        known = [destination.slug for destination in control.destinations]
        raise Invalid(f"there is no destination {slug!r}{did_you_mean(slug, known)}", field="destination")
    return row


def read_settings(
    kind: Destination, raw: Mapping[str, object], environ: Mapping[str, str], field: str = "settings"
) -> dict[str, Value]:
    """Settings as a file or an API call gives them, checked by the kind as far as they are known now.

    A variable that is not set here, or a kept secret, is checked when it is used. Raises Invalid naming the
    setting, never its value.
    """
    fields = {entry.name: entry for entry in setting_fields(kind.settings)}
    for name in raw:
        if name not in fields:
            raise Invalid(f"{kind.name} has no setting {name!r}{did_you_mean(name, fields)}", field=f"{field}.{name}")
    values = {
        name: read_value(value, secrets=fields[name].secret_places, field=f"{field}.{name}")
        for name, value in raw.items()
    }
    _check(kind, values, environ, field)
    return values


def check_spec(spec: DestinationSpec, field: str = "") -> None:
    """Raises Invalid where the spec cannot be a destination, whatever else is stored; settings apart."""
    prefix = f"{field}." if field else ""
    check_slug(spec.slug, f"{prefix}slug")
    check_name(spec.name, f"{prefix}name")
    if not 1 <= spec.max_concurrency <= CONCURRENCY_MAX:
        raise Invalid(f"must be from 1 to {CONCURRENCY_MAX}", field=f"{prefix}max_concurrency")
    if spec.max_rate is not None and not 0 <= spec.max_rate <= RATE_MAX:
        raise Invalid(f"must be from 0 (no limit) to {RATE_MAX} requests a second", field=f"{prefix}max_rate")


def spec_of(row: DestinationRow, secrets: Secrets) -> DestinationSpec:
    """The stored destination as it would be said."""
    return DestinationSpec(
        slug=row.slug,
        name=row.name,
        source=row.source,
        kind=row.kind,
        enabled=row.enabled,
        settings={name: unsealed_value(stored, secrets) for name, stored in row.settings.items()},
        max_rate=row.max_rate,
        max_concurrency=row.max_concurrency,
    )


def settings_with_kept(values: Mapping[str, Value], stored: Mapping[str, Value], field: str) -> dict[str, Value]:
    """The values with each `Kept` in them replaced by what is stored. Raises Invalid where nothing is."""
    return {name: with_kept(value, stored.get(name), f"{field}.{name}") for name, value in values.items()}


def add(change: Change, spec: DestinationSpec, secrets: Secrets, ends: Ends) -> DestinationRow:
    """Store a new destination that begins at the log's end. `spec.settings` hold no `Kept` any more."""
    accepted, _duplicates = ends.sources.get(spec.source, (0, 0))
    row = DestinationRow(
        id=0,
        slug=spec.slug,
        name=spec.name,
        source=spec.source,
        kind=spec.kind,
        enabled=spec.enabled,
        settings={name: sealed_value(value, secrets) for name, value in spec.settings.items()},
        offset=ends.offset,
        ordinals={spec.source: accepted},
        max_rate=spec.max_rate,
        max_concurrency=spec.max_concurrency,
    )
    return change.add_destination(row)


def put(change: Change, row: DestinationRow, spec: DestinationSpec, secrets: Secrets) -> DestinationRow:
    """Make a stored destination as `spec` says; its source and kind stay."""
    assert (row.source, row.kind) == (spec.source, spec.kind)
    settings = {name: sealed_value(value, secrets, row.settings.get(name)) for name, value in spec.settings.items()}
    return change.put_destination(
        replace(
            row,
            name=spec.name,
            enabled=spec.enabled,
            settings=settings,
            max_rate=spec.max_rate,
            max_concurrency=spec.max_concurrency,
        )
    )


def create(
    store: ControlStore, spec: DestinationSpec, secrets: Secrets, read_ends: Callable[[], Ends]
) -> DestinationRow:
    """Store a new destination. Raises Invalid where its slug is taken or its source does not exist."""
    check_spec(spec)
    find_kind(spec.kind)
    with store.change() as changing:
        control = changing.control()
        find_source(control, spec.source)
        if control.destination(spec.slug) is not None:
            raise Invalid(f"there is a destination {spec.slug!r} already", field="slug")
        if len(control.destinations) >= DESTINATIONS_MAX:
            raise Invalid(f"a workspace has at most {DESTINATIONS_MAX} destinations", field="destinations")
        settings = settings_with_kept(spec.settings, {}, "settings")
        # Read under the lock, so that no event can come between the end and the row.
        return add(changing, replace(spec, settings=settings), secrets, read_ends())


def change(
    store: ControlStore,
    slug: str,
    secrets: Secrets,
    environ: Mapping[str, str],
    *,
    name: str | None = None,
    enabled: bool | None = None,
    settings: Mapping[str, object] | None = None,
) -> DestinationRow:
    """Change what is given, leave the rest; `settings` replace all settings but those that say `{kept: true}`."""
    with store.change() as changing:
        row = find_destination(changing.control(), slug)
        spec = spec_of(row, secrets)
        if settings is not None:
            values = read_settings(find_kind(row.kind), settings, environ)
            spec = replace(spec, settings=settings_with_kept(values, spec.settings, "settings"))
        changed = replace(
            spec, name=spec.name if name is None else name, enabled=spec.enabled if enabled is None else enabled
        )
        check_spec(changed)
        return put(changing, row, changed, secrets)


def enable(store: ControlStore, slug: str, *, enabled: bool) -> DestinationRow:
    """Switch the destination on or off."""
    with store.change() as changing:
        row = find_destination(changing.control(), slug)
        if row.enabled == enabled:
            return row
        return changing.put_destination(replace(row, enabled=enabled))


def delete(store: ControlStore, slug: str) -> None:
    """Remove the destination; what waits for it is not sent any more."""
    with store.change() as changing:
        changing.delete_destination(find_destination(changing.control(), slug).id)


def open_settings(row: DestinationRow, secrets: Secrets, environ: Mapping[str, str]) -> Any:
    """The kind's `Settings`, secrets decrypted and references resolved.

    Raises Invalid where they cannot be used: a variable is not set, a secret cannot be read, the kind is not
    in the catalog, or its check does not pass. The message names the setting, never its value.
    """
    kind = find_kind(row.kind)
    values = {name: unsealed_value(stored, secrets) for name, stored in row.settings.items()}
    return _checked(kind, _resolved(values, environ, "settings"), _secret_texts(kind, values, environ), "settings")


def masker(row: DestinationRow, secrets: Secrets, environ: Mapping[str, str], *others: Mapping[str, Any]) -> Masker:
    """What masks this destination's secrets, and those of `others`: settings that it was stored with before or after.

    A secret that cannot be read now needs no mask: it is not sent.
    """
    kind = find_kind(row.kind)
    texts: list[str] = []
    for settings in (row.settings, *others):
        values = {name: unsealed_value(stored, secrets) for name, stored in settings.items()}
        texts += _secret_texts(kind, values, environ)
    return Masker(texts)


def _check(kind: Destination, values: Mapping[str, Value], environ: Mapping[str, str], field: str) -> None:
    for entry in setting_fields(kind.settings):
        if entry.required and entry.name not in values:
            raise Invalid(f"{kind.name} needs this setting: {_about(entry)}", field=f"{field}.{entry.name}")
    known = {name: value for name, value in values.items() if not is_open(value, environ)}
    try:
        _checked(kind, _resolved(known, environ, field), _secret_texts(kind, known, environ), field)
    except Invalid as error:
        # What is not known yet may be all that the kind misses: an error of the whole says nothing then.
        if error.field != field or len(known) == len(values):
            raise


def _about(entry: SettingField) -> str:
    return f"{entry.label}. {entry.description}" if entry.description else entry.label


def _resolved(values: Mapping[str, Value], environ: Mapping[str, str], field: str) -> dict[str, Any]:
    return {name: resolved_value(value, environ, f"{field}.{name}") for name, value in values.items()}


def _checked(kind: Destination, resolved: Mapping[str, Any], secret_texts: list[str], field: str) -> Any:
    try:
        return check_settings(kind, resolved)
    except Invalid as error:
        # A kind's own check may quote what it was given.
        words = plain_words(str(error).removeprefix(f"{error.field}: "))
        if words == OTHER_FORM:
            name = error.field.removeprefix("settings.")
            words += "".join(f": {_about(entry)}" for entry in setting_fields(kind.settings) if entry.name == name)
        message = Masker(secret_texts).mask_text(words)
        raise Invalid(message, field=field + error.field.removeprefix("settings")) from None


def _secret_texts(kind: Destination, values: Mapping[str, Value], environ: Mapping[str, str]) -> list[str]:
    places = {entry.name: entry.secret_places for entry in setting_fields(kind.settings)}
    secrets = [secret for name, value in values.items() for secret in secrets_in(value, places.get(name, ()))]
    known = [secret for secret in secrets if not is_open(secret, environ)]
    return [text for secret in known for text in texts_of(resolved_value(secret, environ, ""))]
