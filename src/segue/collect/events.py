"""What a request with events asks for, and what comes of it: source, rate, events, commit, answer.

Rule: the answer follows the commit; of each event either a record or a drop has been committed by then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec import Raw, Struct

from segue.collect.answer import SUCCESS, Answer, Unacceptable, json_answer
from segue.collect.auth import Source, SourceKeys, basic_write_key
from segue.collect.client import Headers, Networks, client_ip
from segue.collect.commit import Committer
from segue.collect.facts import is_object
from segue.collect.intake import Intake, Taker
from segue.collect.limits import DEPTH_MOST, CollectLimits
from segue.collect.parse import NULL, Batch, open_batch, open_event, text_or_none, too_deep
from segue.collect.rate import RateLimit
from segue.collect.stamp import arrival
from segue.core.clock import Clock
from segue.core.reasons import INGEST
from segue.state.quarantine import STRANGERS, Drop

BATCH = "batch"


class EventRequest(Struct, frozen=True, kw_only=True):
    """One request with events. `call` is a call type, or `BATCH`; `headers` holds the last of equal names."""

    call: str
    body: bytes
    headers: Mapping[bytes, bytes]
    all_headers: Headers
    peer: str | None
    client_side: bool = False


class EventIntake:
    """Takes in requests with events. `keys` may be replaced at any time."""

    def __init__(
        self,
        *,
        keys: SourceKeys,
        committer: Committer,
        clock: Clock,
        limits: CollectLimits,
        trusted_proxies: Networks,
        new_id: Callable[[], str],
    ) -> None:
        self.keys = keys
        self._committer = committer
        self._clock = clock
        self._limits = limits
        self._trusted = trusted_proxies
        self._new_id = new_id
        self._rate = RateLimit(limits.requests_per_second)

    async def take(self, request: EventRequest) -> Answer:
        """Commit what the request holds, then answer.

        Raises Unacceptable where it is refused whole, Unavailable where it could not be committed.
        """
        now = self._clock.now_ms()
        batch = request.call == BATCH
        self._check_size(request.body, batch)
        if batch:
            opened = open_batch(request.body)
            source = self._source(request, opened.write_key, now)
            intake = self._take_batch(request, opened, source, now)
        else:
            event, body = open_event(request.body)
            source = self._source(request, event.get("writeKey", NULL), now)
            taker = self._taker(request, source, Batch(), now)
            closed = _closed(source)
            if closed:
                intake = taker.drop_all((), body, closed)
            else:
                intake = taker.take_event(event, body)
        await self._committer.submit(intake.records, intake.drops)
        if intake.drops and source is not None and source.enabled and source.strict:
            return self._told(intake)
        return SUCCESS

    async def keep_unreadable(self, body: bytes, code: str) -> None:
        """Keep what came by the pixel and is no event. Raises Unavailable."""
        await self._committer.submit((), (Drop(STRANGERS, code, self._clock.now_ms(), None, body),))

    def _check_size(self, body: bytes, batch: bool) -> None:
        most = self._limits.batch_bytes if batch else self._limits.event_bytes
        if len(body) > most:
            what = "a batch" if batch else "an event"
            raise Unacceptable(400, "payload_too_large", f"the body has {len(body)} bytes; {what} may have {most}")

    def _source(self, request: EventRequest, in_body: Raw, now: int) -> Source | None:
        """The source of the first write key given that one has; None for a stranger."""
        keys = self.keys
        key, source = STRANGERS, None
        for given in _write_keys(request.headers, in_body):
            if given is not None and (source := keys.lookup(given)) is not None:
                key = given
                break
        # The pixel could not tell its sender; there an unknown key stays a dropped event.
        if source is None and keys.strict_keys and not request.client_side:
            raise Unacceptable(401, "unknown_source", f"{_words('unknown_source')} (strict_keys)")
        # Only a key that a source has gets a bucket of its own: of other keys a sender may make up any number.
        wait = self._rate.wait_seconds(key, now)
        if wait:
            whose = "unknown write keys together" if source is None else "this write key"
            raise Unacceptable(
                429,
                "rate_limited",
                f"over {self._limits.requests_per_second:g} requests a second with {whose}; slow down",
                retry_after=wait,
            )
        return source

    def _taker(self, request: EventRequest, source: Source | None, batch: Batch, now: int) -> Taker:
        return Taker(
            source=STRANGERS if source is None else source.slug,
            call=None if request.call == BATCH else request.call,
            at=arrival(
                now,
                ip=client_ip(request.peer, request.all_headers, self._trusted),
                client_side=request.client_side,
                sent_at=batch.sent_at,
                context=batch.context,
                integrations=batch.integrations,
            ),
            event_bytes=self._limits.event_bytes,
            new_id=self._new_id,
        )

    def _take_batch(self, request: EventRequest, batch: Batch, source: Source | None, now: int) -> Intake:
        items = batch.batch or []
        reason = _closed(source) or _broken_frame(batch)
        if reason:
            return self._taker(request, source, Batch(), now).drop_all(items, request.body, reason)
        added = (len(bytes(batch.context)) + len(bytes(batch.integrations))) * len(items)
        if added > self._limits.merged_bytes:
            raise Unacceptable(
                400, "payload_too_large", "context and integrations of the batch are too large for so many events"
            )
        return self._taker(request, source, batch, now).take_batch(items, request.body)

    def _told(self, intake: Intake) -> Answer:
        """The answer of a strict source: what was rejected and why, and that the rest is accepted."""
        told: list[dict[str, Any]] = [
            {"index": place, "messageId": drop.message_id, "code": drop.code, "message": _words(drop.code)}
            for place, drop in zip(intake.places[: self._limits.rejections_told], intake.drops, strict=False)
        ]
        codes = {drop.code for drop in intake.drops}
        accepted, rejected = len(intake.records), len(intake.drops)
        if accepted:
            message = f"{rejected} of {accepted + rejected} events were rejected; the others are accepted"
        else:
            message = f"all {rejected} events were rejected" if rejected > 1 else _words(intake.drops[0].code)
        answer = {
            "code": codes.pop() if len(codes) == 1 else "events_rejected",
            "message": message,
            "accepted": accepted,
            "rejected": told,
        }
        if len(told) < rejected:
            answer["omitted"] = rejected - len(told)
        return json_answer(400, answer)


def _write_keys(headers: Mapping[bytes, bytes], in_body: Raw) -> Iterator[str | None]:
    """What the request gives for a write key, the form that counts most first."""
    yield basic_write_key(headers.get(b"authorization"))
    if b"x-write-key" in headers:
        yield headers[b"x-write-key"].decode("latin-1")
    yield text_or_none(in_body)


def _closed(source: Source | None) -> str:
    if source is None:
        return "unknown_source"
    return "" if source.enabled else "source_disabled"


def _broken_frame(batch: Batch) -> str:
    """Why no event of this batch can be taken: what it says of all of them is of the wrong type."""
    for name, raw in (("context", batch.context), ("integrations", batch.integrations)):
        if raw == NULL:
            continue
        if not is_object(raw):
            return f"{name}_not_object"
        if too_deep(bytes(raw), DEPTH_MOST - 1):
            return "nested_too_deep"
    return ""


def _words(code: str) -> str:
    reason = INGEST[code]
    return f"{reason.meaning} {reason.remedy}"
