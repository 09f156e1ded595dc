"""The workspace file: what the user decided, as text, read strictly.

Rule: a file is taken whole or refused with the path and the line of what is wrong; reading it changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from segue.control.computation_entries import COMPUTATIONS_MAX, ComputationEntry, ConnectionEntry
from segue.control.computations import ComputationSpec
from segue.control.destinations import (
    DESTINATIONS_MAX,
    DestinationSpec,
    check_spec,
    find_kind,
    read_settings,
)
from segue.control.slugs import NAME_MAX, SLUG_PATTERN, WRITE_KEY_PATTERN, check_name, check_slug
from segue.control.sources import SOURCES_MAX, check_source
from segue.control.spaces import SPACES_MAX, TYPE_PATTERN, check_space
from segue.control.strict_yaml import Document, read_yaml
from segue.control.suggestion import did_you_mean
from segue.control.type_words import plain_words
from segue.core.errors import Invalid
from segue.core.profile import DEFAULT_LIMIT, DEFAULT_RULES, IDS_MAX, PERIOD_MS, IdentifierRule, IdentityRules, Period
from segue.state.control import CONCURRENCY, SourceRow, WorkspaceRow
from segue.state.spaces import SpaceRow

FILE_BYTES_MAX = 4_000_000

Slug = Annotated[str, Meta(extra_json_schema={"pattern": SLUG_PATTERN})]
Name = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": NAME_MAX})]
WriteKey = Annotated[str, Meta(extra_json_schema={"pattern": WRITE_KEY_PATTERN})]


class WorkspaceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The workspace."""

    name: Name
    slug: Slug
    strict_keys: Annotated[bool, Meta(description="Answer 401 for an unknown write key.")] = False


class SourceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where events come from."""

    slug: Slug
    name: Annotated[Name | None, Meta(description="What people read; the slug where it is absent.")] = None
    write_keys: Annotated[list[WriteKey], Meta(description="What SDKs send to say that they are this source.")] = []
    enabled: Annotated[bool, Meta(description="When false, events are dropped as source_disabled.")] = True
    strict: Annotated[bool, Meta(description="Answer 400 for a request that holds a bad event.")] = False


class DestinationEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the events of one source go."""

    slug: Slug
    source: Annotated[str, Meta(description="The slug of the source that it reads.")]
    kind: Annotated[str, Meta(description="The slug of a catalog entry.")]
    name: Annotated[Name | None, Meta(description="What people read; the slug where it is absent.")] = None
    enabled: Annotated[bool, Meta(description="A new destination is off until this says true, as in Segment.")] = False
    settings: Annotated[
        dict[str, Any],
        Meta(
            description="As the kind asks. ${NAME} is read from the environment; {kept: true} leaves a stored secret."
        ),
    ] = {}
    max_rate: Annotated[float | None, Meta(description="The most requests a second; null and 0 mean no limit.")] = None
    max_concurrency: Annotated[int, Meta(description="Requests that may run at one time.")] = CONCURRENCY

    def __repr__(self) -> str:
        return f"DestinationEntry(slug={self.slug!r})"


class IdentifierEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many ids of a type one profile may have, and where else they are found."""

    type: Annotated[str, Meta(extra_json_schema={"pattern": TYPE_PATTERN})]
    limit: Annotated[
        int | None,
        Meta(
            description=f"The most values on one profile; by default 1 for user_id and {DEFAULT_LIMIT} for others.",
            extra_json_schema={"minimum": 1, "maximum": IDS_MAX},
        ),
    ] = None
    per: Annotated[
        str,
        Meta(
            description="How far back the limit counts. A month is 30 days.",
            extra_json_schema={"enum": list(PERIOD_MS)},
        ),
    ] = "ever"
    keys: Annotated[
        list[str],
        Meta(description="Names looked up in traits, context.traits and properties, in camelCase and snake_case."),
    ] = []


class IdentityEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By which rules events meet in profiles. A list that is given is the whole list."""

    identifiers: Annotated[
        list[IdentifierEntry] | None, Meta(description="The highest priority first. Segment's eleven where absent.")
    ] = None
    blocked: Annotated[
        list[str] | None,
        Meta(description="Values that name nobody; /.../ is a regular expression. Segment's four where absent."),
    ] = None


class SpaceEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A set of profiles."""

    slug: Slug
    sources: Annotated[list[str], Meta(description="The slugs of the sources whose events make the profiles.")]
    name: Annotated[Name | None, Meta(description="What people read; the slug where it is absent.")] = None
    identity: Annotated[IdentityEntry | None, Meta(description="Segment's default rules where it is absent.")] = None
    computed_traits: Annotated[
        list[ComputationEntry],
        Meta(description="Values computed of each profile.", max_length=COMPUTATIONS_MAX),
    ] = []
    audiences: Annotated[
        list[ComputationEntry],
        Meta(description="Sets of profiles, by a condition.", max_length=COMPUTATIONS_MAX),
    ] = []


class FileEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Segue workspace file."""

    workspace: WorkspaceEntry
    sources: Annotated[list[SourceEntry], Meta(max_length=SOURCES_MAX)] = []
    destinations: Annotated[list[DestinationEntry], Meta(max_length=DESTINATIONS_MAX)] = []
    spaces: Annotated[list[SpaceEntry], Meta(max_length=SPACES_MAX)] = []


