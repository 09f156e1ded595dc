"""A lake on the disk, fed with applied events, and read as any tool would read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from segue.lake.columns import NAMES, quoted
from segue.lake.manifest import LakeFile, ManifestReader
from segue.lake.rows import Entry
from segue.lake.writer import LakeWriter
from segue.state.profile_rows import Placed
from tests.resolve.events import START_MS, entry

DAY_MS = 86_400_000
NOW_MS = START_MS + 100 * DAY_MS


class Crash(BaseException):
    """The process ends here."""


def nothing() -> None:
    """A breath."""


def crashing(after: int) -> Callable[[], None]:
    """Ends the process at this breath."""
    left = iter(range(after))

    def breathe() -> None:
        if next(left, None) is None:
            raise Crash

    return breathe


def applied(offset: int, type_: str = "track", *, profile: int = 1, account: int = 0, **fields: Any) -> Entry:
    """An event as the resolver has applied it; received at `offset` seconds after the start unless told."""
    record, event = entry(offset, type_, **fields)
    t = fields.get("t")
    return Entry(record, event, Placed(offset, profile, account, record.received_at if t is None else t))


def read(lake: Path, files: Iterable[LakeFile], columns: Sequence[str] = NAMES) -> list[tuple[Any, ...]]:
    """The rows of these files, in the order of the log."""
    paths = [str(lake / file.path) for file in files]
    if not paths:
        return []
    names = ", ".join(quoted(name) for name in columns)
    with duckdb.connect() as connection:
        query = f"SELECT {names} FROM read_parquet(?, union_by_name = true) ORDER BY log_offset"
        return connection.execute(query, [paths]).fetchall()


class Rig:
    """The writer, which can be lost and opened again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writer = LakeWriter(folder)

    def restart(self) -> None:
        """As after the end of the process, of whatever kind."""
        self.writer.close()
        self.writer = LakeWriter(self.folder)

    def files(self) -> list[LakeFile]:
        """What the manifest names."""
        reader = ManifestReader(self.folder / "lake.db")
        try:
            return sorted(reader.files()[1], key=lambda file: file.path)
        finally:
            reader.close()

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """What the lake holds."""
        return read(self.folder, self.files(), columns or NAMES)

    def offsets(self) -> list[int]:
        """Of the events that it holds."""
        return [offset for (offset,) in self.rows("log_offset")]

    def on_disk(self) -> set[str]:
        """Every Parquet file that is there, and whatever else lies beside them."""
        return {str(path.relative_to(self.folder)) for path in self.folder.glob("events/*/*/*")}

    def write(self, *entries: Entry, breathe: Callable[[], None] = nothing) -> None:
        """One flush, up to behind the last of them."""
        self.writer.write(entries, position=entries[-1].record.offset + 1, breathe=breathe)

    def close(self) -> None:
        self.writer.close()
