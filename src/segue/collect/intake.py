"""From the events of one request to records for the log and rows for the quarantine.

Rule: every event of a request ends as exactly one record or one drop; nothing vanishes between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Raw, Struct

from segue.collect.check import broken_rule
from segue.collect.consent import CONSENT_EVENT, broken_consent
from segue.collect.facts import facts_of
from segue.collect.limits import DEPTH_MOST
from segue.collect.parse import NULL, Fields, decode_fields, opening_brackets, text_or_none, too_deep
from segue.collect.stamp import Arrival, stamp
from segue.core.event import NewRecord, raw_object
from segue.state.quarantine import Drop


def random_message_id() -> str:
    """A messageId for an event that came without one; it says who gave it."""
    return "segue-" + os.urandom(16).hex()


class Intake(Struct):
    """What became of the events of one request. `places` are the places of the drops in the batch, from 0."""

    records: list[NewRecord]
    drops: list[Drop]
    places: list[int]


class Taker(Struct, frozen=True, kw_only=True):
    """Takes in the events of one request.

    `call` is the call type where the path names it, which then wins over an event's own. `event_bytes` is the most
    that one event may have, with what its batch adds to it.
    """

    source: str
    call: str | None
    at: Arrival
    event_bytes: int
    new_id: Callable[[], str]

    def take_event(self, event: Fields, body: bytes) -> Intake:
        """The single event of a request; `body` is its JSON as sent."""
        intake = Intake([], [], [])
        if too_deep(body):
            self._drop(intake, 0, "nested_too_deep", body)
        else:
            self._take(intake, 0, event, body)
        return intake

    def take_batch(self, items: Sequence[Raw], body: bytes) -> Intake:
        """The events of a batch, in order; `body` is the whole batch."""
        intake = Intake([], [], [])
        if not items:
            self._drop(intake, 0, "empty_batch", body)
        extra = _size(self.at.context) + _size(self.at.integrations)
        # Most batches are short, and hold fewer brackets in all than one event may be deep.
        harmless = len(body) + extra <= self.event_bytes and opening_brackets(body) <= DEPTH_MOST
        for place, item in enumerate(items):
            reason = "" if harmless else self._outsized(bytes(item), extra)
            if reason:
                self._drop(intake, place, reason, bytes(item))
                continue
            try:
                event = decode_fields(item)
            except msgspec.ValidationError:
                self._drop(intake, place, "event_not_object", bytes(item))
                continue
            self._take(intake, place, event, item)
        return intake

    def drop_all(self, items: Sequence[Raw], body: bytes, code: str) -> Intake:
        """Every event is dropped for the one reason; where there is none, the body counts as one."""
        intake = Intake([], [], [])
        for place, item in enumerate(items or (body,)):
            self._drop(intake, place, code, bytes(item))
        return intake

    def _outsized(self, item: bytes, extra: int) -> str:
        if len(item) + extra > self.event_bytes:
            return "event_too_large"
        return "nested_too_deep" if too_deep(item) else ""

    def _take(self, intake: Intake, place: int, event: Fields, sent: Raw | bytes) -> None:
        facts = facts_of(sent)
        kind = self.call or facts.type
        reason = broken_rule(kind, facts)
        if facts.event == CONSENT_EVENT and kind == "track" and not reason:
            reason = broken_consent({**self.at.context, **raw_object(event.get("context", NULL))})
        if reason or kind is None:
            self._drop(intake, place, reason, bytes(sent))
            return
        message_id = facts.message_id or self.new_id()
        at = self.at
        intake.records.append(
            NewRecord(
                self.source,
                kind,
                facts.user_id or facts.anonymous_id or "",
                message_id,
                at.received_at,
                stamp(event, kind, facts, at, message_id),
            )
        )

    def _drop(self, intake: Intake, place: int, code: str, sent: bytes) -> None:
        intake.drops.append(Drop(self.source, code, self.at.received_at, _message_id(sent), sent))
        intake.places.append(place)


def _message_id(sent: bytes) -> str | None:
    """The messageId of an event that was dropped, where it can be read."""
    try:
        return text_or_none(decode_fields(sent).get("messageId"))
    except (msgspec.DecodeError, RecursionError):
        return None


def _size(members: Fields) -> int:
    """Bytes that these members take in JSON, with their quotes, colon and comma."""
    return sum(len(key.encode()) + len(bytes(value)) + 4 for key, value in members.items())