ENTRIES: dict[str, type[Struct]] = {
    "": FileEntry,
    "workspace": WorkspaceEntry,
    "sources": SourceEntry,
    "destinations": DestinationEntry,
    "spaces": SpaceEntry,
    "spaces.identity": IdentityEntry,
    "spaces.identity.identifiers": IdentifierEntry,
    "spaces.computed_traits": ComputationEntry,
    "spaces.computed_traits.destinations": ConnectionEntry,
    "spaces.audiences": ComputationEntry,
    "spaces.audiences.destinations": ConnectionEntry,
}
"""What stands at each path of a file, the places in lists left out."""


class WorkspaceFile(Struct, frozen=True, kw_only=True):
    """A file that was read and checked. `hash` is of its bytes.

    `computations` are by their path in the file; `cautions` say what is allowed and yet often not meant, a line each.
    """

    workspace: WorkspaceRow
    sources: tuple[SourceRow, ...]
    destinations: tuple[DestinationSpec, ...]
    spaces: tuple[SpaceRow, ...] = ()
    computations: dict[str, ComputationSpec] = {}
    cautions: tuple[str, ...] = ()
    hash: str = ""
    line_of: Callable[[str], int] | None = None

    @contextmanager
    def lines_named(self) -> Iterator[None]:
        """An error about what the file says names the line too."""
        try:
            yield
        except Invalid as error:
            if self.line_of is None:
                raise
            raise _restated(f"{error} (line {self.line_of(error.field)})", error.field) from None


def load_workspace(path: Path, environ: Mapping[str, str]) -> WorkspaceFile:
    """Read the file. Raises Invalid naming the file, the path in it and the line."""
    try:
        with path.open("rb") as file:
            body = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Invalid(f"{path}: {error.strerror}") from None
    with errors_of(path):
        return parse_workspace(body, environ)


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """An error about what the file says names the file too."""
    try:
        yield
    except Invalid as error:
        raise _restated(f"{path}: {error}", error.field) from None


