"""The traits of a profile as they hold: those that events have set, those that are computed, and its audiences.

Rule: a computed key owns its name: what sources send under it is kept aside and used nowhere. The last value of one
that was deleted stays, as if an event had set it at that time.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from segue.core.profile import Profile, Trait
from segue.state.computed_rows import Held
from segue.state.profiles import ProfileReader

Kind = Literal["custom", "audience", "computed_trait"]


class ShownTrait(NamedTuple):
    """One trait. `value` is canonical JSON text; `at` is when it came to be so, in ms since 1970; `source` is the slug
    of the source that said it, None where the space itself did.
    """

    value: str
    kind: Kind
    at: int
    source: str | None


def shown_traits(reader: ProfileReader, profile: Profile) -> dict[str, ShownTrait]:
    """Every trait by name, in no order."""
    found = {
        name: ShownTrait(trait.value, "custom", trait.cause.t, trait.cause.source)
        for name, trait in profile.traits.items()
    }
    for held in _held(reader, profile):
        if held.deleted:
            if held.value is not None and (held.key not in found or found[held.key].at < held.since):
                found[held.key] = ShownTrait(held.value, "custom", held.since, None)
        elif held.value is not None:
            found[held.key] = ShownTrait(held.value, held.kind, held.since, None)
        else:
            found.pop(held.key, None)
    return found


def kept_aside(reader: ProfileReader, profile: Profile) -> dict[str, Trait]:
    """What sources have set under names that computed traits and audiences own, by name."""
    owned = {held.key for held in _held(reader, profile) if not held.deleted}
    return {name: trait for name, trait in sorted(profile.traits.items()) if name in owned}


def _held(reader: ProfileReader, profile: Profile) -> list[Held]:
    """Accounts have neither computed traits nor audiences, and what a source sends of them owns its name."""
    return reader.held(profile.number) if profile.collection == "users" else []
