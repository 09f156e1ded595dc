"""Which part of a Segment event becomes which field at User.com, pure.

Rule: a mapping only names the fields an event speaks of; a field that it does not name keeps its value.
The fields are the vendor's; the paths into `context` and the columns of a page view are PROPOSED.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from segue.core.clock import from_iso, iso
from segue.sandbox.names import folded, look_up, members
from segue.sandbox.user_agent import parse_user_agent

NAME_CHARACTERS_MAX = 40
"""The vendor's limit on first and last names; a longer one is cut (the cut is PROPOSED)."""

SCREEN_SIDE_MAX = 1_000_000

_COUNTED = frozenset({"page_views", "first_seen", "last_seen", "created_at", "updated_at"})
PROTECTED = _COUNTED | {"id", "user_key", "custom_id", "anonymous_id", "companies", "key_id"}
"""Fields that no trait may write (PROPOSED): ids, counters, times and the links to companies."""

GENDERS = {
    **dict.fromkeys(("m", "male", "2"), "male"),
    **dict.fromkeys(("f", "female", "3"), "female"),
    **dict.fromkeys(("u", "unknown", "1"), "unknown"),
}

_USER_TRAITS = ("email", "first_name", "last_name", "phone", "gender", "address")
_ADDRESS_PARTS = (("street",), ("city",), ("state", "region"), ("postal_code",), ("country",))
_COMPANY_TRAITS = ("name", "description", "email", "phone", "employees", "address")


def text_of(value: Any) -> str | None:
    """A text or a number as text; of anything else and of an empty text, None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(getattr(value, "text", value))
    return None


def others(fields: dict[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    """The members of `fields` that are none of the `known` names in any spelling."""
    taken = {folded(name) for name in known}
    return {key: value for key, value in fields.items() if folded(key) not in taken}


def event_time_ms(event: dict[str, Any], *, otherwise: int) -> int:
    """`timestamp` in milliseconds since 1970; `otherwise` where it is absent or no instant."""
    given = look_up(event, "timestamp")
    try:
        time_ms = from_iso(given) if isinstance(given, str) else otherwise
        iso(time_ms)
    except (ValueError, OverflowError, OSError):
        return otherwise  # also an instant that no calendar of ours can write, such as one after the year 9999
    return time_ms


def profile_fields(event: dict[str, Any]) -> dict[str, Any]:
    """The standard fields that an identify sets on a user: from traits, then from context."""
    traits = members(event, "traits")
    fields = {
        "email": text_of(look_up(traits, "email")),
        "first_name": _cut(text_of(look_up(traits, "first_name"))),
        "last_name": _cut(text_of(look_up(traits, "last_name"))),
        "phone_number": text_of(look_up(traits, "phone")),
        "gender": GENDERS.get((text_of(look_up(traits, "gender")) or "").strip().lower()),
        **_place(look_up(traits, "address")),
        **_context_fields(members(event, "context")),
    }
    return {name: value for name, value in fields.items() if value is not None}


def custom_traits(event: dict[str, Any]) -> dict[str, Any]:
    """The traits of an identify that become custom attributes: all that have no standard field."""
    return others(members(event, "traits"), _USER_TRAITS)


def _cut(name: str | None) -> str | None:
    return name and name[:NAME_CHARACTERS_MAX]


def _place(address: Any) -> dict[str, str | None]:
    parts = address if isinstance(address, dict) else {}
    return {
        "country": text_of(look_up(parts, "country")),
        "region": text_of(look_up(parts, "region", "state")),
        "city": text_of(look_up(parts, "city")),
    }


def _context_fields(context: dict[str, Any]) -> dict[str, str | None]:
    user_agent = text_of(look_up(context, "user_agent"))
    agent = parse_user_agent(user_agent or "")
    device = members(context, "device")
    return {
        "user_agent": user_agent,
        "os": _system(members(context, "os")) or agent.os,
        "device_name": text_of(look_up(device, "name", "model")) or agent.device_name,
        "device_type": text_of(look_up(device, "type")) or agent.device_type,
        "language": text_of(look_up(context, "locale")),
        "resolution": _resolution(members(context, "screen")),
        "ip_address": text_of(look_up(context, "ip")),
        "browser_family": agent.browser_family,
        "browser_version": agent.browser_version,
        "timezone": text_of(look_up(context, "timezone")),
        "current_url": text_of(members(context, "page").get("url")),
    }


def _system(system: dict[str, Any]) -> str | None:
    name, version = text_of(look_up(system, "name")), text_of(look_up(system, "version"))
    return f"{name} {version}" if name and version else name


def _resolution(screen: dict[str, Any]) -> str | None:
    sides = (look_up(screen, "width"), look_up(screen, "height"))
    if not all(isinstance(side, int | float) and 1 < side < SCREEN_SIDE_MAX for side in sides):
        return None
    return "x".join(f"{side:.0f}" for side in sides)


def event_properties(event: dict[str, Any]) -> dict[str, Any]:
    """The properties of a track."""
    return members(event, "properties")


def page_view(event: dict[str, Any]) -> dict[str, Any]:
    """The columns of a page view: from properties, else from `context.page`."""
    properties = members(event, "properties")
    page = members(members(event, "context"), "page")
    columns: dict[str, Any] = {
        name: text_of(look_up(properties, name)) or text_of(look_up(page, name))
        for name in ("url", "path", "title", "referrer")
    }
    if columns["path"] is None and columns["url"] is not None:
        columns["path"] = _path(columns["url"])
    columns["name"] = text_of(look_up(event, "name")) or text_of(look_up(properties, "name"))
    return columns


def _path(url: str) -> str | None:
    try:
        return urlsplit(url).path or "/"
    except ValueError:
        return None


def company_fields(event: dict[str, Any]) -> dict[str, Any]:
    """The standard fields that a group sets on a company, all but `employees`, which wants conversion."""
    traits = members(event, "traits")
    address = look_up(traits, "address")
    fields = {
        "name": text_of(look_up(traits, "name")),
        "description": text_of(look_up(traits, "description")),
        "email": text_of(look_up(traits, "email")),
        "phone_numbers": text_of(look_up(traits, "phone")),
        "address": _one_line(address) if isinstance(address, dict) else text_of(address),
        **_place(address),
    }
    return {name: value for name, value in fields.items() if value is not None}


def employees(event: dict[str, Any]) -> Any:
    """The trait `employees` of a group as it was sent."""
    return look_up(members(event, "traits"), "employees")


def company_traits(event: dict[str, Any]) -> dict[str, Any]:
    """The traits of a group that become custom attributes of the company."""
    return others(members(event, "traits"), _COMPANY_TRAITS)


def _one_line(address: dict[str, Any]) -> str | None:
    parts = (look_up(address, *names) for names in _ADDRESS_PARTS)
    return ", ".join(filter(None, map(text_of, parts))) or None
