"""Writing computed traits and audiences into the file of their space, beside its profiles.

Rule: these rows change in the commit of the cursor that they reflect, together with the profiles and the outbox.
"""

from __future__ import annotations

import sqlite3

import msgspec

from segue.state.computed_rows import ComputedDelta
from segue.state.outbox import write_outbox

CREATE = """
    CREATE TABLE compute (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL) STRICT;
    CREATE TABLE computation (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE connection (id INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
    CREATE TABLE computed (profile INTEGER PRIMARY KEY, due INTEGER, body BLOB NOT NULL) STRICT;
    CREATE INDEX computed_due ON computed (due) WHERE due IS NOT NULL;
    CREATE TABLE chunk (
      profile INTEGER NOT NULL, leaf INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL,
      PRIMARY KEY (profile, leaf, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE holding (
      computation INTEGER NOT NULL, profile INTEGER NOT NULL, value TEXT, since INTEGER NOT NULL,
      version INTEGER NOT NULL, once INTEGER NOT NULL, PRIMARY KEY (profile, computation)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX holding_computation ON holding (computation, profile);
    CREATE TABLE told (
      connection INTEGER NOT NULL, tuple TEXT NOT NULL, profile INTEGER NOT NULL, value TEXT NOT NULL,
      version INTEGER NOT NULL, message_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (connection, tuple)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX told_profile ON told (profile);
    CREATE TABLE pending (
      connection INTEGER NOT NULL, profile INTEGER NOT NULL, PRIMARY KEY (connection, profile)
    ) STRICT, WITHOUT ROWID;
"""

PUT_STATE = "INSERT INTO compute VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body"
PUT_COMPUTATION = "INSERT INTO computation VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
PUT_CONNECTION = "INSERT INTO connection VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
PUT_COMPUTED = """INSERT INTO computed VALUES (?, ?, ?)
  ON CONFLICT (profile) DO UPDATE SET due = excluded.due, body = excluded.body"""
PUT_CHUNK = """INSERT INTO chunk VALUES (?, ?, ?, ?)
  ON CONFLICT (profile, leaf, number) DO UPDATE SET body = excluded.body"""
PUT_HOLDING = """INSERT INTO holding VALUES (?, ?, ?, ?, ?, ?)
  ON CONFLICT (computation, profile) DO UPDATE SET value = excluded.value, since = excluded.since,
  version = excluded.version, once = excluded.once"""
PUT_TOLD = """INSERT INTO told VALUES (?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (connection, tuple) DO UPDATE SET profile = excluded.profile, value = excluded.value,
  version = excluded.version, message_id = excluded.message_id, at = excluded.at"""
DROP_CHUNK = "DELETE FROM chunk WHERE profile = ? AND leaf = ? AND number = ?"
DROP_TOLD = "DELETE FROM told WHERE connection = ? AND tuple = ?"
PUT_PENDING = "INSERT INTO pending VALUES (?, ?) ON CONFLICT DO NOTHING"
DROP_PENDING = "DELETE FROM pending WHERE connection = ? AND profile = ?"
MOVE_TOLD = "UPDATE told SET profile = ? WHERE profile = ?"
MOVE_PENDING = "INSERT INTO pending SELECT connection, ?1 FROM pending WHERE profile = ?2 ON CONFLICT DO NOTHING"
DROP_ABSORBED = (
    "DELETE FROM computed WHERE profile = ?",
    "DELETE FROM chunk WHERE profile = ?",
    "DELETE FROM holding WHERE profile = ?",
    "DELETE FROM pending WHERE profile = ?",
)
DROP_CONNECTION = (
    "DELETE FROM connection WHERE id = ?",
    "DELETE FROM told WHERE connection = ?",
    "DELETE FROM pending WHERE connection = ?",
)

_encode = msgspec.msgpack.Encoder().encode


def write_computed(run: sqlite3.Connection, delta: ComputedDelta) -> None:
    """Write all of it inside the transaction that is open. What was absorbed goes first, what survives comes after."""
    for survivor, absorbed in delta.merged:
        run.execute(MOVE_TOLD, (survivor, absorbed))
        run.execute(MOVE_PENDING, (survivor, absorbed))
        for statement in DROP_ABSORBED:
            run.execute(statement, (absorbed,))
    run.executemany(DROP_CHUNK, delta.chunks_gone)
    run.executemany(PUT_CHUNK, delta.chunks)
    run.executemany(PUT_COMPUTED, delta.rows)
    run.executemany(PUT_HOLDING, [(computation, *row) for computation, row in delta.holdings])
    run.executemany(DROP_TOLD, delta.told_gone)
    run.executemany(PUT_TOLD, delta.told)
    run.executemany(PUT_PENDING, delta.pending)
    run.executemany(DROP_PENDING, delta.pending_gone)
    run.executemany(PUT_COMPUTATION, [(number, _encode(state)) for number, state in delta.computations.items()])
    run.executemany(PUT_CONNECTION, [(number, _encode(state)) for number, state in delta.connections.items()])
    for number in delta.connections_gone:
        for statement in DROP_CONNECTION:
            run.execute(statement, (number,))
    write_outbox(run, delta.outbox, delta.moved)
    run.execute(PUT_STATE, (_encode(delta.state),))
