"""What a computer asks of others: the rows that are committed, the profiles as they are, and what an event did to them.

Rule: it reads through these alone, so that neither an engine nor the resolver is known to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from segue.compute.at_hand import ProfileComputedRows
from segue.compute.timetable import DueRows
from segue.core.profile import ExternalId, Profile
from segue.state.computed_rows import ComputationState, ComputeState, ConnectionState, HoldingRow


class ComputedRows(ProfileComputedRows, DueRows, Protocol):
    """What was committed. Each raises Unavailable, Damaged."""

    def state(self) -> ComputeState:
        """The time and the counts."""
        ...

    def computations(self) -> dict[int, ComputationState]:
        """Every computation ever begun."""
        ...

    def connections(self) -> dict[int, ConnectionState]:
        """Every connection."""
        ...

    def members(self, computation: int, off: str, *, after: int = 0, limit: int = 500) -> list[HoldingRow]:
        """Who has a value other than `off`, by number."""
        ...

    def count(self, computation: int, off: str) -> int:
        """How many have."""
        ...

    def pending(self, connection: int, *, after: int = 0, limit: int = 500) -> list[int]:
        """Who waits for a connection's next instant."""
        ...

    def waiting(self) -> int:
        """How many messages are in the outbox."""
        ...

    def profile_numbers(self, *, after: int, limit: int) -> list[int]:
        """The numbers of users."""
        ...


class People(Protocol):
    """The profiles, as they are at this moment."""

    def profile(self, number: int) -> Profile:
        """A profile that is not absorbed."""
        ...

    def owner(self, external_id: ExternalId) -> int | None:
        """The number of the profile that has this id."""
        ...

    def prepare(self, numbers: Sequence[int]) -> None:
        """These will be asked for, 500 at most."""
        ...

    def canonical(self, number: int) -> int:
        """The profile that the one of this number is part of now."""
        ...

    def last_number(self) -> int:
        """The highest number given."""
        ...


class Applied(NamedTuple):
    """What resolving an event did: whose it is, which profiles became part of it, and what is new of it.

    `gained`: it has new ids, also by a merge. `traits` are the names of those whose value is another.
    """

    profile: int
    merged: tuple[int, ...]
    created: bool
    gained: bool
    traits: tuple[str, ...]
