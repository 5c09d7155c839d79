"""What every endpoint of this process is handed: services and the engines made from them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from starlette.convertors import Convertor, register_url_convertor

from authz.clients.certificates import Authorities
from authz.clients.metadata import Rules
from authz.db import migrate
from authz.db.batch import Lane, Worker, open_runner
from authz.directory.local_login import LocalLogin
from authz.federation.connector import Tools
from authz.federation.desk import SignalDesk
from authz.federation.registry import Connectors
from authz.limits import Limits
from authz.oauth.administering import Administration
from authz.oauth.assertions import Assertions
from authz.oauth.back_channel import BackChannel
from authz.oauth.clients_in_use import ClientsInUse
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.device_authorization import DeviceAuthorization
from authz.oauth.introspection import Introspection
from authz.oauth.lane import TokenProgram
from authz.oauth.outcomes.desk import OutcomeDesk
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.par import PushEndpoint
from authz.oauth.revocation import Revocation
from authz.oauth.revocation_feed import RevocationFeed
from authz.oauth.status_lists import StatusLists
from authz.oauth.token import TokenEndpoint
from authz.oauth.transmitting.transmitter import Transmitter
from authz.oauth.upstream_secrets import UpstreamSecrets
from authz.oauth.userinfo import UserInfo
from authz.oauth.workload_assertions import WorkloadAssertions
from authz.revocations.hub import FeedHub
from authz.services import Services
from authz.tenants import DEFAULT_SLUG, SLUG_PATTERN
from authz.web.draining import Drain
from authz.web.measuring import Measuring
from authz.web.readiness import Readiness
from authz.web.templating import Pages
from authz.web.traces import sent_to_collector


class _Slug(Convertor[str]):
    """Only what a tenant can be called reaches an endpoint, and the default tenant has one address: the base."""

    regex = rf"(?!{DEFAULT_SLUG}(?:/|$)){SLUG_PATTERN}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("tenant", _Slug())
TENANT_PATH = "/t/{slug:tenant}"
"""Below the base path: where every tenant but the default one is mounted."""


@dataclass(frozen=True)
class Edge:
    """One per process."""

    services: Services
    rules: Rules
    limits: Limits
    channel: BackChannel
    token: TokenEndpoint
    upstream: UpstreamSecrets
    push: PushEndpoint
    introspection: Introspection
    revocation: Revocation
    revocation_feed: RevocationFeed
    status_lists: StatusLists
    transmitter: Transmitter
    devices: DeviceAuthorization
    userinfo: UserInfo
    administration: Administration
    local_login: LocalLogin
    connectors: Connectors
    signals: SignalDesk
    outcomes: OutcomeDesk
    pages: Pages
    readiness: Readiness
    measuring: Measuring
    trusted_proxies: frozenset[str]
    drain: Drain = field(default_factory=Drain)

    @property
    def base_path(self) -> str:
        """The path of the issuer: everything is mounted below it."""
        return urlsplit(self.services.settings.server.issuer).path

    @property
    def is_https(self) -> bool:
        """Whether cookies may be `Secure` and `__Host-`."""
        return self.services.settings.server.issuer.startswith("https://")

    def find_configuration(self, slug: str) -> TenantConfiguration | None:
        """The enabled tenant, as of now. Blocking: call it from a thread."""
        with self.services.database.read() as tx:
            return self.services.configurations.find(tx, slug)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start what runs on the event loop; drain it at the end."""
        migrate.check(self.services.database)
        self.services.network.start(asyncio.get_running_loop())
        await asyncio.to_thread(self.find_configuration, DEFAULT_SLUG)
        await self.channel.lane.start()
        await self.signals.lane.start()
        await self.outcomes.lane.start()
        self.drain.at_end(self.revocation_feed.hub.end_waiting)
        try:
            with sent_to_collector(self.services):
                async with self.measuring.running():
                    yield
        finally:
            self.readiness.close()
            await self.outcomes.lane.close()
            await self.revocation_feed.hub.close()
            await self.signals.lane.close()
            await self.channel.lane.close()
            self.upstream.close()


def _program(services: Services) -> TokenProgram:
    return TokenProgram(services.configurations, services.clock)


def make_edge(services: Services) -> Edge:
    """Build the engines from the services."""
    settings = services.settings
    rules = Rules(
        private_schemes=settings.clients.private_redirect_schemes,
        development=settings.server.development,
    )
    clients = ClientsInUse(
        services.database,
        services.documents,
        services.clock,
        rules=rules,
        max_document_bytes=settings.clients.document_max_bytes,
    )
    issuers = settings.server.client_certificate_authorities
    # SQLite has one writer: a second batch would only wait for its lock.
    workers = 1 if services.database.is_sqlite else 2
    channel = BackChannel(
        settings,
        services.database,
        services.configurations,
        clients,
        services.clock,
        Lane([Worker(open_runner(services.database), _program(services)) for _ in range(workers)]),
        Authorities() if issuers is None else Authorities.load(issuers),
    )
    own_tokens = OwnTokens()
    upstream = UpstreamSecrets(services.secrets)
    hub = FeedHub(services.database, services.clock)
    tools = Tools(services.network, services.documents, services.secrets.resolve)
    signals = SignalDesk(services.database, tools, services.clock)
    outcomes = OutcomeDesk(channel, services.database, services.clock)
    lanes: dict[str, Lane[Any, Any]] = {
        "token": channel.lane,
        "signals": signals.lane,
        "outcomes": outcomes.lane,
    }
    return Edge(
        services=services,
        rules=rules,
        limits=Limits(settings.limits, services.clock),
        channel=channel,
        token=TokenEndpoint(
            channel,
            Assertions(services.database, services.documents, services.clock, own_tokens, upstream),
            WorkloadAssertions(services.documents, services.clock),
            services.clock,
        ),
        upstream=upstream,
        push=PushEndpoint(channel),
        introspection=Introspection(channel, own_tokens, services.clock),
        revocation=Revocation(channel, own_tokens, services.clock),
        revocation_feed=RevocationFeed(channel, hub, services.clock),
        transmitter=Transmitter(channel, own_tokens, hub, services.database, services.clock),
        status_lists=StatusLists(
            channel, services.database, services.configurations, services.clock
        ),
        devices=DeviceAuthorization(channel),
        userinfo=UserInfo(channel, own_tokens, services.clock),
        administration=Administration(channel, own_tokens, services.clock),
        local_login=LocalLogin(services.database, session_lifetime=settings.sessions.lifetime),
        connectors=Connectors(tools),
        signals=signals,
        outcomes=outcomes,
        pages=Pages(),
        readiness=Readiness(services.database),
        measuring=Measuring(services, lanes),
        trusted_proxies=frozenset(settings.server.trusted_proxies),
    )
