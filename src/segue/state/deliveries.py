"""What the worker knows of deliveries: cursors, counts, retry rows, dead letters, and the lines that `explain` reads.

Rule: everything that one step changed for a destination is written in one transaction, so that in each snapshot
accepted = delivered + filtered + refused + retrying + lag.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from segue.state.database import open_database, open_reader, sqlite_errors, transaction
from segue.state.delivery_rows import (
    DeadLetter,
    DeliveredRow,
    Delta,
    DestinationState,
    ParkedRow,
    Redrive,
    RedriveCount,
    ReplayState,
    RetryRow,
    RetryUpdate,
)

__all__ = [
    "DELIVERED_KEEP_MS",
    "MIGRATIONS",
    "DeadLetter",
    "DeliveredRow",
    "DeliveryReader",
    "DeliveryWriter",
    "Delta",
    "DestinationState",
    "ParkedRow",
    "Redrive",
    "RedriveCount",
    "ReplayState",
    "RetryRow",
    "RetryUpdate",
]

MIGRATIONS = (
    """
    CREATE TABLE destination (
      id INTEGER PRIMARY KEY, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE replay (
      job INTEGER PRIMARY KEY, destination INTEGER NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE retry (
      destination INTEGER NOT NULL, job INTEGER NOT NULL, offset INTEGER NOT NULL, source TEXT NOT NULL,
      message_id TEXT NOT NULL, received_at INTEGER NOT NULL, order_keys TEXT NOT NULL, arrival INTEGER NOT NULL,
      due_at INTEGER NOT NULL, attempts INTEGER NOT NULL, first_at INTEGER NOT NULL, stopped_at INTEGER NOT NULL,
      history BLOB NOT NULL, body BLOB NOT NULL,
      PRIMARY KEY (destination, job, offset)
    ) STRICT;
    CREATE TABLE dead_letter (
      id INTEGER PRIMARY KEY, destination INTEGER NOT NULL, job INTEGER NOT NULL, offset INTEGER NOT NULL,
      source TEXT NOT NULL, message_id TEXT NOT NULL, received_at INTEGER NOT NULL, order_keys TEXT NOT NULL,
      at INTEGER NOT NULL, reason TEXT NOT NULL, history BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE INDEX dead_letter_offset ON dead_letter (destination, offset);
    CREATE INDEX dead_letter_age ON dead_letter (destination);
    CREATE TABLE delivered (
      destination INTEGER NOT NULL, offset INTEGER NOT NULL, at INTEGER NOT NULL, duration_ms INTEGER NOT NULL,
      status INTEGER NOT NULL, answer INTEGER NOT NULL, history BLOB,
      PRIMARY KEY (destination, offset)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE answer (id INTEGER PRIMARY KEY, body BLOB NOT NULL UNIQUE, used_at INTEGER NOT NULL) STRICT;
    CREATE INDEX answer_age ON answer (used_at);
    CREATE TABLE disabled_span (
      destination INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL, PRIMARY KEY (destination, first)
    ) STRICT, WITHOUT ROWID;
    """,
    # Dead letters that were cut stay without a body, those of replays are counted apart.
    """
    ALTER TABLE retry ADD COLUMN open_at INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX retry_arrival ON retry (destination, arrival);
    DROP INDEX dead_letter_age;
    CREATE INDEX dead_letter_whole ON dead_letter (destination, job) WHERE body <> x'';
    CREATE INDEX dead_letter_cut ON dead_letter (destination, offset) WHERE body = x'';
    UPDATE destination SET body = CAST(json_set(CAST(body AS TEXT),
      '$.dead_letters',
      (SELECT count(*) FROM dead_letter l WHERE l.destination = destination.id AND l.job = 0),
      '$.replayed_dead_letters',
      (SELECT count(*) FROM dead_letter l WHERE l.destination = destination.id AND l.job > 0)
    ) AS BLOB);
    """,
)

DELIVERED_KEEP_MS = 7 * 86_400_000
ANSWERS_MOST = 2_000_000
"""Of all destinations; an answer is 512 bytes at most, so that they stay within 1 GB."""

FORGET = tuple(
    f"DELETE FROM {table} WHERE destination = ?1 AND {key} IN "  # noqa: S608 - a closed list
    f"(SELECT {key} FROM {table} WHERE destination = ?1 LIMIT ?2)"
    for table, key in (
        *(("replay", "job"), ("retry", "rowid"), ("dead_letter", "id")),
        *(("delivered", "offset"), ("disabled_span", "first")),
    )
)
UPSERT_DESTINATION = "INSERT INTO destination VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
UPSERT_REPLAY = "INSERT INTO replay VALUES (?, ?, ?) ON CONFLICT (job) DO UPDATE SET body = excluded.body"
INSERT_RETRY = "INSERT OR REPLACE INTO retry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UPDATE_RETRY = """UPDATE retry SET due_at = ?, attempts = ?, first_at = ?, stopped_at = ?, open_at = ?, history = ?
  WHERE destination = ? AND job = ? AND offset = ?"""
PARKED = """SELECT job, offset, source, message_id, received_at, order_keys, arrival, due_at, attempts, first_at,
  stopped_at, open_at, length(body) + length(history) FROM retry
  WHERE destination = ? AND arrival BETWEEN ? AND ? ORDER BY arrival"""
DELETE_RETRY = "DELETE FROM retry WHERE destination = ? AND job = ? AND offset = ?"
INSERT_DEAD = "INSERT INTO dead_letter VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
REDRIVABLE = """destination = ?1 AND body <> x'' AND id <= ?2
  AND (?3 = '[]' OR reason IN (SELECT value FROM json_each(?3)))
  AND (?4 = '[]' OR message_id IN (SELECT value FROM json_each(?4)))"""
REDRIVE = f"""INSERT OR REPLACE INTO retry
  SELECT destination, job, offset, source, message_id, received_at, order_keys,
         ?5 + row_number() OVER (ORDER BY id) - 1, ?6, 0, 0, 0, history, body, 0
  FROM dead_letter WHERE {REDRIVABLE}"""  # noqa: S608 - ours
CUT_DEAD, CUT_REPLAYED_DEAD = (
    f"""UPDATE dead_letter SET body = x'', history = x'' WHERE id IN
  (SELECT id FROM dead_letter WHERE destination = ? AND job {which} AND body <> x'' ORDER BY job, id LIMIT ?)"""  # noqa: S608 - ours
    for which in ("= 0", "> 0")
)
DELETE_REDRIVEN = f"DELETE FROM dead_letter WHERE {REDRIVABLE}"  # noqa: S608 - ours
INSERT_DELIVERED = "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?, ?, ?, ?)"
INSERT_ANSWER = """INSERT INTO answer VALUES (?, ?, ?)
  ON CONFLICT DO UPDATE SET used_at = max(used_at, excluded.used_at)"""
INSERT_DISABLED = """INSERT INTO disabled_span VALUES (?, ?, ?)
  ON CONFLICT (destination, first) DO UPDATE SET last = max(last, excluded.last)"""

_encode = msgspec.json.Encoder().encode
_decode_destination = msgspec.json.Decoder(DestinationState).decode
_decode_replay = msgspec.json.Decoder(ReplayState).decode


class DeliveryWriter:
    """The worker's connection. `commit` is called from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = open_database(path, MIGRATIONS)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def commit(self, deltas: Sequence[Delta]) -> None:
        """Write all of it in one transaction, durable on return. Raises sqlite3.Error with nothing written."""
        with transaction(self._connection):
            for delta in deltas:
                self._write(delta)

    def _write(self, delta: Delta) -> None:
        run = self._connection
        run.execute(UPSERT_DESTINATION, (delta.destination, _encode(delta.state)))
        if delta.answers:
            run.executemany(INSERT_ANSWER, delta.answers)
        if delta.delivered:
            run.executemany(INSERT_DELIVERED, delta.delivered)
        if delta.parked:
            run.executemany(INSERT_RETRY, delta.parked)
        if delta.updated:
            run.executemany(UPDATE_RETRY, delta.updated)
        if delta.unparked:
            run.executemany(DELETE_RETRY, delta.unparked)
        if delta.dead:
            run.executemany(INSERT_DEAD, delta.dead)
        for redrive in delta.redriven:
            run.execute(REDRIVE, redrive)
            run.execute(DELETE_REDRIVEN, redrive[:4])
        if delta.dead_cut:
            run.execute(CUT_DEAD, (delta.destination, delta.dead_cut))
        if delta.replayed_dead_cut:
            run.execute(CUT_REPLAYED_DEAD, (delta.destination, delta.replayed_dead_cut))
        if delta.disabled:
            run.executemany(INSERT_DISABLED, delta.disabled)
        for job, replay in delta.replays.items():
            run.execute(UPSERT_REPLAY, (job, delta.destination, _encode(replay)))

    def forget(self, known: Iterable[int], *, most: int = 5_000) -> bool:
        """Drop what is kept of destinations that no longer exist; False while there is more to drop.

        At most `most` rows of a table go in one call, so that it never holds up a commit for long.
        """
        run = self._connection
        gone = {row[0] for row in run.execute("SELECT id FROM destination")} - set(known)
        for number in gone:
            with transaction(run):
                cut = [run.execute(statement, (number, most)).rowcount for statement in FORGET]
                if most in cut:
                    return False
                run.execute("DELETE FROM destination WHERE id = ?", (number,))
        return True

    def cut_delivered(self, destination: int, *, before_ms: int, excess: int, most: int = 5_000) -> int:
        """Drop lines of deliveries finished before `before_ms`, and the `excess` oldest; gives how many went.

        At most `most` go in one call, so that it never holds up a commit for long.
        """
        return self._connection.execute(
            """DELETE FROM delivered WHERE destination = ?1 AND offset IN (SELECT offset FROM (
                 SELECT offset, at, row_number() OVER (ORDER BY offset) AS number FROM (
                   SELECT offset, at FROM delivered WHERE destination = ?1 ORDER BY offset LIMIT ?4))
               WHERE at < ?2 OR number <= ?3)""",
            (destination, before_ms, excess, most),
        ).rowcount

    def cut_expired(self, destination: int, start: int, *, most: int = 5_000) -> int:
        """Drop what only explains events that the log, which begins at `start`, does not hold any more.

        That are dead letters without a body, and spans while disabled; at most `most` of each go in one call. Gives
        how many of the sort of which more went.
        """
        run = self._connection
        letters = run.execute(
            """DELETE FROM dead_letter WHERE id IN
               (SELECT id FROM dead_letter WHERE destination = ? AND offset < ? AND body = x'' LIMIT ?)""",
            (destination, start, most),
        ).rowcount
        spans = run.execute(
            """DELETE FROM disabled_span WHERE destination = ?1 AND first IN
               (SELECT first FROM disabled_span WHERE destination = ?1 AND last < ?2 LIMIT ?3)""",
            (destination, start, most),
        ).rowcount
        return max(letters, spans)

    def cut_jobs(self, jobs: Iterable[int]) -> None:
        """Drop what is kept of these replays and redrives, whose retry rows are gone."""
        with transaction(self._connection):
            self._connection.executemany("DELETE FROM replay WHERE job = ?", [(job,) for job in jobs])

    def cut_answers(self, before_ms: int, *, keep: int = ANSWERS_MOST, most: int = 5_000) -> int:
        """Drop answers that no kept line can refer to any more, and the oldest beyond `keep`; gives how many went.

        At most `most` go in one call, so that it never holds up a commit for long.
        """
        excess = self._connection.execute("SELECT count(*) FROM answer INDEXED BY answer_age").fetchone()[0] - keep
        return self._connection.execute(
            """DELETE FROM answer WHERE id IN (SELECT id FROM (
                 SELECT id, used_at, row_number() OVER () AS number FROM (
                   SELECT id, used_at FROM answer ORDER BY used_at LIMIT ?3))
               WHERE used_at < ?1 OR number <= ?2)""",
            (before_ms, excess, most),
        ).rowcount


class DeliveryReader:
    """Reads of the same file, from any process, each one transaction. Each raises Unavailable, Damaged.

    Those made inside a `snapshot` are one transaction together.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_reader(path, len(MIGRATIONS))

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reads of the block see the same commit. For one thread, and for a moment: it holds up checkpoints."""
        with sqlite_errors(self._path), transaction(self._connection, "BEGIN"):
            yield

    def destinations(self) -> dict[int, DestinationState]:
        """Every destination's state, as of one commit."""
        return {number: _decode_destination(body) for number, body in self._rows("SELECT id, body FROM destination")}

    def replays(self, destination: int | None = None) -> dict[int, ReplayState]:
        """Every replay's state by its job's id; of one destination, or of all."""
        rows = self._rows("SELECT job, body FROM replay WHERE destination = coalesce(?, destination)", (destination,))
        return {job: _decode_replay(body) for job, body in rows}

    def parked_rows(self, destination: int, *, first: int = 0, last: int | None = None) -> list[ParkedRow]:
        """The retry rows in order of arrival, those of arrivals `first` to `last`, without what takes room."""
        rows = self._rows(PARKED, (destination, first, 2**62 if last is None else last))
        return [ParkedRow(*row) for row in rows]

    def retry_row(self, destination: int, job: int, offset: int) -> RetryRow | None:
        """One retry row with its body."""
        rows = self._rows(
            "SELECT * FROM retry WHERE destination = ? AND job = ? AND offset = ?", (destination, job, offset)
        )
        return RetryRow(*rows[0]) if rows else None

    def dead_letters(self, destination: int, *, limit: int, after: int = 0) -> list[tuple[int, DeadLetter]]:
        """Dead letters oldest first, from above id `after`, each with its id."""
        rows = self._rows(
            "SELECT * FROM dead_letter WHERE destination = ? AND id > ? ORDER BY id LIMIT ?",
            (destination, after, limit),
        )
        return [(row[0], DeadLetter(*row[1:])) for row in rows]

    def redrivable(self, destination: int, reasons: str, message_ids: str, *, rows: int, size: int) -> RedriveCount:
        """The oldest dead letters of these reasons and messageIds (JSON lists, empty is any) that fit.

        Those without a body are passed over: there is nothing left to send.
        """
        found = self._rows(
            f"""SELECT id, job, reason, length(body) + length(history) FROM dead_letter
                WHERE {REDRIVABLE} ORDER BY id LIMIT ?5""",  # noqa: S608 - ours
            (destination, 2**62, reasons, message_ids, max(0, rows)),
        )
        count = RedriveCount(0, {}, {}, 0)
        for number, job, code, length in found:
            if count.size + length > size:
                break
            count = count._replace(last_id=number, size=count.size + length)
            if job:
                count.jobs[job] = count.jobs.get(job, 0) + 1
            else:
                count.reasons[code] = count.reasons.get(code, 0) + 1
        return count

    def dead_letters_of(self, destination: int, offset: int) -> list[DeadLetter]:
        """The dead letters of one event, oldest first."""
        rows = self._rows(
            "SELECT * FROM dead_letter WHERE destination = ? AND offset = ? ORDER BY id", (destination, offset)
        )
        return [DeadLetter(*row[1:]) for row in rows]

    def delivered(self, destination: int, offset: int) -> tuple[DeliveredRow, bytes] | None:
        """One finished delivery and the answer to it."""
        rows = self._rows(
            """SELECT d.*, coalesce(a.body, x'') FROM delivered d LEFT JOIN answer a ON a.id = d.answer
               WHERE destination = ? AND offset = ?""",
            (destination, offset),
        )
        return (DeliveredRow(*rows[0][:-1]), rows[0][-1]) if rows else None

    def disabled_at(self, destination: int, offset: int) -> bool:
        """Whether the event passed while the destination was disabled."""
        return bool(
            self._rows(
                "SELECT 1 FROM disabled_span WHERE destination = ? AND first <= ? AND last >= ? LIMIT 1",
                (destination, offset, offset),
            )
        )

    def answer_id(self, body: bytes) -> int | None:
        """The id of an answer that is stored already."""
        rows = self._rows("SELECT id FROM answer WHERE body = ?", (body,))
        return rows[0][0] if rows else None

    def last_answer_id(self) -> int:
        """The highest answer id in use; 0 where there is none."""
        return int(self._rows("SELECT coalesce(max(id), 0) FROM answer")[0][0])

    def _rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with sqlite_errors(self._path):
            return self._connection.execute(query, parameters).fetchall()
