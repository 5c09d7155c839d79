"""GET /authorize and the forms behind it.

Everything here is blocking and runs in a thread. `_read` rebuilds the whole request from its query each time, so what
the person answers is validated as strictly as what the client asked.
"""

from dataclasses import dataclass, replace

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import SessionEnded
from authz.clients import registered
from authz.clients.client import Client
from authz.clients.resolution import (
    ClientNotAdmitted,
    ClientRefused,
    FetchedClient,
    check_identifier,
    fetch,
    is_approved,
    usable_row,
)
from authz.directory.sessions import SignedIn, end_session, find_session
from authz.errors import LoginRequired, OAuthError
from authz.oauth import authorize as engine
from authz.oauth.authorization_request import (
    AuthorizationRequest,
    RedirectRefused,
    ReturnAddress,
    return_address,
    validate,
)
from authz.oauth.authorize import AskConsent, Asking, SendBack, SignIn
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.params import Params
from authz.telemetry.metrics import AUTHORIZE_REQUESTS
from authz.tenants import DEFAULT_SLUG
from authz.urls import redirect_host
from authz.web.cookies import drop_session, read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import params_of, read_form, read_query
from authz.web.login.pages import login_page
from authz.web.oauth.approval import approval_page
from authz.web.oauth.consent_page import consent_page
from authz.web.problems import problem
from authz.web.responses import see_other

