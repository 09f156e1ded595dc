"""A resolver on real rows: what the worker does with it, one step at a time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from segue.core.event import Event, Record
from segue.core.profile import DEFAULT_RULES, ExternalId, IdentityRules, Profile
from segue.resolve.resolver import Resolved, Resolver
from segue.state.profiles import ProfileReader, ProfileWriter
from tests.resolve.events import entry

TABLES = ("space", "profile", "identifier", "link", "change", "demotion")


class Rig:
    """A space's file, its writer, a reader, and the resolver, which can be lost and made anew."""

    def __init__(self, path: Path, rules: IdentityRules = DEFAULT_RULES, capacity: int = 1_000) -> None:
        self.writer = ProfileWriter(path)
        self.reader = ProfileReader(path)
        self.rules = rules
        self.capacity = capacity
        self.offset = 0
        self.restart()

    def close(self) -> None:
        self.reader.close()
        self.writer.close()

    def restart(self) -> None:
        """As after kill -9: what was not committed is lost."""
        self.resolver = Resolver(space=1, rules=self.rules, rows=self.reader, capacity=self.capacity)

    def commit(self) -> None:
        self.writer.commit([self.resolver.take()])
        self.resolver.committed()

    def apply(self, entries: Iterable[tuple[Record, Event]]) -> list[Resolved | None]:
        return [self.resolver.apply(record, event) for record, event in entries]

    def send(self, type_: str = "track", **fields: Any) -> Resolved:
        """The next event of the log."""
        record, event = entry(self.offset, type_, **fields)
        self.offset += 1
        resolved = self.resolver.apply(record, event)
        assert resolved is not None
        return resolved

    def read(self, type_: str, id_: str) -> Profile:
        """The profile of a user's id, as it was committed."""
        found = self.reader.find("users", ExternalId(type_, id_))
        assert found is not None
        return found

    def rows(self) -> dict[str, list[Any]]:
        """All that is on disk."""
        return {table: self.reader._rows(f"SELECT * FROM {table}") for table in TABLES}
