"""The circuit breaker of one destination: when to stop sending, and when to try again. Pure.

closed -> open        after 10 retryable failures in a row over at least 2 lanes (reason `failing`), or after twenty
                      401/403 in a row without a success (reason `key_refused`)
open -> half_open     after 1 s, doubling to 60 s: one probe, with the head of another lane each time
half_open -> closed   on a 2xx, or on a refusal of another kind: also one of ours, where Segue may not send to the
                      address, or has refused ten probes in a row without asking the vendor
half_open -> open     on a failure of the probe

Rule: while it is not closed, only the probe's failure changes it: what was under way when it opened says nothing new;
it never says of a vendor that it fails while Segue itself refuses what is sent there; and a key that the vendor
refuses never drains the log into dead letters.
"""

from __future__ import annotations

FAILURES_TO_OPEN = 10
LANES_TO_OPEN = 2
KEY_REFUSALS_TO_OPEN = 20
UNASKED_TO_CLOSE = 10
PROBE_FIRST_MS = 1_000
PROBE_MOST_MS = 60_000

CLOSED, OPEN, HALF_OPEN = "closed", "open", "half_open"
FAILING, KEY_REFUSED = "failing", "key_refused"


class Breaker:
    """The breaker's state. All times are milliseconds of the stage's clock."""

    def __init__(self) -> None:
        self.state = CLOSED
        self.reason: str | None = None
        self.probe_at = 0
        self.last_lane = ""
        self._probe_delay_ms = PROBE_FIRST_MS
        self._failures = 0
        self._first_keys: tuple[str, ...] = ()  # of the first lane that failed in this row of failures
        self._lanes_failed = 0
        self.key_refusals = 0  # in a row
        self._unasked = 0  # probes in a row that were refused without asking the vendor

    def succeeded(self) -> None:
        """A 2xx, or a refusal that shows the vendor at work."""
        self._failures = 0
        self.key_refusals = 0
        self.state = CLOSED
        self.reason = None

    def failed(self, keys: tuple[str, ...], now_ms: int, *, probe: bool) -> None:
        """An answer, or none, that is worth a retry. `keys` are the order keys of the event."""
        if self.state == CLOSED:
            self._count_lane(keys)
            self._failures += 1
            if self._failures >= FAILURES_TO_OPEN and self._lanes_failed >= LANES_TO_OPEN:
                self._open(FAILING, now_ms)
        elif probe:
            self._reopen(FAILING, now_ms)

    def key_refused(self, now_ms: int, *, probe: bool) -> None:
        """A 401 or 403."""
        if self.state == CLOSED:
            self._failures = 0
            # One that is kept, after the breaker was closed without a word of the vendor's, is not counted beyond.
            self.key_refusals = min(self.key_refusals + 1, KEY_REFUSALS_TO_OPEN)
            if self.key_refusals >= KEY_REFUSALS_TO_OPEN:
                self._open(KEY_REFUSED, now_ms)
        elif probe:
            self._reopen(KEY_REFUSED, now_ms)

    def keeps_refused_key(self) -> bool:
        """Whether an event answered 401 or 403 stays at the head of its lane instead of being refused."""
        return self.state != CLOSED or self.key_refusals >= KEY_REFUSALS_TO_OPEN

    def refused_unasked(self, *, address: bool) -> None:
        """Segue itself refused the probe's event: for its `address`, as it would any, or for what is in the event.

        That is no word of the vendor's, so the row of refused keys goes on.
        """
        self._unasked += 1
        if address or self._unasked >= UNASKED_TO_CLOSE:
            self._failures = 0
            self.state = CLOSED
            self.reason = None

    def may_probe(self, now_ms: int) -> bool:
        """Whether one event may be sent to see if the vendor is back."""
        return self.state == OPEN and now_ms >= self.probe_at

    def probing(self, lane: str) -> None:
        """The probe is on its way."""
        self.state = HALF_OPEN
        self.last_lane = lane

    def probe_now(self, now_ms: int) -> None:
        """The settings changed: do not wait for the next probe, nor for one that still uses the old ones."""
        if self.state == HALF_OPEN:
            self.state = OPEN
        self.probe_at = min(self.probe_at, now_ms)
        self._probe_delay_ms = PROBE_FIRST_MS

    def probe_lost(self, now_ms: int) -> None:
        """The probe came to no answer about the vendor (such as an event that could not be mapped)."""
        if self.state == HALF_OPEN:
            self.state = OPEN
            self.probe_at = now_ms

    def restore(self, state: str, reason: str | None, now_ms: int, *, key_refusals: int = 0) -> None:
        """As it was committed. One that was open probes at once."""
        self.key_refusals = key_refusals
        if state != CLOSED:
            self.state = OPEN
            self.reason = reason
            self.probe_at = now_ms

    def _count_lane(self, keys: tuple[str, ...]) -> None:
        """Two events that share a key are of one lane, though one of them may have another key beside it."""
        if not self._failures:
            self._first_keys, self._lanes_failed = keys, 1
        elif self._lanes_failed < LANES_TO_OPEN and set(keys).isdisjoint(self._first_keys):
            self._lanes_failed += 1

    def _open(self, reason: str, now_ms: int) -> None:
        self.state = OPEN
        self.reason = reason
        self._unasked = 0
        self._probe_delay_ms = PROBE_FIRST_MS
        self.probe_at = now_ms + self._probe_delay_ms

    def _reopen(self, reason: str, now_ms: int) -> None:
        self._probe_delay_ms = min(self._probe_delay_ms * 2, PROBE_MOST_MS)
        self.probe_at = now_ms + self._probe_delay_ms
        self._unasked = 0
        self.state = OPEN
        self.reason = reason
