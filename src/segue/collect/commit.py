"""Group commit: one write to the log for all requests that arrived while the last one ran.

Rule: a request is answered only after its records and its drops are on disk; where the log fails, no record of the
group is kept and all of its requests are told so. What is kept of duplicates may be lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import structlog

from segue.collect.limits import CollectLimits
from segue.collect.metrics import CollectMetrics
from segue.core.clock import Clock
from segue.core.errors import Unavailable
from segue.core.event import NewRecord
from segue.log import Ends, LogWriter
from segue.state.quarantine import Drop, Duplicate, Quarantine

DUPLICATES_A_SECOND = 200
"""How many are kept for `explain`: where all that comes has come before, it must cost no more than to take it in."""

_COMPLAIN_EVERY_MS = 10_000

_log = structlog.get_logger("segue.collect")


class Overloaded(Unavailable):
    """Too much waits for a commit already."""


class _Submission(NamedTuple):
    records: Sequence[NewRecord]
    drops: Sequence[Drop]
    size: int
    done: asyncio.Future[list[int | None]]


class _Outcome(NamedTuple):
    """What a group commit did. `not_kept` is set where the records were written, and drops and duplicates were not."""

    offsets: list[int | None]
    ends: Ends | None
    not_kept: Exception | None


class Committer:
    """Appends to the log and stores drops, in a thread of its own. Used from one event loop."""

    def __init__(
        self,
        log: LogWriter,
        quarantine: Quarantine,
        *,
        clock: Clock,
        limits: CollectLimits,
        metrics: CollectMetrics,
        on_commit: Callable[[Ends], None] = lambda _ends: None,
    ) -> None:
        """`on_commit` is called on the event loop with the log's ends after each commit that appended."""
        self._log = log
        self._quarantine = quarantine
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._on_commit = on_commit
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="segue-commit")
        self._waiting: list[_Submission] = []
        self._running = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._complained_at: int | None = None
        self._second, self._duplicates_left = 0, 0

    def check_room(self) -> None:
        """Raises Overloaded where a further request may not wait."""
        metrics = self._metrics
        if (
            metrics.waiting_requests >= self._limits.waiting_requests
            or metrics.waiting_bytes >= self._limits.waiting_bytes
        ):
            raise Overloaded("too many requests wait for the event log; send again")

    def submit(self, records: Sequence[NewRecord], drops: Sequence[Drop]) -> asyncio.Future[list[int | None]]:
        """Durable when the answer comes: the offsets of the records in order, None for a duplicate.

        Raises Overloaded at once; the answer raises Unavailable where nothing may be acknowledged.
        """
        self.check_room()
        loop = asyncio.get_running_loop()
        size = sum([len(record.body) for record in records]) + sum([len(drop.body) for drop in drops])
        done: asyncio.Future[list[int | None]] = loop.create_future()
        self._waiting.append(_Submission(records, drops, size, done))
        self._metrics.waiting_requests += 1
        self._metrics.waiting_bytes += size
        if not self._running:
            self._running = True
            self._idle.clear()
            # Whatever else is ready in this turn of the loop joins the same commit.
            loop.call_soon(self._start)
        return done

    async def close(self) -> None:
        """Wait until everything submitted has its answer, then end the thread."""
        await self._idle.wait()
        self._executor.shutdown()

    def _start(self) -> None:
        group, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        begun = self._clock.now_ms()
        running = self._executor.submit(self._commit, group)
        running.add_done_callback(lambda done: loop.call_soon_threadsafe(self._finish, group, begun, done))

    def _commit(self, group: Sequence[_Submission]) -> _Outcome:
        records = [record for submission in group for record in submission.records]
        drops = [drop for submission in group for drop in submission.drops]
        offsets = self._log.append(records) if records else []
        ends = self._log.ends() if records else None
        duplicates = self._duplicates_to_keep(records, offsets) if None in offsets else []
        not_kept = None
        if drops or duplicates:
            try:
                self._quarantine.add(drops, duplicates)
            except Exception as error:
                # Whatever it is, the records are on disk and their requests may be told so.
                not_kept = error
        return _Outcome(offsets, ends, not_kept)

    def _duplicates_to_keep(self, records: Sequence[NewRecord], offsets: Sequence[int | None]) -> list[Duplicate]:
        """The newest of them, as far as this second has room; the log has counted them all."""
        second = self._clock.now_ms() // 1000
        if second != self._second:
            self._second, self._duplicates_left = second, DUPLICATES_A_SECOND
        again = [record for record, offset in zip(records, offsets, strict=True) if offset is None]
        again = again[max(0, len(again) - self._duplicates_left) :]
        self._duplicates_left -= len(again)
        return [Duplicate(record.source, record.received_at, record.message_id, record.body) for record in again]

    def _finish(self, group: Sequence[_Submission], begun: int, running: Future[_Outcome]) -> None:
        self._metrics.commit_ms += self._clock.now_ms() - begun
        self._metrics.waiting_requests -= len(group)
        self._metrics.waiting_bytes -= sum([submission.size for submission in group])
        error = running.exception()
        if error is not None:
            self._fail(group, error)
        else:
            self._acknowledge(group, running.result())
        if self._waiting:
            self._start()
        else:
            self._running = False
            self._idle.set()

    def _acknowledge(self, group: Sequence[_Submission], outcome: _Outcome) -> None:
        self._metrics.commits += 1
        begin = 0
        for submission in group:
            end = begin + len(submission.records)
            offsets = outcome.offsets[begin:end]
            begin = end
            duplicates = offsets.count(None)
            self._metrics.duplicates += duplicates
            self._metrics.accepted += len(offsets) - duplicates
            if submission.drops and outcome.not_kept is not None:
                continue
            for drop in submission.drops:
                self._metrics.dropped[drop.code] += 1
            if not submission.done.done():
                submission.done.set_result(offsets)
        if outcome.ends is not None:
            self._on_commit(outcome.ends)
        if outcome.not_kept is not None:
            untold = [submission for submission in group if submission.drops]
            if untold:
                self._fail(untold, outcome.not_kept)
            else:
                self._complain("duplicates not kept", outcome.not_kept)

    def _fail(self, group: Sequence[_Submission], error: BaseException) -> None:
        self._metrics.failed_commits += 1
        self._complain("commit failed", error)
        for submission in group:
            if not submission.done.done():
                submission.done.set_exception(Unavailable("the event log cannot be written now; send again"))

    def _complain(self, what: str, error: BaseException) -> None:
        # A full disk fails every commit; one line in a while says as much.
        now = self._clock.now_ms()
        if self._complained_at is None or now - self._complained_at >= _COMPLAIN_EVERY_MS:
            self._complained_at = now
            _log.error(what, error=str(error), kind=type(error).__name__)
