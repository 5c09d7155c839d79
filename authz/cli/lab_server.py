"""A server of ours for `authz lab`, set up in a folder as an operator would, with nothing left out and nothing shared.

It has a clock of its own, so that the lab need not wait for what happens in an hour.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy.orm import Session

from authz.admin import (
    clients,
    connections,
    keys,
    mappings,
    resources,
    roles_import,
    tenants,
    trust,
)
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope
from authz.app import build_app
from authz.clock import Clock, system_clock
from authz.db import migrate
from authz.directory.linking import UpstreamIdentity, link
from authz.envelope import new_encoded_key
from authz.federation.connector import Tools
from authz.federation.registry import Connectors
from authz.lab.applications import READ, TOOLS, WITHHELD, WRITE
from authz.lab.bench import JWT_BEARER
from authz.lab.identity_provider import CUSTOMER, GROUP, KNOWN, Issuer
from authz.lab.laboratory import Laboratory
from authz.lab.serving import Listener, serving
from authz.lab.target import Credentials, Target
from authz.policy import roles_file
from authz.services import Services, open_services
from authz.settings import load
from authz.tenants import DEFAULT_SLUG
from authz.web.edge import make_edge

ROLE = "lab-tester"
ROLES = f"roles:\n  {ROLE}: [{READ}, {WRITE}]\n"
ENTRIES = {"lab": Issuer.MAIN, "lab-many": Issuer.MANY, "lab-closed": Issuer.CLOSED}
"""Trust entries by name, each with a connection of its own."""
_CLIENT_CREDENTIALS = "client_credentials"


@dataclass
class SkippingClock:
    """The machine's clock, ahead by what was slept through."""

    ahead: timedelta = field(default=timedelta(0))

    def __call__(self) -> datetime:
        """Now, for everybody in the lab."""
        return system_clock() + self.ahead

    async def sleep(self, seconds: float) -> None:
        """It is later at once."""
        self.ahead += timedelta(seconds=seconds)


@asynccontextmanager
async def own_server(
    folder: Path,
    lab: Laboratory,
    listener: Listener,
    *,
    clock: Clock,
    method: str = "client_secret_basic",
    database: str = "sqlite:///authz.db",
    change: Callable[[Session, Operator, str], None] | None = None,
) -> AsyncIterator[Target]:
    """The server, answering at the listener, on an empty database; the target says as whom to ask it.

    `method` is how the lab's client authenticates; `change` may arrange more, or spoil something.
    """
    settings = load(_configuration(folder, listener.url, database), environment={})
    with ExitStack() as stack:
        opening = open_services(settings, clock=clock)
        services = await asyncio.to_thread(stack.enter_context, opening)
        migrate.upgrade(services.database)
        target = _arrange(services, lab, listener.url, method, change)
        async with serving(build_app(make_edge(services)), listener, lifespan=True):
            yield target


def _configuration(folder: Path, issuer: str, database: str) -> Path:
    (folder / "authz.key").write_bytes(new_encoded_key())
    path = folder / "authz.toml"
    lines = ["[server]", f"issuer = {json.dumps(issuer)}", "development = true"]
    path.write_text("\n".join([*lines, "[database]", f"url = {json.dumps(database)}", ""]))
    return path


def _arrange(
    services: Services,
    lab: Laboratory,
    issuer: str,
    method: str,
    change: Callable[[Session, Operator, str], None] | None,
) -> Target:
    operator = Operator.local("lab", services.clock(), services.envelope)
    first_keys = keys.generate_first()
    with services.database.write() as tx:
        tenant = tenants.create(
            tx,
            operator,
            slug=DEFAULT_SLUG,
            name="Lab",
            client_trust=tenants.default_trust(development=True),
            keys=first_keys,
        )
        _add_servers(tx, operator, tenant.id, lab)
        roles_import.import_file(tx, operator, tenant.id, roles_file.parse(ROLES))
        for slug, which in ENTRIES.items():
            _add_trust(tx, operator, tenant.id, lab, slug, which)
        _close(tx, operator, tenant.id, services, issuer)
        target = _add_clients(tx, operator, tenant.id, lab, issuer, method)
        if change is not None:
            change(tx, operator, tenant.id)
    return target


def _add_servers(tx: Session, operator: Operator, tenant_id: str, lab: Laboratory) -> None:
    scopes = [
        NewScope(name=scope, risk="read" if scope == READ else "write", tools=(tool,))
        for tool, scope in TOOLS.items()
    ]
    for url in (lab.resource, lab.other_resource):
        resources.add(tx, operator, tenant_id, identifier=url, name="Lab", scopes=scopes)


def _add_trust(
    tx: Session, operator: Operator, tenant_id: str, lab: Laboratory, slug: str, which: Issuer
) -> None:
    settings = {"jwks_uri": lab.idp.jwks_uri}
    trust.add(
        tx,
        operator,
        tenant_id,
        slug=slug,
        issuer=lab.idp.issuer(which),
        settings=settings | ({"tenants": [CUSTOMER]} if which is Issuer.MANY else {}),
        provisions=True,
    )
    mappings.add(
        tx, operator, tenant_id, connection=slug, claim="groups", value=GROUP, group=None, role=ROLE
    )


def _close(
    tx: Session, operator: Operator, tenant_id: str, services: Services, issuer: str
) -> None:
    """Somebody has an account there, and nobody else gets one."""
    slug = next(slug for slug, which in ENTRIES.items() if which is Issuer.CLOSED)
    link(tx, connections.load(tx, tenant_id, slug), UpstreamIdentity(subject=KNOWN), operator.now)
    tools = Tools(services.network, services.documents, services.secrets.resolve)
    connections.change(
        tx, operator, tenant_id, Connectors(tools), slug, provisions=False, issuer=issuer
    )


def _add_clients(
    tx: Session, operator: Operator, tenant_id: str, lab: Laboratory, issuer: str, method: str
) -> Target:
    def made(name: str, registration: Registration) -> Credentials:
        found = clients.add(tx, operator, tenant_id, registration, client_id=name)
        key = lab.idp.client_key if registration.auth_method == "private_key_jwt" else None
        return Credentials(name, registration.auth_method, found.secret or "", key)

    secret = Registration(
        name="Lab", grant_types=(JWT_BEARER,), auth_method="client_secret_post", development=True
    )
    has_key = method == "private_key_jwt"
    main = replace(
        secret, auth_method=method, jwks_uri=lab.idp.client_jwks_uri if has_key else None
    )
    return Target(
        issuer=issuer,
        resource=lab.resource,
        is_labs_server=True,
        client=made("lab-client", main),
        scopes=(READ, WRITE),
        withheld=WITHHELD,
        other_resource=lab.other_resource,
        other_client=made("lab-other", secret),
        ungranted_client=made("lab-ungranted", replace(secret, grant_types=(_CLIENT_CREDENTIALS,))),
        public_client=made("lab-public", replace(secret, auth_method="none")),
    )
