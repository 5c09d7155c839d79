"""The server under test: real sockets, a real database, a clock that tests move, and browsers that fill in forms.

One server per engine and test worker; every test gets a tenant of its own, an issuer of its own, so tests share
the process and nothing else. `reason` is read from the log the operator would read: the wire never tells it.
"""

import contextlib
import itertools
import json
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import structlog
import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet
from passlib.hash import argon2
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authz.admin import clients, keys, resources, roles_import, tenants, users
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope
from authz.app import build_app
from authz.clock import system_clock
from authz.db import Database, migrate
from authz.db.models import AuditEvent, Tenant
from authz.envelope import new_encoded_key
from authz.keys import PURPOSES
from authz.policy import roles_file
from authz.services import Services, open_services
from authz.settings import Settings, load
from authz.web.edge import make_edge
from tests.support.arrange import REDIRECT, VERIFIER, add_code, challenge
from tests.support.databases import begin
from tests.support.plain_http import NO_TLS
from tests.support.postgres import free_port
from tests.support.web import FakeWeb, Reply

RESOURCE = "https://mcp.example/mcp"
PASSWORD = "correct horse battery staple"
# Verifying reads the cost from the hash: what takes an attacker long need not take every test long.
_PASSWORD_HASH = argon2.using(type="ID", memory_cost=8, rounds=1, parallelism=1).hash(PASSWORD)
ROLES = """
roles: {developer: [logs.read, analytics.query], sre: [logs.read, logs.debug.write, incidents.trigger]}
bindings:
  - {role: developer, users: [dev@example.com]}
  - {role: sre, users: [sre@example.com]}
"""
SCOPES = (
    NewScope(name="logs.read", description="Read logs", risk="read", is_default=True),
    NewScope(name="analytics.query", description="Query analytics", risk="read"),
    NewScope(name="logs.debug.write", description="Change log levels", risk="write"),
    NewScope(name="incidents.trigger", description="Trigger incidents", risk="destructive"),
)
ONE_ADDRESS = {
    "failures_per_address": 0,
    "requests_per_address": 0,
    "pushes_per_address": 0,
    "pushes_of_public_clients": 0,
    "pages_per_address": 0,
}
_numbers = itertools.count(1)


class TestClock:
    """The present, moved by hand. It never goes back."""

    __test__ = False

    def __init__(self) -> None:
        self.now = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **by: float) -> None:
        """Let time pass."""
        self.now += timedelta(**by)


class RealClock(TestClock):
    """The present, as somebody else's processes see it too: it cannot be moved."""

    __test__ = False

    def __call__(self) -> datetime:
        return system_clock()

    def advance(self, **by: float) -> None:
        """Time passes by itself."""


