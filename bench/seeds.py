"""A space of many profiles, made without an event for each: some are computed, the rest are their copies.

Rule: what a profile is copied from went through resolve and compute like any other; its copy differs in its number and
its ids alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from bench.traffic import anonymous_of, user_of
from segue.core.profile import LinkedId, Profile
from segue.state.profile_rows import ProfilesState

COMPUTED = 200
"""Visitors 0 to 199 have come, in this order at first."""

_IDS = {"user_id": user_of, "anonymous_id": anonymous_of}


def copy_profiles(path: Path, profiles: int) -> None:
    """Make of the visitors below `COMPUTED` as many as there are to be. Nobody else has the file open."""
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("PRAGMA synchronous = OFF")
        (body,) = file.execute("SELECT body FROM space").fetchone()
        state = msgspec.msgpack.decode(body, type=ProfilesState)
        assert state.next_number == COMPUTED + 1, state.next_number
        decode = msgspec.msgpack.Decoder(Profile).decode
        templates = [decode(body) for (body,) in file.execute("SELECT body FROM profile ORDER BY number")]
        visitors = range(COMPUTED, profiles)
        file.executemany("INSERT INTO profile VALUES (?, ?, ?, 'users', ?)", _profiles(templates, visitors))
        for type_, id_of in sorted(_IDS.items()):
            owners = ((type_, id_of(visitor), visitor + 1) for visitor in visitors)
            file.executemany("INSERT INTO identifier VALUES ('users', ?, ?, ?)", owners)
        copies = f"""WITH RECURSIVE each(n) AS (
            SELECT {COMPUTED + 1} UNION ALL SELECT n + 1 FROM each WHERE n < {profiles})
          SELECT {{}} FROM each JOIN {{}} s ON s.profile = 1 + (n - 1) % {COMPUTED} {{}}"""
        file.execute("INSERT INTO computed " + copies.format("n, s.due, s.body", "computed", ""))
        for (number,) in file.execute("SELECT id FROM computation").fetchall():
            columns = "s.computation, n, s.value, s.since, s.version, s.once"
            file.execute("INSERT INTO holding " + copies.format(columns, "holding", f"WHERE s.computation = {number}"))
        state.next_number, state.users = profiles + 1, profiles
        file.execute("UPDATE space SET body = ?", (msgspec.msgpack.encode(state),))


def _profiles(templates: list[Profile], visitors: range) -> Iterator[tuple[int, str, int, bytes]]:
    encode = msgspec.msgpack.Encoder().encode
    for visitor in visitors:
        template = templates[visitor % COMPUTED]
        number = visitor + 1
        ids = [LinkedId(each.type, _IDS[each.type](visitor), each.cause) for each in template.ids]
        copy = msgspec.structs.replace(template, number=number, segment_id=f"use_{number:022d}", ids=ids)
        yield number, copy.segment_id, number, encode(copy)
