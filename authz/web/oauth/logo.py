"""A client's logo, fetched by us and served from our own origin (CIMD-26, MCP-AS-50).

Only to a person who is being asked about that client, so a page view tells the client's host nothing and nobody can
use this as a proxy. Raster images only, told by their first bytes, never by what the host calls them.
"""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.clients.resolution import ClientRefused, fetch
from authz.directory.sessions import find_session
from authz.errors import TooManyRequests
from authz.net import NetworkError, Profile
from authz.oauth.pending import find_pending
from authz.tenants import DEFAULT_SLUG
from authz.urls import is_client_id_url
from authz.web.addresses import peer_address
from authz.web.cookies import read_session
from authz.web.edge import Edge

MAX_BYTES = 256 * 1024
_KEPT = 64
_FRESH = timedelta(hours=1)
_KINDS = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"WEBP", 8, "image/webp"),
    (b"GIF8", 0, "image/gif"),
)
_HEADERS = {
    "content-security-policy": "default-src 'none'; sandbox",
    "cache-control": "private, max-age=600",
}


@dataclass(frozen=True)
class _Asked:
    """Who is being asked about which client."""

    tenant_id: str
    user_id: str
    client_id: str


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The image on the consent page."""
    kept: OrderedDict[str, tuple[datetime, bytes, str]] = OrderedDict()

    async def logo(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        try:
            edge.limits.admit("logo", address=peer_address(edge, request))
        except TooManyRequests as error:
            return _too_many(error)
        pending_id = request.query_params.get("id", "")
        cookie = read_session(edge, slug, request)
        asked = await run_in_threadpool(_asked_client, edge, slug, cookie, pending_id)
        url = await _logo_uri(edge, asked) if asked is not None else None
        if asked is None or url is None:
            return Response(status_code=404)
        now = edge.services.clock()
        found = kept.get(url)
        if found is None or now - found[0] > _FRESH:
            # What cannot be had is not remembered, so a page that asks again and again is not free (ATK-48).
            try:
                with edge.limits.fetching(asked.tenant_id, asked.user_id):
                    image = await _fetch_image(edge, url)
            except TooManyRequests as error:
                return _too_many(error)
            if image is None:
                return Response(status_code=404)
            found = kept[url] = (now, *image)
            if len(kept) > _KEPT:
                kept.popitem(last=False)
        return Response(found[1], media_type=found[2], headers=_HEADERS)

    return [Route(f"{prefix}/consent/logo", logo, methods=["GET"])]


def kind_of(image: bytes) -> str | None:
    """The media type of a raster image. SVG is a document that may hold script: never."""
    return next((kind for magic, at, kind in _KINDS if image[at : at + len(magic)] == magic), None)


def _too_many(error: TooManyRequests) -> Response:
    return Response(status_code=error.status, headers={"retry-after": str(error.retry_after)})


async def _fetch_image(edge: Edge, url: str) -> tuple[bytes, str] | None:
    try:
        fetched = await edge.services.network.fetch(
            url, profile=Profile.PUBLIC, max_bytes=MAX_BYTES, accept="image/png, image/*;q=0.5"
        )
    except NetworkError:
        return None
    kind = kind_of(fetched.body)
    return (fetched.body, kind) if fetched.status == 200 and kind is not None else None


async def _logo_uri(edge: Edge, asked: _Asked) -> str | None:
    """The document is in the cache: the page that shows the image has just been made from it."""
    try:
        fetched = await fetch(
            edge.services.documents,
            asked.client_id,
            tenant_id=asked.tenant_id,
            rules=edge.rules,
            max_bytes=edge.services.settings.clients.document_max_bytes,
            approved=False,
        )
    except ClientRefused:
        return None
    return fetched.client.logo_uri


def _asked_client(edge: Edge, slug: str, cookie: str | None, pending_id: str) -> _Asked | None:
    """The client this session is being asked about, if it has a metadata document."""
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return None
    now = edge.services.clock()
    with edge.services.database.read() as tx:
        signed_in = find_session(tx, tenant_id=configuration.tenant.id, token=cookie, now=now)
        if signed_in is None:
            return None
        pending = find_pending(tx, pending_id, signed_in, now)
    if pending is None or not is_client_id_url(pending.client_id):
        return None
    return _Asked(configuration.tenant.id, signed_in.user_id, pending.client_id)
