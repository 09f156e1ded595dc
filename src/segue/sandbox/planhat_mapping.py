"""Which part of a Segment event becomes what at Planhat, pure (vendors.md 2c).

Rule: what an event does not say, or says with null or blank text, is not in what is returned here; so nothing that a
tenant holds is ever blanked. Where no document of Planhat names a path, it is PROPOSED: our own contract.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from segue.sandbox.names import folded, look_up, members, nested, spelled, text_id

Fields = dict[str, Any]

SOURCE = "Segment"
"""What every record that a call makes has as its source (Segment's page on Planhat)."""

CONTACT_TRAITS = ("name", "title", "email", "id", "company_id", "first_name", "last_name")


class Person(Struct, frozen=True, kw_only=True):
    """Whom a call is about, as far as it says. The e-mail address is trimmed, its case as sent."""

    user_id: str | None
    email: str | None

    @property
    def known(self) -> bool:
        """Whether there is anything to find a contact by; an anonymousId is not."""
        return self.user_id is not None or self.email is not None


def text_of(value: Any) -> str | None:
    """A text that is not blank, trimmed, or a number as text; of anything else, None."""
    if isinstance(value, str):
        return value.strip() or None
    return text_id({"value": value}, "value")


def is_number(value: Any) -> bool:
    """Whether it is a JSON number; a truth value is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def person(event: Fields) -> Person:
    """The user id of the top level, for an identify also `traits.id`; the e-mail address of the traits.

    `context.traits` stand in where the call itself has no address (PROPOSED): the browser library puts them there.
    """
    traits = members(event, "traits")
    user_id = text_id(event, "userId", "user_id")
    if user_id is None and event.get("type") == "identify":
        user_id = text_id(traits, "id")
    email = text_of(look_up(traits, "email")) or text_of(nested(event, "context", "traits", "email"))
    return Person(user_id=user_id, email=email)


def email_key(address: str) -> str:
    """What two spellings of one address share (PROPOSED): trimmed, case folded."""
    return address.strip().casefold()


def email_domain(address: str) -> str | None:
    """What stands behind the last `@`, folded; None where that is nothing."""
    return email_key(address).rpartition("@")[2] or None if "@" in address else None


def company_key(event: Fields) -> str | None:
    """The external id of the company that an identify, track or page speaks of."""
    for traits in (members(event, "traits"), members(members(event, "context"), "traits")):
        found = text_id(traits, "companyId", "company_id") or text_id(members(traits, "company"), "id")
        if found:
            return found
    return text_id(members(event, "context"), "group_id")


def contact_fields(event: Fields) -> dict[str, str]:
    """The standard fields that an identify sets. `title` is mirrored to `position`, the API's word (PROPOSED)."""
    traits = members(event, "traits")
    title = text_of(look_up(traits, "title"))
    fields = {
        "name": text_of(look_up(traits, "name")),
        "firstName": text_of(look_up(traits, "first_name")),
        "lastName": text_of(look_up(traits, "last_name")),
        "title": title,
        "position": title,
        "email": text_of(look_up(traits, "email")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def contact_custom(event: Fields) -> Fields:
    """The traits of an identify that have no field of their own, as custom fields."""
    traits = members(event, "traits")
    return dict(_scalars(_without(traits, CONTACT_TRAITS)))


def _without(traits: Fields, names: tuple[str, ...]) -> Fields:
    taken = {folded(name) for name in names}
    others = {key: value for key, value in traits.items() if folded(key) not in taken}
    company = spelled(others, "company")
    if company is not None and isinstance(others[company], dict):
        others[company] = {key: value for key, value in others[company].items() if folded(key) != "id"}
    return others


def _scalars(fields: Fields) -> Iterator[tuple[str, Any]]:
    """Text, numbers and truth values, those of nested objects under `outer.inner`.

    Custom fields are one level of dates, texts, truth values and numbers (Planhat's API); lists have no place in it.
    """
    waiting = [(key, value) for key, value in reversed(fields.items())]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend((f"{path}.{key}", inner) for key, inner in reversed(value.items()))
        elif isinstance(value, bool | int | float) or (isinstance(value, str) and value.strip()):
            yield path, value


def page_action(event: Fields) -> str:
    """What a page call is called among the activities: the words of Planhat's own tracker (the use is PROPOSED)."""
    name = text_of(event.get("name")) or text_of(nested(event, "properties", "name"))
    if name:
        return f"Viewed {name} Page"
    path = text_of(nested(event, "properties", "path"))
    return f"Viewed Page '{path}'" if path else "Viewed a Page"


def weight(event: Fields) -> Any:
    """`properties.weight` where it is a number, else 1, Planhat's default."""
    value = nested(event, "properties", "weight")
    return value if is_number(value) else 1


def metrics(event: Fields) -> Fields:
    """The numbers among a group's traits, by dimension id: letters and digits only, as Planhat asks."""
    found = {_dimension(key): value for key, value in _group_scalars(event) if is_number(value)}
    return {dimension: value for dimension, value in found.items() if dimension}


def company_custom(event: Fields) -> Fields:
    """A group's traits that are no numbers, as custom fields of the company; but not its name."""
    return {
        key: value
        for key, value in _group_scalars(event)
        if folded(key) != "name" and not (is_number(value) and _dimension(key))
    }


def _group_scalars(event: Fields) -> Iterator[tuple[str, Any]]:
    return _scalars(members(event, "traits"))


_NO_DIMENSION = re.compile(r"[^A-Za-z0-9]+")


def _dimension(key: str) -> str:
    return _NO_DIMENSION.sub("", key)
