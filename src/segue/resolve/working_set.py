"""The profiles at hand: those that events touched last, and whose ids are whose, read from the rows where needed.

Rule: what is not committed is never let go; so what is at hand and the rows together are always the newest truth.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

from segue.core.profile import Collection, ExternalId, Profile
from segue.resolve.identifiers import GROUP_ID
from segue.state.profile_rows import Demotion, ProfilesState


class ProfileRows(Protocol):
    """What was committed, as the resolver reads it back. Each raises Unavailable, Damaged."""

    def state(self) -> ProfilesState:
        """The cursor and the counts."""
        ...

    def find(self, collection: Collection, external_id: ExternalId) -> Profile | None:
        """The profile that has this id, one of its own that the caller may change."""
        ...

    def profile(self, number: int) -> Profile | None:
        """A profile by its number, one of its own that the caller may change."""
        ...

    def profiles(self, numbers: Sequence[int]) -> list[Profile]:
        """The same of several, 500 at most, without those that are absorbed."""
        ...

    def canonical(self, number: int) -> int:
        """The profile that the one of this number is part of; itself, where it is not absorbed or unknown."""
        ...

    def linked(self, users: Sequence[int], account: int) -> bool:
        """Whether one of these users is of the account."""
        ...

    def demotions(self, number: int) -> list[Demotion]:
        """The ids kept off this profile."""
        ...


def collection_of(external_id: ExternalId) -> Collection:
    """The only ids of accounts are group ids, and no user has one."""
    return "accounts" if external_id.type == GROUP_ID else "users"


class Entry:
    """A profile at hand. `accounts` are some of those that it is linked to; `demotions` is None until it is needed."""

    __slots__ = ("accounts", "demotions", "profile")

    def __init__(self, profile: Profile, demotions: dict[ExternalId, Demotion] | None = None) -> None:
        self.profile = profile
        self.accounts: set[int] = set()
        self.demotions = demotions


class WorkingSet:
    """Profiles by number, the least recently used one let go first, once more than `capacity` are at hand."""

    def __init__(self, rows: ProfileRows, capacity: int) -> None:
        self._rows = rows
        self._capacity = capacity
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._owners: dict[ExternalId, int] = {}
        self.changed: set[int] = set()
        self._writing: set[int] = set()

    @property
    def full(self) -> bool:
        """Whether as much is uncommitted as may be at hand."""
        return len(self.changed) + len(self._writing) >= self._capacity

    def __len__(self) -> int:
        return len(self._entries)

    def has(self, number: int) -> bool:
        """Whether the profile of this number is at hand, and so is not absorbed."""
        return number in self._entries

    def owner(self, external_id: ExternalId) -> int | None:
        """The number of the profile that has this id; that profile is at hand then."""
        number = self._owners.get(external_id)
        if number is None:
            profile = self._rows.find(collection_of(external_id), external_id)
            if profile is not None:
                number = profile.number
                if number not in self._entries:
                    self._put(profile)
        return number

    def prepare(self, numbers: Sequence[int]) -> None:
        """Have these profiles at hand, 500 at most, with fewer reads than one by one."""
        numbers = [number for number in numbers if number not in self._entries]
        if numbers:
            for profile in self._rows.profiles(numbers):
                self._put(profile)

    def entry(self, number: int) -> Entry:
        """A profile that there is, by its number."""
        entry = self._entries.get(number)
        if entry is not None:
            self._entries.move_to_end(number)
            return entry
        profile = self._rows.profile(number)
        assert profile is not None and profile.number == number, f"profile {number} has ids but no row"
        return self._put(profile)

    def _put(self, profile: Profile) -> Entry:
        entry = self._entries[profile.number] = Entry(profile)
        for linked in profile.ids:
            self._owners[linked.external_id] = profile.number
        return entry

    def add(self, entry: Entry) -> None:
        """A profile that came to be."""
        self._entries[entry.profile.number] = entry
        self.changed.add(entry.profile.number)

    def give(self, number: int, ids: Iterable[ExternalId]) -> None:
        """These ids belong to this profile from now on."""
        for external_id in ids:
            self._owners[external_id] = number

    def drop(self, number: int) -> None:
        """The profile was absorbed; its ids were given away before."""
        del self._entries[number]
        self.changed.discard(number)

    def write(self) -> list[Profile]:
        """Those changed since the last call, in order; they stay until `written`."""
        numbers = sorted(self.changed)
        self._writing |= self.changed
        self.changed = set()
        return [self._entries[number].profile for number in numbers]

    def written(self) -> None:
        """What `write` gave is durable; let go of what is too much."""
        self._writing = set()
        while len(self._entries) > self._capacity:
            number, entry = next(iter(self._entries.items()))
            if number in self.changed:
                break  # all that were used since are uncommitted too, or soon will have their turn
            del self._entries[number]
            for linked in entry.profile.ids:
                del self._owners[linked.external_id]
