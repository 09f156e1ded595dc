"""The address policy: what may be connected to, in every spelling of an address."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.core.errors import Invalid
from segue.deliver.addresses import AddressPolicy, address_policy, may_connect

STRICT = address_policy()
V4 = st.ip_addresses(v=4)
INSIDE = [
    "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1",
    "192.0.0.1", "192.0.2.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "100::1",
    "64:ff9b:1::7f00:1",
]  # fmt: skip


def wrapped(address: str) -> list[str]:
    """The IPv6 spellings of an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo client, Teredo server."""
    number = int(ipaddress.IPv4Address(address))
    head = f"{number >> 16:x}:{number & 0xFFFF:x}"
    inverted = number ^ 0xFFFFFFFF
    return [
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"2002:{head}::1",
        f"2001:0:808:808:0:0:{inverted >> 16:x}:{inverted & 0xFFFF:x}",
        f"2001:0:{head}:0:0:f7f7:f7f7",
    ]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_global_is_refused(address: str) -> None:
    assert not may_connect(address, 443, STRICT)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450::1"])
def test_a_global_address_is_allowed(address: str) -> None:
    assert may_connect(address, 443, STRICT)


@pytest.mark.parametrize("address", [inside for inside in INSIDE if ":" not in inside])
def test_an_inner_address_wrapped_in_ipv6_is_refused(address: str) -> None:
    assert [spelling for spelling in wrapped(address) if may_connect(spelling, 443, STRICT)] == []


@given(V4)
def test_no_wrapping_opens_what_the_plain_address_does_not(address: ipaddress.IPv4Address) -> None:
    plain = may_connect(str(address), 443, STRICT)
    for spelling in wrapped(str(address)):
        assert plain or not may_connect(spelling, 443, STRICT)


@pytest.mark.parametrize("address", ["", "localhost", "0x7f.1", "8.8.8.8.8", "fe80::1%eth0", "8.8.8.8 "])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not may_connect(address, 443, STRICT)


def test_a_sandbox_is_allowed_on_exactly_its_address_and_port() -> None:
    policy = address_policy(sandboxes=[("127.0.0.1", 8100)])
    assert may_connect("127.0.0.1", 8100, policy)
    assert may_connect("::ffff:127.0.0.1", 8100, policy)
    assert not may_connect("127.0.0.1", 8101, policy)
    assert not may_connect("127.0.0.2", 8100, policy)
    assert not may_connect("0.0.0.0", 8100, policy)
    assert not may_connect("::1", 8100, policy)


def test_localhost_as_a_listening_address_is_both_loopbacks() -> None:
    policy = address_policy(sandboxes=[("localhost", 8100)])
    assert may_connect("127.0.0.1", 8100, policy)
    assert may_connect("::1", 8100, policy)


def test_allow_internal_takes_addresses_networks_and_endpoints() -> None:
    policy = address_policy(allow_internal="10.0.0.0/8, 192.168.1.5  172.16.0.1:9000,[fd00::1]:81 fd01::/16")
    allowed = [("10.9.9.9", 1), ("192.168.1.5", 2), ("172.16.0.1", 9000), ("fd00::1", 81), ("fd01::2", 3)]
    assert all(may_connect(address, port, policy) for address, port in allowed)
    refused = [("11.0.0.1", 0), ("192.168.1.6", 2), ("172.16.0.1", 9001), ("fd00::1", 82), ("127.0.0.1", 1)]
    assert [address for address, port in refused if may_connect(address, port, policy)] == ["11.0.0.1"]


def test_a_name_is_allowed_only_where_the_url_says_it() -> None:
    policy = address_policy(allow_internal="Planhat.internal:8080")
    assert may_connect("10.0.0.7", 8080, policy, host="planhat.internal")
    assert may_connect("10.0.0.7", 8080, policy, host="PLANHAT.internal.")
    assert may_connect("127.0.0.1", 8080, policy, host="planhat.internal")
    assert may_connect("100.64.0.1", 8080, policy, host="planhat.internal")
    assert not may_connect("10.0.0.7", 8080, policy, host="10.0.0.7")
    assert not may_connect("10.0.0.7", 8080, policy, host="other.internal")
    assert not may_connect("10.0.0.7", 8081, policy, host="planhat.internal")


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254", "0.0.0.0", "224.0.0.1"])
def test_a_name_does_not_open_link_local_addresses(address: str) -> None:
    policy = address_policy(allow_internal="vendor.internal:80")
    assert not may_connect(address, 80, policy, host="vendor.internal")


def test_the_collector_is_never_allowed() -> None:
    everything = "0.0.0.0/0,::/0,127.0.0.1:8000,localhost:8000"
    policy = address_policy(
        allow_internal=everything, sandboxes=[("127.0.0.1", 8000)], collectors=[("127.0.0.1", 8000)]
    )
    for address in ("127.0.0.1", *wrapped("127.0.0.1")[:4]):
        assert not may_connect(address, 8000, policy, host="localhost")
        assert may_connect(address, 8001, policy)
    assert may_connect("127.0.0.2", 8000, policy)


def test_a_collector_on_every_address_is_refused_on_every_own_address() -> None:
    policy = address_policy(allow_internal="0.0.0.0/0,::/0", collectors=[("0.0.0.0", 8000)])
    assert policy.serves(8000)
    assert not policy.serves(8001)
    assert not may_connect("127.0.0.9", 8000, policy)
    assert not may_connect("::1", 8000, policy)
    assert not may_connect("10.0.0.5", 8000, policy, own_address=True)
    assert not may_connect("8.8.8.8", 8000, policy, own_address=True)
    assert may_connect("10.0.0.6", 8000, policy)
    assert may_connect("10.0.0.5", 8001, policy, own_address=True)


@pytest.mark.parametrize("entry", ["planhat.internal", "10.0.0.1/8", "a b:c", "host:0", "host:65536", "::1:x", "*"])
def test_an_entry_that_cannot_be_read_names_itself(entry: str) -> None:
    with pytest.raises(Invalid, match="SEGUE_ALLOW_INTERNAL"):
        address_policy(allow_internal=f"10.0.0.1,{entry}")


def test_a_listening_address_that_is_a_name_is_refused() -> None:
    with pytest.raises(Invalid):
        address_policy(collectors=[("segue.example.com", 8000)])


def test_an_empty_setting_allows_nothing() -> None:
    assert address_policy(allow_internal=" , ") == AddressPolicy()
