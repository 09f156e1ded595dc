"""What is written and read of a space's profiles: its cursor and counts, history, demotions, one commit's changes.

Rule: a row is what its table holds; nothing here is text of SQL.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct

from segue.core.profile import Cause, Collection, Link
from segue.state.computed_rows import ComputedDelta

ChangeKind = Literal["created", "linked", "merged"]

DEMOTIONS_MOST = 100
"""The most demoted or blocked ids kept of one profile; of further ones only the number in all (PROPOSED)."""


class ProfilesState(Struct, kw_only=True):
    """How far a space has read the log, and what came of it.

    `passed` is the last ordinal before `position` of each source of the space that was met.
    """

    position: int = 0
    passed: dict[str, int] = {}
    next_number: int = 1
    applied: int = 0
    skipped: dict[str, int] = {}
    """Events that entered no profile, by code (`resolve.skips.SKIPS`)."""
    expired: int = 0
    """Records of the log, of any source, that retention dropped before they were read."""
    users: int = 0
    accounts: int = 0
    """Profiles there are now, without the absorbed ones."""
    merges: int = 0
    links: int = 0
    """Both ever."""
    types: list[str] = []
    """Types of ids that no rule names and `context.externalIds` has brought."""
    demotions_left_out: int = 0


class ProfileRow(NamedTuple):
    """One profile. Of an absorbed one `canonical` is the profile it is part of now, and `body` is empty."""

    number: int
    segment_id: str
    canonical: int
    collection: Collection
    body: bytes


class Change(NamedTuple):
    """One line of history, in the log's order: a profile came to be, got an id, or absorbed the profile `other`."""

    seq: int
    profile: int
    kind: ChangeKind
    other: int | None
    type: str | None
    id: str | None
    cause: Cause


class Demotion(Struct, frozen=True, gc=False):
    """An id that events of this profile brought along and that was not put on it.

    `reason` is `blocked`; `limit:<type>`, the type whose limit would have been broken; or the cap that was met,
    `merges` or `ids`. `owner` is the profile that had the id the last time, None for nobody.
    """

    profile: int
    type: str
    id: str
    reason: str
    owner: int | None
    first: Cause
    last: Cause
    count: int = 1


class Placed(NamedTuple):
    """An event that was applied: the numbers of the user and the account it was found to be of, 0 for none.

    The numbers are those of that moment; a merge since may have made another profile of them. `t` in ms since 1970.
    """

    offset: int
    profile: int
    account: int
    t: int


class ProfilesDelta(Struct, kw_only=True):
    """What one space changed since the last commit. `owners` are (collection, type, id, number)."""

    state: bytes
    profiles: list[ProfileRow] = []
    owners: list[tuple[Collection, str, str, int]] = []
    links: list[Link] = []
    """New ones, under the number that the user had then; written before `merges` are."""
    merges: list[tuple[int, int]] = []
    """(survivor, absorbed) in the order of the log."""
    changes: list[Change] = []
    """In the order of the log; their `seq` is given when they are written."""
    demotions: list[Demotion] = []
    placed: list[Placed] = []
    """The events applied, in the order of the log."""
    in_lake: int = 0
    """The lake's cursor: of the events below it nobody asks any more what they were applied to."""
    computed: ComputedDelta | None = None