def parse_workspace(body: bytes, environ: Mapping[str, str]) -> WorkspaceFile:
    """The workspace that the bytes describe. Raises Invalid with the path and the line."""
    if len(body) > FILE_BYTES_MAX:
        raise Invalid(f"is larger than {FILE_BYTES_MAX} bytes")
    try:
        document = read_yaml(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Invalid(f"is not UTF-8 (line {line})") from None
    try:
        entry = _entry(document)
        checked = _checked(entry, environ, hashlib.sha256(body).hexdigest())
        return replace(checked, line_of=document.line_of)
    except Invalid as error:
        raise _restated(f"{error} (line {document.line_of(error.field)})", error.field) from None


def _restated(message: str, field: str) -> Invalid:
    error = Invalid(message)
    error.field = field
    return error


_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(.*)`")
_PATH = re.compile(r" - at `(?:key` in `)?\$\.?([^`]*)`$")


def _entry(document: Document) -> FileEntry:
    try:
        return msgspec.convert(document.value, FileEntry)
    except msgspec.ValidationError as error:
        text = str(error)
    found = _PATH.search(text)
    path = found[1] if found else ""
    message = text[: found.start()] if found else text
    unknown, missing = _UNKNOWN_FIELD.match(message), _MISSING_FIELD.match(message)
    if unknown:
        known = msgspec.structs.fields(ENTRIES[re.sub(r"\[\d+\]", "", path)])
        hint = did_you_mean(unknown[1], [field.encode_name for field in known])
        raise Invalid(f"there is no such key{hint}", field=_join(path, unknown[1]))
    if missing:
        raise Invalid("is missing", field=_join(path, missing[1]))
    raise Invalid(plain_words(message), field=path)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _checked(entry: FileEntry, environ: Mapping[str, str], digest: str) -> WorkspaceFile:
    workspace = WorkspaceRow(
        slug=entry.workspace.slug, name=entry.workspace.name, strict_keys=entry.workspace.strict_keys
    )
    check_slug(workspace.slug, "workspace.slug")
    check_name(workspace.name, "workspace.name")
    sources = _sources(entry.sources)
    slugs = [source.slug for source in sources]
    destinations = _destinations(entry.destinations, slugs, environ)
    spaces = _spaces(entry.spaces, slugs)
    computations, cautions = _computations(entry.spaces, spaces, destinations)
    return WorkspaceFile(
        workspace=workspace,
        sources=sources,
        destinations=destinations,
        spaces=spaces,
        computations=computations,
        cautions=tuple(cautions),
        hash=digest,
    )


def _sources(entries: list[SourceEntry]) -> tuple[SourceRow, ...]:
    rows: dict[str, SourceRow] = {}
    owners: dict[str, str] = {}
    for place, entry in enumerate(entries):
        field = f"sources[{place}]"
        row = SourceRow(
            slug=entry.slug,
            name=entry.slug if entry.name is None else entry.name,
            write_keys=tuple(entry.write_keys),
            enabled=entry.enabled,
            strict=entry.strict,
        )
        check_source(row, field)
        if row.slug in rows:
            raise Invalid(f"another source has the slug {row.slug!r}", field=f"{field}.slug")
        for number, key in enumerate(row.write_keys):
            if key in owners:
                raise Invalid(f"the source {owners[key]!r} has this write key", field=f"{field}.write_keys[{number}]")
            owners[key] = row.slug
        rows[row.slug] = row
    return tuple(rows.values())


def _destinations(
    entries: list[DestinationEntry], sources: list[str], environ: Mapping[str, str]
) -> tuple[DestinationSpec, ...]:
    specs: dict[str, DestinationSpec] = {}
    for place, entry in enumerate(entries):
        field = f"destinations[{place}]"
        spec = _destination(entry, environ, field)
        if spec.slug in specs:
            raise Invalid(f"another destination has the slug {spec.slug!r}", field=f"{field}.slug")
        _check_reads(spec.source, sources, f"{field}.source")
        specs[spec.slug] = spec
    return tuple(specs.values())


def _destination(entry: DestinationEntry, environ: Mapping[str, str], field: str) -> DestinationSpec:
    kind = find_kind(entry.kind, f"{field}.kind")
    spec = DestinationSpec(
        slug=entry.slug,
        name=entry.slug if entry.name is None else entry.name,
        source=entry.source,
        kind=entry.kind,
        enabled=entry.enabled,
        settings=read_settings(kind, entry.settings, environ, f"{field}.settings"),
        max_rate=entry.max_rate,
        max_concurrency=entry.max_concurrency,
    )
    check_spec(spec, field)
    return spec


def _spaces(entries: list[SpaceEntry], sources: list[str]) -> tuple[SpaceRow, ...]:
    rows: dict[str, SpaceRow] = {}
    for place, entry in enumerate(entries):
        field = f"spaces[{place}]"
        row = SpaceRow(
            slug=entry.slug,
            name=entry.slug if entry.name is None else entry.name,
            sources=tuple(entry.sources),
            identity=_identity(entry.identity),
        )
        check_space(row, field)
        if row.slug in rows:
            raise Invalid(f"another space has the slug {row.slug!r}", field=f"{field}.slug")
        for number, source in enumerate(row.sources):
            _check_reads(source, sources, f"{field}.sources[{number}]")
        rows[row.slug] = row
    return tuple(rows.values())


def _identity(entry: IdentityEntry | None) -> IdentityRules:
    if entry is None:
        return DEFAULT_RULES
    given = entry.identifiers
    return IdentityRules(
        identifiers=DEFAULT_RULES.identifiers if given is None else tuple(map(_identifier, given)),
        blocked=DEFAULT_RULES.blocked if entry.blocked is None else tuple(entry.blocked),
    )


def _identifier(entry: IdentifierEntry) -> IdentifierRule:
    limit = entry.limit
    if limit is None:
        limit = 1 if entry.type == "user_id" else DEFAULT_LIMIT
    # `check_space` refuses a period that is none.
    return IdentifierRule(type=entry.type, limit=limit, per=cast(Period, entry.per), keys=tuple(entry.keys))


def _computations(
    entries: list[SpaceEntry], spaces: Iterable[SpaceRow], destinations: Iterable[DestinationSpec]
) -> tuple[dict[str, ComputationSpec], list[str]]:
    """What the spaces compute, by path, and what to point out about it."""
    specs: dict[str, ComputationSpec] = {}
    cautions: list[str] = []
    if not any(entry.computed_traits or entry.audiences for entry in entries):
        return specs, cautions
    from segue.control.definitions import Entry, check_computations

    by_slug = {spec.slug: spec for spec in destinations}
    for place, (entry, space) in enumerate(zip(entries, spaces, strict=True)):
        at = f"spaces[{place}]"
        traits = {f"{at}.computed_traits[{n}]": Entry("computed_trait", e) for n, e in enumerate(entry.computed_traits)}
        audiences = {f"{at}.audiences[{n}]": Entry("audience", e) for n, e in enumerate(entry.audiences)}
        found = check_computations(space, traits | audiences, by_slug)
        specs |= found.specs
        cautions += found.cautions
    return specs, cautions


def _check_reads(source: str, sources: list[str], field: str) -> None:
    if source not in sources:
        raise Invalid(f"the file has no source {source!r}{did_you_mean(source, sources)}", field=field)
