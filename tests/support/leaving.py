"""A company's identity provider and its people, for the tests of how they leave.

idp = Provider(harness, "corp")            # a connection, its keys and metadata on a host of its own
ada = idp.employee("ada")                  # an account, linked
session = ada.sign_in("s1")                # with the provider's session s1
grant = ada.grant(session)                 # a client's tokens
harness.clock.advance(seconds=1)
assert idp.log_out(sub=ada.subject).status == 200
assert grant.is_over()
"""

import itertools
import json
from dataclasses import dataclass
from typing import Any

import httpx2
from joserfc import jws
from sqlalchemy import select

from authz import entropy
from authz.admin import resources, roles, signal_streams
from authz.admin.signal_streams import NewStream
from authz.db.models import Departure, Identity, Session, User
from authz.directory.sessions import open_session
from authz.federation.logout_tokens import EVENT
from authz.federation.security_events import CAEP
from authz.web.cookies import session_cookie_name
from tests.support.client_keys import ClientKey
from tests.support.connections import connection
from tests.support.harness import LOG, RESOURCE, Answer, Browser, Harness, _reason_since
from tests.support.web import Reply, Seen

SESSION_REVOKED = f"{CAEP}session-revoked"
_numbers = itertools.count(1)
_asking: dict[str, tuple[str, str]] = {}


@dataclass(frozen=True)
class Grant:
    """What a client holds of somebody."""

    harness: Harness
    access_token: str
    refresh_token: str

    def access_is_good(self) -> bool:
        """As the MCP server is told."""
        client_id, secret = _asking_client(self.harness)
        fields = {"token": self.access_token, "client_id": client_id, "client_secret": secret}
        return bool(self.harness.post("/introspect", fields).json["active"])

    def refresh(self) -> Answer:
        """The next tokens, if there are any."""
        return self.harness.refresh(self.refresh_token)

    def is_over(self) -> bool:
        """Neither token is good."""
        return not self.access_is_good() and not self.refresh().ok

    def is_whole(self) -> bool:
        """Both are."""
        return self.access_is_good() and self.refresh().ok


def _asking_client(harness: Harness) -> tuple[str, str]:
    """The client of the tenant's MCP server, made when first needed."""
    if harness.tenant_id not in _asking:
        made = harness.add_client(auth_method="client_secret_post")
        harness.change(resources.set_client, RESOURCE, made.client.id)
        _asking[harness.tenant_id] = (made.client.id, made.secret)
    return _asking[harness.tenant_id]


@dataclass(frozen=True)
class SignedInBrowser:
    """A session of somebody."""

    cookie: str

    @property
    def digest(self) -> str:
        """How it is stored."""
        return entropy.digest(self.cookie)


@dataclass(frozen=True)
class Employee:
    """A person of one provider."""

    provider: "Provider"
    user_id: str
    subject: str
    email: str

    @property
    def harness(self) -> Harness:
        """Of the provider's tenant."""
        return self.provider.harness

    def sign_in(
        self, upstream: str | None = None, *, via: "Provider | None" = None, locally: bool = False
    ) -> SignedInBrowser:
        """As if they had come back from the provider, with its session of this name."""
        harness = self.harness
        with harness.server.database.write() as tx:
            cookie = open_session(
                tx,
                tenant_id=harness.tenant_id,
                user_id=self.user_id,
                amr=("pwd",),
                acr=None,
                lifetime=harness.server.settings.sessions.lifetime,
                now=harness.clock(),
                connection_id=None if locally else (via or self.provider).connection_id,
                upstream_session=upstream,
            )
        return SignedInBrowser(cookie)

    def code(self, session: SignedInBrowser, **values: Any) -> str:
        """As if they had just allowed a client in this session; the clock has not moved since they signed in."""
        with self.harness.server.database.read() as tx:
            connection_id = tx.get_one(Session, session.digest).connection_id
        return self.harness.code(
            user_id=self.user_id,
            session_digest=session.digest,
            connection_id=connection_id,
            **values,
        )

    def grant(self, session: SignedInBrowser) -> Grant:
        """A client's tokens from this session."""
        answer = self.harness.redeem(self.code(session))
        assert answer.ok, answer.response.text
        return Grant(self.harness, answer.access_token, answer.refresh_token)

    def browser(self, session: SignedInBrowser) -> Browser:
        """The browser of the session."""
        browser = self.harness.browser(None)
        name = session_cookie_name(self.harness.server.edge, self.harness.slug)
        browser.http.headers["cookie"] = f"{name}={session.cookie}"
        return browser

    def is_signed_in(self, session: SignedInBrowser) -> bool:
        """Whether the browser of the session gets past the sign-in page."""
        page = self.browser(session).start()
        return page.is_consent or "code=" in page.location

    def row(self) -> User:
        """The account."""
        with self.harness.server.database.read() as tx:
            return tx.get_one(User, self.user_id)

    def departures(self) -> list[Departure]:
        """What the clock noted of them, in order."""
        with self.harness.server.database.read() as tx:
            return list(
                tx.scalars(
                    select(Departure)
                    .where(Departure.user_id == self.user_id)
                    .order_by(Departure.ended_at, Departure.id)
                )
            )


