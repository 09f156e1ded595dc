"""Tokens of a space: what may read its profiles by the Profile API.

A token is 32 random bytes, so nobody can guess one from its hash: a slow hash, which is for what people choose, would
only make each request slow.

Rule: a token is shown once, when it is made; after that only its SHA-256 and its last four characters are known.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from itertools import count

from segue.control.slugs import check_name
from segue.control.spaces import find_space
from segue.core.errors import Invalid
from segue.state.control import Control, ControlStore
from segue.state.spaces import SpaceTokenRow

PREFIX = "segue_pt_"
"""What every token begins with, so that whoever searches for secrets that got out can find it."""

RANDOM_BYTES = 32
TOKENS_MAX = 100


def create(store: ControlStore, space: str | None, name: str | None) -> tuple[str, SpaceTokenRow]:
    """Make a token of a space; the text is not to be had again.

    None is the only space, and the first free name of `token-1`, `token-2`... Raises Invalid where there is no such
    space or it has a token of this name already.
    """
    if name is not None:
        check_name(name, "name")
    token = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    with store.change() as change:
        control = change.control()
        row = find_space(control, space)
        held = {each.name for each in tokens_of(control, row.id)}
        if name is None:
            name = next(each for each in map("token-{}".format, count(1)) if each not in held)
        if name in held:
            raise Invalid(f"the space {row.slug!r} has a token {name!r} already", field="name")
        if len(held) >= TOKENS_MAX:
            raise Invalid(f"a space has at most {TOKENS_MAX} tokens", field="space")
        return token, change.add_token(
            SpaceTokenRow(space=row.id, name=name, hash=token_hash(token), last_four=token[-4:])
        )


def revoke(store: ControlStore, space: str | None, name: str) -> SpaceTokenRow:
    """Take a token back, by its name or by itself. Raises Invalid where the space has no such one."""
    with store.change() as change:
        control = change.control()
        row = find_space(control, space)
        digest = token_hash(name)
        found = next((each for each in tokens_of(control, row.id) if each.name == name or each.hash == digest), None)
        if found is None:
            shown = f"this token, which begins with {PREFIX}" if name.startswith(PREFIX) else f"a token {name!r}"
            raise Invalid(f"the space {row.slug!r} does not have {shown}", field="name")
        change.revoke_token(found.id)
        return found


def tokens_of(control: Control, space: int) -> list[SpaceTokenRow]:
    """The tokens of a space, the oldest first."""
    return [row for row in control.space_tokens if row.space == space]


def token_hash(token: str) -> str:
    """What is stored of a token, and looked up when one is given."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
