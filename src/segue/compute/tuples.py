"""Identity tuples: as whom a profile is spoken of to a destination.

Rule: the tuples of a profile depend on its ids alone, in no order of arrival; two tuples are equal exactly where their
texts are.

Source: Segment sends one call for each userId with each email ("User identifiers" of its audience pages); the product,
its order and its bound are PROPOSED.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice, product
from math import prod
from typing import Final, NamedTuple

import msgspec

from segue.core.profile import ExternalId

TUPLES_MOST = 1_000
"""The most tuples of one profile that anything is sent to, the first in their order; the rest is only counted."""

DEVICE_TYPES: Final = ("android.idfa", "ios.idfa")
"""Types of ids that stand for a person where there is no better one."""


class IdentityTuple(NamedTuple):
    """One way to speak of a profile: the ids that go together in one message, at least one of them.

    `idfa` is given only where nothing else is.
    """

    user_id: str | None = None
    email: str | None = None
    anonymous_id: str | None = None
    idfa: ExternalId | None = None

    @property
    def key_id(self) -> ExternalId:
        """The id by which a destination most likely finds whom it is about: the first that there is."""
        if self.user_id is not None:
            return ExternalId("user_id", self.user_id)
        if self.email is not None:
            return ExternalId("email", self.email)
        if self.anonymous_id is not None:
            return ExternalId("anonymous_id", self.anonymous_id)
        assert self.idfa is not None, "a tuple without an id"
        return self.idfa

    @property
    def text(self) -> str:
        """The tuple as a JSON array, as the ledger calls it."""
        return _encode(self).decode()

    @classmethod
    def from_text(cls, text: str) -> IdentityTuple:
        """The tuple of this text."""
        user_id, email, anonymous_id, idfa = _decode(text)
        return cls(user_id, email, anonymous_id, None if idfa is None else ExternalId(*idfa))


def tuples(ids: Collection[ExternalId], *, include_anonymous: bool) -> tuple[IdentityTuple, ...]:
    """The tuples of a profile with these ids, in order, `TUPLES_MOST` of them at most; none: nothing can be sent."""
    factors = _factors(ids, include_anonymous=include_anonymous)
    if not any(factors):
        return tuple(IdentityTuple(idfa=idfa) for idfa in islice(_devices(ids), TUPLES_MOST))
    # Of factors that are in order the product is in order, so that its beginning is made without the rest.
    choices: list[Sequence[str | None]] = [factor or _NONE for factor in factors]
    return tuple(
        IdentityTuple(user, email, anonymous) for user, email, anonymous in islice(product(*choices), TUPLES_MOST)
    )


def tuples_left_out(ids: Collection[ExternalId], *, include_anonymous: bool) -> int:
    """How many tuples there are beyond the bound."""
    factors = _factors(ids, include_anonymous=include_anonymous)
    count = prod(len(factor) for factor in factors if factor) if any(factors) else len(_devices(ids))
    return max(0, count - TUPLES_MOST)


def _factors(ids: Iterable[ExternalId], *, include_anonymous: bool) -> list[Sequence[str]]:
    """User ids, emails and anonymous ids, each sorted."""
    found: dict[str, set[str]] = {"user_id": set(), "email": set(), "anonymous_id": set()}
    for type_, id_ in ids:
        if type_ in found:
            found[type_].add(id_)
    anonymous = sorted(found["anonymous_id"]) if include_anonymous else []
    return [sorted(found["user_id"]), sorted(found["email"]), anonymous]


def _devices(ids: Iterable[ExternalId]) -> list[ExternalId]:
    return sorted({each for each in ids if each.type in DEVICE_TYPES})


_NONE: Sequence[None] = (None,)
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str | None, str | None, str | None, tuple[str, str] | None]).decode
