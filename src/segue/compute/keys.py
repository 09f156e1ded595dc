"""The key of an audience or computed trait: the name of the user property that destinations receive.

Rule: a key is made from the name once, at creation; what is made is always a valid key, or nothing is.

Source: Segment says only "snake_cased"; the algorithm is PROPOSED.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

from segue.core.errors import Invalid

KEY_CHARACTERS_MOST = 255

RESERVED_TRAITS = frozenset(
    """
    address age avatar birthday company created_at description email employees first_name gender id industry last_name
    name phone plan title username website
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
"""What Segment's Spec reserves in identify and group: a computed value there would replace what the user is called."""

_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe", "ı": "i"})
"""Latin letters that Unicode does not decompose."""
_OTHERS = re.compile("[^0-9a-z]+")
_KEY = re.compile("[a-z0-9_]{1,255}")


def key_of(name: str) -> str:
    """The snake_cased key of a name. Raises Invalid where nothing of it is left or it is longer than a key may be."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", name).casefold())
    plain = "".join(character for character in folded if not unicodedata.category(character).startswith("M"))
    key = _OTHERS.sub("_", plain.translate(_LETTERS)).strip("_")
    if not key:
        raise Invalid(f"no key can be made from the name {name!r}: it has no Latin letter or digit; give a key")
    if len(key) > KEY_CHARACTERS_MOST:
        raise Invalid(f"the key of this name has {len(key)} characters, {KEY_CHARACTERS_MOST} at most; give a key")
    return key


def is_key(text: str) -> bool:
    """Whether a text may be a key: 1 to 255 of a-z, 0-9 and `_`."""
    return _KEY.fullmatch(text) is not None


def check_key(key: str, *, id_types: Collection[str] = ()) -> None:
    """Raise Invalid where the key is none, is a reserved trait, or is a type of external id of the space."""
    if not is_key(key):
        raise Invalid(f"{key!r} is no key: 1 to {KEY_CHARACTERS_MOST} of a-z, 0-9 and _")
    if key in RESERVED_TRAITS:
        raise Invalid(f"the key {key!r} is a trait that Segment's Spec reserves; give another key")
    if key in id_types:
        raise Invalid(f"the key {key!r} is a type of external id of this space; give another key")
