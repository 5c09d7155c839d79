"""Callers of the admin API: clients and people with tokens for it, got as everybody gets them."""

import base64
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from authz import entropy
from authz.admin import admins
from authz.admin.operator import load_tenant
from authz.db.models import AuthorizationCode
from authz.policy.administration import ADMIN_ID, ADMIN_PATH, Permission
from authz.web.api.desk import VERSION
from tests.support.harness import (
    LOG,
    Answer,
    Harness,
    RunningServer,
    _reason_since,
    make_http,
)

EVERY_SCOPE = frozenset(map(str, Permission))
_numbers = itertools.count(1)


@dataclass
class Caller:
    """Somebody with a token, or without one."""

    harness: Harness
    token: str | None
    name: str = ""
    """The identifier of the client, or the id of the person."""
    made: Any = None
    """The client."""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Where the API of the tenant is."""
        return f"{self.harness.issuer}{ADMIN_PATH}{VERSION}"

    def ask(self, method: str, path: str, body: Any = None, **headers: str | None) -> Answer:
        """One request; a header's name is written with underscores, a None leaves it out."""
        mark = len(LOG.events)
        sent: dict[str, str] = dict(self.headers)
        if self.token is not None:
            sent["Authorization"] = f"Bearer {self.token}"
        named = {n.replace("_", "-").title(): v for n, v in headers.items()}
        sent |= {n: v for n, v in named.items() if v is not None}
        url = path if path.startswith("http") else f"{self.base}{path}"
        more = {} if body is None else {"json": body}
        response = self.harness.http.request(method, url, headers=sent, **more)
        return Answer(response, _reason_since(mark))

    def get(self, path: str, **headers: str | None) -> Answer:
        """Read."""
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str | None) -> Answer:
        """Add, or do."""
        return self.ask("POST", path, body, **headers)

    def change(self, method: str, path: str, body: Any, of: str) -> Answer:
        """As an honest caller: with the tag of what is at `of` now."""
        return self.ask(method, path, body, if_match=self.get(of).response.headers["etag"])


def stranger(harness: Harness) -> Caller:
    """Somebody without a token."""
    return Caller(harness, None)


def client(
    harness: Harness, *roles: str, scopes: Iterable[str] = EVERY_SCOPE, **registration: Any
) -> Caller:
    """A program with these admin roles, and a token for all they may."""
    made = harness.add_client(
        name=f"Program {next(_numbers)}",
        auth_method="client_secret_basic",
        grant_types=("client_credentials",),
        redirect_uris=(),
        scope_ceiling=frozenset(scopes),
        **registration,
    )
    for role in roles:
        harness.change(admins.grant, role=role, kind="client", holder=made.client.id)
    caller = Caller(harness, None, made.client.id, made)
    caller.token = token_of(harness, caller).access_token if roles else None
    return caller


def token_of(harness: Harness, caller: Caller, **fields: str) -> Answer:
    """A new token for the program; by default for everything it may."""
    pair = f"{caller.made.client.id}:{caller.made.secret}".encode()
    return harness.token(
        {
            "grant_type": "client_credentials",
            "resource": f"{harness.issuer}{ADMIN_PATH}",
            "scope": " ".join(sorted(_declared(harness))),
            **fields,
        },
        Authorization=f"Basic {base64.b64encode(pair).decode()}",
    )


def person(
    harness: Harness, login: str, *roles: str, signed_in_before: float = 0, **values: Any
) -> Caller:
    """A person with these admin roles, through a client that may administer for people."""
    user_id = harness.add_user(login)
    for role in roles:
        harness.change(admins.grant, role=role, kind="user", holder=login)
    scopes = _declared(harness)
    made = harness.add_client(name=f"Tool {next(_numbers)}", scope_ceiling=scopes, **values)
    code = harness.code(
        user_id=user_id,
        client_id=made.client.id,
        resource_id=ADMIN_ID,
        scopes=scopes,
        requested=scopes,
    )
    if signed_in_before:
        move_sign_in(harness, code, timedelta(seconds=signed_in_before))
    answer = harness.redeem(code, client_id=made.client.id)
    return Caller(harness, answer.access_token, user_id, made)


def move_sign_in(harness: Harness, code: str, by: timedelta) -> None:
    """As if they had signed in that much earlier."""
    with harness.server.database.write() as tx:
        tx.execute(
            update(AuthorizationCode)
            .where(AuthorizationCode.digest == entropy.digest(code))
            .values(auth_time=harness.clock() - by)
        )


def _declared(harness: Harness) -> frozenset[str]:
    return frozenset(
        it for it in EVERY_SCOPE if it != Permission.TENANTS_WRITE or harness.slug == "default"
    )


def of_default_tenant(server: RunningServer) -> Caller:
    """An owner of the tenant at the base address, which no harness has."""
    harness = Harness.__new__(Harness)
    harness.server, harness.clock, harness.web = server, server.clock, server.web
    harness.slug, harness.issuer = "default", server.base
    harness.http, harness._browsers = make_http(), []
    with server.database.read() as tx:
        harness.tenant_id = load_tenant(tx, "default").id
    return client(harness, "owner")
