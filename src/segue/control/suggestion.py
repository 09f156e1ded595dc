"""What someone may have meant by a name that does not exist.

Rule: a suggestion is one of the names that exist; where none is near, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: `; did you mean "website"?`, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f'; did you mean "{near[0]}"?' if near else ""
