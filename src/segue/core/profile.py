"""Who an event is about: external ids, the rules by which they meet, and the profile that they meet in.

Rule: a profile holds only what events said, each value with the event that said it, so that it is a pure function of
the log's order; nothing here knows a clock or a store.

Source: Segment's Unify pages on identity resolution; what they leave open is marked PROPOSED.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

Collection = Literal["users", "accounts"]
Period = Literal["ever", "day", "week", "month", "year"]

PERIOD_MS: dict[Period, int | None] = {
    "ever": None,
    "day": 86_400_000,
    "week": 7 * 86_400_000,
    "month": 30 * 86_400_000,
    "year": 365 * 86_400_000,
}
"""How far back a limit counts, by received_at; None: for ever. A month is 30 days (PROPOSED)."""

MERGES_MAX = 100
"""The most profiles that one may absorb (Segment's cap)."""
IDS_MAX = 1_000
"""The most external ids of one profile (Segment's cap)."""
TRAITS_MAX = 1_000
"""The most traits of one profile; a further name is counted, not kept (PROPOSED)."""
DEFAULT_LIMIT = 5

MEMBER_TYPES = frozenset({"user_id", "email", "android.idfa", "ios.idfa"})
"""Ids of which a profile needs one to be a member of an audience (Segment, "Audiences")."""
ANONYMOUS_ID = "anonymous_id"


class ExternalId(NamedTuple):
    """One way to call somebody: a type such as `email`, and the value, exactly as it came."""

    type: str
    id: str


class IdentifierRule(Struct, frozen=True, kw_only=True):
    """How many ids of a type one profile may have, and where else they are found.

    `keys` are names looked up in traits, context.traits and properties, in camelCase and in snake_case.
    """

    type: str
    limit: int = DEFAULT_LIMIT
    per: Period = "ever"
    keys: tuple[str, ...] = ()


class IdentityRules(Struct, frozen=True, kw_only=True):
    """The identity rules of a space. The order of `identifiers` is their priority, the highest first.

    `blocked` are values that identify nobody, of whatever type: an exact text, or a regular expression between two
    slashes.
    """

    identifiers: tuple[IdentifierRule, ...]
    blocked: tuple[str, ...]


DEFAULT_RULES = IdentityRules(
    identifiers=(
        IdentifierRule(type="user_id", limit=1),
        IdentifierRule(type="email"),
        IdentifierRule(type="android.id"),
        IdentifierRule(type="android.idfa"),
        IdentifierRule(type="android.push_token"),
        IdentifierRule(type="anonymous_id"),
        IdentifierRule(type="ga_client_id"),
        IdentifierRule(type="group_id"),
        IdentifierRule(type="ios.id"),
        IdentifierRule(type="ios.idfa"),
        IdentifierRule(type="ios.push_token"),
    ),
    blocked=("/^[0-]*$/", "-1", "null", "anonymous"),
)
"""What Segment gives a new space."""


class Cause(Struct, frozen=True, gc=False, array_like=True):
    """The event that caused something. Times in ms since 1970; `t` is the event's own, never after its receipt."""

    offset: int
    received_at: int
    t: int
    message_id: str
    source: str

    @property
    def order(self) -> tuple[int, int, str]:
        """The total order of the events of one profile, which no batching can change."""
        return (self.t, self.received_at, self.message_id)


class LinkedId(Struct, frozen=True, gc=False, array_like=True):
    """An external id of a profile, and the event that brought it."""

    type: str
    id: str
    cause: Cause

    @property
    def external_id(self) -> ExternalId:
        """The id alone."""
        return ExternalId(self.type, self.id)


class Trait(Struct, frozen=True, gc=False, array_like=True):
    """One trait: its value as canonical JSON text (`null` is a value, and means none), and the event that set it."""

    value: str
    cause: Cause


class Link(Struct, frozen=True, gc=False):
    """A user is of an account, by a group call. Both by their profile's number; a link is never undone."""

    user: int
    account: int
    cause: Cause


class Profile(Struct, kw_only=True, array_like=True):
    """A person, or an account. `number` is given in the order of the log and never again."""

    number: int
    collection: Collection
    segment_id: str
    ids: list[LinkedId] = []
    traits: dict[str, Trait] = {}
    absorbed: list[int] = []
    """The numbers of the profiles that were merged into this one, in order, theirs among them."""
    first: Cause
    last: Cause
    traits_left_out: int = 0
