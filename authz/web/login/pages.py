"""Signing in, signing out, and the landing page of a tenant."""

from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import SessionEnded
from authz.clients.client import Client
from authz.directory.assurance import PASSWORD
from authz.directory.local_login import Refused
from authz.directory.sessions import end_session, find_session, mark_of
from authz.errors import OAuthError, TooManyRequests
from authz.federation.connections import have_any, listed
from authz.oauth.asking import Needed
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.metadata import WELL_KNOWN
from authz.policy.requirements import LOCAL
from authz.telemetry.metrics import sign_in
from authz.tenants import DEFAULT_SLUG
from authz.urls import UrlError, check_client_id_url
from authz.web.addresses import peer_address
from authz.web.cookies import drop_session, read_session, set_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import params_of, read_form
from authz.web.login.continuation import (
    AUTHORIZE,
    NOTHING_NEEDED,
    Continuation,
    read_continuation,
)
from authz.web.problems import problem, too_many
from authz.web.responses import see_other
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The pages below a prefix."""

    async def login(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        if not is_own_form(request, edge.services.settings.server.issuer):
            return _refused(edge, "This form came from another site", "foreign_form", 403)
        address = peer_address(edge, request)
        try:
            edge.limits.admit("login", address=address)
            fields = dict(reversed(await read_form(request)))
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError as error:
            return _refused(edge, "This form cannot be read", error.reason, error.status)
        return await run_in_threadpool(_login, edge, slug, fields, address)

    async def logout(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        if not is_own_form(request, edge.services.settings.server.issuer):
            return _refused(edge, "This form came from another site", "foreign_form", 403)
        try:
            edge.limits.admit("login", address=peer_address(edge, request))
        except TooManyRequests as error:
            return too_many(edge, error)
        return await run_in_threadpool(_logout, edge, slug, read_session(edge, slug, request))

    async def index(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        try:
            edge.limits.admit("login", address=peer_address(edge, request))
        except TooManyRequests as error:
            return too_many(edge, error)
        return await run_in_threadpool(_index, edge, slug)

    return [
        Route(f"{prefix}/login", login, methods=["POST"]),
        Route(f"{prefix}/logout", logout, methods=["POST"]),
        Route(prefix or "/", index, methods=["GET"]),
    ]


def login_page(
    edge: Edge,
    configuration: TenantConfiguration,
    *,
    continue_query: str,
    client: Client | None,
    client_id: str,
    then: str = AUTHORIZE,
    login: str | None = None,
    needed: Needed = NOTHING_NEEDED,
) -> Response:
    """The ways to sign in; with no identity provider connected, the form for name and password.

    Before sign-in nothing was fetched, so a document's client is shown by its host alone. Nobody is sent to an identity
    provider before they pressed a button under the client's name (MCP-AS-95, ATK-15).
    """
    continuation = Continuation(then, continue_query, needed)
    hint = login if login is not None else params_of(continue_query).find("login_hint")
    with edge.services.database.read() as tx:
        has_connections = have_any(tx, configuration.tenant.id)
        found = listed(tx, configuration.tenant.id, among=needed.connections)
    if not has_connections:
        return password_page(
            edge, configuration, continuation, client=client, client_id=client_id, login=hint
        )
    return edge.pages.render(
        "login/choose.html",
        **_common(edge, configuration, continuation, client, client_id),
        action=f"{configuration.tenant.path}/login/start",
        login_hint=(hint or "")[:254],
        buttons=[(it.slug, it.name) for it in found],
        has_password=(not needed.connections or LOCAL in needed.connections)
        and (not needed.acr_values or PASSWORD in needed.acr_values),
    )


def password_page(
    edge: Edge,
    configuration: TenantConfiguration,
    continuation: Continuation,
    *,
    client: Client | None,
    client_id: str,
    login: str | None,
    error: str | None = None,
    retry_after: int | None = None,
) -> Response:
    """The form for name and password."""
    page = edge.pages.render(
        "login/login.html",
        200 if error is None else 429 if retry_after else 400,
        **_common(edge, configuration, continuation, client, client_id),
        action=f"{configuration.tenant.path}/login",
        login_hint=(login or "")[:254],
        error=error,
        retry_after=retry_after,
    )
    if retry_after:
        page.headers["retry-after"] = str(retry_after)
    return page


def _common(
    edge: Edge,
    configuration: TenantConfiguration,
    continuation: Continuation,
    client: Client | None,
    client_id: str,
) -> dict[str, Any]:
    return {
        "tenant_name": configuration.tenant.name,
        "page_title": "Sign in",
        "static": f"{edge.base_path}/static",
        "support_id": None,
        "continue_query": continuation.query,
        "then": continuation.then,
        "needed": continuation.needed_text,
        "client_host": client.host if client is not None else _host_of(edge, client_id),
        "client_name": client.name if client is not None else None,
        "client_verified": client is not None and client.approved,
    }


def _login(edge: Edge, slug: str, fields: dict[str, str], address: str) -> Response:
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return _refused(edge, "There is nothing here", "tenant_unknown", 404)
    try:
        continuation = read_continuation(fields)
        client_id = params_of(continuation.query).find("client_id") or ""
    except OAuthError as error:
        return _refused(edge, "This form cannot be read", error.reason, error.status)
    result = edge.local_login.sign_in(
        tenant_id=configuration.tenant.id,
        audit_key=configuration.audit_key,
        login=fields.get("login", ""),
        password=fields.get("password", ""),
        address=address,
        now=edge.services.clock(),
    )
    if isinstance(result, Refused):
        sign_in("password", "local", "refused")
        return password_page(
            edge,
            configuration,
            continuation,
            client=None,
            client_id=client_id,
            login=fields.get("login", ""),
            error=result.sentence,
            retry_after=result.retry_after,
        )
    sign_in("password", "local", "succeeded")
    response = see_other(continuation.url(configuration.tenant.path, mark_of(result.token)))
    set_session(edge, slug, response, result.token)
    return response


def _host_of(edge: Edge, client_id: str) -> str | None:
    try:
        checked = check_client_id_url(client_id, development=edge.rules.development)
        return urlsplit(checked).netloc
    except UrlError:
        return None


def _logout(edge: Edge, slug: str, cookie: str | None) -> Response:
    services = edge.services
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return _refused(edge, "There is nothing here", "tenant_unknown", 404)
    now, tenant = services.clock(), configuration.tenant
    with services.database.write() as tx:
        signed_in = find_session(tx, tenant_id=tenant.id, token=cookie, now=now)
        if signed_in is not None:
            end_session(tx, signed_in.digest, now)
            event = SessionEnded(subject=signed_in.user_id)
            audit.record(tx, tenant.id, event, key=configuration.audit_key, now=now)
    response = edge.pages.render(
        "login/signed_out.html",
        tenant_name=tenant.name,
        page_title="Signed out",
        static=f"{edge.base_path}/static",
        support_id=None,
        account_url=f"{tenant.path}/account",
    )
    drop_session(edge, slug, response)
    return response


def _index(edge: Edge, slug: str) -> Response:
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return _refused(edge, "There is nothing here", "tenant_unknown", 404)
    tenant = configuration.tenant
    return edge.pages.render(
        "index.html",
        tenant_name=tenant.name,
        page_title=tenant.name,
        static=f"{edge.base_path}/static",
        support_id=None,
        issuer=tenant.issuer,
        metadata_url=f"{tenant.origin}/.well-known/{WELL_KNOWN[0]}{tenant.path}",
        jwks_url=f"{tenant.issuer}/jwks",
        account_url=f"{tenant.path}/account",
    )


def _refused(edge: Edge, heading: str, reason: str, status: int) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading=heading,
        message="Nothing was changed.",
        code="not_found" if status == 404 else "invalid_request",
        reason=reason,
        status=status,
    )
