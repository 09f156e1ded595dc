"""The errors of Segue, named by what the caller does next.

Rule: a message names the field or the thing, the limit, whose fault it is and what to do; never a secret.

- SegueError
  - Invalid        input that cannot be used: a setting, a workspace file, a query. Fix the input.
  - Unavailable    it cannot be done now (disk full, held by another process). Try again.
    - Held         a role (log writer, worker, port) is held by another process.
  - Damaged        what is stored cannot be read, or is of another version. Restore or upgrade.
  - OffsetExpired  the log no longer holds that offset. Go on at its start; what lies between is lost to this reader.
  - Refused        a destination's flow ends the event for good, with a reason code.
  - Unsuccessful   a destination's flow ends the attempt; the answer decides (`core.destination.verdict`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from segue.core.destination import Response


class SegueError(Exception):
    """The root of every error that Segue raises on purpose."""


class Invalid(SegueError):  # noqa: N818 - named by what it says of the input
    """Input that cannot be used. `field` is the path of what is wrong, such as `destinations[0].settings.apiKey`."""

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class Unavailable(SegueError):  # noqa: N818
    """It cannot be done now; the same call may succeed later."""


class Held(Unavailable):
    """Another process holds the role or the port."""


class Damaged(SegueError):  # noqa: N818
    """What is stored cannot be read, or was written by another version of Segue."""


class OffsetExpired(SegueError):  # noqa: N818
    """The log's first record now has offset `start`; the one asked for is gone."""

    def __init__(self, start: int) -> None:
        super().__init__(f"the log begins at offset {start}; what stood before was dropped by retention")
        self.start = start


class Refused(SegueError):  # noqa: N818
    """A destination's flow ends the event for good. `reason` is a code of `core.reasons`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Unsuccessful(SegueError):  # noqa: N818
    """A destination's flow has looked at an answer itself and ends the attempt with it."""

    def __init__(self, response: Response) -> None:
        super().__init__(f"answered {response.status}")
        self.response = response
