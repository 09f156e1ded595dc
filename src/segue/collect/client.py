"""Where a request came from: the client's address and scheme, through proxies only as far as they are trusted.

Rule: a header that anybody can write is read only from a peer in `trusted`; only IPv4 is told, as Segment does.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

Headers = Sequence[tuple[bytes, bytes]]
Networks = tuple[IPv4Network | IPv6Network, ...]

_HOPS_MOST = 32


def client_ip(peer: str | None, headers: Headers, trusted: Networks) -> str | None:
    """The IPv4 address of the client, None where it has none.

    Of `X-Forwarded-For`, each proxy adds the address it saw at the end; so the last one that is not a trusted
    proxy's is the client's.
    """
    client = peer
    if trusted and _is_trusted(_address(peer), trusted):
        for client in reversed(_forwarded_for(headers)):
            if not _is_trusted(_address(client), trusted):
                break
    return _ipv4(client) if client and len(client) <= _TEXT_MOST else None


def client_scheme(peer: str | None, scheme: str, headers: Headers, trusted: Networks) -> str:
    """`http` or `https`, as the client speaks it to us or to a trusted proxy."""
    if trusted and _is_trusted(_address(peer), trusted):
        for name, value in headers:
            if name == b"x-forwarded-proto":
                return "https" if value.strip().lower() == b"https" else "http"
    return "https" if scheme == "https" else "http"


def peer_of(scope: Any) -> str | None:
    """The address of the connection's other end, as ASGI gives it."""
    client = scope.get("client")
    return client[0] if client else None


def _forwarded_for(headers: Headers) -> list[str]:
    joined = b",".join(value for name, value in headers if name == b"x-forwarded-for")
    return [hop.strip() for hop in joined.decode("latin-1").split(",")][-_HOPS_MOST:] if joined else []


_TEXT_MOST = 64


def _address(text: str | None) -> IPv4Address | IPv6Address | None:
    return _read_address(text) if text and len(text) <= _TEXT_MOST else None


@lru_cache(maxsize=4096)
def _read_address(text: str) -> IPv4Address | IPv6Address | None:
    host = text
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


@lru_cache(maxsize=4096)
def _ipv4(text: str) -> str | None:
    address = _read_address(text)
    return str(address) if isinstance(address, IPv4Address) else None


@lru_cache(maxsize=4096)
def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Networks) -> bool:
    return address is not None and any(address in network for network in trusted)
