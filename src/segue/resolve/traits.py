"""The traits of a profile: what identify and group calls say of a user or an account, the latest of each name.

Rule: the value that stays is that of the greatest `Cause.order`, in whatever order events and merges come; null is a
value like any other.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Raw

from segue.core.canonical import canonical
from segue.core.profile import TRAITS_MAX, Cause, Profile, Trait


def set_traits(profile: Profile, given: Mapping[str, Raw], cause: Cause) -> tuple[str, ...]:
    """Put what an event says on the profile; gives the names whose value is another now."""
    traits = profile.traits
    order = cause.order
    changed = []
    for name, raw in given.items():
        old = traits.get(name)
        if old is None and len(traits) >= TRAITS_MAX:
            profile.traits_left_out += 1
            continue
        if old is not None and old.cause.order >= order:
            continue
        value = canonical(bytes(raw))
        traits[name] = Trait(value, cause)
        if old is None or old.value != value:
            changed.append(name)
    return tuple(changed)


def merge_traits(survivor: Profile, absorbed: Profile) -> None:
    """Put the traits of the absorbed profile on the survivor, where they are later or the only ones."""
    traits = survivor.traits
    survivor.traits_left_out += absorbed.traits_left_out
    for name, trait in absorbed.traits.items():
        old = traits.get(name)
        if old is None and len(traits) >= TRAITS_MAX:
            survivor.traits_left_out += 1
        elif old is None or old.cause.order < trait.cause.order:
            traits[name] = trait
