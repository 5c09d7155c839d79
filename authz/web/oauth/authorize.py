"""GET /authorize and the forms behind it.

Everything here is blocking and runs in a thread. `reading` rebuilds the whole request from its query each time, so
what the person answers is validated as strictly as what the client asked.
"""

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import SessionEnded
from authz.clients.resolution import ClientRefused
from authz.directory.sessions import SignedIn, end_session, find_session, hold
from authz.errors import OAuthError, TooManyRequests
from authz.oauth import authorize as engine
from authz.oauth.asking import Asking
from authz.oauth.authorization_request import RedirectRefused
from authz.oauth.authorize import AskConsent, SendBack, SignIn
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.params import Params
from authz.oauth.pending import Pending, find_pending, take_pending
from authz.oauth.pushed import PushedRequestRefused
from authz.telemetry.metrics import AUTHORIZE_REQUESTS
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.cookies import drop_session, read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import params_of, read_form, read_query
from authz.web.oauth.consent_page import READING, consent_page, reading
from authz.web.oauth.reading import NeedsSignIn, SentBack, read_request
from authz.web.oauth.silent import answer_silently
from authz.web.oauth.stops import (
    answered_already,
    foreign_form,
    no_tenant,
    refusal_page,
    stopped,
    unreadable,
)
from authz.web.responses import see_other
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

_STOPS = (
    NeedsSignIn,
    SentBack,
    RedirectRefused,
    ClientRefused,
    PushedRequestRefused,
    TooManyRequests,
)


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The authorization endpoint and its consent form below a prefix. No CORS here, ever (O21-05)."""

    async def authorize(request: Request) -> Response:
        try:
            edge.limits.admit("authorize", address=peer_address(edge, request))
            params, query = read_query(request)
            slug = request.path_params.get("slug", DEFAULT_SLUG)
            cookie = read_session(edge, slug, request)
            location = await answer_silently(edge, slug, params, cookie)
        except OAuthError as error:
            return unreadable(edge, error)
        if location is not None:
            AUTHORIZE_REQUESTS.labels("code").inc()
            return see_other(location)
        return await run_in_threadpool(_Flow(edge, slug, cookie).begin, params, query)

    async def consent(request: Request) -> Response:
        return await _posted(request, "answer")

    async def switch(request: Request) -> Response:
        return await _posted(request, "switch")

    async def _posted(request: Request, step: str) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        if not is_own_form(request, edge.services.settings.server.issuer):
            return foreign_form(edge)
        try:
            edge.limits.admit("consent", address=peer_address(edge, request))
            fields = await read_form(request)
        except OAuthError as error:
            return unreadable(edge, error)
        flow = _Flow(edge, slug, read_session(edge, slug, request))
        return await run_in_threadpool(getattr(flow, step), fields)

    return [
        Route(f"{prefix}/authorize", authorize, methods=["GET"]),
        Route(f"{prefix}/consent", consent, methods=["POST"]),
        Route(f"{prefix}/consent/switch", switch, methods=["POST"]),
    ]


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
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        try:
            if signed_in is not None:
                self.edge.limits.admit("authorize", user=signed_in.user_id)
            asking = read_request(self.edge, configuration, params, query, signed_in, self.now)
            return self._next(asking, query)
        except _STOPS as stop:
            return stopped(self.edge, configuration, signed_in, query, stop)
        except OAuthError as error:
            return refusal_page(self.edge, configuration, error)

    def answer(self, fields: list[tuple[str, str]]) -> Response:
        """POST /consent."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        pending_id = next((value for name, value in fields if name == "consent_id"), "")
        decision = [value for name, value in fields if name == "decision"]
        chosen = frozenset(value for name, value in fields if name == "scope")
        pending = None
        if signed_in is not None:
            with self.services.database.read() as tx:
                pending = find_pending(tx, pending_id, signed_in, self.now)
        if signed_in is None or pending is None or len(decision) != 1:
            return answered_already(self.edge, configuration)
        try:
            self.edge.limits.admit("consent", user=signed_in.user_id)
            asking = read_request(
                self.edge,
                configuration,
                params_of(pending.query),
                pending.query,
                signed_in,
                self.now,
            )
            if asking.client.digest != pending.client_digest:
                # The client became somebody else while the person read: that is another question (CIMD-28).
                return self._next(asking, pending.query)
            answered = self._answer(asking, pending_id, decision[0], chosen, pending)
            # So is a scope that came to mean something else (ATK-58).
            return answered or self._next(asking, pending.query)
        except _STOPS as stop:
            return stopped(self.edge, configuration, signed_in, pending.query, stop)

    def _answer(
        self,
        asking: Asking,
        pending_id: str,
        decision: str,
        chosen: frozenset[str],
        shown: Pending,
    ) -> Response | None:
        """None: it was for something else than is asked now."""
        configuration, signed_in = asking.configuration, asking.signed_in
        error: OAuthError | None = None
        code = None
        with self.services.database.write() as tx:
            is_held = hold(tx, signed_in.digest)
            if not is_held or not take_pending(tx, pending_id, signed_in, self.now):
                return answered_already(self.edge, configuration)
            if decision in ("allow", READING):
                if decision == READING:
                    chosen = reading(asking.request.resource, chosen)
                try:
                    lifetime = self.services.settings.tokens.code
                    made = engine.allow(
                        tx, asking, chosen, shown=shown, code_lifetime=lifetime, now=self.now
                    )
                    if made is None:
                        return None
                    code = made.code
                except PushedRequestRefused:
                    raise  # nothing of this answer counts, and nothing is sent to the client twice
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
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        pending_id = next((value for name, value in fields if name == "consent_id"), "")
        if signed_in is None:
            return answered_already(self.edge, configuration)
        with self.services.database.write() as tx:
            pending = find_pending(tx, pending_id, signed_in, self.now)
            if pending is None:
                return answered_already(self.edge, configuration)
            # In the order of whoever ends the session from outside: two orders would be a deadlock.
            end_session(tx, signed_in.digest, self.now)
            take_pending(tx, pending_id, signed_in, self.now)
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
            except PushedRequestRefused:
                raise
            except OAuthError as refused:
                error = refused
                engine.record_refusal(
                    tx, asking.configuration, asking.signed_in, asking.client.id, refused, self.now
                )
        if error is not None:
            raise SentBack(asking.client, asking.address, error)
        if isinstance(step, SendBack):
            AUTHORIZE_REQUESTS.labels("code").inc()
            return see_other(asking.address.with_code(step.code))
        if isinstance(step, AskConsent):
            AUTHORIZE_REQUESTS.labels("consent").inc()
            return consent_page(self.edge, asking, step)
        if isinstance(step, SignIn):
            raise NeedsSignIn(
                asking.client,
                asking.client.id,
                login_hint=asking.request.login_hint,
                needed=step.needed,
                is_step_up=step.is_step_up,
            )
        raise AssertionError(f"no step for {query[:20]}")
