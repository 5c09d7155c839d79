"""Which addresses may be dialled (pure).

Decisions: an explicit list, because `ipaddress.is_global` passes NAT64, 6to4, site-local and more.
Outside 2000::/3 no IPv6 address is public. Transition prefixes that carry an IPv4 address are
refused whole; only the well-known NAT64 prefix is judged by what it carries, and only for
operators, whose IPv6-only networks reach IPv4 hosts through it.
"""

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network


class Profile(Enum):
    """Who supplied the URL."""

    PUBLIC = "public"
    """A stranger: public unicast addresses only (CIMD-14)."""
    OPERATOR = "operator"
    """The operator: private networks too, but never loopback, link-local or cloud metadata."""
    CONFIGURED = "configured"
    """The file that the operator of this machine wrote, or this program itself: any address, over http too, and no
    proxy in between. For stores of secrets, which may be an agent on loopback or a cloud's metadata service."""


def _networks(*texts: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


_LOOPBACK = _networks("127.0.0.0/8", "::1/128")
_PRIVATE = _networks("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_NAT64 = IPv6Network("64:ff9b::/96")
# First match wins, so the narrow entries stand before the wide ones.
_NEVER = {
    # Whoever can read these has the machine's cloud credentials.
    "metadata": _networks(
        "169.254.169.254/32",
        "169.254.170.2/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    ),
    "unspecified": _networks("0.0.0.0/8", "::/128"),
    "link_local": _networks("169.254.0.0/16", "fe80::/10"),
    "multicast": _networks("224.0.0.0/4", "ff00::/8"),
    "broadcast": _networks("255.255.255.255/32"),
    "reserved": _networks("240.0.0.0/4", "192.0.0.0/24", "2001::/23", "2620:4f:8000::/48"),
    "documentation": _networks(
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"
    ),
    "benchmark": _networks("198.18.0.0/15"),
    "transition": _networks("192.88.99.0/24", "2002::/16", "64:ff9b:1::/48"),
    "mapped": _networks("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96"),
    "site_local": _networks("fec0::/10"),
}
_PUBLIC_V6 = IPv6Network("2000::/3")


def vet(
    address: str | IPv4Address | IPv6Address, profile: Profile, *, allow_loopback: bool = False
) -> str | None:
    """Return why `address` may not be dialled, or None if it may.

    `allow_loopback` is development's: an installation on loopback talks to its neighbours
    (CIMD-15).
    """
    try:
        ip = ip_address(address)
    except ValueError:
        return "not_an_address"
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return "zone_id"
    if profile is Profile.CONFIGURED:
        return None
    if _within(ip, _LOOPBACK):
        return None if allow_loopback else "loopback"
    for reason, networks in _NEVER.items():
        if _within(ip, networks):
            return reason
    if ip in _NAT64:
        if profile is Profile.PUBLIC:
            return "nat64"
        return vet(IPv4Address(int(ip) & 0xFFFFFFFF), profile)
    if _within(ip, _PRIVATE):
        return "private" if profile is Profile.PUBLIC else None
    if isinstance(ip, IPv6Address) and ip not in _PUBLIC_V6:
        return "reserved"
    # What the registry reserves after this list was written is in nobody's use yet.
    return None if ip.is_global else "reserved"


def _within(ip: IPv4Address | IPv6Address, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    return any(ip in network for network in networks)
