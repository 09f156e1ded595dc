"""One profile as people and scripts see it: what it is now, and which events made it so.

Rule: every id, link and merge is shown with the event that caused it; nothing is shown that no event said, but what the
space has computed of events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import Raw

from segue.control.profile_traits import kept_aside, shown_traits
from segue.core.clock import iso
from segue.core.errors import Invalid
from segue.core.profile import Cause, Collection, ExternalId, IdentityRules, Profile
from segue.resolve.graph import BLOCKED
from segue.resolve.identifiers import GROUP_ID, Identifiers
from segue.state.profile_rows import Change, Demotion
from segue.state.profiles import ProfileReader

LINKS_SHOWN = 100
"""The most links shown of one profile, and ids of a linked one."""

NUMBERS_AT_ONCE = 500


def named_profile(reader: ProfileReader, name: str, rules: IdentityRules) -> Profile:
    """The profile of `type:value`, or of its persistent id. Raises Invalid where there is none."""
    type_, colon, value = name.partition(":")
    if not colon:
        found = reader.by_segment_id(name)
        words = f"no profile is called {name!r}; name it by an id, as in user_id:u1"
    else:
        found = reader.find(collection_of(type_), ExternalId(type_, value))
        words = f"no profile has the {type_} {value!r}"
        if Identifiers(rules).blocks(value):
            words += "; the identity rules block this value"
    if found is None:
        raise Invalid(words, field="PROFILE")
    return found


def collection_of(type_: str) -> Collection:
    """Whom an id of this type names: accounts have no other than their group_id."""
    return "accounts" if type_ == GROUP_ID else "users"


def shown(reader: ProfileReader, profile: Profile) -> dict[str, Any]:
    """The profile as it is: the object of `segue profiles get --json`."""
    traits = sorted(shown_traits(reader, profile).items())
    found = {
        **_head(profile),
        "external_ids": _ids(profile),
        "traits": {name: Raw(trait.value.encode()) for name, trait in traits},
        "computed": {
            name: {"class": trait.kind, "since": iso(trait.at)} for name, trait in traits if trait.kind != "custom"
        },
        "links": _links(reader, profile),
        "metadata": {
            "created_at": iso(profile.first.received_at),
            "updated_at": iso(profile.last.received_at),
            "first_message_id": profile.first.message_id,
            "first_source_id": profile.first.source,
            "last_message_id": profile.last.message_id,
            "last_source_id": profile.last.source,
        },
    }
    if len(found["links"]) > LINKS_SHOWN:
        found["links"].pop()
        found["more_links"] = True
    if profile.traits_left_out:
        found["traits_left_out"] = profile.traits_left_out
    return found


def explained(reader: ProfileReader, profile: Profile) -> dict[str, Any]:
    """How the profile came to be what it is: the object of `segue profiles explain --json`."""
    demotions = reader.demotions_of(profile)
    segment_ids = _segment_ids(reader, profile, demotions)
    merges = [change for change in _history(reader, profile) if change.kind == "merged"]
    kept_off = [each for each in demotions if each.reason != BLOCKED]
    return {
        **_head(profile),
        "created": _event(profile.first),
        "external_ids": [{"type": each.type, "id": each.id, **_event(each.cause)} for each in profile.ids],
        "merges": [
            {
                "absorbed": segment_ids.get(change.other or 0),
                "into": segment_ids.get(change.profile),
                **_event(change.cause),
            }
            for change in merges
        ],
        "links": [
            {"profile": segment_id, **_event(cause)} for segment_id, cause in _linked(reader, profile, LINKS_SHOWN)
        ],
        "demoted": [
            {**_demotion(each), "reason": each.reason, "owner": segment_ids.get(each.owner or 0)} for each in kept_off
        ],
        "blocked": [_demotion(each) for each in demotions if each.reason == BLOCKED],
        "kept_aside": [{"trait": name, **_event(trait.cause)} for name, trait in kept_aside(reader, profile).items()],
    }


def _head(profile: Profile) -> dict[str, Any]:
    return {"profile": profile.segment_id, "collection": profile.collection}


def _ids(profile: Profile) -> list[dict[str, str]]:
    return [{"type": each.type, "id": each.id} for each in profile.ids]


def _event(cause: Cause) -> dict[str, str]:
    return {"received_at": iso(cause.received_at), "message_id": cause.message_id, "source": cause.source}


def _demotion(each: Demotion) -> dict[str, Any]:
    return {
        "type": each.type,
        "id": each.id,
        "count": each.count,
        "first": _event(each.first),
        "last": _event(each.last),
    }


def _links(reader: ProfileReader, profile: Profile) -> list[dict[str, Any]]:
    """Those to be shown, and one more where there are more."""
    if profile.collection == "users":
        numbers = [link.account for link in reader.accounts_of(profile.number, limit=LINKS_SHOWN + 1)]
    else:
        numbers = [link.user for link in reader.users_of(profile.number, limit=LINKS_SHOWN + 1)]
    return [
        {"profile": other.segment_id, "external_ids": _ids(other)[:LINKS_SHOWN]} for other in reader.profiles(numbers)
    ]


def _linked(reader: ProfileReader, profile: Profile, limit: int) -> Iterator[tuple[str | None, Cause]]:
    if profile.collection == "users":
        found = {link.account: link.cause for link in reader.accounts_of(profile.number, limit=limit)}
    else:
        found = {link.user: link.cause for link in reader.users_of(profile.number, limit=limit)}
    names = reader.segment_ids(list(found))
    yield from ((names.get(number), cause) for number, cause in found.items())


def _history(reader: ProfileReader, profile: Profile) -> Iterator[Change]:
    after = 0
    while page := reader.history(profile, after=after):
        yield from page
        after = page[-1].seq


def _segment_ids(reader: ProfileReader, profile: Profile, demotions: list[Demotion]) -> dict[int, str]:
    """The persistent ids of everyone that the history of a profile speaks of."""
    numbers = sorted({profile.number, *profile.absorbed, *(each.owner for each in demotions if each.owner)})
    found: dict[int, str] = {}
    for place in range(0, len(numbers), NUMBERS_AT_ONCE):
        found |= reader.segment_ids(numbers[place : place + NUMBERS_AT_ONCE])
    return found
