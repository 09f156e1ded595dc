"""Audiences and computed traits as a workspace file writes them.

Rule: an entry says everything that a computation is; what it leaves out has one fixed meaning.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from segue.control.cadence import CADENCE_PATTERN, REALTIME
from segue.control.slugs import NAME_MAX, SLUG_PATTERN

COMPUTATIONS_MAX = 1000
"""The most audiences of a space, and the most computed traits."""

CONNECTIONS_MAX = 100
"""The most destinations that one audience or computed trait names."""

Cadence = Annotated[str, Meta(extra_json_schema={"pattern": CADENCE_PATTERN})]


class ConnectionEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A destination that is told of an audience or computed trait."""

    slug: Annotated[str, Meta(description="The slug of the destination.", extra_json_schema={"pattern": SLUG_PATTERN})]
    identify: Annotated[bool, Meta(description="Send identify calls: the user property.")] = True
    track: Annotated[bool, Meta(description="Send track calls: Audience Entered, Audience Exited, Trait Computed.")] = (
        False
    )
    sync: Annotated[Cadence | None, Meta(description="As `sync` beside it where it is absent.")] = None


class ComputationEntry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An audience or a computed trait."""

    name: Annotated[
        str, Meta(description="What people read.", extra_json_schema={"minLength": 1, "maxLength": NAME_MAX})
    ]
    definition: Annotated[str, Meta(description="Who is in, or which value: text of the query language.")]
    destinations: Annotated[
        list[str | ConnectionEntry],
        Meta(description="The slugs of those that are told of it, or maps.", max_length=CONNECTIONS_MAX),
    ] = []
    sync: Annotated[
        Cadence,
        Meta(description="How often they are told: realtime, or from 1 minute to 24 hours; then the net change."),
    ] = REALTIME
    key: Annotated[
        str | None,
        Meta(
            description="The name of the user property, fixed at creation; made from the name where it is absent.",
            extra_json_schema={"pattern": "^[a-z0-9_]{1,255}$"},
        ),
    ] = None
    enabled: Annotated[bool, Meta(description="When false, nothing is computed or sent, and all stays as it is.")] = (
        True
    )
    include_anonymous: Annotated[
        bool,
        Meta(description="Users known by an anonymous_id alone are members, or sent, too. Fixed at creation."),
    ] = False
    historical: Annotated[bool, Meta(description="Events received before it was created count.")] = True
