"""The resolver of a space: each event in the order of the log, to the profile that it is about.

It has no loop and no clock: whoever reads the log hands it one record after another, writes what `take` gives and says
when that is durable. A new one goes on from the rows.

Rule: what it makes of the log depends on the records in order and on the rules in force at each: not on how they are
batched, on restarts, or on a record that comes again. All that one event needs is read before anything is changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from segue.core.event import Event, Record
from segue.core.profile import (
    Cause,
    Collection,
    ExternalId,
    IdentityRules,
    Link,
    LinkedId,
    Profile,
)
from segue.resolve.graph import BLOCKED, Decision, Demoted, decide
from segue.resolve.identifiers import GROUP_ID, Identifiers, Promoted
from segue.resolve.skips import effective_time, skip_code
from segue.resolve.traits import merge_traits, set_traits
from segue.resolve.working_set import Entry, ProfileRows, WorkingSet, collection_of
from segue.state.profile_rows import DEMOTIONS_MOST, Change, ChangeKind, Demotion, Placed, ProfileRow, ProfilesDelta

CAPACITY = 50_000

_PREFIX: Mapping[Collection, str] = {"users": "use_", "accounts": "grp_"}
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_encode = msgspec.msgpack.Encoder().encode


class Resolved(NamedTuple):
    """What became of one event. `skipped` is its code (`resolve.skips`), "" where it was applied.

    `profile` is the user's; None where it was skipped, and for a group call that names no user. `account` is that of a
    group call. `ids` are new on the profile, `traits` and `account_traits` the names whose value changed by the event
    itself; the profile has `merged` those numbers into it.
    """

    profile: int | None
    account: int | None
    skipped: str
    created: bool
    merged: tuple[int, ...]
    ids: tuple[ExternalId, ...]
    traits: tuple[str, ...]
    account_traits: tuple[str, ...]
    linked: bool
    cause: Cause


class _Look(NamedTuple):
    """All that was read for one event, before anything is changed."""

    decision: Decision | None
    user: Entry | None
    blocked: Sequence[ExternalId]
    group: ExternalId | None
    account: Entry | None
    is_linked: bool


class Resolver:
    """One space's. For one thread; `take` gives what may be written in another."""

    def __init__(self, *, space: int, rules: IdentityRules, rows: ProfileRows, capacity: int = CAPACITY) -> None:
        self._space = space
        self._rows = rows
        self._working = WorkingSet(rows, capacity)
        self.state = rows.state()
        self.outcomes = 0
        self.dirty = False
        self._owners: dict[ExternalId, int] = {}
        self._absorbed: dict[int, int] = {}
        self._absorbed_before: dict[int, int] = {}
        """Those that are being written."""
        self._links: list[Link] = []
        self._merges: list[tuple[int, int]] = []
        self._changes: list[Change] = []
        self._demotions: dict[tuple[int, ExternalId], Demotion] = {}
        self._placed: list[Placed] = []
        self.use(rules)

    @property
    def position(self) -> int:
        """The offset of the next record to be read."""
        return self.state.position

    @property
    def full(self) -> bool:
        """Whether as much is uncommitted as may be held; go on after `committed`."""
        return self._working.full

    def use(self, rules: IdentityRules) -> None:
        """From the next event on these rules hold; what was decided before stays."""
        self._identifiers = Identifiers(rules, self.state.types)
        self.state.types = self._identifiers.added

    def profile(self, number: int) -> Profile:
        """A profile as it is now, by its number; not to be changed. For one that is not absorbed."""
        return self._working.entry(number).profile

    def owner(self, external_id: ExternalId) -> int | None:
        """The number of the profile that has this id now."""
        return self._working.owner(external_id)

    def prepare(self, numbers: Sequence[int]) -> None:
        """Have these profiles at hand, 500 at most; those that are absorbed are left out."""
        gone = self._absorbed.keys() | self._absorbed_before.keys()
        self._working.prepare([number for number in numbers if number not in gone])

    def canonical(self, number: int) -> int:
        """The profile that the one of this number is part of now; itself, where it is not absorbed."""
        found = self._absorbed.get(number) or self._absorbed_before.get(number)
        if found is not None:
            return self._absorbed.get(found, found)
        return number if self._working.has(number) else self._rows.canonical(number)

    def pass_over(self, record: Record) -> None:
        """A record that is not of the space's sources, or of its own."""
        if record.offset >= self.state.position:
            self.state.position = record.offset + 1
            self.dirty = True

    def expire(self, start: int) -> None:
        """The log begins at `start` now. What was dropped unread is counted, but for what a new space never saw."""
        if start > self.state.position:
            self.state.expired += start - self.state.position if self.state.position else 0
            self.state.position = start
            self.dirty = True

    def apply(self, record: Record, event: Event) -> Resolved | None:
        """One event of a source of the space. A record from below `position` is a repeat: None, and nothing happens.

        Raises Unavailable where rows cannot be read; nothing is changed then, and the call may be made again.
        """
        state = self.state
        if record.offset < state.position:
            return None
        t = effective_time(record, event)
        cause = Cause(record.offset, record.received_at, t, record.message_id, record.source)
        code = skip_code(event, t)
        look = None
        if not code:
            look = self._look(self._identifiers.of(event), event, cause)
            code = "" if look.decision is not None or look.group is not None else "no_identifier"
        state.position = record.offset + 1
        state.passed[record.source] = record.ordinal
        self.outcomes += 1
        self.dirty = True
        if code or look is None:
            state.skipped[code] = state.skipped.get(code, 0) + 1
            return Resolved(None, None, code, False, (), (), (), (), False, cause)
        state.applied += 1
        return self._change(look, event, cause)

    def take(self) -> ProfilesDelta:
        """What changed since the last call, in a form that nothing changes any more."""
        delta = ProfilesDelta(
            state=_encode(self.state),
            profiles=[
                *(_row(profile) for profile in self._working.write()),
                *self._absorbed_rows(),
            ],
            owners=[(collection_of(each), each.type, each.id, number) for each, number in self._owners.items()],
            links=self._links,
            merges=self._merges,
            changes=self._changes,
            demotions=list(self._demotions.values()),
            placed=self._placed,
        )
        self._owners, self._demotions = {}, {}
        self._absorbed, self._absorbed_before = {}, self._absorbed
        self._links, self._merges, self._changes, self._placed = [], [], [], []
        self.outcomes = 0
        self.dirty = False
        return delta

    def committed(self) -> None:
        """What `take` gave is durable."""
        self._absorbed_before = {}
        self._working.written()

    def _look(self, promoted: Promoted, event: Event, cause: Cause) -> _Look:
        """Everything that may need the rows; what it reads is at hand from then on."""
        decision = self._decide(promoted.ids, cause.received_at) if promoted.ids else None
        user = None if decision is None or decision.profile is None else self._working.entry(decision.profile)
        if user is not None and user.demotions is None and (promoted.blocked or (decision and decision.demoted)):
            kept_off = self._rows.demotions(user.profile.number)
            user.demotions = {ExternalId(each.type, each.id): each for each in kept_off}
        group_id = self._identifiers.account_of(event)
        if group_id is None:
            return _Look(decision, user, promoted.blocked, None, None, False)
        group = ExternalId(GROUP_ID, group_id)
        number = self._working.owner(group)
        account = None if number is None else self._working.entry(number)
        linked = decision is not None and account is not None and self._is_linked(decision, account.profile.number)
        return _Look(decision, user, promoted.blocked, group, account, linked)

    def _decide(self, ids: Sequence[ExternalId], now: int) -> Decision:
        owners: dict[ExternalId, int] = {}
        for external_id in ids:
            number = self._working.owner(external_id)
            if number is not None:
                owners[external_id] = number
        numbers = set(owners.values())
        if len(numbers) == 1 and len(owners) == len(ids):
            return Decision(numbers.pop(), (), (), ())  # the common case: nothing is new
        members = {number: self._working.entry(number).profile for number in sorted(numbers)}
        return decide(ids, owners, members, self._identifiers.limit, now)

    def _is_linked(self, decision: Decision, account: int) -> bool:
        """Whether one of the profiles that the event makes one is of the account."""
        if decision.profile is None:
            return False
        numbers: list[int] = []
        for number in (decision.profile, *decision.absorbed):
            entry = self._working.entry(number)
            if account in entry.accounts:
                return True
            # What they absorbed may not have been committed, so that its links still stand under its own number.
            numbers += (number, *entry.profile.absorbed)
        return self._rows.linked(numbers, account)

    def _change(self, look: _Look, event: Event, cause: Cause) -> Resolved:
        decision, user = look.decision, look.user
        traits: tuple[str, ...] = ()
        account_traits: tuple[str, ...] = ()
        if decision is not None:
            user = self._create("users", cause) if user is None else user
            self._join(user, decision, cause)
            self._keep_off(user, look.blocked, decision.demoted, cause)
            if event.type == "identify":
                traits = set_traits(user.profile, event.traits, cause)
        account = look.account
        if look.group is not None:
            if account is None:
                account = self._create("accounts", cause)
                self._link_ids(account, (look.group,), cause)
            self._touch(account, cause)
            account_traits = set_traits(account.profile, event.traits, cause)
        linked = user is not None and account is not None and not look.is_linked
        if user is not None and account is not None:
            self._link(user, account, cause, new=linked)
        profile_number = None if user is None else user.profile.number
        account_number = None if account is None else account.profile.number
        self._placed.append(Placed(cause.offset, profile_number or 0, account_number or 0, cause.t))
        return Resolved(
            profile=profile_number,
            account=account_number,
            skipped="",
            created=decision is not None and decision.profile is None,
            merged=() if decision is None else decision.absorbed,
            ids=() if decision is None else decision.added,
            traits=traits,
            account_traits=account_traits,
            linked=linked,
            cause=cause,
        )

    def _create(self, collection: Collection, cause: Cause) -> Entry:
        number = self.state.next_number
        self.state.next_number += 1
        if collection == "users":
            self.state.users += 1
        else:
            self.state.accounts += 1
        name = self._segment_id(collection, number)
        profile = Profile(number=number, collection=collection, segment_id=name, first=cause, last=cause)
        entry = Entry(profile, {})
        self._working.add(entry)
        self._note(number, "created", cause)
        return entry

    def _join(self, user: Entry, decision: Decision, cause: Cause) -> None:
        for number in decision.absorbed:
            self._merge(user, self._working.entry(number), cause)
        self._link_ids(user, decision.added, cause)
        self._touch(user, cause)

    def _merge(self, survivor: Entry, absorbed: Entry, cause: Cause) -> None:
        one, other = survivor.profile, absorbed.profile
        ids = [linked.external_id for linked in other.ids]
        self._working.give(one.number, ids)
        self._owners.update(dict.fromkeys(ids, one.number))
        one.ids.extend(other.ids)
        one.absorbed += (*other.absorbed, other.number)
        self._absorbed.update(dict.fromkeys((*other.absorbed, other.number), one.number))
        survivor.accounts |= absorbed.accounts
        merge_traits(one, other)
        self._working.drop(other.number)
        self._merges.append((one.number, other.number))
        self._note(one.number, "merged", cause, other=other.number)
        self.state.merges += 1
        self.state.users -= 1

    def _link_ids(self, entry: Entry, ids: Sequence[ExternalId], cause: Cause) -> None:
        profile = entry.profile
        for external_id in ids:
            profile.ids.append(LinkedId(external_id.type, external_id.id, cause))
            self._owners[external_id] = profile.number
            self._note(profile.number, "linked", cause, external_id=external_id)
        self._working.give(profile.number, ids)

    def _touch(self, entry: Entry, cause: Cause) -> None:
        entry.profile.last = cause
        self._working.changed.add(entry.profile.number)

    def _link(self, user: Entry, account: Entry, cause: Cause, *, new: bool) -> None:
        user.accounts.add(account.profile.number)
        if new:
            self._links.append(Link(user.profile.number, account.profile.number, cause))
            self.state.links += 1

    def _keep_off(self, user: Entry, blocked: Sequence[ExternalId], demoted: Sequence[Demoted], cause: Cause) -> None:
        for external_id in blocked:
            self._demote(user, Demoted(external_id, BLOCKED, None), cause)
        for each in demoted:
            self._demote(user, each, cause)

    def _demote(self, user: Entry, demoted: Demoted, cause: Cause) -> None:
        external_id, reason, owner = demoted
        number = user.profile.number
        assert user.demotions is not None
        old = user.demotions.get(external_id)
        if old is None and len(user.demotions) >= DEMOTIONS_MOST:
            self.state.demotions_left_out += 1
            return
        first, count = (cause, 1) if old is None else (old.first, old.count + 1)
        now = Demotion(number, external_id.type, external_id.id, reason, owner, first, cause, count)
        user.demotions[external_id] = self._demotions[number, external_id] = now

    def _note(
        self,
        profile: int,
        kind: ChangeKind,
        cause: Cause,
        *,
        other: int | None = None,
        external_id: ExternalId | None = None,
    ) -> None:
        type_, id_ = (None, None) if external_id is None else external_id
        self._changes.append(Change(0, profile, kind, other, type_, id_, cause))

    def _absorbed_rows(self) -> list[ProfileRow]:
        return [
            ProfileRow(number, self._segment_id("users", number), canonical, "users", b"")
            for number, canonical in self._absorbed.items()
        ]

    def _segment_id(self, collection: Collection, number: int) -> str:
        """The persistent id of the profile of this number: `use_` and 27 characters (PROPOSED: `grp_` for accounts)."""
        left = int.from_bytes(hashlib.sha256(f"{self._space}:{number}".encode()).digest()[:20], "big")
        characters = []
        for _ in range(27):
            left, digit = divmod(left, 62)
            characters.append(_BASE62[digit])
        return _PREFIX[collection] + "".join(reversed(characters))


def _row(profile: Profile) -> ProfileRow:
    return ProfileRow(profile.number, profile.segment_id, profile.number, profile.collection, _encode(profile))
