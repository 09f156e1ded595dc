"""The outbox of a space: messages that were decided and are not known to be in the log yet.

Rule: a row is written in the commit of what it tells, and goes in the commit that has met its message in the log; its
`seq` is never given again, so that who moves rows in order knows where it stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

CREATE = """
    CREATE TABLE outbox (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, message_id TEXT NOT NULL UNIQUE, type TEXT NOT NULL,
      user_key TEXT NOT NULL, destinations TEXT NOT NULL, timestamp INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
"""

INSERT = "INSERT INTO outbox VALUES (NULL, ?, ?, ?, ?, ?, ?) ON CONFLICT (message_id) DO NOTHING"
DELETE = "DELETE FROM outbox WHERE message_id = ?"


class OutboxRow(NamedTuple):
    """One message. `destinations` are the ids of those it is for, comma-separated, one at least.

    `timestamp` is the instant of what it tells, in ms since 1970; `body` the event's JSON, an object that is not empty
    and without `receivedAt`, which is not known yet.
    """

    message_id: str
    type: str
    user_key: str
    destinations: str
    timestamp: int
    body: bytes


def write_outbox(run: sqlite3.Connection, rows: Sequence[OutboxRow], moved: Iterable[str]) -> None:
    """Add rows in order, and remove those whose messages, by their ids, are in the log; in the open transaction."""
    run.executemany(INSERT, rows)
    run.executemany(DELETE, [(message_id,) for message_id in moved])
