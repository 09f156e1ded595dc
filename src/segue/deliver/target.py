"""The target of a request: which URLs may be requested, and which host and port they name.

Rule: what passes here is read in the same way by every URL library, so that the host which the address policy sees is
the one that libcurl asks for.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

import idna


class Target(NamedTuple):
    """A URL that may be requested: in ASCII, with its host (lower case, no brackets, no final dot) and port."""

    url: str
    host: str
    port: int


_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\\\[\]%]+)(?::(?P<port>[0-9]{1,5}))?(?P<rest>(?:[/?#].*)?)",
    re.IGNORECASE | re.DOTALL,
)
_ASCII_HOST = re.compile(r"[A-Za-z0-9._-]+")
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


def target(url: str) -> Target | None:
    """The URL's parts, None where it may not be requested: another scheme, credentials, a space or control character.

    Stricter than any URL library on purpose.
    """
    match = _URL.fullmatch(url)
    if match is None or any(character <= " " or character == "\x7f" for character in url):
        return None
    host, scheme, rest = match["host"], match["scheme"].lower(), match["rest"]
    if not host.startswith("[") and not _ASCII_HOST.fullmatch(host):
        try:
            host = idna.encode(host, uts46=True).decode("ascii")
        except idna.IDNAError:
            return None
    port = int(match["port"]) if match["port"] else (443 if scheme == "https" else 80)
    if not 0 < port < 65536:
        return None
    authority = host + (f":{match['port']}" if match["port"] else "")
    written = f"{scheme}://{authority}{quote(rest, safe=_PRINTABLE)}"
    return Target(written, host.strip("[]").lower().rstrip("."), port)
