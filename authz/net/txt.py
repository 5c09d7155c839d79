"""TXT records, asked of the resolvers this machine or the operator names (RFC 1035 §3.3.14)."""

from collections.abc import Sequence

import dns.exception
import dns.resolver

from authz.net.errors import NetworkError
from authz.transactions import forbid_inside_transaction

_SECONDS = 5.0
_MOST = 50
_DNS_PORT = 53


def lookup_txt(name: str, *, nameservers: Sequence[str] = ()) -> list[str]:
    """The texts at this name; none when there are none. Raises NetworkError when nobody answers.

    `nameservers` are addresses, with `:PORT` where it is not 53; without any the system's are asked.
    """
    forbid_inside_transaction("a DNS lookup")
    resolver = dns.resolver.Resolver(configure=not nameservers)
    if nameservers:
        places = [_place(it) for it in nameservers]
        resolver.nameservers = [address for address, _ in places]
        resolver.nameserver_ports = dict(places)
    try:
        # Whole, as it is written: a search list would answer for another name.
        found = resolver.resolve(f"{name}.", "TXT", lifetime=_SECONDS, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except dns.exception.DNSException as error:
        raise NetworkError(f"DNS gave no answer for {name}", reason="dns") from error
    return [b"".join(it.strings).decode("utf-8", "replace") for it in list(found)[:_MOST]]


def _place(text: str) -> tuple[str, int]:
    address, colon, port = text.rpartition(":")
    return (address.strip("[]"), int(port)) if colon and port.isdecimal() else (text, _DNS_PORT)
