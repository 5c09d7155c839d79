"""What the browser sees when an authorization request stops: sign in, ask an administrator, an error page, or back."""

from urllib.parse import parse_qsl, urlencode

import structlog
from starlette.responses import Response

from authz.clients.resolution import ClientNotAdmitted
from authz.directory.sessions import SignedIn
from authz.errors import LoginRequired, OAuthError, TooManyRequests
from authz.oauth.authorization_request import STEP_UP, RedirectRefused
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.consents import has_ever_consented
from authz.oauth.params import MAX_PARAMETERS
from authz.telemetry.metrics import AUTHORIZE_REQUESTS, count_denial
from authz.urls import redirect_host
from authz.web.edge import Edge
from authz.web.forms import params_of
from authz.web.login.continuation import NOTHING_NEEDED
from authz.web.login.pages import login_page
from authz.web.oauth.approval import approval_page
from authz.web.oauth.reading import NeedsSignIn, SentBack
from authz.web.problems import problem, too_many
from authz.web.responses import see_other

log = structlog.get_logger()


def stopped(
    edge: Edge,
    configuration: TenantConfiguration,
    signed_in: SignedIn | None,
    query: str,
    stop: Exception,
) -> Response:
    """The answer to whatever stopped the request."""
    if isinstance(stop, NeedsSignIn):
        if stop.is_silent:
            # Nobody has vouched for this client: not even the refusal is sent to it (O21-24).
            error = LoginRequired("the person has to sign in", reason="login_required")
            return refusal_page(edge, configuration, error, client_id=stop.client_id)
        AUTHORIZE_REQUESTS.labels("login").inc()
        return login_page(
            edge,
            configuration,
            continue_query=_to_take_up(query, is_step_up=stop.is_step_up),
            client=stop.client,
            client_id=stop.client_id,
            login=stop.login_hint,
            needed=stop.needed if stop.is_step_up else NOTHING_NEEDED,
        )
    if isinstance(stop, ClientNotAdmitted) and signed_in is not None:
        client_id = params_of(query).find("client_id") or ""
        return approval_page(edge, configuration, signed_in, client_id)
    if isinstance(stop, SentBack):
        return _send_error(edge, configuration, signed_in, stop)
    if isinstance(stop, TooManyRequests):
        return too_many(edge, stop, tenant_name=configuration.tenant.name)
    if isinstance(stop, OAuthError):
        named = params_of(query).find("client_id")
        return refusal_page(edge, configuration, stop, client_id=named)
    raise stop


def _to_take_up(query: str, *, is_step_up: bool) -> str:
    """The request to go on with after this page; it knows what this page said, and of no page before it (SUA-01)."""
    if not is_step_up and STEP_UP not in query:
        return query
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MAX_PARAMETERS)
    rest = [(name, value) for name, value in pairs if name != STEP_UP]
    return urlencode([*rest, (STEP_UP, "1")] if is_step_up else rest)


def _send_error(
    edge: Edge, configuration: TenantConfiguration, signed_in: SignedIn | None, stop: SentBack
) -> Response:
    """Redirect only where somebody vouched for the client: an operator, or this person (O21-24, ATK-07)."""
    AUTHORIZE_REQUESTS.labels(stop.error.code).inc()
    count_denial("/authorize", stop.error.reason)
    trusted = stop.client.approved
    if not trusted and signed_in is not None:
        with edge.services.database.read() as tx:
            trusted = has_ever_consented(
                tx, configuration.tenant.id, signed_in.user_id, stop.client.id
            )
    if trusted:
        log.info("authorize.refused", error=stop.error.code, reason=stop.error.reason)
        return see_other(stop.address.with_error(stop.error))
    return problem(
        edge,
        tenant_name=configuration.tenant.name,
        heading="This request cannot be answered",
        message=f"The application asked for something that is not possible: {stop.error.description}.",
        code=stop.error.code,
        reason=stop.error.reason,
        detail=[("application", stop.client.id)],
        return_url=stop.address.with_error(stop.error),
        return_host=redirect_host(stop.address.redirect_uri),
    )


def refusal_page(
    edge: Edge,
    configuration: TenantConfiguration,
    error: OAuthError,
    *,
    client_id: str | None = None,
) -> Response:
    """The client or its return address is wrong: said on a page, never sent anywhere (MCP-AS-54)."""
    AUTHORIZE_REQUESTS.labels("page").inc()
    count_denial("/authorize", error.reason)
    detail = [("application", client_id)] if client_id else []
    if isinstance(error, RedirectRefused) and error.received is not None:
        detail.append(("return_address", error.received))
    sentence = getattr(error, "sentence", f"The link is not valid: {error.description}.")
    return problem(
        edge,
        tenant_name=configuration.tenant.name,
        heading="This sign-in link cannot be used",
        message=sentence,
        code=error.code,
        reason=error.reason,
        hint="Start again from the application. If it happens again, give the support id to whoever runs it.",
        detail=detail,
    )


def answered_already(edge: Edge, configuration: TenantConfiguration) -> Response:
    """The form is not good for an answer (any more)."""
    return problem(
        edge,
        tenant_name=configuration.tenant.name,
        heading="This page is no longer valid",
        message="It was answered already, is too old, or belongs to another sign-in.",
        code="invalid_request",
        reason="consent_not_pending",
        hint="Start again from the application.",
    )


def unreadable(edge: Edge, error: OAuthError) -> Response:
    """The query or the form cannot be parsed, or there were too many."""
    if isinstance(error, TooManyRequests):
        return too_many(edge, error)
    return problem(
        edge,
        tenant_name="",
        heading="This request cannot be read",
        message=f"{error.description[:1].upper()}{error.description[1:]}.",
        code=error.code,
        reason=error.reason,
        status=error.status,
    )


def no_tenant(edge: Edge) -> Response:
    """The address is of no tenant."""
    return problem(
        edge,
        tenant_name="",
        heading="There is nothing here",
        message="No sign-in service has this address.",
        code="not_found",
        reason="tenant_unknown",
        status=404,
    )


def foreign_form(edge: Edge) -> Response:
    """A form of another site (ATK-14)."""
    return problem(
        edge,
        tenant_name="",
        heading="This form came from another site",
        message="Nothing was changed.",
        code="invalid_request",
        reason="foreign_form",
        status=403,
    )
