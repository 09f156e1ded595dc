"""DuckDB, as the lake uses it: in memory, for one folder, with bounds.

It is imported when the first file is written or read, in a thread: that takes a tenth of a second and 50 MB.

Rule: it reads and writes nothing outside the lake's folder, loads no extension, and asks nobody anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from segue.core.errors import Unavailable
from segue.lake.columns import text_literal

if TYPE_CHECKING:
    import duckdb

THREADS = 1
MEMORY = "256MB"
SPILL = "2GB"
"""The most that it may lay aside on the disk, for what does not fit in memory."""

_SETTINGS = (
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET preserve_insertion_order = true",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)


@contextmanager
def engine(folder: Path, *, threads: int = THREADS, memory: str = MEMORY) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that may read and write in this folder. Raises Unavailable for whatever goes wrong in it."""
    import duckdb

    folder = folder.absolute()
    try:
        connection = duckdb.connect(
            ":memory:",
            config={
                "threads": threads,
                "memory_limit": memory,
                "temp_directory": str(folder / "spill"),
                "max_temp_directory_size": SPILL,
            },
        )
        try:
            connection.execute(f"SET allowed_directories = [{text_literal(str(folder))}]")
            for setting in _SETTINGS:
                connection.execute(setting)
            yield connection
        finally:
            connection.close()
    except duckdb.Error as error:
        raise Unavailable(f"the lake in {folder}: {type(error).__name__}: {error}") from error
