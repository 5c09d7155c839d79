"""Start-up, liveness, readiness and metrics, for the machines that look after this one."""

from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.telemetry import exposition
from authz.web.edge import Edge
from authz.web.responses import json_answer

_LOOPBACK = ("127.0.0.1", "::1")
_OF_PROXIES = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


def routes(edge: Edge) -> list[Route]:
    """At the root of the host, outside every tenant."""
    readiness, measuring = edge.readiness, edge.measuring
    networks = edge.services.settings.telemetry.metrics_networks

    async def live(_: Request) -> Response:
        return json_answer({"status": "live"})

    async def ready(_: Request) -> Response:
        problem = "ending" if edge.drain.is_on else await readiness.problem()
        if problem is not None:
            return json_answer({"status": "not ready", "because": problem}, status=503)
        return json_answer({"status": "ready"})

    async def startup(_: Request) -> Response:
        # It was ready once: what comes after is for readiness to tell, and no reason to start it again.
        if not readiness.was_ready and (problem := await readiness.problem()) is not None:
            return json_answer({"status": "starting", "because": problem}, status=503)
        return json_answer({"status": "started"})

    async def metrics(request: Request) -> Response:
        if not may_scrape(request, networks):
            return json_answer({"error": "not_found"}, status=404)
        measuring.publish()
        reading = await measuring.reading()
        body = await run_in_threadpool(exposition.render, reading)
        return Response(body, headers={"content-type": exposition.CONTENT_TYPE})

    return [
        Route("/health/live", live, methods=["GET"]),
        Route("/health/ready", ready, methods=["GET"]),
        Route("/health/startup", startup, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
    ]


def may_scrape(request: Request, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """A scraper on this machine or in this pod, or in a network that was named; and nobody through a proxy there.

    Of a request that a proxy passed on, the peer says nothing about who asks.
    """
    if any(name in request.headers for name in _OF_PROXIES):
        return False
    peer = request.client.host if request.client else ""
    if peer in _LOOPBACK:
        return True
    try:
        address = ip_address(peer)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in networks)
