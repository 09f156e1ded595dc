"""The profiles of several spaces, for whoever only reads them: each file is opened when it is first asked for.

Rule: a space without a file has no profiles yet, which is no error; the reader of a space that is gone is closed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from segue.state.profiles import ProfileReader


class ProfileReaders:
    """Readers by the id of their space. `path_of` says where a space's file is."""

    def __init__(self, path_of: Callable[[int], Path]) -> None:
        self._path_of = path_of
        self._open: dict[int, ProfileReader] = {}

    def get(self, space: int) -> ProfileReader | None:
        """The space's reader, None where nothing was resolved for it yet. Raises Unavailable, Damaged."""
        if space not in self._open:
            path = self._path_of(space)
            if not path.exists():
                return None
            self._open[space] = ProfileReader(path)
        return self._open[space]

    def keep(self, spaces: Collection[int]) -> None:
        """Close the readers of all other spaces."""
        for space in set(self._open) - set(spaces):
            self._open.pop(space).close()

    def close(self) -> None:
        """Close them all; calling it again does nothing."""
        self.keep(())
