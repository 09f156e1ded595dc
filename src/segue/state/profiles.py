"""What is known of a space's profiles: one file for each space, written by the one process that resolves its events.

Rule: a commit writes rows, history and cursor in one transaction; each id belongs to one profile, which is no absorbed
one; history is only added to.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from segue.core.profile import Cause, Collection, ExternalId, Link, Profile
from segue.state.computed_rows import Held, Named
from segue.state.computed_writes import CREATE as CREATE_COMPUTED
from segue.state.computed_writes import write_computed
from segue.state.database import open_database, open_reader, sqlite_errors, transaction
from segue.state.outbox import CREATE as CREATE_OUTBOX
from segue.state.profile_rows import Change, Demotion, Placed, ProfilesDelta, ProfilesState
from segue.state.resolutions import pack, unpack

__all__ = ["MIGRATIONS", "ProfileReader", "ProfileWriter"]

MIGRATIONS = (
    """
    CREATE TABLE space (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL) STRICT;
    CREATE TABLE profile (
      number INTEGER PRIMARY KEY, segment_id TEXT NOT NULL UNIQUE, canonical INTEGER NOT NULL,
      collection TEXT NOT NULL, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE identifier (
      collection TEXT NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, number INTEGER NOT NULL,
      PRIMARY KEY (collection, type, id)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE link (
      user INTEGER NOT NULL, account INTEGER NOT NULL, offset INTEGER NOT NULL, received_at INTEGER NOT NULL,
      t INTEGER NOT NULL, message_id TEXT NOT NULL, source TEXT NOT NULL,
      PRIMARY KEY (user, account)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX link_account ON link (account, user);
    CREATE TABLE change (
      seq INTEGER PRIMARY KEY, profile INTEGER NOT NULL, kind TEXT NOT NULL, other INTEGER, type TEXT, id TEXT,
      offset INTEGER NOT NULL, received_at INTEGER NOT NULL, t INTEGER NOT NULL, message_id TEXT NOT NULL,
      source TEXT NOT NULL
    ) STRICT;
    CREATE INDEX change_profile ON change (profile);
    CREATE TABLE demotion (
      profile INTEGER NOT NULL, type TEXT NOT NULL, id TEXT NOT NULL, body BLOB NOT NULL,
      PRIMARY KEY (profile, type, id)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    CREATE TABLE resolution (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, numbers BLOB NOT NULL) STRICT;
    """,
    CREATE_COMPUTED + CREATE_OUTBOX,
)

UPSERT_SPACE = "INSERT INTO space VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET body = excluded.body"
UPSERT_PROFILE = """INSERT INTO profile VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (number) DO UPDATE SET canonical = excluded.canonical, body = excluded.body"""
UPSERT_OWNER = """INSERT INTO identifier VALUES (?, ?, ?, ?)
  ON CONFLICT (collection, type, id) DO UPDATE SET number = excluded.number"""
KEEP_EARLIER = """ON CONFLICT (user, account) DO UPDATE SET offset = excluded.offset,
  received_at = excluded.received_at, t = excluded.t, message_id = excluded.message_id, source = excluded.source
  WHERE excluded.offset < link.offset"""
INSERT_LINK = f"INSERT INTO link VALUES (?, ?, ?, ?, ?, ?, ?) {KEEP_EARLIER}"  # noqa: S608 - ours
MOVE_LINKS = f"""INSERT INTO link
  SELECT ?1, account, offset, received_at, t, message_id, source FROM link WHERE user = ?2 {KEEP_EARLIER}"""  # noqa: S608 - ours
DELETE_LINKS = "DELETE FROM link WHERE user = ?"
INSERT_CHANGE = "INSERT INTO change VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
UPSERT_DEMOTION = """INSERT INTO demotion VALUES (?, ?, ?, ?)
  ON CONFLICT (profile, type, id) DO UPDATE SET body = excluded.body"""

INSERT_RESOLUTION = "INSERT INTO resolution VALUES (?, ?, ?)"
DELETE_RESOLUTIONS = "DELETE FROM resolution WHERE first < ?1 AND last < ?1"

SELECT_RESOLUTIONS = """SELECT numbers FROM resolution
  WHERE first >= coalesce((SELECT max(first) FROM resolution WHERE first <= ?), 0) ORDER BY first"""
SELECT_PROFILE = "SELECT body FROM profile WHERE number = (SELECT canonical FROM profile WHERE {} = ?)"
SELECT_HELD = """SELECT c.body, h.value, h.since FROM computation c
  LEFT JOIN holding h ON h.computation = c.id AND h.profile = ?"""
SELECT_LINKS = """SELECT user, account, offset, received_at, t, message_id, source FROM link
  WHERE {} = ? AND {} > ? ORDER BY {} LIMIT ?"""

_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(ProfilesState).decode
_decode_profile = msgspec.msgpack.Decoder(Profile).decode
_decode_demotion = msgspec.msgpack.Decoder(Demotion).decode
_decode_named = msgspec.msgpack.Decoder(Named).decode


class ProfileWriter:
    """The worker's connection. `commit` is called from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = open_database(path, MIGRATIONS)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def commit(self, deltas: Sequence[ProfilesDelta]) -> None:
        """Write all of it in one transaction, durable on return. Raises sqlite3.Error with nothing written."""
        with transaction(self._connection):
            for delta in deltas:
                self._write(delta)

    def _write(self, delta: ProfilesDelta) -> None:
        run = self._connection
        run.executemany(UPSERT_PROFILE, delta.profiles)
        run.executemany(UPSERT_OWNER, delta.owners)
        run.executemany(INSERT_LINK, [(link.user, link.account, *_columns(link.cause)) for link in delta.links])
        for survivor, absorbed in delta.merges:
            run.execute(MOVE_LINKS, (survivor, absorbed))
            run.execute(DELETE_LINKS, (absorbed,))
        run.executemany(INSERT_CHANGE, [(*change[1:6], *_columns(change.cause)) for change in delta.changes])
        run.executemany(
            UPSERT_DEMOTION, [(each.profile, each.type, each.id, _encode(each)) for each in delta.demotions]
        )
        if delta.placed:
            run.execute(INSERT_RESOLUTION, (delta.placed[0].offset, delta.placed[-1].offset, pack(delta.placed)))
        run.execute(DELETE_RESOLUTIONS, (delta.in_lake,))
        run.execute(UPSERT_SPACE, (delta.state,))
        if delta.computed is not None:
            write_computed(run, delta.computed)


class ProfileReader:
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

    def state(self) -> ProfilesState:
        """The cursor and the counts; those of a new space where nothing was committed yet."""
        rows = self._rows("SELECT body FROM space")
        return _decode_state(rows[0][0]) if rows else ProfilesState()

    def owner(self, collection: Collection, type_: str, id_: str) -> int | None:
        """The number of the profile that has this id."""
        rows = self._rows(
            "SELECT number FROM identifier WHERE collection = ? AND type = ? AND id = ?", (collection, type_, id_)
        )
        return rows[0][0] if rows else None

    def find(self, collection: Collection, external_id: ExternalId) -> Profile | None:
        """The profile that has this id."""
        rows = self._rows(
            """SELECT p.body FROM identifier i JOIN profile p USING (number)
               WHERE i.collection = ? AND i.type = ? AND i.id = ?""",
            (collection, *external_id),
        )
        return _decode_profile(rows[0][0]) if rows else None

    def by_segment_id(self, segment_id: str) -> Profile | None:
        """The profile of this persistent id; of an absorbed one the profile that it is part of now."""
        return self._profile("segment_id", segment_id)

    def profile(self, number: int) -> Profile | None:
        """The profile of this number; of an absorbed one the profile that it is part of now."""
        return self._profile("number", number)

    def canonical(self, number: int) -> int:
        """The profile that the one of this number is part of; itself, where it is not absorbed or unknown."""
        rows = self._rows("SELECT canonical FROM profile WHERE number = ?", (number,))
        return rows[0][0] if rows else number

    def profiles(self, numbers: Sequence[int]) -> list[Profile]:
        """The profiles of these numbers, 500 at most, in the order given; absorbed and unknown ones are left out."""
        marks = ", ".join("?" * len(numbers))
        rows = self._rows(
            f"SELECT number, body FROM profile WHERE canonical = number AND number IN ({marks})",  # noqa: S608 - marks
            tuple(numbers),
        )
        found = {number: _decode_profile(body) for number, body in rows}
        return [found[number] for number in numbers if number in found]

    def segment_ids(self, numbers: Sequence[int]) -> dict[int, str]:
        """The persistent ids of these numbers, 500 at most, absorbed ones too; unknown ones are left out."""
        marks = ", ".join("?" * len(numbers))
        query = f"SELECT number, segment_id FROM profile WHERE number IN ({marks})"  # noqa: S608 - marks
        return dict(self._rows(query, tuple(numbers)))

    def page(self, *, collection: Collection, after: int = 0, limit: int = 100) -> list[Profile]:
        """Profiles by number, from above `after`, without the absorbed ones."""
        rows = self._rows(
            """SELECT body FROM profile WHERE number > ? AND canonical = number AND collection = ?
               ORDER BY number LIMIT ?""",
            (after, collection, limit),
        )
        return [_decode_profile(body) for (body,) in rows]

    def accounts_of(self, user: int, *, after: int = 0, limit: int = 100) -> list[Link]:
        """The links of a user, by the account's number, from above `after`."""
        return self._links(SELECT_LINKS.format("user", "account", "account"), (user, after, limit))

    def users_of(self, account: int, *, after: int = 0, limit: int = 100) -> list[Link]:
        """The links of an account, by the user's number, from above `after`."""
        return self._links(SELECT_LINKS.format("account", "user", "user"), (account, after, limit))

    def held(self, number: int) -> list[Held]:
        """What a profile has of each computed trait and audience of the space, those of which it has nothing too."""
        found = [(_decode_named(body), value, since) for body, value, since in self._rows(SELECT_HELD, (number,))]
        return [Held(named.key, named.kind, named.deleted, value, since or 0) for named, value, since in found]

    def linked(self, users: Sequence[int], account: int) -> bool:
        """Whether one of these users, at most 500, is of the account."""
        marks = ", ".join("?" * len(users))
        return bool(
            self._rows(
                f"SELECT 1 FROM link WHERE account = ? AND user IN ({marks}) LIMIT 1",  # noqa: S608 - marks
                (account, *users),
            )
        )

    def history(self, profile: Profile, *, after: int = 0, limit: int = 1_000) -> list[Change]:
        """What happened to a profile and to those that it absorbed, in the order of the log, from above seq `after`."""
        numbers = (profile.number, *profile.absorbed)
        rows = self._rows(
            f"""SELECT * FROM change WHERE profile IN ({", ".join("?" * len(numbers))}) AND seq > ?
                ORDER BY seq LIMIT ?""",  # noqa: S608 - marks
            (*numbers, after, limit),
        )
        return [
            Change(seq, number, kind, other, type_, id_, Cause(*cause))
            for seq, number, kind, other, type_, id_, *cause in rows
        ]

    def placed(self, start: int) -> Iterator[Placed]:
        """The events applied from offset `start` on, in order, as far as they are kept; for use inside a `snapshot`."""
        with sqlite_errors(self._path):
            for (numbers,) in self._connection.execute(SELECT_RESOLUTIONS, (start,)):
                yield from (each for each in unpack(numbers) if each.offset >= start)

    def demotions(self, number: int) -> list[Demotion]:
        """The ids kept off this profile, while it had this number of its own; the latest to be so last."""
        rows = self._rows("SELECT body FROM demotion WHERE profile = ?", (number,))
        return sorted((_decode_demotion(body) for (body,) in rows), key=lambda each: each.last.offset)

    def demotions_of(self, profile: Profile) -> list[Demotion]:
        """The ids kept off a profile and off those that it absorbed; the latest to be so last."""
        found = [each for number in (profile.number, *profile.absorbed) for each in self.demotions(number)]
        return sorted(found, key=lambda each: each.last.offset)

    def _profile(self, column: str, value: object) -> Profile | None:
        rows = self._rows(SELECT_PROFILE.format(column), (value,))
        return _decode_profile(rows[0][0]) if rows else None

    def _links(self, query: str, parameters: tuple[object, ...]) -> list[Link]:
        return [Link(row[0], row[1], Cause(*row[2:])) for row in self._rows(query, parameters)]

    def _rows(self, query: str, parameters: tuple[object, ...] = ()) -> list[Any]:
        with sqlite_errors(self._path):
            return self._connection.execute(query, parameters).fetchall()


def _columns(cause: Cause) -> tuple[int, int, int, str, str]:
    return (cause.offset, cause.received_at, cause.t, cause.message_id, cause.source)
