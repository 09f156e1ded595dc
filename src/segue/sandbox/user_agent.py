"""What a User-Agent header says of browser, system and device, for User.com's profile fields.

Rule: what cannot be told is None, never a word such as "Other", so that a profile field stays as it was.
Outside API: ua-parser with its built-in rules; only the first 1,000 characters are looked at.
"""

from __future__ import annotations

from itertools import takewhile

import ua_parser
from msgspec import Struct
from msgspec.structs import replace

USER_AGENT_CHARACTERS_MAX = 1_000

DESKTOP_SYSTEMS = frozenset(
    {"Windows", "Mac OS X", "Linux", "Ubuntu", "Debian", "Fedora", "Chrome OS", "FreeBSD", "OpenBSD"}
)
MOBILE_SYSTEMS = frozenset({"iOS", "Android", "Windows Phone", "Windows Mobile", "BlackBerry OS", "KaiOS"})


class Agent(Struct, frozen=True, kw_only=True):
    """The parts of a user agent. `device_type` is mobile, tablet, desktop or bot."""

    browser_family: str | None = None
    browser_version: str | None = None
    os: str | None = None
    device_name: str | None = None
    device_type: str | None = None


def parse_user_agent(text: str) -> Agent:
    """Browser, system and device named by a User-Agent header; a part that is not recognised is None."""
    text = text[:USER_AGENT_CHARACTERS_MAX]
    found = ua_parser.parse(text)
    browser, system, device = found.user_agent, found.os, found.device
    os_family = _known(system.family) if system else None
    device_name = _known(device.family) if device else None
    agent = Agent(device_name=device_name, device_type=_device_type(text, os_family, device_name))
    if browser and _known(browser.family):
        version = _version(browser.major, browser.minor, browser.patch)
        agent = replace(agent, browser_family=browser.family, browser_version=version)
    if system and os_family:
        version = _version(system.major, system.minor, system.patch)
        agent = replace(agent, os=f"{os_family} {version}" if version else os_family)
    return agent


def _known(family: str) -> str | None:
    return None if family in ("", "Other") else family


def _version(*numbers: str | None) -> str | None:
    return ".".join(number or "" for number in takewhile(bool, numbers)) or None


def _device_type(text: str, system: str | None, device: str | None) -> str | None:
    if device == "Spider":
        return "bot"
    if device == "iPad" or "Tablet" in text or (system == "Android" and "Mobile" not in text):
        return "tablet"
    if system in MOBILE_SYSTEMS:
        return "mobile"
    return "desktop" if system in DESKTOP_SYSTEMS else None
