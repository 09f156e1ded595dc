"""The one writer of a space's lake: new events, small files made one, days that go, what is left of a crash.

Rule: whatever moment it ends at, the manifest names exactly the rows of the events below its cursor, each once; what
else lies there is removed when it is opened again.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from segue.core.errors import Unavailable
from segue.lake.engine import engine
from segue.lake.files import EVENTS, Breathe, merge_files, write_rows
from segue.lake.manifest import LakeFile, Manifest, Position
from segue.lake.people import PEOPLE, REFRESH_EVENTS, position_of, refresh
from segue.lake.rows import Entry, day_of, placed_together
from segue.state.profiles import ProfileReader

TOGETHER = 8
"""Files of one event and day that follow each other are made one that has so many times the rows of a small one."""
ROWS_MOST = 250_000
BYTES_MOST = 16_000_000
"""The most rows, and bytes, that files are made one with: the rows are sorted, for which they should fit in memory."""
DAY_IS_OVER_MS = 3_600_000
"""So long after the end of a day its files are made as few as may be."""
REPLACED_KEEP_MS = 600_000
"""How long a replaced file stays for its readers."""


class LakeWriter:
    """For one thread at a time. Whatever it raises, it may be asked again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._manifest = Manifest(folder)
        try:
            self.position = self._manifest.position()
            self._clean()
            self._places = self._manifest.places()
        except BaseException:
            self._manifest.close()
            raise

    def close(self) -> None:
        """Close the manifest."""
        self._manifest.close()

    def write(self, entries: Sequence[Entry], *, position: int, expired: int = 0, breathe: Breathe) -> None:
        """Add these events, in the log's order, which are all that the space applied from its cursor to `position`.

        `expired` of them were lost by the log before. Raises Unavailable, Damaged.
        """
        places = placed_together(entries)
        files: list[LakeFile] = []
        if places:
            with engine(self._folder) as connection, _disk(self._folder):
                for place, rows in places.items():
                    files.append(write_rows(connection, self._folder, place, rows, breathe))
        if expired:  # of whom these events were the lake cannot tell any more: their profiles are all read again
            self._manifest.set_people([], 0)
        self._manifest.add(files, position, expired)
        self.position = Position(position, self.position.expired + expired)
        self._places.update((file.folder, file.day) for file in files)
        breathe()

    def compact(self, now_ms: int, breathe: Breathe) -> bool:
        """Make one file of several somewhere; False where nothing is left to be done. Raises Unavailable, Damaged."""
        for folder, day in sorted(self._places):
            breathe()
            over = day < day_of(now_ms - DAY_IS_OVER_MS)
            run = files_to_merge(self._manifest.files_at(folder, day), over=over)
            if run:
                with engine(self._folder) as connection, _disk(self._folder):
                    merged = merge_files(connection, self._folder, run, breathe)
                self._manifest.replace(run, merged, now_ms)
                breathe()
                return True
            if over:
                self._places.discard((folder, day))
        return False

    def refresh_people(self, profiles: ProfileReader, now_ms: int, breathe: Breathe, *, whole: bool = False) -> bool:
        """Write the profiles that have changed, where many events came since, or, with `whole`, any.

        Gives whether any had. Raises Unavailable, Damaged.
        """
        least = 1 if whole else REFRESH_EVENTS
        if profiles.state().position - position_of(self._manifest.people()) < least:
            return False
        with _disk(self._folder):
            return refresh(self._folder, self._manifest, profiles, now_ms, breathe)

    def drop_days(self, before: str, now_ms: int) -> int:
        """Drop what was received before the day `before`, such as `2026-11-22`; gives the number of rows."""
        old = [file for file in self._manifest.files() if file.day < before]
        if old:
            self._manifest.replace(old, None, now_ms)
            self._places = {place for place in self._places if place[1] >= before}
        return sum(file.rows for file in old)

    def sweep(self, now_ms: int) -> None:
        """Remove the files that were replaced long enough ago. Raises Unavailable."""
        self._remove(self._manifest.replaced(now_ms - REPLACED_KEEP_MS))

    def _remove(self, paths: Sequence[str]) -> None:
        with _disk(self._folder):
            for path in paths:
                (self._folder / path).unlink(missing_ok=True)
                _remove_empty(self._folder / path)
        if paths:
            self._manifest.forget(paths)

    def _clean(self) -> None:
        """Remove what a crash has left, which is named nowhere."""
        with _disk(self._folder):
            shutil.rmtree(self._folder / "spill", ignore_errors=True)
            known = {file.path for file in self._manifest.files()} | set(self._manifest.replaced())
            for path in (self._folder / EVENTS).glob("*/*/*"):
                if str(path.relative_to(self._folder)) not in known:
                    path.unlink()
                    _remove_empty(path)
            people = {file.path for file in self._manifest.people()} | known
            for path in (self._folder / PEOPLE).glob("*"):
                if str(path.relative_to(self._folder)) not in people:
                    path.unlink()


def files_to_merge(files: Sequence[LakeFile], *, over: bool) -> list[LakeFile]:
    """Of the files of one place, in order, some that follow each other and should be one; none where none should.

    Of a day that is over, all that fit in one. Before that, by powers of `TOGETHER`: only where the one is of a higher
    power than each of them, so that a row is written again as often as there are powers, and some files of each are
    left.
    """
    powers = [_power(file.rows) for file in files]
    for power in [max(powers, default=0)] if over else sorted(set(powers)):
        run: list[LakeFile] = []
        for file, its in [*zip(files, powers, strict=True), (None, power + 1)]:
            if file is None or its > power or not _fit([*run, file]):
                if len(run) >= 2 and (over or sum(each.rows for each in run) >= TOGETHER ** (power + 1)):
                    return run
                run = []
            if file is not None and its <= power and _fit([file]):
                run.append(file)
    return []


def _fit(files: Sequence[LakeFile]) -> bool:
    return sum(file.rows for file in files) <= ROWS_MOST and sum(file.bytes for file in files) <= BYTES_MOST


def _power(rows: int) -> int:
    power = 0
    while rows >= TOGETHER:
        rows //= TOGETHER
        power += 1
    return power


def _remove_empty(path: Path) -> None:
    """Remove the folders of a file that is gone, where nothing else is in them."""
    for folder in (path.parent, path.parent.parent):
        try:
            folder.rmdir()
        except OSError:
            return


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """What the disk refuses, in our words."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"the lake in {folder}: {error}") from error
