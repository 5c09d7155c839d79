"""One request of one browser on its way to an identity provider or back; blocking, so it runs in a thread."""

from dataclasses import dataclass, replace

from sqlalchemy.orm import Session
from starlette.responses import Response

from authz import entropy
from authz.db.models import Connection
from authz.directory.linking import LinkRefused
from authz.directory.sessions import mark_of
from authz.errors import OAuthError, TooManyRequests
from authz.federation import attempts, tickets
from authz.federation.attempts import Attempt
from authz.federation.connections import find_active, of_login, upstream_of, wanted_claims
from authz.federation.connector import Answer, Finished, SignInRefused, Upstream, Wish
from authz.federation.sign_in import NO_ACCOUNT, complete, record_refusal
from authz.oauth.asking import Needed
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.params import Params
from authz.oauth.pushed import REQUEST_URI, find_pushed
from authz.telemetry.metrics import sign_in
from authz.web.cookies import set_browser, set_session
from authz.web.edge import Edge
from authz.web.forms import params_of
from authz.web.login.continuation import (
    HOME,
    Continuation,
    read_continuation,
    wish_of,
)
from authz.web.login.pages import login_page, password_page
from authz.web.login.refusals import GONE, refused_page, stopped_page, unusable
from authz.web.problems import too_many
from authz.web.responses import see_other


@dataclass(frozen=True)
class _Found:
    """A connection that people may come from, and what is read with it."""

    configuration: TenantConfiguration
    row: Connection
    upstream: Upstream
    wanted: frozenset[str]
    """The claims that its mappings mention."""


