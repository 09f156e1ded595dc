"""Sources: create, change, switch, delete.

Rule: a write key leads to one source; a source that a destination or a space reads is not deleted.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from segue.control.slugs import check_name, check_slug, check_write_key
from segue.control.suggestion import did_you_mean
from segue.core.errors import Invalid
from segue.state.control import Control, ControlStore, SourceRow

WRITE_KEYS_MAX = 100
SOURCES_MAX = 1000


def check_source(row: SourceRow, field: str = "") -> None:
    """Raises Invalid where the row cannot be a source, whatever else is stored."""
    prefix = f"{field}." if field else ""
    check_slug(row.slug, f"{prefix}slug")
    check_name(row.name, f"{prefix}name")
    if len(row.write_keys) > WRITE_KEYS_MAX:
        raise Invalid(f"a source has at most {WRITE_KEYS_MAX} write keys", field=f"{prefix}write_keys")
    for place, key in enumerate(row.write_keys):
        check_write_key(key, f"{prefix}write_keys[{place}]")
        if key in row.write_keys[:place]:
            raise Invalid("this write key stands here twice", field=f"{prefix}write_keys[{place}]")


def find_source(control: Control, slug: str) -> SourceRow:
    """The source of this slug. Raises Invalid, with a suggestion, where there is none."""
    row = control.source(slug)
    if row is None:
        known = [source.slug for source in control.sources]
        raise Invalid(f"there is no source {slug!r}{did_you_mean(slug, known)}", field="source")
    return row


def create(store: ControlStore, row: SourceRow) -> SourceRow:
    """Store a new source. Raises Invalid where its slug or one of its write keys is taken."""
    check_source(row)
    with store.change() as changing:
        control = changing.control()
        if control.source(row.slug) is not None:
            raise Invalid(f"there is a source {row.slug!r} already", field="slug")
        if len(control.sources) >= SOURCES_MAX:
            raise Invalid(f"a workspace has at most {SOURCES_MAX} sources", field="sources")
        changing.put_source(row)
    return row


def change(
    store: ControlStore,
    slug: str,
    *,
    name: str | None = None,
    write_keys: Iterable[str] | None = None,
    enabled: bool | None = None,
    strict: bool | None = None,
) -> SourceRow:
    """Change what is given, leave the rest. Raises Invalid where there is no such source."""
    with store.change() as changing:
        row = find_source(changing.control(), slug)
        changed = replace(
            row,
            name=row.name if name is None else name,
            write_keys=row.write_keys if write_keys is None else tuple(write_keys),
            enabled=row.enabled if enabled is None else enabled,
            strict=row.strict if strict is None else strict,
        )
        check_source(changed)
        if changed != row:
            changing.put_source(changed)
    return changed


def delete(store: ControlStore, slug: str) -> None:
    """Remove the source. Raises Invalid where there is none, or where something reads it."""
    with store.change() as changing:
        control = changing.control()
        find_source(control, slug)
        readers = [row.slug for row in control.destinations if row.source == slug]
        if readers:
            raise Invalid(f"delete its destinations first: {', '.join(readers)}", field="source")
        spaces = [row.slug for row in control.spaces if slug in row.sources]
        if spaces:
            raise Invalid(f"take it out of its spaces first: {', '.join(spaces)}", field="source")
        changing.delete_source(slug)