class Logged:
    """Every log event of this process, as the operator would see it."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def __call__(self, _: Any, __: str, event: Any) -> Any:
        self.events.append(dict(event))
        raise structlog.DropEvent


LOG = Logged()


class RunningServer:
    """uvicorn in a thread, on a port of its own."""

    def __init__(
        self,
        folder: Path,
        database_url: str,
        web: FakeWeb,
        clock: TestClock,
        *,
        issuer: str | None = None,
        proxy: str | None = None,
        limits: Mapping[str, Any] | None = None,
        trusted_proxies: Sequence[str] = (),
        sections: Mapping[str, dict[str, Any]] | None = None,
    ) -> None:
        """With an `issuer` it is a production installation behind a proxy that ends TLS.

        With a `proxy` it reaches the web through that (see `egress.Egress`). All tests come from one address within
        one minute, so its budgets are off unless `limits` are given. `sections` are further settings.
        """
        structlog.configure(processors=[structlog.processors.format_exc_info, LOG])
        self.clock, self.web = clock, web
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.addresses: dict[str, list[str]] = {}
        more = dict(sections or {})
        (folder / "authz.key").write_bytes(new_encoded_key())
        self.settings: Settings = load(
            None,
            environment={},
            overrides={
                "server": {
                    "issuer": issuer or self.base,
                    "development": issuer is None,
                    "port": self.port,
                    "trusted_proxies": tuple(trusted_proxies),
                    **more.pop("server", {}),
                },
                "limits": ONE_ADDRESS if limits is None else limits,
                "database": {"url": database_url},
                "keys": {
                    "encryption_key": f"file:{folder / 'authz.key'}",
                    # Tests move the clock by months; what they would rotate is hundreds of tenants.
                    "rotate_after": 0,
                    **more.pop("keys", {}),
                },
                "network": {
                    **({"ca_file": str(web.ca_file)} if issuer is None else {}),
                    **({} if proxy is None else {"proxy": proxy}),
                },
                "clients": {"private_redirect_schemes": frozenset({"cursor"})},
                **more,
            },
        )
        begin(database_url)
        self._stack = contextlib.ExitStack()
        self.services: Services = self._stack.enter_context(
            open_services(self.settings, clock=clock, resolve=self._resolve)
        )
        migrate.upgrade(self.services.database)
        self.add_tenant("default", keys.generate_first())
        self.edge = make_edge(self.services)
        config = uvicorn.Config(
            build_app(self.edge),
            host="127.0.0.1",
            port=self.port,
            log_config=None,
            access_log=False,
            http="authz.web.connections:BoundedHttp",
            proxy_headers=False,  # as `authz serve`: whose X-Forwarded-For counts is our own decision
            lifespan="on",
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server under test did not start")
            time.sleep(0.01)

    def close(self) -> None:
        """Stop the server, then what it stood on."""
        self._server.should_exit = True
        self._thread.join(10)
        self._stack.close()

    def _resolve(self, host: str, port: int) -> list[str]:
        return self.addresses.get(host) or self.web.resolve(host, port)

    @property
    def database(self) -> Database:
        """Its database."""
        return self.services.database

    def operator(self, name: str = "test") -> Operator:
        """Someone who may do everything, now."""
        return Operator.local(name, self.clock(), self.services.envelope)

    def add_tenant(
        self,
        slug: str,
        new_keys: Sequence[Any],
        trust: str = "open",
        within: Session | None = None,
    ) -> str:
        """A tenant; answers its id."""
        with self.database.write() if within is None else nullcontext(within) as tx:
            row = tenants.create(
                tx, self.operator(), slug=slug, name=slug.title(), client_trust=trust, keys=new_keys
            )
            return str(row.id)


@dataclass
class Answer:
    """An answer of the server, with the private reason from the log."""

    response: httpx2.Response
    reason: str | None = None

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.response.status_code

    @property
    def ok(self) -> bool:
        """A token came."""
        return self.status == 200

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        body: dict[str, Any] = self.response.json()
        return body

    @property
    def error(self) -> str | None:
        """The wire's error code."""
        return self.json.get("error")

    @property
    def scopes(self) -> set[str]:
        """What was granted."""
        return set(self.json["scope"].split())

    @property
    def refresh_token(self) -> str:
        """The refresh token."""
        return str(self.json["refresh_token"])

    @property
    def access_token(self) -> str:
        """The access token."""
        return str(self.json["access_token"])


@dataclass
class Page:
    """What a browser shows after a navigation, or where it was sent."""

    response: httpx2.Response
    reason: str | None = None

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.response.status_code

    @property
    def text(self) -> str:
        """The HTML."""
        return self.response.text

    @property
    def location(self) -> str:
        """Where the browser is sent."""
        return str(self.response.headers.get("location", ""))

    @property
    def sent(self) -> dict[str, str]:
        """The parameters sent to the client; each once."""
        pairs = parse_qsl(urlsplit(self.location).query, keep_blank_values=True)
        assert len(dict(pairs)) == len(pairs), self.location
        return dict(pairs)

    @property
    def code(self) -> str:
        """The authorization code."""
        return self.sent["code"]

    @property
    def error(self) -> str | None:
        """The error sent to the client."""
        return self.sent.get("error")

    @property
    def is_login(self) -> bool:
        """Whether it asks to sign in."""
        return 'name="password"' in self.text or self.asks_how

    @property
    def asks_how(self) -> bool:
        """Whether it asks first through which provider, as where there is one; a password is one way."""
        return '<button class="button-link" name="with" value="password">' in self.text

    @property
    def is_consent(self) -> bool:
        """Whether it asks for consent."""
        return 'name="consent_id"' in self.text and 'name="decision"' in self.text

    def field(self, name: str) -> str:
        """The value of a hidden field."""
        tag = re.search(rf'<input[^>]*name="{name}"[^>]*>', self.text)
        assert tag, f"no field {name} in {self.text[:400]}"
        value = re.search(r'value="([^"]*)"', tag[0])
        assert value
        return _unescape(value[1])

    @property
    def offered(self) -> list[str]:
        """The scopes on the consent page."""
        boxes = re.findall(r'<input[^>]*name="scope"[^>]*>', self.text)
        return [_unescape(re.search(r'value="([^"]*)"', box)[1]) for box in boxes]  # type: ignore[index]


