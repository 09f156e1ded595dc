"""The external ids that an event carries: which of its values name somebody, by the rules of the space.

Rule: what is promoted depends on the event, the rules and the types that earlier events of the log have added.

Source: Segment, "Identity Resolution: ExternalIDs" and "Identity Resolution Settings".
"""

from __future__ import annotations

import re
from bisect import insort
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct

from segue.core.canonical import canonical, text_of
from segue.core.event import Event, raw_object
from segue.core.profile import DEFAULT_LIMIT, DEFAULT_RULES, PERIOD_MS, ExternalId, IdentityRules

ID_LENGTH_MOST = 500
TYPE_LENGTH_MOST = 100
ADDED_TYPES_MOST = 100
"""The most types that events may add to a space; ids of further ones are not promoted (PROPOSED)."""

GROUP_ID = "group_id"
_TYPE = re.compile(r"[a-z][a-z0-9_.]*")
_BUILT_IN = frozenset(rule.type for rule in DEFAULT_RULES.identifiers)
_NUMBER_STARTS = frozenset(b"-0123456789")
_NULL = Raw(b"null")
_OBJECT = ord("{")


class Promoted(NamedTuple):
    """The ids of one event, the highest priority first, each once; and the values that the rules block."""

    ids: list[ExternalId]
    blocked: list[ExternalId]


class _Claimed(Struct, frozen=True, gc=False):
    """An entry of `context.externalIds`; all four members are required."""

    id: str
    type: str
    collection: str
    encoding: str


class _Context(Struct, frozen=True, gc=False):
    """What of a context may hold ids, undecoded."""

    traits: Raw = _NULL
    device: Raw = _NULL
    integrations: Raw = _NULL
    externalIds: Raw = _NULL  # noqa: N815 - Segment's name


_NO_CONTEXT = _Context()
_decode_context = msgspec.json.Decoder(_Context).decode
_decode_entries = msgspec.json.Decoder(list[Raw]).decode
_decode_claimed = msgspec.json.Decoder(_Claimed).decode


