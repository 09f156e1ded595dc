"""What a request is told when it is not answered: a status, a code of Segment's, and a sentence.

Rule: the body is `{"error": {"code": ..., "message": ...}}`; whoever has no token of a space is told nothing of it.

Source: Segment, Profile API, "Errors". The codes of 5xx are ours (PROPOSED).
"""

from __future__ import annotations

from segue.core.errors import SegueError

CODES: dict[str, tuple[int, str]] = {
    "authentication_error": (401, "No token, or none of this space. A space that does not exist is answered the same."),
    "invalid_request_error": (400, "A query parameter that cannot be used; the message names it. 405: only GET."),
    "validation_error": (400, "The collection or the identifier in the path has not the form it needs."),
    "not_found": (404, "No profile of the space has this identifier, or there is nothing at this address."),
    "rate_limit_error": (429, "More than 100 requests in a second with tokens of this space. See `Retry-After`."),
    "internal_error": (500, "The file of the space's profiles cannot be read; the server's log says why."),
    "unavailable": (503, "The profiles cannot be read in time now. See `Retry-After`."),
}
"""Every code, its status and what it means; the docs are checked against this table."""


class Problem(SegueError):  # noqa: N818 - named by what it says of the request
    """A request that is answered with an error. `retry_after` in whole seconds; None: trying again is of no use."""

    def __init__(self, code: str, message: str, *, status: int | None = None, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status or CODES[code][0]
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, object]:
        """The error as Segment writes it."""
        return {"error": {"code": self.code, "message": str(self)}}