def _unescape(text: str) -> str:
    import html

    return html.unescape(text)


@dataclass
class Browser:
    """One person's browser at one tenant."""

    harness: "Harness"
    login: str | None = "dev@example.com"
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = make_http()

    def get(self, url: str, **parameters: Any) -> Page:
        """Navigate."""
        mark = len(LOG.events)
        response = self.http.get(url, params=parameters or None)
        return Page(response, _reason_since(mark))

    def post(self, url: str, fields: Any, **headers: str) -> Page:
        """Submit a form as a browser does."""
        mark = len(LOG.events)
        own = {"Origin": self.harness.server.base, "Sec-Fetch-Site": "same-origin", **headers}
        response = self.http.post(
            url,
            content=httpx2.QueryParams(fields).__str__(),
            headers={"Content-Type": "application/x-www-form-urlencoded", **own},
        )
        return Page(response, _reason_since(mark))

    def sign_in(self, page: Page | None = None, password: str = PASSWORD) -> Page:
        """Fill in the login page; answers where it leads."""
        # Typing a password takes a person what the budget of an address takes to allow the next attempt.
        self.harness.clock.advance(seconds=3)
        if page is not None and page.asks_how:
            names = ("continue", "then")
            chosen = {"login": self.login or "", "with": "password"}
            fields = {**chosen, **{name: page.field(name) for name in names}}
            page = self.post(f"{self.harness.issuer}/login/start", fields)
        query = page.field("continue") if page is not None else ""
        fields = {"login": self.login or "", "password": password, "continue": query}
        if page is not None:
            fields["then"] = page.field("then")
        posted = self.post(f"{self.harness.issuer}/login", fields)
        if posted.status != 303:
            return posted
        return self.get(self.harness.server.base + posted.location)

    def decide(
        self, page: Page, *, allow: bool = True, scopes: Sequence[str] | None = None
    ) -> Page:
        """Answer the consent page."""
        chosen = page.offered if scopes is None else scopes
        fields = [("consent_id", page.field("consent_id"))]
        fields += [("scope", scope) for scope in chosen]
        fields.append(("decision", "allow" if allow else "deny"))
        return self.post(f"{self.harness.issuer}/consent", fields)

    def authorize(self, *, scopes: Sequence[str] | None = None, **parameters: Any) -> Page:
        """The whole way: sign in if asked, consent if asked; answers the last redirect or page."""
        page = self.start(**parameters)
        if page.is_login:
            page = self.sign_in(page)
        if page.is_consent:
            page = self.decide(page, scopes=scopes)
        return page

    def start(self, **parameters: Any) -> Page:
        """Follow a client's link; a parameter of None is left out."""
        query = {**self.harness.request, **parameters}
        pairs = [
            (name, value)
            for name, values in query.items()
            for value in (values if isinstance(values, list) else [values])
            if value is not None
        ]
        return self.get(f"{self.harness.issuer}/authorize?{httpx2.QueryParams(pairs)}")


