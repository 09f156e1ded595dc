"""The relations that questions about a space's history are asked of, by name, and which events a question needs.

Rule: what is answered depends on the rows of these relations, on the question and on the instant, and on nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PROFILES = "profiles"
"""profile BIGINT, eligible BOOLEAN, anonymous BOOLEAN, types VARCHAR, traits VARCHAR: each profile of users once.
`eligible` where it has an id that members need, `anonymous` where it has an anonymous one; `types` is a JSON list of
the types of its ids, `traits` one canonical JSON object of its custom traits."""
HOLDINGS = "holdings"
"""computation BIGINT, profile BIGINT, value VARCHAR, once BOOLEAN: what incremental computing has said."""


class EventTable(NamedTuple):
    """A relation that has the events of a name, and may have others: the columns of the lake's files, with `profile`
    the number of the profile as it is today, and the columns `property.NAME` of these frequent properties.
    """

    name: str = "events"
    properties: frozenset[str] = frozenset()


class Wanted(NamedTuple):
    """Which events of a name a question reads; all others may be left out. Instants in ms since 1970, exclusive; None:
    no bound.
    """

    t_after: int | None = None
    received_after: int | None = None

    def with_(self, other: Wanted) -> Wanted:
        """What both read together."""
        return Wanted(_earlier(self.t_after, other.t_after), _earlier(self.received_after, other.received_after))


Tables = Mapping[str, EventTable]
"""By the name of the event."""


def _earlier(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else min(one, other)
