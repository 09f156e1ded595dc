"""What one profile is at one position of the log: its events, traits and ids, and what other definitions say of it.

Everything is handed in; texts of JSON are canonical, and decoded when something asks for them.

Rule: a history does not depend on the order in which its events or the versions of a trait were handed in; of an
instant it shows nothing that happened later.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import Final, Literal, Protocol

from segue.compute.values import Value
from segue.core.profile import ANONYMOUS_ID as ANONYMOUS_ID
from segue.core.profile import MEMBER_TYPES as MEMBER_TYPES
from segue.core.profile import ExternalId, Trait

PAGE_VIEWED = "Page Viewed"
SCREEN_VIEWED = "Screen Viewed"
"""What page and screen calls are called in `event(…)`, whatever page or screen it was (Segment, "Audiences")."""

_STREAMS = {"page": (PAGE_VIEWED,), "screen": (SCREEN_VIEWED,)}

_decode = json.JSONDecoder().decode


class Absence(Enum):
    """Why there is no value of a computed key, not even null."""

    ABSENT = "the definition gives this profile no value"
    UNDEFINED = "no definition has this key"


ABSENT: Final[Literal[Absence.ABSENT]] = Absence.ABSENT
UNDEFINED: Final[Literal[Absence.UNDEFINED]] = Absence.UNDEFINED


class Others(Protocol):
    """What the other definitions of the space say of this profile at an instant, in ms since 1970."""

    def audience(self, key: str, at_ms: int) -> bool:
        """Whether the profile is a member; false for a key that no audience has."""
        ...

    def trait(self, key: str, at_ms: int) -> Value | Absence:
        """The value under the key of a computed trait or an audience; `UNDEFINED` leaves the key to custom traits.

        An audience is `true` of its members, `false` of those who were members once, and `ABSENT` for all others.
        """
        ...


class NoOthers:
    """A space without other definitions."""

    def audience(self, key: str, at_ms: int) -> bool:
        """There is no audience to be in."""
        return False

    def trait(self, key: str, at_ms: int) -> Value | Absence:
        """Each trait is a custom one."""
        return UNDEFINED


class Occurrence:
    """One event of the profile. Times in ms since 1970; `t` is when it counts as happened, never after its receipt.

    `name` is that of a track, page or screen call, "" where there is none.
    """

    def __init__(
        self,
        *,
        t: int,
        received_at: int,
        message_id: str,
        source: str,
        type: str,  # noqa: A002 - the Spec's word
        name: str = "",
        properties: str = "{}",
        context: str = "{}",
    ) -> None:
        self.t = t
        self.received_at = received_at
        self.message_id = message_id
        self.source = source
        self.type = type
        self.name = name
        self._properties = properties
        self._context = context

    @property
    def order(self) -> tuple[int, int, str]:
        """The total order of the events of one profile, which no batching can change."""
        return (self.t, self.received_at, self.message_id)

    @property
    def streams(self) -> tuple[str, ...]:
        """The names under which `event(…)` finds it."""
        return (self.name,) if self.type == "track" else _STREAMS.get(self.type, ())

    @cached_property
    def properties(self) -> Value:
        """What `property(…)` reads: of page and screen calls also their name (PROPOSED: before a property so named)."""
        found: Value = _decode(self._properties)
        if self.type in ("page", "screen") and self.name and isinstance(found, dict | None):
            return {**(found or {}), f"{self.type}_name": self.name}
        return found

    @cached_property
    def context(self) -> Value:
        """What `context(…)` reads."""
        found: Value = _decode(self._context)
        return found


class History:
    """One profile. `traits` are the versions of each custom trait, in any order.

    Where only the latest version is known, as a profile at hand holds it, the trait is null at instants before it.
    """

    def __init__(
        self,
        *,
        occurrences: Iterable[Occurrence] = (),
        traits: Mapping[str, Sequence[Trait]] | None = None,
        ids: Collection[ExternalId] = (),
        others: Others | None = None,
    ) -> None:
        self.others: Others = NoOthers() if others is None else others
        self.ids = frozenset(ids)
        self._streams: dict[str, list[Occurrence]] = {}
        for occurrence in sorted(occurrences, key=lambda each: each.order):
            for name in occurrence.streams:
                self._streams.setdefault(name, []).append(occurrence)
        self._traits = {
            name: sorted(versions, key=lambda each: each.cause.order, reverse=True)
            for name, versions in (traits or {}).items()
        }
        self._values: dict[str, Value] = {}

    def beside(self, others: Others) -> History:
        """The same profile in a space of other definitions."""
        found = History(ids=self.ids, others=others)
        found._streams, found._traits, found._values = self._streams, self._traits, self._values
        return found

    def stream(self, name: str) -> Sequence[Occurrence]:
        """The events that `event(name)` finds, in their order."""
        return self._streams.get(name, ())

    def custom_trait(self, name: str, at_ms: int) -> Trait | None:
        """The version of a custom trait that holds at an instant."""
        return next((each for each in self._traits.get(name, ()) if each.cause.t <= at_ms), None)

    def trait(self, name: str, at_ms: int) -> Value:
        """The value of a trait at an instant; a computed key owns its name, custom values under it are not used."""
        computed = self.others.trait(name, at_ms)
        if computed is ABSENT:
            return None
        if not isinstance(computed, Absence):
            return computed
        version = self.custom_trait(name, at_ms)
        return None if version is None else self._value(version.value)

    def is_computed(self, name: str, at_ms: int) -> bool:
        """Whether a definition owns the name of a trait."""
        return self.others.trait(name, at_ms) is not UNDEFINED

    def next_version(self, name: str, at_ms: int) -> int | None:
        """When after an instant a custom trait gets another version: only instants before the last event have one."""
        return min((each.cause.t for each in self._traits.get(name, ()) if each.cause.t > at_ms), default=None)

    def can_be_member(self, *, include_anonymous: bool = False) -> bool:
        """Whether it holds an id that audiences ask for: ids are those of the log's position, whatever the instant."""
        wanted = MEMBER_TYPES | {ANONYMOUS_ID} if include_anonymous else MEMBER_TYPES
        return any(each.type in wanted for each in self.ids)

    def _value(self, text: str) -> Value:
        if text not in self._values:
            self._values[text] = _decode(text)
        return self._values[text]
