"""Who a request comes from: whose budget it spends, and which certificate may be believed of it."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from starlette.requests import Request

from authz.errors import InvalidRequest
from authz.web.edge import Edge

_LONGEST = 64


def peer_address(edge: Edge, request: Request) -> str:
    """The peer; behind trusted proxies the last address of X-Forwarded-For that is not one of them (ATK-70).

    Each proxy appends whom it talked to, so what stands before the first stranger was written by that stranger.
    """
    client = request.scope["client"]
    peer: str = client[0] if client else "unknown"
    if peer in edge.trusted_proxies:
        forwarded = ",".join(request.headers.getlist("x-forwarded-for"))
        for entry in reversed(forwarded.split(",")):
            named = entry.strip()
            if named and named not in edge.trusted_proxies:
                peer = named
                break
    return peer if "." in peer and ":" not in peer else _budgeted(peer[:_LONGEST])


@lru_cache(maxsize=4096)
def _budgeted(address: str) -> str:
    """IPv6 by its /64, which is what one subscriber has; IPv4 without the port that some proxies add."""
    host = address.partition("]")[0].removeprefix("[")
    if host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        ip = ip_address(host)
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{IPv6Address(int(ip) >> 64 << 64)}/64"


def client_certificate(edge: Edge, request: Request) -> str | None:
    """What a trusted proxy says of the client's certificate. From anybody else the header is nothing (MTLS-04, ATK-70).

    Raises InvalidRequest when it came twice: the proxy added its own to the client's instead of replacing it.
    """
    name = edge.services.settings.server.client_certificate_header
    client = request.scope["client"]
    if name is None or not client or client[0] not in edge.trusted_proxies:
        return None
    found = request.headers.getlist(name)
    if len(found) > 1:
        raise InvalidRequest("the request names two certificates", reason="certificate_twice")
    return found[0].strip() or None if found else None
