"""Files of which each space has one, for whoever only reads them: each is opened when it is first asked for.

Rule: a space without a file has nothing to be read yet, which is no error; the reader of a space that is gone is
closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from segue.state.database import is_made
from segue.state.profiles import ProfileReader


class _Closable(Protocol):
    def close(self) -> None: ...


_Reader = TypeVar("_Reader", bound=_Closable)


class SpaceReaders(Generic[_Reader]):
    """Readers by the id of their space. `path_of` says where a space's file is, `reader` opens it."""

    def __init__(self, path_of: Callable[[int], Path], reader: Callable[[Path], _Reader]) -> None:
        self._path_of = path_of
        self._reader = reader
        self._open: dict[int, _Reader] = {}

    def get(self, space: int) -> _Reader | None:
        """The space's reader, None where nothing was written for it yet. Raises Unavailable, Damaged."""
        if space not in self._open:
            path = self._path_of(space)
            if not is_made(path):
                return None
            self._open[space] = self._reader(path)
        return self._open[space]

    def keep(self, spaces: Collection[int]) -> None:
        """Close the readers of all other spaces."""
        for space in set(self._open) - set(spaces):
            self._open.pop(space).close()

    def close(self) -> None:
        """Close them all; calling it again does nothing."""
        self.keep(())


class ProfileReaders(SpaceReaders[ProfileReader]):
    """The profiles of several spaces."""

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        super().__init__(path_of, ProfileReader)
