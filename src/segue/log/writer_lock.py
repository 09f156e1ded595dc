"""The writer's place in a log's folder, held by a lock that ends with the process.

Rule: at most one process holds it; the file's content is only the holder's pid, for the message to the second.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from segue.core.errors import Held


class WriterLock:
    """Taken when made. Raises Held, naming the pid of the holder."""

    def __init__(self, folder: Path) -> None:
        self._descriptor = os.open(folder / "writer.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise Held(f"the event log in {folder} is being written by process {holder}; stop it first") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Give the place up."""
        os.close(self._descriptor)
