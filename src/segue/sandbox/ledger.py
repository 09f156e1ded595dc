"""What a sandbox remembers of the calls it took: the newest requests, and the answers that duplicates get
again.

Rule: an answer is remembered in the transaction that stored what the call brought, so a duplicate finds both
or neither.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

REQUESTS_MAX = 10_000
_TRIM_EVERY = 256

REMEMBER = "INSERT OR REPLACE INTO answer (vendor, key_id, message_id, at, body) VALUES (?, ?, ?, ?, ?)"
ANSWER = "SELECT body FROM answer WHERE vendor = ? AND key_id = ? AND message_id = ? AND at > ?"
FORGET = "DELETE FROM answer WHERE at <= ?"
NOTE = "INSERT INTO request (vendor, body) VALUES (?, ?)"
NEWEST = "SELECT body FROM request WHERE vendor = ? ORDER BY number DESC LIMIT ?"
TRIM = """
DELETE FROM request WHERE vendor = ?1 AND number <=
    (SELECT number FROM request WHERE vendor = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)
"""

DEDUPE_MS = 24 * 60 * 60 * 1000

SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "apitoken", "api-key", "x-api-key", "cookie"})


class Ledger:
    """The memory of one vendor's calls. Used inside an open transaction."""

    def __init__(self, connection: sqlite3.Connection, vendor: str) -> None:
        self._run = connection.execute
        self._vendor = vendor
        self._until_trim = 0  # so that a file left long by a kill is cut by the first call

    def remember(self, key_id: str, message_id: str, now_ms: int, answer: bytes) -> None:
        """Keeps the answer to a message for `DEDUPE_MS`."""
        self._run(REMEMBER, (self._vendor, key_id, message_id, now_ms, answer))

    def answer_to(self, key_id: str, message_id: str, now_ms: int) -> bytes | None:
        """The answer that this message got, where that was less than `DEDUPE_MS` ago."""
        found = self._run(ANSWER, (self._vendor, key_id, message_id, now_ms - DEDUPE_MS)).fetchone()
        return None if found is None else bytes(found[0])

    def note(self, request: bytes, now_ms: int) -> None:
        """Adds one request to the list, and now and then cuts what is over the bound or out of its time."""
        self._run(NOTE, (self._vendor, request))
        if self._until_trim == 0:
            self._run(TRIM, (self._vendor, REQUESTS_MAX))
            self._run(FORGET, (now_ms - DEDUPE_MS,))
            self._until_trim = _TRIM_EVERY
        self._until_trim -= 1

    def newest(self, limit: int = REQUESTS_MAX) -> list[bytes]:
        """The newest requests in order of arrival."""
        return [body for (body,) in self._run(NEWEST, (self._vendor, limit)).fetchall()][::-1]


def masked(headers: Iterable[tuple[str, str]] | Mapping[str, str]) -> dict[str, str]:
    """Headers with every key in them hidden; of `Authorization` the scheme stays."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return {name: _hidden(value) if name.lower() in SECRET_HEADERS else value for name, value in pairs}


def _hidden(value: str) -> str:
    scheme, blank, _ = value.partition(" ")
    return f"{scheme} ***" if blank else "***"