class Harness:
    """One tenant with an MCP server, the YAML roles, two people and a public client."""

    _tx: Session | None = None

    def __init__(
        self,
        server: RunningServer,
        *,
        trust: str = "open",
        with_rsa: bool = False,
        new_keys: Sequence[Any] | None = None,
    ) -> None:
        """`new_keys` are those of the tenant, if they are made elsewhere."""
        self.server, self.clock, self.web = server, server.clock, server.web
        self.slug = f"t{next(_numbers)}-{id(server) % 9973}"
        made = _tenant_keys(with_rsa=with_rsa) if new_keys is None else new_keys
        self.issuer = f"{server.base}/t/{self.slug}"
        self.http = make_http()
        self._browsers: list[Browser] = []
        # One transaction for all of it: thousands of tests begin so.
        with server.database.write() as self._tx:
            self.tenant_id = server.add_tenant(self.slug, made, trust, self._tx)
            self.resource = self.add_resource(RESOURCE)
            self.users = {name: self.add_user(f"{name}@example.com") for name in ("dev", "sre")}
            self.import_roles(ROLES)
            self.client_id = self.add_client().client.id
        self._tx = None
        self.request: dict[str, Any] = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "code_challenge": challenge(),
            "code_challenge_method": "S256",
            "state": "xyz",
            "resource": RESOURCE,
            "scope": "logs.read",
        }

    def close(self) -> None:
        """Let go of connections, and of the tenant: no job of a later test has to do with what is left of it."""
        for client in (self.http, *(browser.http for browser in self._browsers)):
            client.close()
        with self.server.database.write() as tx:
            tx.execute(update(Tenant).where(Tenant.id == self.tenant_id).values(status="disabled"))

    # -- preparing ----------------------------------------------------------------------------------------

    def _write(self) -> AbstractContextManager[Session]:
        """A transaction, unless this is within one."""
        return self.server.database.write() if self._tx is None else nullcontext(self._tx)

    def add_resource(self, identifier: str, **values: Any) -> Any:
        """An MCP server."""
        with self._write() as tx:
            return resources.add(
                tx,
                self.server.operator(),
                self.tenant_id,
                identifier=identifier,
                name=values.pop("name", "Operations"),
                scopes=values.pop("scopes", SCOPES),
                **values,
            )

    def add_user(self, login: str, password_hash: str = _PASSWORD_HASH) -> str:
        """A person; answers their id."""
        with self._write() as tx:
            line = users.add(
                tx,
                self.server.operator(),
                self.tenant_id,
                login=login,
                name=login.partition("@")[0].title(),
                password_hash=password_hash,
            )
            return str(line.id)

    def import_roles(self, text: str) -> Any:
        """The tenant's roles."""
        parsed = roles_file.parse(text)
        with self._write() as tx:
            return roles_import.import_file(tx, self.server.operator(), self.tenant_id, parsed)

    def add_client(self, **values: Any) -> Any:
        """A pre-registered client."""
        ceiling = values.pop("scope_ceiling", None)
        client_id = values.pop("client_id", None)
        registration = Registration(
            **{"name": "Test client", "redirect_uris": (REDIRECT,), **values}
        )
        with self._write() as tx:
            return clients.add(
                tx,
                self.server.operator(),
                self.tenant_id,
                registration,
                client_id=client_id,
                scope_ceiling=ceiling,
            )

    def change(self, operation: Any, *arguments: Any, **values: Any) -> Any:
        """Any other operation of `authz.admin` on this tenant."""
        with self.server.database.write() as tx:
            return operation(tx, self.server.operator(), self.tenant_id, *arguments, **values)

    def ask(self, question: Any, *arguments: Any, **values: Any) -> Any:
        """Ask `authz.admin` something about the tenant."""
        with self.server.database.read() as tx:
            return question(tx, self.tenant_id, *arguments, **values)

    def add_rsa_keys(self) -> None:
        """Those the tenant of this harness does without until a test needs them."""
        self.change(keys.add_missing, keys.generate_first())

    def set_trust(self, mode: str) -> None:
        """Which metadata documents the tenant admits."""
        with self.server.database.write() as tx:
            tenants.set_client_trust(tx, self.server.operator(), slug=self.slug, mode=mode)

    def disable(self) -> None:
        """Switch the tenant off, and let what is cached for a second pass."""
        with self.server.database.write() as tx:
            tenants.set_status(tx, self.server.operator(), slug=self.slug, status="disabled")
        self.clock.advance(seconds=1)

    @property
    def host(self) -> str:
        """A host name that no other test uses."""
        return f"{self.slug}.example"

    def serve_document(
        self, host: str | None = None, path: str = "/client.json", **members: Any
    ) -> str:
        """Publish a Client ID Metadata Document; answers its URL. A member of None is left out."""
        host = host or self.host
        url = self.web.url(host, path)
        document = {
            "client_id": url,
            "client_name": "An application",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
            **members,
        }
        document = {name: value for name, value in document.items() if value is not None}
        self.web.serve(host, Reply.json(document))
        return url

    def code(self, login: str = "dev", **values: Any) -> str:
        """A code as if that person had just consented: no browser, so quick (see `arrange.add_code`)."""
        values.setdefault("client_id", self.client_id)
        values.setdefault("user_id", self.users[login])
        values.setdefault("resource_id", self.resource.id)
        return add_code(self.server.database, tenant_id=self.tenant_id, now=self.clock(), **values)

    # -- acting -------------------------------------------------------------------------------------------

    def browser(self, login: str | None = "dev@example.com") -> Browser:
        """A fresh browser."""
        made = Browser(self, login)
        self._browsers.append(made)
        return made

    def token(self, fields: Any, **headers: str) -> Answer:
        """POST /token with these fields (a mapping or pairs)."""
        return self.post("/token", fields, **headers)

    def post(self, path: str, fields: Any, **headers: str) -> Answer:
        """POST a form to another endpoint of the issuer."""
        mark = len(LOG.events)
        response = self.http.post(
            f"{self.issuer}{path}",
            content=str(httpx2.QueryParams(fields)),
            headers={"Content-Type": "application/x-www-form-urlencoded", **headers},
        )
        return Answer(response, _reason_since(mark))

    def redeem(self, code: str, **fields: Any) -> Answer:
        """Redeem a code; None leaves a field out."""
        return self.token(
            _present(
                {
                    "grant_type": "authorization_code",
                    "client_id": self.client_id,
                    "code": code,
                    "code_verifier": VERIFIER,
                    "redirect_uri": REDIRECT,
                    **fields,
                }
            )
        )

    def refresh(self, refresh_token: str, **fields: Any) -> Answer:
        """Refresh."""
        return self.token(
            _present(
                {
                    "grant_type": "refresh_token",
                    "client_id": self.client_id,
                    "refresh_token": refresh_token,
                    **fields,
                }
            )
        )

    def tokens(self, login: str = "dev@example.com", **parameters: Any) -> Answer:
        """Sign in, consent, redeem."""
        page = self.browser(login).authorize(**parameters)
        client_id = parameters.get("client_id", self.client_id)
        redirect_uri = parameters.get("redirect_uri", REDIRECT)
        return self.redeem(page.code, client_id=client_id, redirect_uri=redirect_uri)

    def claims(self, token: str, *, typ: str = "at+jwt") -> dict[str, Any]:
        """The claims, verified against the published JWKS by an independent call."""
        jwks = KeySet.import_key_set(self.http.get(f"{self.issuer}/jwks").json())
        decoded = jwt.decode(token, jwks, algorithms=["ES256", "RS256"])
        assert decoded.header["typ"] == typ
        return dict(decoded.claims)

    # -- looking ------------------------------------------------------------------------------------------

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The tenant's audit events, parsed, in the order of their strands."""
        with self.server.database.read() as tx:
            rows = tx.scalars(
                select(AuditEvent)
                .where(AuditEvent.tenant_id == self.tenant_id)
                .order_by(AuditEvent.at, AuditEvent.strand, AuditEvent.position)
            ).all()
        bodies = [json.loads(row.body) for row in rows]
        return [body for body in bodies if kind is None or body["kind"] == kind]

    def count(self, model: Any) -> int:
        """How many rows of a table this tenant has."""
        with self.server.database.read() as tx:
            return len(
                tx.scalars(select(model.tenant_id).where(model.tenant_id == self.tenant_id)).all()
            )

    def tenant(self) -> Tenant:
        """The tenant's row."""
        with self.server.database.read() as tx:
            return tx.scalars(select(Tenant).where(Tenant.id == self.tenant_id)).one()


def _tenant_keys(*, with_rsa: bool) -> list[Any]:
    """A key for every purpose. An RSA key takes longer to make than all else of a tenant, and few tests need one."""
    return [
        keys.generate_one(purpose, algorithm)
        for purpose, algorithms in PURPOSES.items()
        for algorithm in algorithms
        if with_rsa or algorithm != "RS256"
    ]


def make_http() -> httpx2.Client:
    """A client of the server under test."""
    return httpx2.Client(follow_redirects=False, trust_env=False, timeout=30, verify=NO_TLS)


def _present(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _reason_since(mark: int) -> str | None:
    for event in reversed(LOG.events[mark:]):
        if "reason" in event:
            return str(event["reason"])
    return None


def query_of(url: str) -> dict[str, list[str]]:
    """The query of a URL."""
    return parse_qs(urlsplit(url).query)


@contextlib.contextmanager
def running(
    folder: Path, database_url: str, clock: TestClock | None = None, **settings: Any
) -> Iterator[RunningServer]:
    """A server with a web of its own."""
    with FakeWeb() as web:
        server = RunningServer(folder, database_url, web, clock or TestClock(), **settings)
        try:
            yield server
        finally:
            server.close()
