"""Faults: how the inbound path of a sandbox is told to misbehave.

Rule: faults are consumed in the order they were ordered, each as often as its `times` says; the first that
matches the call is the one that happens.
"""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from segue.sandbox import exact

_WAITING = Annotated[int, Meta(ge=0, le=600_000)]

ORDERED = "SELECT number, body, left FROM fault WHERE vendor = ? ORDER BY number"
ORDER = "INSERT INTO fault (vendor, body, left) VALUES (?, ?, ?) RETURNING number"
COUNT = "SELECT count(*) FROM fault WHERE vendor = ?"
USED_ONCE = "UPDATE fault SET left = left - 1 WHERE number = ?"
USED_UP = "DELETE FROM fault WHERE number = ? AND left <= 0"
CANCEL = "DELETE FROM fault WHERE vendor = ?"

FAULTS_MAX = 1_000

BODILESS = frozenset({204, 304})
"""Answers that end with their headers, whatever these say (RFC 9110, 6.4.1)."""

_FRAMING = frozenset({"content-length", "transfer-encoding"})


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One order to misbehave.

    - `status`: answer this, with `body` and `headers`, and store nothing; `delay_ms` holds the answer back. From 200
      to 599; 204 and 304 have no body.
    - `delay_ms` alone: wait, then take the call as always.
    - `slow_ms`: take the call, commit, then hold the answer back; with `status`, the same as `delay_ms`.
    - `drop`: close the socket without an answer and store nothing; after `delay_ms`.
    - `match`: only calls whose top-level fields have these values; `type` is the call type.
    """

    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    times: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    delay_ms: _WAITING = 0
    slow_ms: _WAITING = 0
    body: Any = None
    headers: dict[str, str] = {}
    drop: bool = False
    match: dict[str, Any] = {}

    def matches(self, event: dict[str, Any] | None, call_type: str | None) -> bool:
        """Whether this fault is for the call.

        One without `match` is for every call, also an unreadable one.
        """
        if not self.match:
            return True
        fields = {**(event or {}), "type": call_type}
        return all(name in fields and fields[name] == value for name, value in self.match.items())


def checked_fault(given: dict[str, Any]) -> Fault:
    """A fault made of plain values. Raises ValueError that names what is wrong."""
    try:
        fault = msgspec.convert(given, Fault)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    if fault.status is None and not (fault.drop or fault.delay_ms or fault.slow_ms):
        raise ValueError("a fault needs one of status, drop, delay_ms, slow_ms")
    if fault.status is None and (fault.body is not None or fault.headers):
        raise ValueError("body and headers need a status")
    if fault.status in BODILESS and fault.body is not None:
        raise ValueError(f"an answer of status {fault.status} has no body")
    for name, value in fault.headers.items():
        if name.lower() in _FRAMING:
            raise ValueError(f"headers: {name} follows from the body")
        if not (name.isascii() and name.replace("-", "").isalnum() and value.isascii() and value.isprintable()):
            raise ValueError(f"headers: {name!r} is no header that can be sent")
    return fault


class Faults:
    """The faults of one vendor that are still to happen. Used inside an open transaction."""

    def __init__(self, connection: sqlite3.Connection, vendor: str) -> None:
        self._run = connection.execute
        self._vendor = vendor

    def order(self, fault: Fault) -> int:
        """Adds a fault behind the others; its number. Raises ValueError when there are too many."""
        if self._run(COUNT, (self._vendor,)).fetchone()[0] >= FAULTS_MAX:
            raise ValueError(f"at most {FAULTS_MAX} faults can wait; use `times`, or DELETE faults")
        body = exact.encode(msgspec.to_builtins(fault))
        (number,) = self._run(ORDER, (self._vendor, body, fault.times)).fetchone()
        return int(number)

    def left(self) -> list[dict[str, Any]]:
        """What is still to happen, in order, with how often each."""
        found = self._run(ORDERED, (self._vendor,)).fetchall()
        return [{"id": number, **exact.decode(body), "left": left} for number, body, left in found]

    def take(self, event: dict[str, Any] | None, call_type: str | None) -> Fault | None:
        """Uses up one time of the first fault that matches."""
        for number, body, _ in self._run(ORDERED, (self._vendor,)).fetchall():
            fault = msgspec.convert(exact.decode(body), Fault)
            if fault.matches(event, call_type):
                self._run(USED_ONCE, (number,))
                self._run(USED_UP, (number,))
                return fault
        return None

    def cancel(self) -> None:
        """Forgets all of them."""
        self._run(CANCEL, (self._vendor,))
