"""Metadata at every location clients try, and the JWKS.

Bodies come from configuration and the registries alone: nothing in a request can change a byte of them (META-03,
ATK-40).
"""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.admin.resources import WELL_KNOWN as WELL_KNOWN_RESOURCE
from authz.oauth import administering
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.metadata import (
    JWKS_MAX_AGE_SECONDS,
    METADATA_MAX_AGE_SECONDS,
    WELL_KNOWN,
    document,
)
from authz.oauth.transmitting import metadata as transmitting
from authz.oauth.transmitting.metadata import WELL_KNOWN as SSF
from authz.policy.administration import ADMIN_PATH
from authz.tenants import DEFAULT_SLUG
from authz.web.edge import TENANT_PATH, Edge
from authz.web.responses import CORS, json_answer, preflight
from authz.web.threads import run_in_threadpool

RECHECK = timedelta(seconds=1)
"""How long an answer is given again without looking: far less than keys are published ahead of their use."""


@dataclass(frozen=True)
class _Served:
    """Two finished answers, sent as they are to everybody who asks."""

    etag: str
    whole: Response
    unchanged: Response
    checked_at: datetime

    @classmethod
    def of(cls, body: bytes, max_age: int, now: datetime) -> "_Served":
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {**CORS, "cache-control": f"public, max-age={max_age}", "etag": etag}
        whole = Response(body, media_type="application/json", headers=headers)
        return cls(etag, whole, Response(status_code=304, headers=headers), now)


def routes(edge: Edge) -> list[Route]:
    """All of MCP-AS-10 to -12: suffix at the host root before the issuer's path, and after it."""
    base = edge.base_path
    found = []
    for suffix in WELL_KNOWN:
        well_known = f"/.well-known/{suffix}"
        found += [f"{well_known}{base}", f"{well_known}{base}{TENANT_PATH}"]
        found.append(f"{base}{TENANT_PATH}{well_known}")
        if base:
            found.append(f"{base}{well_known}")
    made: list[Route] = []
    for path in found:
        made += _served(edge, path, _metadata, METADATA_MAX_AGE_SECONDS)
    found = [f"/.well-known/{SSF}{base}", f"/.well-known/{SSF}{base}{TENANT_PATH}"]
    found.append(f"{base}{TENANT_PATH}/.well-known/{SSF}")
    for path in found:
        made += _served(edge, path, _transmitter, METADATA_MAX_AGE_SECONDS)
    for issuer in (base, f"{base}{TENANT_PATH}"):
        path = f"{WELL_KNOWN_RESOURCE}{issuer}{ADMIN_PATH}"
        made += _served(edge, path, _administration, METADATA_MAX_AGE_SECONDS)
    for prefix in (base, f"{base}{TENANT_PATH}"):
        made += _served(edge, f"{prefix}/jwks", _jwks, JWKS_MAX_AGE_SECONDS)
    return made


def _metadata(edge: Edge, configuration: TenantConfiguration) -> bytes:
    return document(configuration.tenant, configuration.policy, edge.services.settings)


def _transmitter(_: Edge, configuration: TenantConfiguration) -> bytes:
    return transmitting.document(configuration.tenant.issuer)


def _administration(_: Edge, configuration: TenantConfiguration) -> bytes:
    return administering.metadata(configuration)


def _jwks(edge: Edge, configuration: TenantConfiguration) -> bytes:
    return configuration.keys.jwks(edge.services.clock())


def _served(
    edge: Edge,
    path: str,
    render: Callable[[Edge, TenantConfiguration], bytes],
    max_age: int,
) -> list[Route]:
    served: dict[str, _Served] = {}
    looks: dict[str, asyncio.Task[_Served | None]] = {}

    async def serve(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        now = edge.services.clock()
        known = served.get(slug)
        if known is None or not now - RECHECK < known.checked_at <= now:
            is_looked_at = slug in looks
            if known is None or not is_looked_at or not now - 2 * RECHECK < known.checked_at <= now:
                known = await looked_up(slug)
            # Else one request looks, and the others do not queue behind it: they get what was true a moment ago.
            if known is None:
                return json_answer({"error": "not_found"}, status=404)
        if request.headers.get("if-none-match") == known.etag:
            return known.unchanged
        return known.whole

    async def looked_up(slug: str) -> _Served | None:
        """All who wait for one tenant wait for the same look."""
        look = looks.get(slug)
        if look is None:
            look = looks[slug] = asyncio.create_task(look_up(slug))
            look.add_done_callback(lambda done: over(slug, done))
        return await asyncio.shield(look)

    def over(slug: str, look: "asyncio.Task[_Served | None]") -> None:
        looks.pop(slug)
        if not look.cancelled():
            look.exception()  # told to whoever waits; when nobody does any more, to nobody

    async def look_up(slug: str) -> _Served | None:
        now = edge.services.clock()
        configuration = await run_in_threadpool(edge.find_configuration, slug)
        if configuration is None:
            served.pop(slug, None)
            return None
        served[slug] = _Served.of(render(edge, configuration), max_age, now)
        return served[slug]

    async def options(_: Request) -> Response:
        return preflight("GET, OPTIONS")

    return [
        Route(path, serve, methods=["GET", "HEAD"]),
        Route(path, options, methods=["OPTIONS"]),
    ]
