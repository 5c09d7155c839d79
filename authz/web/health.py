"""Liveness, readiness and metrics, for the machines that look after this one."""

from sqlalchemy import text
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.db import migrate
from authz.errors import AuthzError
from authz.telemetry import metrics
from authz.web.edge import Edge
from authz.web.responses import json_answer

_LOOPBACK = ("127.0.0.1", "::1")


def routes(edge: Edge) -> list[Route]:
    """At the root of the host, outside every tenant."""

    async def live(_: Request) -> Response:
        return json_answer({"status": "live"})

    async def ready(_: Request) -> Response:
        problem = await run_in_threadpool(_problem, edge)
        if problem is not None:
            return json_answer({"status": "not ready", "because": problem}, status=503)
        return json_answer({"status": "ready"})

    async def exposition(request: Request) -> Response:
        # Only for a scraper on this machine or in this pod, and not through a proxy that stands on it.
        peer = request.client.host if request.client else ""
        if peer not in _LOOPBACK or "x-forwarded-for" in request.headers:
            return json_answer({"error": "not_found"}, status=404)
        statistics = edge.channel.lane.statistics
        metrics.LANE_BATCHES.set(statistics.batches)
        metrics.LANE_JOBS.set(statistics.jobs)
        metrics.LANE_STATEMENTS.set(statistics.statements)
        metrics.LANE_ROUND_TRIPS.set(statistics.round_trips)
        metrics.LANE_RERUNS.set(statistics.reruns)
        return Response(metrics.render(), media_type="text/plain; version=0.0.4")

    return [
        Route("/health/live", live, methods=["GET"]),
        Route("/health/ready", ready, methods=["GET"]),
        Route("/metrics", exposition, methods=["GET"]),
    ]


def _problem(edge: Edge) -> str | None:
    if edge.drain.is_on:
        return "it is about to end"
    try:
        with edge.services.database.read() as tx:
            tx.execute(text("SELECT 1"))
        migrate.check(edge.services.database)
    except AuthzError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 -- whatever the driver raises, the answer is "not ready"
        return type(error).__name__
    return None
