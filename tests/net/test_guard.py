from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.net.guard import Profile, vet

PUBLIC, OPERATOR = Profile.PUBLIC, Profile.OPERATOR

# RFC 6890 and its registries, and what was added since (CIMD-14, ATK-47).
NOBODY = [
    ("0.0.0.0", "unspecified"),
    ("0.1.2.3", "unspecified"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("169.254.169.254", "metadata"),
    ("169.254.170.2", "metadata"),
    ("168.63.129.16", "metadata"),
    ("100.100.100.200", "metadata"),
    ("192.0.0.192", "metadata"),
    ("169.254.0.1", "link_local"),
    ("192.0.0.1", "reserved"),
    ("192.0.0.8", "reserved"),
    ("192.0.0.9", "reserved"),
    ("192.0.2.1", "documentation"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.255", "documentation"),
    ("192.88.99.1", "transition"),
    ("198.18.0.1", "benchmark"),
    ("198.19.255.255", "benchmark"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("::", "unspecified"),
    ("::1", "loopback"),
    ("::127.0.0.1", "mapped"),
    ("::8.8.8.8", "mapped"),
    ("::ffff:127.0.0.1", "mapped"),
    ("::ffff:8.8.8.8", "mapped"),
    ("::ffff:169.254.169.254", "mapped"),
    ("::ffff:0:127.0.0.1", "mapped"),
    ("64:ff9b:1::7f00:1", "transition"),
    ("64:ff9b::127.0.0.1", None),
    ("64:ff9b::169.254.169.254", None),
    ("64:ff9b::224.0.0.1", None),
    ("100::1", "reserved"),
    ("1::1", "reserved"),
    ("2001::1", "reserved"),
    ("2001:0:7f00:1::1", "reserved"),
    ("2001:2::1", "reserved"),
    ("2001:10::1", "reserved"),
    ("2001:20::1", "reserved"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("2002:7f00:1::", "transition"),
    ("2002:808:808::1", "transition"),
    ("2620:4f:8000::1", "reserved"),
    ("4000::1", "reserved"),
    ("5f00::1", "reserved"),
    ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"),
    ("fe80::1", "link_local"),
    ("fe80::1%eth0", "zone_id"),
    ("2606:4700::1111%1", "zone_id"),
    ("::1%lo", "zone_id"),
    ("fec0::1", "site_local"),
    ("ff02::1", "multicast"),
    # Spellings that some resolvers read as addresses and no one may dial as text.
    ("2130706433", "not_an_address"),
    ("0x7f000001", "not_an_address"),
    ("017700000001", "not_an_address"),
    ("0177.0.0.1", "not_an_address"),
    ("127.1", "not_an_address"),
    ("127.0.0.1.", "not_an_address"),
    ("[::1]", "not_an_address"),
    ("localhost", "not_an_address"),
    ("", "not_an_address"),
]
PRIVATE = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "100.127.255.254",
    "fc00::1",
    "fd12:3456::1",
]
ANYONE = ["8.8.8.8", "172.32.0.1", "100.128.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1"]


@pytest.mark.parametrize("profile", [PUBLIC, OPERATOR])
@pytest.mark.parametrize(("address", "reason"), NOBODY)
def test_addresses_that_nobody_may_dial(address, reason, profile):
    refused = vet(address, profile)
    assert refused is not None
    assert reason is None or refused == reason


@pytest.mark.parametrize("address", PRIVATE)
def test_private_networks_are_for_operators(address):
    assert vet(address, PUBLIC) == "private"
    assert vet(address, OPERATOR) is None


@pytest.mark.parametrize("profile", [PUBLIC, OPERATOR])
@pytest.mark.parametrize("address", ANYONE)
def test_public_addresses(address, profile):
    assert vet(address, profile) is None
    assert vet(ip_address(address), profile) is None


def test_nat64_is_judged_by_what_it_carries_and_only_for_operators():
    assert vet("64:ff9b::8.8.8.8", PUBLIC) == "nat64"
    assert vet("64:ff9b::8.8.8.8", OPERATOR) is None
    assert vet("64:ff9b::10.0.0.1", OPERATOR) is None
    assert vet("64:ff9b::169.254.169.254", OPERATOR) == "metadata"
    assert vet("64:ff9b::127.0.0.1", OPERATOR) == "loopback"


@pytest.mark.parametrize("profile", [PUBLIC, OPERATOR])
def test_development_may_dial_loopback_and_nothing_more(profile):
    for address in ("127.0.0.1", "127.0.0.53", "::1"):
        assert vet(address, profile, allow_loopback=True) is None
    for address in ("::ffff:127.0.0.1", "0.0.0.0", "::", "169.254.169.254", "64:ff9b::127.0.0.1"):
        assert vet(address, profile, allow_loopback=True) is not None


def test_cimd_15_loopback_in_development_does_not_open_the_private_network():
    assert vet("10.0.0.1", PUBLIC, allow_loopback=True) == "private"


addresses = st.integers(0, 2**32 - 1).map(IPv4Address) | st.integers(0, 2**128 - 1).map(IPv6Address)


@given(addresses)
def test_operators_may_dial_whatever_strangers_may(address):
    if vet(address, PUBLIC) is None:
        assert vet(address, OPERATOR) is None


@given(addresses)
def test_a_stranger_never_reaches_what_is_not_global_unicast(address):
    if vet(address, PUBLIC) is None:
        assert address.is_global
        assert not address.is_multicast


@given(st.integers(0, 2**32 - 1))
def test_no_ipv6_disguise_opens_an_ipv4_address_to_a_stranger(number):
    disguises = [
        number,
        (0xFFFF << 32) + number,
        (0xFFFF << 48) + number,
        (0x64FF9B << 96) + number,
        (0x64FF9B0001 << 80) + number,
        (0x2002 << 112) + (number << 80),
        (0x20010000 << 96) + (number ^ 0xFFFFFFFF),
    ]
    for disguise in disguises:
        assert vet(IPv6Address(disguise), PUBLIC) is not None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "8.8.8.8"])
def test_what_the_operator_wrote_in_the_file_may_be_anywhere(address):
    """An agent on loopback, a cloud's metadata service: asked for secrets, never because a stranger said so."""
    assert vet(address, Profile.CONFIGURED) is None
    assert vet("localhost", Profile.CONFIGURED) == "not_an_address"
