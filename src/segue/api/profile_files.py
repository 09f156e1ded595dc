"""The files of the spaces' profiles, as the Profile API reads them.

SQLite reads in a thread of their own: what the disk takes is not taken from the events that come in meanwhile.

Rule: a request sees one commit, and nothing of a space after that was deleted; one thread has all the connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from segue.api.limits import ApiLimits
from segue.api.problem import Problem
from segue.api.views import Files
from segue.core.clock import Clock
from segue.core.errors import Damaged, Unavailable
from segue.lake.manifest import ManifestReaders
from segue.log import LogReader
from segue.state.profile_readers import ProfileReaders
from segue.state.profiles import ProfileReader

_Found = TypeVar("_Found")


class ProfileFiles:
    """A reader for each space that was asked about. Used on one event loop."""

    def __init__(
        self,
        path_of: Callable[[int], Path],
        lake_of: Callable[[int], Path],
        log: LogReader,
        clock: Clock,
        limits: ApiLimits,
    ) -> None:
        """`path_of` gives the file of a space's id, `lake_of` the folder of its lake."""
        self._path_of = path_of
        self._log = log
        self._clock = clock
        self._limits = limits
        self._readers = ProfileReaders(path_of)
        self._lakes = ManifestReaders(lake_of)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="segue-profiles")
        self._waiting = 0

    async def read(self, space: int, view: Callable[[Files], _Found]) -> _Found | None:
        """What `view` makes of the space's profiles; None where the worker has written none of them yet.

        Raises Problem 503 where too many wait or it takes too long, Damaged, and what `view` raises.
        """
        if self._waiting >= self._limits.waiting_requests:
            raise _busy("Too many requests are being answered.")
        reading = asyncio.get_running_loop().run_in_executor(self._thread, self._read, space, view)
        self._waiting += 1
        reading.add_done_callback(self._read_one)
        try:
            return await asyncio.wait_for(asyncio.shield(reading), self._limits.read_seconds)
        except TimeoutError:
            raise _busy("The profiles could not be read in time.") from None
        except Unavailable:
            raise _busy("The profiles cannot be read now.") from None

    def keep(self, spaces: Collection[int]) -> None:
        """Close the files of all other spaces."""
        for readers in (self._readers, self._lakes):
            self._thread.submit(readers.keep, frozenset(spaces))

    async def close(self) -> None:
        """Close every file, after the reads under way."""
        for readers in (self._readers, self._lakes):
            await asyncio.get_running_loop().run_in_executor(self._thread, readers.close)
        self._thread.shutdown(wait=False)

    def _read_one(self, reading: asyncio.Future[_Found | None]) -> None:
        self._waiting -= 1
        if not reading.cancelled():
            reading.exception()  # of one that nobody waits for any more

    def _read(self, space: int, view: Callable[[Files], _Found]) -> _Found | None:
        reader = self._open(space)
        if reader is None:
            return None
        with reader.snapshot():
            return view(Files(reader, self._lakes.get(space), self._log, self._clock.now_ms()))

    def _open(self, space: int) -> ProfileReader | None:
        try:
            return self._readers.get(space)
        except Damaged as error:
            if self._path_of(space).stat().st_size == 0:
                # The worker is making it at this moment.
                raise Unavailable(str(error)) from error
            raise


def _busy(message: str) -> Problem:
    return Problem("unavailable", message, retry_after=1)
