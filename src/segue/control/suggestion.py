"""What someone may have meant by a name that does not exist.

Rule: a suggestion is one of the names that exist; where none is near, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

LIKENESS = 0.75
"""How like a name must be, from 0 to 1: a wrong letter or two, a letter too many, but not another word."""


def did_you_mean(name: str, known: Iterable[str], *, prefix: str = "") -> str:
    """The end of an error message: `; did you mean "website"?`, or nothing.

    What all the names begin with is given as `prefix`, for it makes no two of them alike.
    """
    rests = [each.removeprefix(prefix) for each in known]
    near = get_close_matches(name.removeprefix(prefix), rests, n=1, cutoff=LIKENESS)
    return f'; did you mean "{prefix}{near[0]}"?' if near else ""