class Provider:
    """One connection of one tenant, and the provider at the other end of it."""

    def __init__(self, harness: Harness, slug: str, *, algorithm: str = "ES256") -> None:
        self.harness, self.slug = harness, slug
        self.host = f"{slug}.{harness.host}"
        self.key = ClientKey(algorithm, kid=f"{slug}-1")
        self.issuer = harness.web.url(self.host, "").rstrip("/")
        self.client_id = f"client-at-{slug}"
        self.published = [self.key.public]
        self.pages: list[Reply] = []
        """What it answers to the next polls."""
        self.polls: list[dict[str, Any]] = []
        self.poll_headers: list[str | None] = []
        self.push_token = ""
        harness.web.serve(self.host, self._answer)
        row = connection(
            harness.tenant_id,
            slug,
            harness.clock(),
            settings=harness.server.edge.connectors.of("oidc").check(
                {
                    "issuer": self.issuer,
                    "client_id": self.client_id,
                    "client_secret": "env:SECRET",
                },
                "generic",
            ),
            is_listed=False,
        )
        with harness.server.database.write() as tx:
            tx.add(row)
        self.connection_id = row.id

    def _answer(self, seen: Seen) -> Reply:
        if seen.target == "/.well-known/openid-configuration":
            endpoints = {name: f"{self.issuer}/{name}" for name in ("authorize", "token", "jwks")}
            return Reply.json(
                {
                    "issuer": self.issuer,
                    "authorization_endpoint": endpoints["authorize"],
                    "token_endpoint": endpoints["token"],
                    "jwks_uri": endpoints["jwks"],
                }
            )
        if seen.target == "/jwks":
            return Reply.json({"keys": self.published})
        if seen.target == "/poll":
            self.polls.append(json.loads(seen.body))
            self.poll_headers.append(seen.headers.get("authorization"))
            return self.pages.pop(0) if self.pages else Reply.json({"sets": {}})
        return Reply(404)

    def employee(
        self, name: str, *, email: str | None = None, subject: str | None = None
    ) -> Employee:
        """Somebody with an account that is linked to this provider."""
        harness, login = self.harness, f"{name}@{self.host}"
        user_id = harness.add_user(login)
        harness.change(roles.bind, role="developer", kind="user", holder=login)
        made = Employee(self, user_id, subject or f"sub-{name}", email or login)
        with harness.server.database.write() as tx:
            tx.get_one(User, user_id).email = made.email
            tx.add(self.identity(user_id, made.subject))
        return made

    def identity(self, user_id: str, subject: str) -> Identity:
        """A link."""
        return Identity(
            tenant_id=self.harness.tenant_id,
            connection_id=self.connection_id,
            subject=subject,
            user_id=user_id,
            linked_by="provisioned",
            linked_at=self.harness.clock(),
            last_sign_in_at=None,
        )

    # -- what it says -------------------------------------------------------------------------------------

    def sign(self, header: dict[str, Any], claims: dict[str, Any], key: Any = None) -> str:
        """A JWT of its own; a claim of None is left out."""
        used = key or self.key
        protected = {"alg": used.algorithm, "kid": used.kid, **header}
        protected = {name: value for name, value in protected.items() if value is not None}
        registry = jws.JWSRegistry(algorithms=[used.algorithm], strict_check_header=False)
        body = json.dumps({name: value for name, value in claims.items() if value is not None})
        return jws.serialize_compact(protected, body, used.key, registry=registry)

    def logout_claims(self, **claims: Any) -> dict[str, Any]:
        """Of a logout token that lacks nothing but whom it is about."""
        at = int(self.harness.clock().timestamp())
        return {
            "iss": self.issuer,
            "aud": self.client_id,
            "iat": at,
            "exp": at + 120,
            "jti": f"logout-{next(_numbers)}",
            "events": {EVENT: {}},
            **claims,
        }

    def logout_token(
        self, *, typ: str | None = "logout+jwt", key: Any = None, **claims: Any
    ) -> str:
        """A logout token."""
        return self.sign({"typ": typ}, self.logout_claims(**claims), key)

    def log_out(
        self, token: str | None = None, *, at: "Provider | None" = None, **claims: Any
    ) -> Answer:
        """Say it to a connection: its own, unless told otherwise."""
        there = at or self
        path = f"/federation/{there.slug}/backchannel-logout"
        return there.harness.post(path, {"logout_token": token or self.logout_token(**claims)})

    def add_stream(self, slug: str = "signals", **changed: Any) -> None:
        """A stream of security events about its people, pushed unless there is a `poll_url`."""
        new = NewStream(
            slug=slug,
            connection=self.slug,
            issuer=self.issuer,
            jwks_uri=f"{self.issuer}/jwks",
            audience=changed.pop("audience", self.harness.issuer),
            **changed,
        )
        made = self.harness.change(signal_streams.add, new, development=False)
        self.push_token = made.token or ""

    def event_claims(
        self, kind: str = SESSION_REVOKED, subject: Any = None, /, **claims: Any
    ) -> dict[str, Any]:
        """Of a security event token."""
        at = int(self.harness.clock().timestamp())
        return {
            "iss": self.issuer,
            "aud": self.harness.issuer,
            "iat": at,
            "jti": f"set-{next(_numbers)}",
            "sub_id": subject,
            "events": {kind: claims.pop("payload", {"event_timestamp": at})},
            **claims,
        }

    def event(
        self,
        kind: str = SESSION_REVOKED,
        subject: Any = None,
        /,
        *,
        typ: str | None = "secevent+jwt",
        key: Any = None,
        **claims: Any,
    ) -> str:
        """A security event token."""
        return self.sign({"typ": typ}, self.event_claims(kind, subject, **claims), key)

    def about(self, employee: Employee) -> dict[str, str]:
        """Somebody, as their provider names them."""
        return {"format": "iss_sub", "iss": self.issuer, "sub": employee.subject}

    def push(
        self,
        token: str,
        *,
        at: "Provider | None" = None,
        stream: str = "signals",
        bearer: str | None = None,
        content_type: str = "application/secevent+jwt",
    ) -> Answer:
        """Deliver a token to a stream: its own, unless told otherwise."""
        there = at or self
        mark = len(LOG.events)
        response: httpx2.Response = there.harness.http.post(
            f"{there.harness.issuer}/signals/{stream}",
            content=token.encode("utf-8", "replace"),
            headers={
                "Content-Type": content_type,
                "Authorization": f"Bearer {self.push_token if bearer is None else bearer}",
            },
        )
        return Answer(response, _reason_since(mark))

    def tell(self, kind: str, employee: Employee, **payload: Any) -> Answer:
        """Push an event about somebody."""
        return self.push(self.event(kind, self.about(employee), payload=payload))
