"""Which domains a User.com app takes calls from, pure.

Rule: with an empty list every domain is trusted; a call that names no domain (server, mobile) always passes.
That a call from elsewhere is answered with 403 is the vendor's; what is looked at is PROPOSED.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from segue.sandbox.names import members

DOMAINS_MAX = 1_000


def request_domain(event: Mapping[str, Any], headers: Mapping[str, str]) -> str | None:
    """The domain of a call: of `context.page.url`, else `Origin`, else `Referer`; None without one."""
    page_url = members(members(event, "context"), "page").get("url")
    for address in (page_url, headers.get("origin"), headers.get("referer")):
        domain = host(address) if isinstance(address, str) else None
        if domain is not None:
            return domain
    return None


def is_trusted(domain: str | None, trusted: Sequence[str]) -> bool:
    """Whether a call from this domain is taken: it is one of the trusted ones, or below one of them."""
    if domain is None or not trusted:
        return True
    return any(domain == one or domain.endswith("." + one) for one in trusted)


def host(address: str) -> str | None:
    """The host of an absolute address in its ASCII form; None where there is none."""
    try:
        name = (urlsplit(address.strip()).hostname or "").rstrip(".")
    except ValueError:
        return None
    try:
        return name.encode("idna").decode() or None
    except UnicodeError:
        return name


def checked_domains(given: object) -> list[str]:
    """A list of domains as they are compared; a domain may be given as an address. Raises ValueError."""
    if not isinstance(given, list) or len(given) > DOMAINS_MAX:
        raise ValueError(f"domains must be a list of at most {DOMAINS_MAX} texts")
    return list(dict.fromkeys(map(_checked_domain, given)))


def _checked_domain(given: object) -> str:
    domain = None
    if isinstance(given, str):
        domain = host(given if "://" in given else f"//{given.strip().removeprefix('*.')}")
    if domain is None:
        raise ValueError(f"{given!r} is no domain")
    return domain
