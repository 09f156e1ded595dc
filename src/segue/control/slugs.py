"""Slugs and names: what the things of a workspace may be called.

Rule: a slug is safe in a URL, a file name, a metric's label and a terminal.
"""

from __future__ import annotations

import re

from segue.core.errors import Invalid

SLUG_PATTERN = "^[a-z0-9][a-z0-9_-]{0,63}$"
WRITE_KEY_PATTERN = "^[A-Za-z0-9._~-]{1,128}$"
NAME_MAX = 200

_SLUG = re.compile(SLUG_PATTERN.strip("^$"))
_WRITE_KEY = re.compile(WRITE_KEY_PATTERN.strip("^$"))


def check_slug(slug: str, field: str) -> None:
    """Raises Invalid where the text cannot be a slug."""
    if not _SLUG.fullmatch(slug):
        raise Invalid("a slug has 1 to 64 characters a-z, 0-9, - and _, and begins with a letter or digit", field=field)


def check_write_key(key: str, field: str) -> None:
    """Raises Invalid where the text cannot be a write key: it goes into paths and into `user:password`."""
    if not _WRITE_KEY.fullmatch(key):
        raise Invalid("a write key has 1 to 128 characters A-Z, a-z, 0-9, . _ ~ and -", field=field)


def check_name(name: str, field: str) -> None:
    """Raises Invalid where the text cannot be shown as a name."""
    if not name.strip() or len(name) > NAME_MAX or not name.isprintable():
        raise Invalid(f"a name has 1 to {NAME_MAX} printable characters", field=field)
