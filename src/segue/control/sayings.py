"""What destinations were told of one profile over the connections of an audience or computed trait, and what they
answered.

Rule: what the ledger holds is shown for every identity it was told to, whatever became of its message.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Raw

from segue.compute.tuples import IdentityTuple
from segue.control.cadence import every_text
from segue.core.clock import iso
from segue.state.computations import ComputationRow
from segue.state.computed_rows import ToldRow
from segue.state.control import DestinationRow

TOLD_MOST = 100
"""How many identities are shown for each connection; all are counted."""

Answered = Callable[[str], list[dict[str, Any]]]
"""What became of a messageId, as `segue explain --all --json` has it."""


def sayings(
    row: ComputationRow,
    told: Sequence[ToldRow],
    *,
    own_source: str,
    destinations: Mapping[int, DestinationRow],
    waits: Callable[[str], bool],
    answered: Answered,
) -> list[dict[str, Any]]:
    """`connections` of `segue audiences explain --json`. `waits`: whether a message was in the outbox when `told` was
    read.
    """
    found = []
    for connection in row.connections:
        slug = destinations[connection.destination].slug
        rows = sorted((each for each in told if each.connection == connection.id), key=lambda each: each.tuple)
        shown = [_told(each, slug, own_source, waits, answered) for each in rows[:TOLD_MOST]]
        found.append(
            {
                "destination": slug,
                "identify": connection.identify,
                "track": connection.track,
                "sync": every_text(connection.every_ms),
                "identities": len(rows),
                "told": shown,
            }
        )
    return found


def _told(row: ToldRow, slug: str, own_source: str, waits: Callable[[str], bool], answered: Answered) -> dict[str, Any]:
    said: dict[str, Any] = {
        "external_ids": [{"type": type_, "id": id_} for type_, id_ in _ids(row.tuple)],
        "value": Raw(row.value.encode()),
        "version": row.version,
        "at": iso(row.at),
        "message_id": row.message_id or None,
    }
    if not row.message_id:
        return said | {"outcome": "nothing_sent", "attempts": []}
    if waits(row.message_id):
        return said | {"outcome": "in_outbox", "attempts": []}
    for event in answered(row.message_id):
        if event["source"] == own_source:
            for delivery in event["deliveries"]:
                if delivery["destination"] == slug:
                    became = {name: value for name, value in delivery.items() if name != "destination"}
                    return {**said, **became}
    return said | {"outcome": "expired", "attempts": []}


def _ids(text: str) -> list[tuple[str, str]]:
    each = IdentityTuple.from_text(text)
    named = [("user_id", each.user_id), ("email", each.email), ("anonymous_id", each.anonymous_id)]
    found = [(type_, id_) for type_, id_ in named if id_ is not None]
    return found if each.idfa is None else [*found, (each.idfa.type, each.idfa.id)]
