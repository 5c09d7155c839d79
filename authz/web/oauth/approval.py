"""When the trust policy does not admit a client: explain, and let a signed-in person ask for it (features.md S6).

The request is the only thing stored about such a client, by a person's own click, and bounded per person and tenant.
"""

import structlog
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import ClientRequested
from authz.clients.resolution import ClientNotAdmitted, ClientRefused, check_identifier
from authz.db.models import ClientRequest
from authz.db.racing import add_unless_there
from authz.directory.sessions import SignedIn, find_session
from authz.errors import OAuthError, TooManyRequests
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.params import Params
from authz.tenants import DEFAULT_SLUG
from authz.urls import redirect_host
from authz.web.addresses import peer_address
from authz.web.cookies import read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import read_form
from authz.web.problems import problem, too_many
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

MAX_OPEN_PER_USER = 10
MAX_OPEN_PER_TENANT = 1000


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The form that asks an administrator."""

    async def ask(request: Request) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        try:
            edge.limits.admit("approval", address=peer_address(edge, request))
            own = is_own_form(request, edge.services.settings.server.issuer)
            params = Params(await read_form(request)) if own else None
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError:
            params = None
        cookie = read_session(edge, slug, request)
        return await run_in_threadpool(_ask, edge, slug, cookie, params)

    return [Route(f"{prefix}/clients/request", ask, methods=["POST"])]


def approval_page(
    edge: Edge, configuration: TenantConfiguration, signed_in: SignedIn, client_id: str
) -> Response:
    """Explain, and offer the form if there is room for a request."""
    with edge.services.database.read() as tx:
        row = tx.get(ClientRequest, (configuration.tenant.id, client_id))
        room = row is None and _has_room(tx, configuration.tenant.id, signed_in.user_id)
    tenant = configuration.tenant
    return edge.pages.render(
        "consent/approval.html",
        403,
        tenant_name=tenant.name,
        page_title="Not approved yet",
        static=f"{edge.base_path}/static",
        support_id=None,
        action=f"{tenant.path}/clients/request",
        request_id=client_id,
        client_host=redirect_host(client_id),
        client_id=client_id,
        client_name=None,
        can_request=room,
        already_requested=row is not None and row.status == "open",
    )


def _ask(edge: Edge, slug: str, cookie: str | None, params: Params | None) -> Response:
    services = edge.services
    now = services.clock()
    configuration = edge.find_configuration(slug)
    client_id = params.find("request_id") if params is not None else None
    signed_in = None
    if configuration is not None:
        with services.database.read() as tx:
            signed_in = find_session(tx, tenant_id=configuration.tenant.id, token=cookie, now=now)
    if configuration is None or signed_in is None or client_id is None:
        return _refused(edge, "Sign in from the application, then ask again.", "not_signed_in")
    try:
        check_identifier(client_id, configuration.trust, edge.rules)
    except ClientNotAdmitted:
        pass
    except ClientRefused as error:
        return _refused(edge, error.sentence, error.reason)
    else:
        return _refused(edge, "This application is approved already.", "client_admitted")
    tenant_id = configuration.tenant.id
    with services.database.write() as tx:
        if tx.get(ClientRequest, (tenant_id, client_id)) is None:
            if not _has_room(tx, tenant_id, signed_in.user_id):
                return _refused(edge, "Too many requests are open already.", "requests_full")
            request = ClientRequest(
                tenant_id=tenant_id,
                client_id=client_id,
                user_id=signed_in.user_id,
                status="open",
                created_at=now,
                decided_at=None,
                decided_by=None,
            )
            if add_unless_there(tx, request):
                event = ClientRequested(subject=signed_in.user_id, client=client_id)
                audit.record(tx, tenant_id, event, key=configuration.audit_key, now=now)
    return edge.pages.render(
        "consent/approval_filed.html",
        tenant_name=configuration.tenant.name,
        page_title="Request sent",
        static=f"{edge.base_path}/static",
        support_id=None,
        client_host=redirect_host(client_id),
        client_id=client_id,
    )


def _has_room(tx: Session, tenant_id: str, user_id: str) -> bool:
    still_open = (
        select(func.count())
        .select_from(ClientRequest)
        .where(ClientRequest.tenant_id == tenant_id, ClientRequest.status == "open")
    )
    by_user = tx.scalar(still_open.where(ClientRequest.user_id == user_id))
    return (by_user or 0) < MAX_OPEN_PER_USER and (tx.scalar(still_open) or 0) < MAX_OPEN_PER_TENANT


def _refused(edge: Edge, sentence: str, reason: str) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading="The request was not sent",
        message=sentence,
        code="invalid_request",
        reason=reason,
    )