class Flow:
    """One request of one browser."""

    def __init__(self, edge: Edge, slug: str, browser: str | None) -> None:
        self.edge = edge
        self.services = edge.services
        self.slug = slug
        self.browser = browser
        self.now = edge.services.clock()

    def start(self, _: str, fields: dict[str, str]) -> Response:
        """POST /login/start: a button of a connection, or an address that leads to one."""
        login = fields.get("login", "")[:254]
        with self.services.database.read() as tx:
            configuration = self.services.configurations.find(tx, self.slug)
            if configuration is None:
                return self._nothing()
            try:
                continuation = read_continuation(fields)
            except OAuthError as error:
                return unusable(self.edge, "This form cannot be read", error.reason, error.status)
            tenant_id = configuration.tenant.id
            if "connection" in fields:
                row = find_active(tx, tenant_id, fields["connection"])
                if row is None:
                    return stopped_page(
                        self.edge, configuration, "connection_unknown", GONE, continuation
                    )
            else:
                row = of_login(tx, tenant_id, login) if fields.get("with") != "password" else None
            wish = self._wish(tx, configuration, continuation, login or None)
        if row is None:
            asked = params_of(continuation.query)
            return password_page(
                self.edge,
                configuration,
                continuation,
                client=None,
                client_id=asked.find("client_id") or "",
                login=login,
            )
        return self._leave(configuration, row, continuation, wish)

    def _wish(
        self,
        tx: Session,
        configuration: TenantConfiguration,
        continuation: Continuation,
        login: str | None,
    ) -> Wish:
        params = params_of(continuation.query)
        request_uri, client_id = params.find("request_uri"), params.find("client_id")
        if request_uri is not None and client_id and request_uri.startswith(REQUEST_URI):
            pushed = find_pushed(tx, configuration.tenant.id, client_id, request_uri, self.now)
            params = Params(()) if pushed is None else params_of(pushed.query)
        return wish_of(params, continuation.needed, login)

    def _leave(
        self,
        configuration: TenantConfiguration,
        row: Connection,
        continuation: Continuation,
        wish: Wish,
    ) -> Response:
        upstream = upstream_of(row, configuration.tenant.issuer)
        state = entropy.new_token("sta")
        browser = self.browser or entropy.new_token("brw")
        connector = self.edge.connectors.of(row.kind)
        try:
            with self.edge.limits.at_provider(row.id, configuration.tenant.id):
                started = connector.start(upstream, wish, state, self.now)
        except TooManyRequests as error:
            return too_many(self.edge, error, tenant_name=configuration.tenant.name)
        except SignInRefused as refused:
            return refused_page(self.edge, configuration, row, refused, continuation)
        attempt = Attempt(
            connection_id=row.id,
            continuation=continuation.as_json(),
            wish=wish,
            kept=started.kept,
            browser=entropy.digest(browser),
            started_at=self.now,
        )
        with self.services.database.write() as tx:
            attempts.store(tx, configuration.tenant.id, attempt, state, self.now)
        sign_in(row.kind, row.slug, "started")
        response = see_other(started.url)
        set_browser(self.edge, self.slug, response, browser)
        return response

    def callback(self, connection: str, fields: dict[str, str]) -> Response:
        """GET /federation/SLUG/callback: the browser is back from an OpenID provider."""
        found = self._find(connection)
        if isinstance(found, Response):
            return found
        configuration, row = found.configuration, found.row
        attempt = None
        if self.browser is not None:
            with self.services.database.write() as tx:
                attempt = attempts.take(
                    tx,
                    configuration.tenant.id,
                    row.id,
                    fields.get("state", ""),
                    self.now,
                    browser=self.browser,
                )
        if attempt is None:
            return self._gone(configuration, row, "attempt_unknown")
        finished = self._finished(found, attempt, fields)
        if isinstance(finished, Response):
            return finished
        return self._signed_in(configuration, row, finished, _continuation_of(attempt))

    def assertion(self, connection: str, fields: dict[str, str]) -> Response:
        """POST /federation/SLUG/acs: a SAML response, by a form of another site and so without our cookie."""
        found = self._find(connection)
        if isinstance(found, Response):
            return found
        configuration, row = found.configuration, found.row
        state, tenant_id = fields.get("RelayState", ""), configuration.tenant.id
        with self.services.database.read() as tx:
            attempt = attempts.find(tx, tenant_id, row.id, state, self.now)
        if attempt is None:
            # Unsolicited: the connector refuses it unless the connection allows it, and it completes nothing (SAML-06).
            unsolicited = Attempt(
                row.id, Continuation(HOME, "").as_json(), Wish(), {}, "", self.now
            )
            finished = self._finished(found, unsolicited, fields)
            if isinstance(finished, Response):
                return finished
            return self._signed_in(configuration, row, finished, Continuation(HOME, ""))
        finished = self._finished(found, attempt, fields)
        if isinstance(finished, Response):
            return finished
        ticket = entropy.new_token("tkt")
        waiting = replace(attempt, kept=tickets.as_json(finished))
        with self.services.database.write() as tx:
            # Verified first: whoever posts rubbish with somebody's state spends nothing of theirs.
            if attempts.take(tx, tenant_id, row.id, state, self.now) is None:
                return self._gone(configuration, row, "attempt_unknown")
            attempts.store(
                tx, tenant_id, waiting, ticket, self.now, lifetime=attempts.TICKET_LIFETIME
            )
        return see_other(f"{found.upstream.base}/finish?ticket={ticket}")

    def published(self, connection: str, fields: dict[str, str]) -> Response:  # noqa: ARG002
        """GET /federation/SLUG/metadata: what the provider has to know of this connection; nothing secret."""
        found = self._find(connection)
        if isinstance(found, Response):
            return found
        document = self.edge.connectors.of(found.row.kind).published(found.upstream)
        if document is None:
            return self._nothing()
        body, media_type = document
        return Response(body, media_type=media_type, headers={"cache-control": "max-age=3600"})

    def initiate(self, connection: str, fields: dict[str, str]) -> Response:
        """GET or POST /federation/SLUG/initiate: a provider sends somebody here to sign in (OIDC-09).

        They see the button and decide: whoever makes a browser come here signs nobody in, and allows nothing.
        """
        found = self._find(connection)
        if isinstance(found, Response):
            return found
        configuration, row = found.configuration, found.row
        if fields.get("iss") != row.settings.get("issuer"):
            return unusable(self.edge, "This link cannot be used", "initiate_iss", 400)
        target, own = fields.get("target_link_uri"), configuration.tenant.issuer
        if target is not None and target != own and not target.startswith(f"{own}/"):
            return unusable(self.edge, "This link cannot be used", "initiate_target", 400)
        return login_page(
            self.edge,
            configuration,
            continue_query="",
            client=None,
            client_id="",
            then=HOME,
            login=fields.get("login_hint"),
            needed=Needed(connections=(row.slug,)),
        )

    def ticket(self, connection: str, fields: dict[str, str]) -> Response:
        """GET /federation/SLUG/finish: the browser that began fetches what was verified for it."""
        found = self._find(connection)
        if isinstance(found, Response):
            return found
        configuration, row = found.configuration, found.row
        attempt = None
        ticket = fields.get("ticket", "")
        if self.browser is not None and ticket.startswith("tkt_"):
            with self.services.database.write() as tx:
                attempt = attempts.take(
                    tx, configuration.tenant.id, row.id, ticket, self.now, browser=self.browser
                )
        if attempt is None:
            return self._gone(configuration, row, "ticket_unknown")
        return self._signed_in(
            configuration, row, tickets.of_json(attempt.kept), _continuation_of(attempt)
        )

    def _find(self, connection: str) -> _Found | Response:
        with self.services.database.read() as tx:
            configuration = self.services.configurations.find(tx, self.slug)
            if configuration is None:
                return self._nothing()
            row = find_active(tx, configuration.tenant.id, connection)
            if row is None:
                return self._nothing()
            wanted = wanted_claims(tx, row.id)
        upstream = upstream_of(row, configuration.tenant.issuer)
        return _Found(configuration, row, upstream, wanted)

    def _finished(
        self, found: _Found, attempt: Attempt, fields: dict[str, str]
    ) -> Finished | Response:
        configuration, row = found.configuration, found.row
        answer = Answer(
            params=fields,
            kept=attempt.kept,
            wish=attempt.wish,
            started_at=attempt.started_at,
            wanted_claims=found.wanted,
        )
        connector = self.edge.connectors.of(row.kind)
        try:
            with self.edge.limits.at_provider(row.id, configuration.tenant.id):
                return connector.finish(found.upstream, answer, self.now)
        except TooManyRequests as error:
            return too_many(self.edge, error, tenant_name=configuration.tenant.name)
        except SignInRefused as refused:
            return refused_page(self.edge, configuration, row, refused, _continuation_of(attempt))

    def _signed_in(
        self,
        configuration: TenantConfiguration,
        row: Connection,
        finished: Finished,
        continuation: Continuation,
    ) -> Response:
        key, now = configuration.audit_key, self.services.clock()
        try:
            with self.services.database.write() as tx:
                done = complete(
                    tx,
                    connection_id=row.id,
                    finished=finished,
                    audit_key=key,
                    lifetime=self.services.settings.sessions.lifetime,
                    now=now,
                )
        except LinkRefused as error:
            refused = SignInRefused(error.reason, NO_ACCOUNT)
            is_recorded = error.user_id is not None
            if error.user_id is not None:
                with self.services.database.write() as tx:
                    record_refusal(tx, row, error.user_id, error.reason, audit_key=key, now=now)
            return refused_page(
                self.edge, configuration, row, refused, continuation, is_recorded=is_recorded
            )
        sign_in(row.kind, row.slug, "succeeded")
        response = see_other(continuation.url(configuration.tenant.path, mark_of(done.token)))
        set_session(self.edge, self.slug, response, done.token)
        return response

    def _gone(self, configuration: TenantConfiguration, row: Connection, reason: str) -> Response:
        gone = SignInRefused(reason, GONE)
        return refused_page(self.edge, configuration, row, gone, Continuation(HOME, ""))

    def _nothing(self) -> Response:
        return unusable(self.edge, "There is nothing here", "connection_unknown", 404)


def _continuation_of(attempt: Attempt) -> Continuation:
    return Continuation(attempt.continuation["then"], attempt.continuation["query"])
