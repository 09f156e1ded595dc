"""The graph of ids: which profile an event belongs to, and which profiles it makes one.

All profiles that share an id with the event are matched, flatly. Where joining them would break a rule, the id of the
lowest priority is demoted, for this event only, and matching begins again with the rest.

Rule: no decision makes a type exceed its limit on a profile that did not exceed it before, nor joins more than the caps
allow; a decision depends on its arguments alone.

Source: Segment, "Identity Resolution Settings" (limits, priority, merge protection); caps: "Unify limits".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from segue.core.profile import IDS_MAX, MERGES_MAX, ExternalId, LinkedId

IDS_CAP = "ids"
MERGES_CAP = "merges"
BLOCKED = "blocked"


class Member(Protocol):
    """What the graph needs to know of a profile."""

    @property
    def number(self) -> int: ...

    @property
    def ids(self) -> Sequence[LinkedId]: ...

    @property
    def absorbed(self) -> Sequence[int]: ...


class Demoted(NamedTuple):
    """An id that the event does not bring along.

    `reason` is `limit:<type>`, the type whose limit would have been broken, or the cap: `merges`, `ids`. `owner` is
    the number of the profile that has the id.
    """

    external_id: ExternalId
    reason: str
    owner: int | None


class Decision(NamedTuple):
    """What an event does to the graph. `profile` is the one it belongs to; None: a new one.

    `absorbed` are merged into it, the oldest first; `added` are the ids that are new on it.
    """

    profile: int | None
    absorbed: tuple[int, ...]
    added: tuple[ExternalId, ...]
    demoted: tuple[Demoted, ...]


Limit = Callable[[str], tuple[int, int | None]]
"""A type's limit, and within how many ms; None: ever."""


def decide(
    ids: Sequence[ExternalId], owners: Mapping[ExternalId, int], members: Mapping[int, Member], limit: Limit, now: int
) -> Decision:
    """What an event received at `now` (ms) with these ids, at least one, the highest priority first, does.

    `owners` are the profiles that have any of the ids, `members` those profiles.
    """
    kept = list(ids)
    dropped: list[tuple[ExternalId, str]] = []
    while True:
        matched = sorted({owners[external_id] for external_id in kept if external_id in owners})
        reason = _broken([members[number] for number in matched], kept, owners, limit, now)
        # One id alone joins nobody; it breaks a limit only where that is 0.
        if not reason or len(kept) == 1:
            break
        dropped.append((kept.pop(), reason))
    survivor = matched[0] if matched else None
    added = [external_id for external_id in kept if external_id not in owners]
    room = IDS_MAX - sum(len(members[number].ids) for number in matched)
    demoted = [
        Demoted(external_id, reason, owners.get(external_id))
        for external_id, reason in dropped
        if external_id not in owners or owners[external_id] not in matched
    ]
    demoted += [Demoted(external_id, IDS_CAP, None) for external_id in added[max(0, room) :]]
    return Decision(survivor, tuple(matched[1:]), tuple(added[: max(0, room)]), tuple(demoted))


def _broken(
    matched: list[Member],
    kept: Sequence[ExternalId],
    owners: Mapping[ExternalId, int],
    limit: Limit,
    now: int,
) -> str:
    """Which rule joining these profiles and ids would break, "" for none."""
    if len(matched) > 1:
        if sum(len(member.absorbed) + 1 for member in matched) - 1 > MERGES_MAX:
            return MERGES_CAP
        if sum(len(member.ids) for member in matched) > IDS_MAX:
            return IDS_CAP
    new = [external_id.type for external_id in kept if external_id not in owners]
    for type_ in _growing(matched, new):
        most, within = limit(type_)
        since = -1 if within is None else now - within
        counts = [_count(member.ids, type_, since) for member in matched]
        together = sum(counts) + new.count(type_)
        # A profile may exceed a limit that was tightened later; what it must not do is grow.
        if together > most and together > max(counts, default=0):
            return f"limit:{type_}"
    return ""


def _growing(matched: list[Member], new: list[str]) -> Iterable[str]:
    """The types of which the profile that results may have more ids than any had, in a settled order."""
    types = dict.fromkeys(new)
    if len(matched) > 1:
        for member in matched:
            types.update(dict.fromkeys(linked.type for linked in member.ids))
    return types


def _count(ids: Iterable[LinkedId], type_: str, since: int) -> int:
    return sum(linked.type == type_ and linked.cause.received_at > since for linked in ids)
