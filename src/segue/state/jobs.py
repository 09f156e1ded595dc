"""Jobs, as rows of `control.db`: work that someone asked for, beside the live stream.

Rule: a job's id is never given twice; the newest 1,000 are kept.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

JOBS_KEPT = 1000
"""How many jobs are kept, the newest."""

JobKind = Literal["replay", "redrive"]


class JobRow(Struct, frozen=True, kw_only=True):
    """Work that someone asked for, beside the live stream. `created_at` in milliseconds since 1970."""

    id: int
    kind: JobKind
    destination: int
    created_at: int
    spec: dict[str, Any]
    cancelled: bool = False


READ_JOBS = "SELECT id, kind, destination, created_at, spec, cancelled FROM job ORDER BY id"
ADD_JOB = "INSERT INTO job (kind, destination, created_at, spec, cancelled) VALUES (?, ?, ?, ?, 0)"
CUT_JOBS = "DELETE FROM job WHERE id <= (SELECT max(id) FROM job) - ?"
CANCEL_JOB = "UPDATE job SET cancelled = 1 WHERE id = ? AND cancelled = 0"


def read_jobs(connection: sqlite3.Connection) -> Iterator[JobRow]:
    """Every job that is kept, the oldest first."""
    for number, kind, destination, created_at, spec, cancelled in connection.execute(READ_JOBS):
        yield JobRow(
            id=number,
            kind=kind,
            destination=destination,
            created_at=created_at,
            spec=msgspec.json.decode(spec),
            cancelled=bool(cancelled),
        )


def add_job(connection: sqlite3.Connection, row: JobRow) -> JobRow:
    """Store a new job, and let go of the oldest; the answer has its id."""
    spec = msgspec.json.encode(row.spec, order="deterministic").decode()
    added = connection.execute(ADD_JOB, (row.kind, row.destination, row.created_at, spec))
    connection.execute(CUT_JOBS, (JOBS_KEPT,))
    return msgspec.structs.replace(row, id=added.lastrowid or 0)
