"""Spaces: what may be stored, and which one is meant.

Rule: identity rules are stored only when every event can be resolved by them: their types are names, their limits
numbers, their patterns quick for every text.
"""

from __future__ import annotations

import re

from segue.control.patterns import check_pattern
from segue.control.slugs import check_name, check_slug
from segue.control.suggestion import did_you_mean
from segue.core.errors import Invalid
from segue.core.profile import IDS_MAX, PERIOD_MS, IdentifierRule, IdentityRules
from segue.state.control import Control
from segue.state.spaces import SpaceRow

SPACES_MAX = 100
IDENTIFIERS_MAX = 100
KEYS_MAX = 20
KEY_LENGTH_MAX = 100
BLOCKED_MAX = 1_000
BLOCKED_LENGTH_MAX = 500
"""As long as an id may be."""

TYPE_PATTERN = "^[a-z][a-z0-9_.]{0,99}$"
_TYPE = re.compile(TYPE_PATTERN.strip("^$"))


def check_space(row: SpaceRow, field: str = "") -> None:
    """Raises Invalid where the row cannot be a space, whatever else is stored."""
    prefix = f"{field}." if field else ""
    check_slug(row.slug, f"{prefix}slug")
    check_name(row.name, f"{prefix}name")
    for place, source in enumerate(row.sources):
        if source in row.sources[:place]:
            raise Invalid("this source stands here twice", field=f"{prefix}sources[{place}]")
    check_identity(row.identity, f"{prefix}identity")


def check_identity(rules: IdentityRules, field: str = "identity") -> None:
    """Raises Invalid where events cannot be resolved by these rules."""
    if not 1 <= len(rules.identifiers) <= IDENTIFIERS_MAX:
        raise Invalid(f"there must be from 1 to {IDENTIFIERS_MAX} identifiers", field=f"{field}.identifiers")
    types: set[str] = set()
    for place, rule in enumerate(rules.identifiers):
        at = f"{field}.identifiers[{place}]"
        _check_rule(rule, at)
        if rule.type in types:
            raise Invalid(f"another identifier has the type {rule.type!r}", field=f"{at}.type")
        types.add(rule.type)
    if len(rules.blocked) > BLOCKED_MAX:
        raise Invalid(f"there are at most {BLOCKED_MAX} blocked values", field=f"{field}.blocked")
    for place, value in enumerate(rules.blocked):
        _check_blocked(value, f"{field}.blocked[{place}]")


def find_space(control: Control, slug: str | None) -> SpaceRow:
    """The space of this slug, or the only one. Raises Invalid, with a suggestion, where there is none, or several."""
    known = [space.slug for space in control.spaces]
    if slug is None:
        if len(known) == 1:
            return control.spaces[0]
        if known:
            raise Invalid(f"there are several spaces; choose one of: {', '.join(known)}", field="space")
        raise Invalid("there is no space; a workspace file defines them under `spaces`", field="space")
    row = control.space(slug)
    if row is None:
        raise Invalid(f"there is no space {slug!r}{did_you_mean(slug, known)}", field="space")
    return row


def _check_rule(rule: IdentifierRule, field: str) -> None:
    if not _TYPE.fullmatch(rule.type):
        raise Invalid(
            "a type has 1 to 100 characters a-z, 0-9, _ and ., and begins with a letter", field=f"{field}.type"
        )
    if not 1 <= rule.limit <= IDS_MAX:
        raise Invalid(f"must be from 1 to {IDS_MAX}", field=f"{field}.limit")
    if rule.per not in PERIOD_MS:
        raise Invalid(f"must be one of: {', '.join(PERIOD_MS)}", field=f"{field}.per")
    if len(rule.keys) > KEYS_MAX:
        raise Invalid(f"an identifier has at most {KEYS_MAX} keys", field=f"{field}.keys")
    if rule.keys and rule.type == "group_id":
        raise Invalid("an account is named by the groupId of a group call alone", field=f"{field}.keys")
    for place, key in enumerate(rule.keys):
        if not key.strip() or len(key) > KEY_LENGTH_MAX or not key.isprintable():
            raise Invalid(f"a key has 1 to {KEY_LENGTH_MAX} printable characters", field=f"{field}.keys[{place}]")


def _check_blocked(value: str, field: str) -> None:
    if len(value) > 2 and value.startswith("/") and value.endswith("/"):
        check_pattern(value[1:-1], field)
    elif not 1 <= len(value) <= BLOCKED_LENGTH_MAX:
        raise Invalid(f"a blocked value has 1 to {BLOCKED_LENGTH_MAX} characters", field=field)
