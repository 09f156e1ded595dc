"""The address policy: to which addresses Segue may open a connection.

Rule: only global addresses, except exactly the sandboxes of this instance and what the operator allows by name;
never Segue's own collector, whoever allows it. Decided on the final address, so that DNS cannot get around it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from msgspec import Struct

from segue.core.errors import Invalid

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""The well-known prefix of RFC 6052: the last 32 bits are the IPv4 address that a translator connects to."""
V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
"""The deprecated form of RFC 4291, `::a.b.c.d`; it also holds `::` and `::1`, which stand for themselves."""
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
"""All that IANA has given out of IPv6; `ipaddress` calls more than this global, such as the old site-local block."""
SHARED = ipaddress.IPv4Network("100.64.0.0/10")
"""Carrier-grade NAT and many clusters (RFC 6598): neither private nor global to `ipaddress`."""
LOOPBACKS = (ipaddress.IPv4Address("127.0.0.1"), ipaddress.IPv6Address("::1"))


class AddressPolicy(Struct, frozen=True, kw_only=True):
    """What may be connected to besides global addresses, and what never. Made by `address_policy`."""

    networks: tuple[IPNetwork, ...] = ()
    """Allowed on every port."""
    endpoints: frozenset[tuple[IPAddress, int]] = frozenset()
    """Allowed on one port: this instance's sandboxes, and the operator's `address:port`."""
    names: frozenset[tuple[str, int]] = frozenset()
    """Allowed where the URL says this host and port; the address may then be private or loopback."""
    collectors: frozenset[tuple[IPAddress, int]] = frozenset()
    """Where Segue itself listens; the unspecified address stands for every address of this machine."""

    def serves(self, port: int) -> bool:
        """Whether Segue itself listens on `port`, on whatever address."""
        return any(port == own_port for _, own_port in self.collectors)


def address_policy(
    *,
    allow_internal: str = "",
    sandboxes: Iterable[tuple[str, int]] = (),
    collectors: Iterable[tuple[str, int]] = (),
) -> AddressPolicy:
    """The policy of an instance.

    `allow_internal` is the text of SEGUE_ALLOW_INTERNAL: `host:port`, IP address, `address:port` or CIDR, parted by
    commas or spaces. `sandboxes` and `collectors` are (host, port) pairs with an address or `localhost` as host.
    Raises `Invalid` naming the entry.
    """
    networks: list[IPNetwork] = []
    endpoints = {(address, port) for host, port in sandboxes for address in _listening(host)}
    names: set[tuple[str, int]] = set()
    for entry in re.split(r"[\s,]+", allow_internal.strip(", \t\r\n")):
        if not entry:
            continue
        network = _network(entry)
        if network is not None:
            networks.append(network)
            continue
        host, port = _host_and_port(entry)
        address = _address(host)
        if address is None:
            names.add((host, port))
        else:
            endpoints.add((address, port))
    return AddressPolicy(
        networks=tuple(networks),
        endpoints=frozenset(endpoints),
        names=frozenset(names),
        collectors=frozenset((address, port) for host, port in collectors for address in _listening(host)),
    )


def may_connect(address: str, port: int, policy: AddressPolicy, *, host: str = "", own_address: bool = False) -> bool:
    """Whether a connection to this final address may be opened.

    `host` is the URL's host, for what is allowed by name. `own_address` says that `address` is one of this machine's,
    which only the caller can know; it matters where `policy.serves(port)`.
    """
    parsed = _address(address)
    if parsed is None or parsed.is_unspecified or parsed.is_multicast:
        return False
    ends = final_addresses(parsed)
    if any(_is_collector(end, port, policy, own_address) for end in (parsed, *ends)):
        return False
    if (parsed, port) in policy.endpoints or _within(parsed, policy.networks):
        return True
    named = (host.lower().rstrip("."), port) in policy.names
    return all(_end_allowed(end, port, policy, named) for end in ends)


def final_addresses(address: IPAddress) -> tuple[IPAddress, ...]:
    """The addresses at which a packet to `address` may end: those embedded in it, or itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    low = int(address) & 0xFFFFFFFF
    if address in NAT64 or (address in V4_COMPATIBLE and low > 1):
        return (ipaddress.IPv4Address(low),)
    return (address,)


def _end_allowed(end: IPAddress, port: int, policy: AddressPolicy, named: bool) -> bool:
    if end.is_unspecified or end.is_multicast:
        return False
    if (end, port) in policy.endpoints or _within(end, policy.networks):
        return True
    if end.is_link_local:
        # A cloud's metadata service lives here: a name, which DNS may point anywhere, does not open it.
        return False
    if end.is_global and not end.is_reserved and (end.version == 4 or end in GLOBAL_UNICAST):
        return True
    return named and (end.is_private or end.is_loopback or _within(end, (SHARED,)))


def _is_collector(end: IPAddress, port: int, policy: AddressPolicy, own_address: bool) -> bool:
    for address, own_port in policy.collectors:
        if port != own_port:
            continue
        if end == address or (address.is_unspecified and (own_address or end.is_loopback)):
            return True
    return False


def _within(address: IPAddress, networks: Iterable[IPNetwork]) -> bool:
    return any(address in network for network in networks)


def _address(text: str) -> IPAddress | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(entry: str) -> IPNetwork | None:
    """The entry as a network, None where it is `host:port`. Raises `Invalid` for a CIDR with host bits."""
    try:
        return ipaddress.ip_network(entry)
    except ValueError as error:
        if "/" in entry:
            raise Invalid(f"{entry}: {error}", field="SEGUE_ALLOW_INTERNAL") from None
        return None


def _host_and_port(entry: str) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})", entry)
    if match is None or not 0 < int(match[2]) < 65536:
        wanted = "host:port, an IP address, address:port or a CIDR such as 10.0.0.0/8"
        raise Invalid(f"{entry!r} is none of {wanted}", field="SEGUE_ALLOW_INTERNAL")
    return match[1].strip("[]").lower().rstrip("."), int(match[2])


def _listening(host: str) -> tuple[IPAddress, ...]:
    """The addresses of a host that Segue itself listens on. Raises `Invalid` where it is no address."""
    if host.lower() == "localhost":
        return LOOPBACKS
    address = _address(host.strip("[]"))
    if address is None:
        raise Invalid(f"{host!r} is not an IP address; a listening address is given as one", field="host")
    return (address,)