class Identifiers:
    """The identity rules of a space, ready to be asked. `added` are the types that events have added, sorted."""

    def __init__(self, rules: IdentityRules, added: Iterable[str] = ()) -> None:
        self._ranks = {rule.type: (rank, "") for rank, rule in enumerate(rules.identifiers)}
        self._limits = {rule.type: (rule.limit, PERIOD_MS[rule.per]) for rule in rules.identifiers}
        self._keys = tuple(
            (rule.type, spelling)
            for rule in rules.identifiers
            if rule.type != GROUP_ID
            for key in rule.keys
            for spelling in _spellings(key)
        )
        self._blocked = frozenset(text for text in rules.blocked if not _is_pattern(text))
        self._patterns = tuple(re.compile(text[1:-1]) for text in rules.blocked if _is_pattern(text))
        self._takes_user = "user_id" in self._ranks
        self._takes_anonymous = "anonymous_id" in self._ranks
        self._takes_email = "email" in self._ranks
        self._last = len(self._ranks)
        self.added = sorted(added)
        for type_ in self.added:
            self._ranks.setdefault(type_, (self._last, type_))

    def limit(self, type_: str) -> tuple[int, int | None]:
        """How many ids of this type one profile may have, and within how many ms; None: ever."""
        return self._limits.get(type_, (DEFAULT_LIMIT, None))

    def blocks(self, value: str) -> bool:
        """Whether the rules say that this value identifies nobody."""
        if value in self._blocked:
            return True
        for pattern in self._patterns:  # noqa: SIM110 - any() takes three times as long, at each id of each event
            if pattern.search(value):
                return True
        return False

    def of(self, event: Event) -> Promoted:
        """The ids of the user of the event; a type that only `context.externalIds` knows is added on the way."""
        found: list[ExternalId] = []
        if event.user_id is not None and self._takes_user:
            found.append(ExternalId("user_id", event.user_id))
        self._find_below(event, found)
        if event.anonymous_id is not None and self._takes_anonymous:
            found.append(ExternalId("anonymous_id", event.anonymous_id))
        ids: list[ExternalId] = []
        blocked: list[ExternalId] = []
        for external_id in found:
            place = blocked if self.blocks(external_id.id) else ids
            if external_id not in place and 1 <= len(external_id.id) <= ID_LENGTH_MOST:
                place.append(external_id)
        if len(ids) > 1:
            ids.sort(key=self._rank)  # stable: those of one type in the order they were found
        return Promoted(ids, blocked)

    def account_of(self, event: Event) -> str | None:
        """The `groupId` of a group call, where the rules do not block it; `context.groupId` is not looked at."""
        group = event.group_id if event.type == "group" else None
        return None if group is None or len(group) > ID_LENGTH_MOST or self.blocks(group) else group

    def _rank(self, external_id: ExternalId) -> tuple[int, str]:
        return self._ranks[external_id.type]

    def _find_below(self, event: Event, found: list[ExternalId]) -> None:
        """Add what stands in the traits, the properties and the context."""
        # The traits of a group call are the account's, not the user's.
        traits = event.traits if event.type == "identify" else {}
        raw = event.fields.context
        context = _decode_context(raw) if memoryview(raw)[0] == _OBJECT else _NO_CONTEXT
        context_traits = raw_object(context.traits)
        if self._takes_email:
            for place in (traits, context_traits):
                email = _text(place, "email")
                if email is not None:
                    found.append(ExternalId("email", email))
        if self._keys:
            found.extend(self._configured(traits, context_traits, event.properties))
        if context.device is not _NULL:
            found.extend(self._of_device(raw_object(context.device)))
        if context.integrations is not _NULL:
            found.extend(self._of_google(raw_object(context.integrations)))
        if context.externalIds is not _NULL:
            found.extend(self._claimed(bytes(context.externalIds)))

    def _configured(self, *places: dict[str, Raw]) -> Iterator[ExternalId]:
        for place in places:
            for type_, key in self._keys:
                if key in place:
                    value = _id_value(bytes(place[key]))
                    if value is not None:
                        yield ExternalId(type_, value)

    def _of_device(self, device: dict[str, Raw]) -> Iterator[ExternalId]:
        system = _text(device, "type")
        if system not in ("android", "ios"):
            return
        for suffix, member in (("id", "id"), ("idfa", "advertisingId"), ("push_token", "token")):
            type_ = f"{system}.{suffix}"
            if suffix == "idfa" and bytes(device.get("adTrackingEnabled", _NULL)) != b"true":
                continue
            value = _text(device, member)
            if value is not None and type_ in self._ranks:
                yield ExternalId(type_, value)

    def _of_google(self, integrations: dict[str, Raw]) -> Iterator[ExternalId]:
        value = _text(raw_object(integrations.get("Google Analytics", _NULL)), "clientId")
        if value is not None and "ga_client_id" in self._ranks:
            yield ExternalId("ga_client_id", value)

    def _claimed(self, entries: bytes) -> Iterator[ExternalId]:
        if entries[:1] != b"[":
            return
        for entry in _decode_entries(entries):
            try:
                claimed = _decode_claimed(entry)
            except msgspec.ValidationError:
                continue
            if claimed.collection == "users" and claimed.encoding == "none" and self._takes(claimed.type):
                yield ExternalId(claimed.type, claimed.id)

    def _takes(self, type_: str) -> bool:
        """Whether ids of this type are promoted; adds a type that nobody has named yet.

        A type that Segment promotes by itself and the rules leave out was left out on purpose (PROPOSED).
        """
        if type_ == GROUP_ID:
            return False
        if type_ in self._ranks:
            return True
        if type_ in _BUILT_IN or len(self.added) >= ADDED_TYPES_MOST:
            return False
        if len(type_) > TYPE_LENGTH_MOST or _TYPE.fullmatch(type_) is None:
            return False
        # All of them rank behind those of the rules, by name among themselves, whenever they came.
        self._ranks[type_] = (self._last, type_)
        insort(self.added, type_)
        return True


def _spellings(key: str) -> list[str]:
    """The key in camelCase and in snake_case, and as it is given."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).lower()
    first, *others = snake.split("_")
    return list(dict.fromkeys((key, first + "".join(part.capitalize() for part in others), snake)))


def _is_pattern(text: str) -> bool:
    return len(text) > 2 and text[0] == text[-1] == "/"


def _text(members: dict[str, Raw], name: str) -> str | None:
    return text_of(bytes(members[name])) if name in members else None


def _id_value(raw: bytes) -> str | None:
    """A text, or a number as its canonical text; nothing else is an id."""
    if raw[0] in _NUMBER_STARTS:
        number = canonical(raw)
        return None if number[0] == '"' else number
    return text_of(raw)
