"""Telling destinations: for each change of a profile, which connections say what, and what the ledger then holds.

Rule: a message is put in the outbox in the commit that changes the ledger row it stands for, so that it is neither
swallowed nor said twice; a connection that waits keeps the profile's name, not the change.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from segue.compute.at_hand import Entry
from segue.compute.checks import Kind
from segue.compute.messages import Subject, messages
from segue.compute.told import Told, decide
from segue.compute.tuples import IdentityTuple, tuples
from segue.core.profile import ExternalId, Profile
from segue.state.computed_rows import ComputeState, ConnectionState, HoldingRow, ToldRow
from segue.state.outbox import OutboxRow


class Line(Struct, kw_only=True):
    """A connection at work. `waits`: its destination is switched off, so that nothing is said for now.

    `every_ms` is how far apart its net changes are sent, 0 at once.
    """

    id: int
    computation: int
    destination: int
    catalog_name: str
    identify: bool
    track: bool
    every_ms: int
    waits: bool
    state: ConnectionState


class Spoken(NamedTuple):
    """What is spoken of: a computation as one generation of it has it."""

    kind: Kind
    key: str
    generation: int
    include_anonymous: bool


class Said(Struct):
    """What was said since the last `take`."""

    outbox: list[OutboxRow] = []
    told: dict[tuple[int, str], ToldRow | None] = {}
    """By connection and tuple; None: the row goes."""
    pending: dict[tuple[int, int], bool] = {}
    """By connection and profile: whether it waits, or no longer."""
    connections: set[int] = set()


class Teller:
    """Of one space. `owner` gives the number of the profile that has an id."""

    def __init__(self, space: int, state: ComputeState, owner: Callable[[ExternalId], int | None]) -> None:
        self._space = space
        self._state = state
        self._owner = owner
        self.said = Said()
        self.lines: Mapping[int, Sequence[Line]] = {}
        """By computation."""
        self._subjects: dict[int, tuple[Line, Spoken, Subject]] = {}
        self._tuples: dict[tuple[int, bool], tuple[int, Sequence[IdentityTuple]]] = {}

    def tell(
        self,
        line: Line,
        entry: Entry,
        profile: Profile,
        holding: HoldingRow,
        spoken: Spoken,
        *,
        at_ms: int,
        now: bool = False,
    ) -> bool:
        """Say over one connection what the profile has, if it was not said; gives whether anything was.

        `now`: also where the connection has a cadence, for this is its instant. `at_ms` is the instant of the change.
        """
        if line.waits or (line.every_ms and not now):
            self.said.pending[line.id, entry.number] = True
            return False
        rows = {place[1]: row for place, row in entry.told.items() if place[0] == line.id}
        telling = decide(
            self._tuples_of(profile, spoken.include_anonymous),
            holding.value,
            spoken.kind,
            {text: Told(row.value, row.version, row.profile) for text, row in rows.items()},
            self._owned,
            profile=entry.number,
            version=holding.version,
        )
        sent: dict[str, str] = {}
        for each, value in telling.send:
            sent[each.text] = self._put_out(line, profile, spoken, each, value, holding.version, at_ms)
        for each, told in telling.put:
            text, before = each.text, rows.get(each.text)
            kept = ("", at_ms) if before is None else (before.message_id, before.at)
            message_id, at = (sent[text], at_ms) if text in sent else kept
            row = ToldRow(line.id, text, told.profile, told.value, told.version, message_id, at)
            entry.told[line.id, text] = self.said.told[line.id, text] = row
        for each in telling.drop:
            entry.told.pop((line.id, each.text), None)
            self.said.told[line.id, each.text] = None
        return bool(telling.send)

    def _put_out(
        self, line: Line, profile: Profile, spoken: Spoken, each: IdentityTuple, value: str, version: int, at_ms: int
    ) -> str:
        """Put in the outbox what tells a tuple of a value; gives the id of the last message."""
        subject = self._subject(line, spoken)
        made = messages(
            subject,
            each,
            value,
            profile=profile.number,
            segment_id=profile.segment_id,
            version=version,
            at_ms=at_ms,
        )
        destination = str(line.destination)
        for message in made:
            self.said.outbox.append(
                OutboxRow(
                    message.message_id,
                    message.type,
                    message.user_key,
                    destination,
                    message.timestamp_ms,
                    message.body,
                )
            )
        self._state.emitted += len(made)
        line.state.sent += len(made)
        line.state.sent_at = at_ms
        self.said.connections.add(line.id)
        return made[-1].message_id if made else ""

    def _subject(self, line: Line, spoken: Spoken) -> Subject:
        known = self._subjects.get(line.id)
        if known is not None and known[0] is line and known[1] == spoken:
            return known[2]
        subject = Subject(
            space=self._space,
            computation=line.computation,
            generation=spoken.generation,
            kind=spoken.kind,
            key=spoken.key,
            connection=line.id,
            catalog_name=line.catalog_name,
            identify=line.identify,
            track=line.track,
        )
        self._subjects[line.id] = (line, spoken, subject)
        return subject

    def absorb(self, survivor: Entry, absorbed: Entry) -> None:
        """What was told of the absorbed profile was told of the survivor."""
        for place, row in absorbed.told.items():
            survivor.told[place] = self.said.told[place] = row._replace(profile=survivor.number)
        for connection, number in [place for place in self.said.pending if place[1] == absorbed.number]:
            del self.said.pending[connection, number]
            self.said.pending[connection, survivor.number] = True

    def take(self) -> Said:
        """What was said since the last call."""
        said, self.said = self.said, Said()
        return said

    def _owned(self, external_id: ExternalId) -> bool:
        return self._owner(external_id) is not None

    def _tuples_of(self, profile: Profile, include_anonymous: bool) -> Sequence[IdentityTuple]:
        """The profile's tuples; those of its ids as they were asked for last are remembered."""
        place = (profile.number, include_anonymous)
        known = self._tuples.get(place)
        if known is not None and known[0] == len(profile.ids):
            return known[1]
        found = tuples(external_ids(profile), include_anonymous=include_anonymous)
        if len(self._tuples) >= 10_000:
            self._tuples.clear()
        self._tuples[place] = (len(profile.ids), found)
        return found


def external_ids(profile: Profile) -> Collection[ExternalId]:
    """The ids of a profile."""
    return [linked.external_id for linked in profile.ids]
