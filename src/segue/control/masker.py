"""Masking of secrets by value, before a request, an answer or a line is stored.

Rule: what comes out holds no secret in any of the forms that it takes on the wire: raw, escaped in JSON or a
URL, or as the user of `Authorization: Basic`; text that holds none comes out as it went in, at once.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

MASK = "***"

SHORTEST = 4
"""A shorter secret is masked only inside `base64(secret:)`: by value it would blot out ordinary words."""

_SCHEME = re.compile(r"(?:basic|bearer|token|apikey) +(\S+)", re.IGNORECASE)
"""A header's value of which only the second word is the secret: it may come back without the first."""

_PERCENT = re.compile(r"%[0-9A-F]{2}")


class Masker:
    """Masks a fixed set of secrets in texts and bytes. Safe to use from any thread."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {each for secret in secrets for each in _with_credential(secret) if each}
        forms = sorted({form for secret in known for form in _forms(secret)}, key=len, reverse=True)
        # Whatever holds a long form also holds the short one inside it: only those are looked for at first.
        probes = [form for form in forms if not any(short in form for short in forms if short != form)]
        self._text_probes = tuple(probes)
        self._byte_probes = tuple(_encoded(probe) for probe in probes)
        # Longest first: the alternation takes the first that fits.
        self._text_pattern = re.compile("|".join(re.escape(form) for form in forms))
        self._byte_pattern = re.compile(b"|".join(re.escape(_encoded(form)) for form in forms))

    def __repr__(self) -> str:
        return f"Masker({len(self._text_probes)} forms)"

    def mask(self, body: bytes, extra: Iterable[str] = ()) -> bytes:
        """`body` without the secrets and without the `extra` values of this one call, such as a signature."""
        for probe in self._byte_probes:
            if probe in body:
                body = self._byte_pattern.sub(MASK.encode(), body)
                break
        for value in extra:
            if value:
                body = body.replace(_encoded(value), MASK.encode())
        return body

    def mask_text(self, text: str, extra: Iterable[str] = ()) -> str:
        """The same for a text."""
        for probe in self._text_probes:
            if probe in text:
                text = self._text_pattern.sub(MASK, text)
                break
        for value in extra:
            if value:
                text = text.replace(value, MASK)
        return text


def _with_credential(secret: str) -> tuple[str, ...]:
    found = _SCHEME.fullmatch(secret)
    return (secret, found[1]) if found else (secret,)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _forms(secret: str) -> set[str]:
    basic = _encoded(secret + ":")
    forms = {b64encode(basic).decode(), urlsafe_b64encode(basic).decode()}
    if len(secret) >= SHORTEST:
        plain = _encoded(secret)
        forms |= {b64encode(plain).decode(), urlsafe_b64encode(plain).decode()}
        forms |= {form.rstrip("=") for form in forms}
        forms |= {secret, secret.replace("/", "\\/")}
        forms |= {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (False, True)}
        escaped = {quote(plain, safe=""), quote(plain), quote_plus(plain)}
        forms |= escaped | {_PERCENT.sub(lambda found: found[0].lower(), form) for form in escaped}
    return forms