log = structlog.get_logger()


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The authorization endpoint and its consent form below a prefix. No CORS here, ever (O21-05)."""

    async def authorize(request: Request) -> Response:
        try:
            params, query = read_query(request)
        except OAuthError as error:
            return _unreadable(edge, error)
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        cookie = read_session(edge, slug, request)
        return await run_in_threadpool(_Flow(edge, slug, cookie).begin, params, query)

    async def consent(request: Request) -> Response:
        return await _posted(request, "answer")

    async def switch(request: Request) -> Response:
        return await _posted(request, "switch")

    async def _posted(request: Request, step: str) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        if not is_own_form(request, edge.services.settings.server.issuer):
            return _foreign_form(edge)
        try:
            fields = await read_form(request)
        except OAuthError as error:
            return _unreadable(edge, error)
        flow = _Flow(edge, slug, read_session(edge, slug, request))
        return await run_in_threadpool(getattr(flow, step), fields)

    return [
        Route(f"{prefix}/authorize", authorize, methods=["GET"]),
        Route(f"{prefix}/consent", consent, methods=["POST"]),
        Route(f"{prefix}/consent/switch", switch, methods=["POST"]),
    ]


@dataclass(frozen=True)
class _Resolved:
    client: Client
    fetched: FetchedClient | None


class _NeedsSignIn(Exception):
    """Nothing more can be said before the person signs in; `client` is known for pre-registered ones."""

    def __init__(self, client: Client | None, client_id: str) -> None:
        super().__init__(client_id)
        self.client = client
        self.client_id = client_id


class _SentBack(Exception):
    """An error for a return address that was matched."""

    def __init__(self, client: Client, address: ReturnAddress, error: OAuthError) -> None:
        super().__init__(error.code)
        self.client = client
        self.address = address
        self.error = error


class _Flow:
    """One request of one browser."""

    def __init__(self, edge: Edge, slug: str, cookie: str | None) -> None:
        self.edge = edge
        self.services = edge.services
        self.slug = slug
        self.cookie = cookie
        self.now = edge.services.clock()

    def begin(self, params: Params, query: str) -> Response:
        """GET /authorize."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return _no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        try:
            asking = self._read(configuration, params, query, signed_in)
            return self._next(asking, query)
        except (_NeedsSignIn, _SentBack, RedirectRefused, ClientRefused) as stop:
            return self._stopped(configuration, signed_in, query, stop)
        except OAuthError as error:
            return self._page(configuration, error)

    def answer(self, fields: list[tuple[str, str]]) -> Response:
        """POST /consent."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return _no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        pending_id = next((value for name, value in fields if name == "consent_id"), "")
        decision = [value for name, value in fields if name == "decision"]
        chosen = frozenset(value for name, value in fields if name == "scope")
        pending = None
        if signed_in is not None:
            with self.services.database.read() as tx:
                pending = engine.find_pending(tx, pending_id, signed_in, self.now)
        if signed_in is None or pending is None or len(decision) != 1:
            return self._answered_already(configuration)
        try:
            asking = self._read(configuration, params_of(pending.query), pending.query, signed_in)
            if asking.client.digest != pending.client_digest:
                # The client became somebody else while the person read: that is another question (CIMD-28).
                return self._next(asking, pending.query)
        except (_NeedsSignIn, _SentBack, RedirectRefused, ClientRefused) as stop:
            return self._stopped(configuration, signed_in, pending.query, stop)
        error: OAuthError | None = None
        code = None
        with self.services.database.write() as tx:
            if not engine.take_pending(tx, pending_id, signed_in, self.now):
                return self._answered_already(configuration)
            if decision[0] == "allow":
                try:
                    lifetime = self.services.settings.tokens.code
                    made = engine.allow(tx, asking, chosen, code_lifetime=lifetime, now=self.now)
                    code = made.code
                except OAuthError as refused:
                    error = refused
                    engine.record_refusal(
                        tx, configuration, signed_in, asking.client.id, refused, self.now
                    )
            else:
                error = engine.refuse(tx, asking, self.now)
        # The person saw where this goes and answered: no interstitial, whoever the client is.
        if error is not None:
            AUTHORIZE_REQUESTS.labels(error.code).inc()
            return see_other(asking.address.with_error(error))
        AUTHORIZE_REQUESTS.labels("code").inc()
        return see_other(asking.address.with_code(code or ""))

    def switch(self, fields: list[tuple[str, str]]) -> Response:
        """POST /consent/switch: sign out, and take the request up again as somebody else."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return _no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        pending_id = next((value for name, value in fields if name == "consent_id"), "")
        if signed_in is None:
            return self._answered_already(configuration)
        with self.services.database.write() as tx:
            pending = engine.find_pending(tx, pending_id, signed_in, self.now)
            if pending is None:
                return self._answered_already(configuration)
            engine.take_pending(tx, pending_id, signed_in, self.now)
            end_session(tx, signed_in.digest, self.now)
            event = SessionEnded(subject=signed_in.user_id)
            audit.record(
                tx, configuration.tenant.id, event, key=configuration.audit_key, now=self.now
            )
        response = see_other(f"{configuration.tenant.path}/authorize?{pending.query}")
        drop_session(self.edge, self.slug, response)
        return response

    def _signed_in(self, configuration: TenantConfiguration) -> SignedIn | None:
        with self.services.database.read() as tx:
            return find_session(
                tx, tenant_id=configuration.tenant.id, token=self.cookie, now=self.now
            )

    def _read(
        self,
        configuration: TenantConfiguration,
        params: Params,
        query: str,
        signed_in: SignedIn | None,
    ) -> Asking:
        """Client, return address, request, in this order: each decides how the next may fail."""
        client_id = params.find("client_id")
        if client_id is None:
            raise ClientRefused("The link does not name a client.", reason="client_id_missing")
        resolved = self._resolve(configuration, client_id, signed_in)
        address = return_address(resolved.client, params, configuration.tenant.issuer)
        try:
            request = validate(resolved.client, params, address, configuration.policy)
            self._check_prompt(request, signed_in)
        except OAuthError as error:
            raise _SentBack(resolved.client, address, error) from None
        if signed_in is None:
            raise _NeedsSignIn(resolved.client, client_id)
        return Asking(
            configuration=configuration,
            client=resolved.client,
            request=request,
            address=address,
            signed_in=signed_in,
            query=query,
            fetched=resolved.fetched,
        )

    def _check_prompt(self, request: AuthorizationRequest, signed_in: SignedIn | None) -> None:
        needed = engine.needs_sign_in(request, signed_in, self.now)
        if needed and "none" in request.prompt:
            raise LoginRequired("the person has to sign in", reason="login_required")

    def _resolve(
        self, configuration: TenantConfiguration, client_id: str, signed_in: SignedIn | None
    ) -> _Resolved:
        tenant = configuration.tenant
        with self.services.database.read() as tx:
            row = registered.find(tx, tenant.id, client_id)
        if row is not None and row.kind == "registered":
            return _Resolved(usable_row(row), None)
        if row is not None and row.status == "blocked":
            raise ClientRefused(
                "An administrator has blocked this client.", reason="client_blocked"
            )
        try:
            check_identifier(client_id, configuration.trust, self.edge.rules)
        except ClientNotAdmitted:
            if signed_in is None:
                raise _NeedsSignIn(None, client_id) from None
            raise
        if signed_in is None:
            # Nothing is fetched for a stranger (CIMD-17, MCP-AS-46).
            raise _NeedsSignIn(None, client_id)
        fetched = self.services.network.run_blocking(
            fetch(
                self.services.documents,
                client_id,
                tenant_id=tenant.id,
                rules=self.edge.rules,
                max_bytes=self.services.settings.clients.document_max_bytes,
                approved=is_approved(configuration.trust, client_id),
            )
        )
        ceiling = None if row is None else row.scope_ceiling
        return _Resolved(replace(fetched.client, scope_ceiling=ceiling), fetched)

    def _next(self, asking: Asking, query: str) -> Response:
        error: OAuthError | None = None
        step: engine.Step | None = None
        with self.services.database.write() as tx:
            try:
                step = engine.next_step(
                    tx,
                    asking,
                    code_lifetime=self.services.settings.tokens.code,
                    now=self.now,
                )
            except OAuthError as refused:
                error = refused
                engine.record_refusal(
                    tx, asking.configuration, asking.signed_in, asking.client.id, refused, self.now
                )
        if error is not None:
            raise _SentBack(asking.client, asking.address, error)
        if isinstance(step, SendBack):
            AUTHORIZE_REQUESTS.labels("code").inc()
            return see_other(asking.address.with_code(step.code))
        if isinstance(step, AskConsent):
            AUTHORIZE_REQUESTS.labels("consent").inc()
            return consent_page(self.edge, asking, step)
        if isinstance(step, SignIn):
            raise _NeedsSignIn(asking.client, asking.client.id)
        raise AssertionError(f"no step for {query[:20]}")

    def _stopped(
        self,
        configuration: TenantConfiguration,
        signed_in: SignedIn | None,
        query: str,
        stop: Exception,
    ) -> Response:
        if isinstance(stop, _NeedsSignIn):
            if "none" in (params_of(query).find("prompt") or "").split():
                # Nobody has vouched for this client: not even the refusal is sent to it (O21-24).
                error = LoginRequired("the person has to sign in", reason="login_required")
                return self._page(configuration, error, client_id=stop.client_id)
            AUTHORIZE_REQUESTS.labels("login").inc()
            return login_page(
                self.edge,
                configuration,
                continue_query=query,
                client=stop.client,
                client_id=stop.client_id,
            )
        if isinstance(stop, ClientNotAdmitted) and signed_in is not None:
            client_id = params_of(query).find("client_id") or ""
            return approval_page(self.edge, configuration, signed_in, client_id)
        if isinstance(stop, _SentBack):
            return self._send_error(configuration, signed_in, stop)
        if isinstance(stop, OAuthError):
            named = params_of(query).find("client_id")
            return self._page(configuration, stop, client_id=named)
        raise stop

    def _send_error(
        self, configuration: TenantConfiguration, signed_in: SignedIn | None, stop: _SentBack
    ) -> Response:
        """Redirect only where somebody vouched for the client: an operator, or this person (O21-24, ATK-07)."""
        AUTHORIZE_REQUESTS.labels(stop.error.code).inc()
        trusted = stop.client.kind == "registered" or stop.client.approved
        if not trusted and signed_in is not None:
            with self.services.database.read() as tx:
                trusted = engine.has_ever_consented(
                    tx, configuration.tenant.id, signed_in.user_id, stop.client.id
                )
        if trusted:
            log.info("authorize.refused", error=stop.error.code, reason=stop.error.reason)
            return see_other(stop.address.with_error(stop.error))
        return problem(
            self.edge,
            tenant_name=configuration.tenant.name,
            heading="This request cannot be answered",
            message=f"The application asked for something that is not possible: {stop.error.description}.",
            code=stop.error.code,
            reason=stop.error.reason,
            detail=[("application", stop.client.id)],
            return_url=stop.address.with_error(stop.error),
            return_host=redirect_host(stop.address.redirect_uri),
        )

    def _page(
        self,
        configuration: TenantConfiguration,
        error: OAuthError,
        *,
        client_id: str | None = None,
    ) -> Response:
        AUTHORIZE_REQUESTS.labels("page").inc()
        detail = [("application", client_id)] if client_id else []
        if isinstance(error, RedirectRefused) and error.received is not None:
            detail.append(("return_address", error.received))
        sentence = getattr(error, "sentence", f"The link is not valid: {error.description}.")
        return problem(
            self.edge,
            tenant_name=configuration.tenant.name,
            heading="This sign-in link cannot be used",
            message=sentence,
            code=error.code,
            reason=error.reason,
            hint="Start again from the application. If it happens again, give the support id to whoever runs it.",
            detail=detail,
        )

    def _answered_already(self, configuration: TenantConfiguration) -> Response:
        return problem(
            self.edge,
            tenant_name=configuration.tenant.name,
            heading="This page is no longer valid",
            message="It was answered already, is too old, or belongs to another sign-in.",
            code="invalid_request",
            reason="consent_not_pending",
            hint="Start again from the application.",
        )


def _unreadable(edge: Edge, error: OAuthError) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading="This request cannot be read",
        message=f"{error.description[:1].upper()}{error.description[1:]}.",
        code=error.code,
        reason=error.reason,
        status=error.status,
    )


def _no_tenant(edge: Edge) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading="There is nothing here",
        message="No sign-in service has this address.",
        code="not_found",
        reason="tenant_unknown",
        status=404,
    )


def _foreign_form(edge: Edge) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading="This form came from another site",
        message="Nothing was changed.",
        code="invalid_request",
        reason="foreign_form",
        status=403,
    )
