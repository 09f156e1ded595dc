"""Hands the past of a space to new definitions: read from the lake in a thread, given on in pieces.

Rule: it holds two batches at most; what is handed out is what was wished for, from the place that was wished for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from segue.compute.catching_up import Past, Wish
from segue.compute.history import Occurrence
from segue.core.errors import SegueError
from segue.lake.manifest import MANIFEST, ManifestReader
from segue.lake.past import PastEvent, past

AGAIN_S = 5.0

Batch = tuple[list[PastEvent], bool]


class SpacePast:
    """Of one space. `wake` is called when there is something to be taken."""

    def __init__(self, lake: Path, lines: FilteringBoundLogger, wake: Callable[[], None]) -> None:
        self._lake = lake
        self._lines = lines
        self._wake = wake
        self._thread = ThreadPoolExecutor(1, "past")
        self._reading: tuple[tuple[int, ...], Iterator[Batch], ManifestReader] | None = None
        self._task: asyncio.Task[None] | None = None
        self._batch: list[PastEvent] = []
        self._last = False
        self._key: tuple[int, ...] = ()

    def take(self, wish: Wish, most: int) -> tuple[list[Past], bool] | None:
        """The next events that are wished for, and whether they are the last; None where they are not there yet."""
        if self._key != wish.key:
            self._batch, self._last, self._key = [], False, wish.key
            self._drop()
        some, self._batch = self._batch[:most], self._batch[most:]
        if some or self._last:
            last = self._last and not self._batch
            if last:
                self._key = ()
            return [_past(each) for each in some], last
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._read(wish))
        return None

    async def close(self) -> None:
        """End what is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop()
        self._thread.shutdown(wait=False)

    async def _read(self, wish: Wish) -> None:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, self._next, wish)
            if wish.key == self._key:
                self._batch, self._last = found
        except SegueError as error:
            self._lines.warning("the lake cannot be read for a new definition; it will be", error=str(error))
            self._drop()
            await asyncio.sleep(AGAIN_S)
        finally:
            self._task = None
        self._wake()

    def _next(self, wish: Wish) -> Batch:
        if self._reading is None or self._reading[0] != wish.key:
            if self._reading is not None:
                self._reading[2].close()
            manifest = ManifestReader(self._lake / MANIFEST)
            self._reading = (wish.key, past(manifest, wish.names, wish.position, wish.after), manifest)
        return next(self._reading[1])

    def _drop(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            self._thread.submit(reading[2].close)


def _past(event: PastEvent) -> Past:
    """As definitions see it. The properties of page and screen calls have their name in the lake already."""
    occurrence = Occurrence(
        t=event.t,
        received_at=event.received_at,
        message_id=event.message_id,
        source=event.source_id,
        type=event.type,
        name=event.event if event.type == "track" else "",
        properties=event.properties or "{}",
        context=event.context or "{}",
    )
    return Past(event.profile, event.log_offset, occurrence)
