"""Signing in, signing out, and the landing page of a tenant."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import SessionEnded
from authz.clients.client import Client
from authz.directory.local_login import Refused
from authz.directory.sessions import end_session, find_session, mark_of
from authz.errors import InvalidRequest, OAuthError, TooManyRequests
from authz.oauth.authorization_request import SIGNED_IN_BY
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.devices import shown_user_code
from authz.oauth.metadata import WELL_KNOWN
from authz.telemetry.metrics import LOGINS
from authz.tenants import DEFAULT_SLUG
from authz.urls import UrlError, check_client_id_url
from authz.web.addresses import peer_address
from authz.web.cookies import drop_session, read_session, set_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import MAX_QUERY_CHARS, params_of, read_form
from authz.web.problems import problem, too_many
from authz.web.responses import see_other

log = structlog.get_logger()

AUTHORIZE, DEVICE = "authorize", "device"
"""The pages that ask people to sign in and go on with them afterwards."""


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
        return await run_in_threadpool(_logout, edge, slug, read_session(edge, slug, request))

    async def index(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
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
    error: str | None = None,
    retry_after: int | None = None,
) -> Response:
    """The form. Before sign-in nothing was fetched, so a document's client is shown by its host alone."""
    tenant = configuration.tenant
    hint = login if login is not None else params_of(continue_query).find("login_hint")
    host = _host_of(edge, client_id) if client is None else None
    page = edge.pages.render(
        "login/login.html",
        200 if error is None else 429 if retry_after else 400,
        tenant_name=tenant.name,
        page_title="Sign in",
        static=f"{edge.base_path}/static",
        support_id=None,
        action=f"{tenant.path}/login",
        continue_query=continue_query,
        then=then,
        login_hint=(hint or "")[:254],
        client_host=client.host if client is not None else host,
        client_name=client.name if client is not None else None,
        client_verified=client is not None and client.approved,
        error=error,
        retry_after=retry_after,
    )
    if retry_after:
        page.headers["retry-after"] = str(retry_after)
    return page


def _login(edge: Edge, slug: str, fields: dict[str, str], address: str) -> Response:
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return _refused(edge, "There is nothing here", "tenant_unknown", 404)
    continue_query, then = fields.get("continue", ""), fields.get("then", AUTHORIZE)
    try:
        # Ours, but it went through the browser: judged like the request it will be.
        if len(continue_query) > MAX_QUERY_CHARS:
            raise InvalidRequest("the query is too long", reason="query_too_long")
        asked = params_of(continue_query)
        if then not in (AUTHORIZE, DEVICE):
            raise InvalidRequest("the form is not ours", reason="continuation_unknown")
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
        LOGINS.labels("password", "refused").inc()
        return login_page(
            edge,
            configuration,
            continue_query=continue_query,
            client=None,
            client_id=asked.find("client_id") or "",
            then=then,
            login=fields.get("login", ""),
            error=result.sentence,
            retry_after=result.retry_after,
        )
    LOGINS.labels("password", "succeeded").inc()
    mark = mark_of(result.token)
    response = see_other(_continuation(configuration.tenant.path, then, continue_query, mark))
    set_session(edge, slug, response, result.token)
    return response


def _host_of(edge: Edge, client_id: str) -> str | None:
    try:
        checked = check_client_id_url(client_id, development=edge.rules.development)
        return urlsplit(checked).netloc
    except UrlError:
        return None


def _continuation(path: str, then: str, continue_query: str, mark: str) -> str:
    """Where the person was going: a page of ours by its name, because the name went through the browser (ATK-07)."""
    if then == DEVICE:
        user_code = shown_user_code(params_of(continue_query).find("user_code") or "")
        return f"{path}/device?user_code={user_code}" if user_code else f"{path}/device"
    query = _satisfied(continue_query, mark)
    return f"{path}/authorize?{query}" if query else path or "/"


def _satisfied(continue_query: str, mark: str) -> str:
    """The request to take up again: its wish for a fresh sign-in has just been granted, everything else stays.

    Where it may mind how the person signs in, it tells which sign-in was made for it, so that one that does not do
    is an answer and not a loop. Rebuilt from its parts and put behind a path of ours, so it can lead nowhere else
    (ATK-07).
    """
    pairs = []
    for name, value in parse_qsl(continue_query, keep_blank_values=True, max_num_fields=64):
        if name == "prompt":
            value = " ".join(v for v in value.split() if v not in ("login", "select_account"))
            if not value:
                continue
        if name != SIGNED_IN_BY:
            pairs.append((name, value))
    if any(name in ("acr_values", "request_uri") for name, _ in pairs):
        pairs.append((SIGNED_IN_BY, mark))
    return urlencode(pairs)


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
