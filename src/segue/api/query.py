"""What a request asks for: the profile that its path names, and how much of it.

Rule: a value that cannot be used is an error that names it, never quietly another value; an unknown parameter is
passed over, as Segment does.

Source: Segment, Profile API, "Routes" and "Pagination".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from segue.api.problem import Problem
from segue.core.clock import from_iso
from segue.core.profile import Collection, ExternalId

_SEGMENT_ID = re.compile(r"(?:use|grp)_[0-9A-Za-z]{1,64}")
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_COLLECTIONS: dict[str, Collection] = {"users": "users", "accounts": "accounts"}
CLASSES = ("audience", "computed_trait")


class Wanted(NamedTuple):
    """The profile that a path names: by one of its external ids, or by its persistent id."""

    space: str
    collection: Collection
    identifier: ExternalId | str


class Listing(NamedTuple):
    """Which part of a list is wanted. `start` is what an earlier answer called `next`, empty for the beginning.

    `since` and `until` are instants in ms since 1970, of lists of events only.
    """

    limit: int
    start: str = ""
    include: frozenset[str] | None = None
    verbose: bool = False
    trait_class: str | None = None
    exclude: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    newest_first: bool = True


def wanted(space: str, collection: str, identifier: str) -> Wanted:
    """What the path says. Raises Problem 400 where that is no collection or no identifier."""
    found = _COLLECTIONS.get(collection)
    if found is None:
        raise Problem("validation_error", "The parameter `collection` must be `users` or `accounts`.")
    type_, colon, value = identifier.partition(":")
    if colon and type_ and value:
        return Wanted(space, found, ExternalId(type_, value))
    if not colon and _SEGMENT_ID.fullmatch(identifier):
        return Wanted(space, found, identifier)
    raise Problem("validation_error", "The identifier must be `type:value`, such as `user_id:u1`, or a `use_...` id.")


def listing(values: Callable[[str], Sequence[str]], *, default: int, most: int, timed: bool = False) -> Listing:
    """What the query says; `values` gives those of one parameter. Raises Problem 400, naming the parameter.

    Where names are included, all of them are wanted unless a limit is given too (PROPOSED). `timed` lists have a time
    and an order.
    """
    included = _names(values("include"))
    asked = Listing(
        limit=_limit(values("limit"), min(most, max(default, len(included))), most),
        start=_last(values("next")),
        include=included or None,
        verbose=_flag(_last(values("verbose"))),
        trait_class=_class(_last(values("class"))),
    )
    if not timed:
        return asked
    return asked._replace(
        exclude=_names(values("exclude")),
        since=_instant("start", _last(values("start"))),
        until=_instant("end", _last(values("end"))),
        newest_first=_order(_last(values("sort"))),
    )


def _names(given: Sequence[str]) -> frozenset[str]:
    return frozenset(name for text in given for name in text.split(",") if name)


def _instant(name: str, text: str) -> int | None:
    """ISO 8601, or ms since 1970 (PROPOSED)."""
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 16:
        return int(text)
    try:
        # A `+` that was not escaped has become a blank.
        return from_iso(text.replace(" ", "+"))
    except (ValueError, OverflowError):
        raise Problem(
            "invalid_request_error", f"The parameter `{name}` must be a time, such as 2026-11-22T10:00:00Z."
        ) from None


def _order(text: str) -> bool:
    if text not in ("", "asc", "desc"):
        raise Problem("invalid_request_error", "The parameter `sort` must be `asc` or `desc`.")
    return text != "asc"


def _limit(given: Sequence[str], default: int, most: int) -> int:
    if not given:
        return default
    text = given[-1]
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
    if not 1 <= number <= most:
        raise Problem("invalid_request_error", f"The parameter `limit` must be a number from 1 to {most}.")
    return number


def _flag(text: str) -> bool:
    found = _FLAGS.get(text.lower() or "false")
    if found is None:
        raise Problem("invalid_request_error", "The parameter `verbose` must be `true` or `false`.")
    return found


def _class(text: str) -> str | None:
    if text and text not in CLASSES:
        raise Problem("invalid_request_error", "The parameter `class` must be `audience` or `computed_trait`.")
    return text or None


def _last(given: Sequence[str]) -> str:
    return given[-1] if given else ""
