"""The columns of the lake's files. The docs are made from this table.

Rule: what stands here is what is written; a column is only ever added, at the end.
"""

from __future__ import annotations

from typing import NamedTuple

PROPERTY = "property."
"""What the name of a frequent property's column begins with."""


class Column(NamedTuple):
    """One column: its name, its type in DuckDB's words, and what it holds."""

    name: str
    type: str
    meaning: str


COLUMNS = (
    Column(
        "profile", "BIGINT", "Number of the user's profile when the event was applied; null where it names no user."
    ),
    Column("account", "BIGINT", "Number of the account's profile, of a group call; else null."),
    Column("t", "BIGINT", "When it happened, in ms since 1970: the earlier one of `timestamp` and `received_at`."),
    Column("received_at", "BIGINT", "When the collector had it, in ms since 1970."),
    Column("log_offset", "BIGINT", "Its offset in the log."),
    Column("message_id", "VARCHAR", "`messageId`."),
    Column("source_id", "VARCHAR", "Slug of the source."),
    Column("type", "VARCHAR", "`track`, `page`, `screen`, `identify` or `group`."),
    Column(
        "event",
        "VARCHAR",
        "Name of a track call; `Page Viewed` and `Screen Viewed` of page and screen calls; else null.",
    ),
    Column("user_id", "VARCHAR", "`userId`."),
    Column("anonymous_id", "VARCHAR", "`anonymousId`."),
    Column("group_id", "VARCHAR", "`groupId` of a group call."),
    Column("timestamp", "VARCHAR", "`timestamp`, as the log holds it: corrected by `sentAt`."),
    Column(
        "properties",
        "VARCHAR",
        "Canonical JSON. Of page and screen calls `page_name` or `screen_name` is the call's `name`.",
    ),
    Column("traits", "VARCHAR", "Canonical JSON."),
    Column("context", "VARCHAR", "Canonical JSON."),
)
"""The columns that every file has, in this order; those of frequent properties follow."""

NAMES = tuple(column.name for column in COLUMNS)
SORTED_BY = "profile, t, received_at, message_id, log_offset"
"""A profile's events stand together, in their total order: its history is found by the row groups' bounds, and what is
grouped by profile or bounded by time is read in the order it is needed."""


def quoted(name: str) -> str:
    """A name as an identifier of SQL, whatever characters it has."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(text: str) -> str:
    """A text as a literal of SQL, where no parameter may stand."""
    return "'" + text.replace("'", "''") + "'"
