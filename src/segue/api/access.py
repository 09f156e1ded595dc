"""Who may read the profiles of a space: whoever shows a token of that very space.

Tokens are random, so that they are looked up by their hash: neither the time it takes nor the answer tells more than
that this one is not right.

Rule: a space that does not exist, a token of another space and one that was revoked are answered alike.
"""

from __future__ import annotations

import binascii

from segue.api.problem import Problem
from segue.control.space_tokens import token_hash
from segue.state.control import Control
from segue.state.spaces import SpaceRow

_HEADER_MOST = 512


class Access:
    """The spaces and their tokens, at one moment."""

    def __init__(self, control: Control) -> None:
        self.spaces = {row.slug: row for row in control.spaces}
        self._space_of = {row.hash: row.space for row in control.space_tokens}

    def check(self, slug: str, authorization: str | None) -> SpaceRow:
        """The space of this slug. Raises Problem 401 where the header holds no token of it."""
        if authorization is None:
            raise Problem("authentication_error", "The request has no access token of a space.")
        token = token_of(authorization)
        space = self.spaces.get(slug)
        if token is None or space is None or self._space_of.get(token_hash(token)) != space.id:
            raise Problem("authentication_error", "The access token is not one of this space.")
        return space


def token_of(authorization: str) -> str | None:
    """The token of an `Authorization` header: the user name of `Basic`, the whole of `Bearer`. None for any other."""
    if len(authorization) > _HEADER_MOST:
        return None
    scheme, _, value = authorization.strip().partition(" ")
    if scheme.lower() == "bearer":
        return value.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        return binascii.a2b_base64(value.strip()).partition(b":")[0].decode() or None
    except ValueError:
        return None
