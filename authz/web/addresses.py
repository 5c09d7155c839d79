"""Whose budget a request spends."""

from starlette.requests import Request

from authz.web.edge import Edge


def peer_address(edge: Edge, request: Request) -> str:
    """The peer, or what a trusted proxy says of it: the last entry, which that proxy wrote itself (ATK-70)."""
    peer = request.client.host if request.client else "unknown"
    if peer in edge.services.settings.server.trusted_proxies:
        forwarded = request.headers.getlist("x-forwarded-for")
        if forwarded:
            return forwarded[-1].rpartition(",")[2].strip()[:64]
    return peer
