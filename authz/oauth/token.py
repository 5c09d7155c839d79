"""The /token pipeline. It owns every phase; a grant fills in what is particular to it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from authz.clients.authentication import Proof, authenticate, read_credentials
from authz.clients.client import Client
from authz.clock import Clock
from authz.db import Database
from authz.db.batch import FateUnknown, Lane, LaneFull, Runner
from authz.errors import (
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from authz.jose import read_unverified
from authz.limits import Attempt
from authz.oauth.authorization import Grant, TokenRequest
from authz.oauth.clients_in_use import ClientsInUse
from authz.oauth.configuration import Configurations, TenantConfiguration
from authz.oauth.facts import FactKeys, Replay
from authz.oauth.grants import GRANTS
from authz.oauth.issuing import response
from authz.oauth.lane import Job, Result, Stale, TokenProgram
from authz.oauth.params import Params
from authz.settings import Settings

log = structlog.get_logger()

_PREPARATIONS = 4
"""How often a request is prepared again because an operator changed something meanwhile."""


class UnknownTenant(Exception):
    """No such issuer here: the edge answers 404."""


@dataclass(frozen=True)
class Answered:
    """A successful answer, with what logs and metrics want to know."""

    body: Mapping[str, Any]
    grant_type: str


class TokenEndpoint:
    """One per process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        configurations: Configurations,
        clients: ClientsInUse,
        clock: Clock,
        runner: Runner,
    ) -> None:
        self._settings = settings
        self._database = database
        self._configurations = configurations
        self._clients = clients
        self._clock = clock
        program = TokenProgram(configurations, clock)
        self.lane: Lane[Job, Result] = Lane(runner, program)

    async def handle(
        self, slug: str, params: Params, authorization: str | None, attempt: Attempt
    ) -> Answered:
        """Answer a token request. Raises OAuthError, or UnknownTenant."""
        _refuse_repeated(params)
        claimed: frozenset[str] = frozenset()
        for _ in range(_PREPARATIONS):
            configuration = await self._configuration(slug)
            try:
                job = await self._prepare(configuration, params, authorization, attempt, claimed)
            except TooManyRequests:
                raise
            except OAuthError:
                # What is refused here never reaches a batch, which would have noticed that the client has a new
                # secret, or is no longer blocked.
                if await asyncio.to_thread(self._is_current, configuration):
                    raise
                continue
            try:
                result = await self.lane.submit(job)
            except LaneFull:
                raise TemporarilyUnavailable(
                    "the server is busy, try again shortly", reason="lane_full"
                ) from None
            except FateUnknown:
                # A refresh that is asked for again gets the same successor, whether or not this one was durable.
                raise TemporarilyUnavailable("try again shortly", reason="fate_unknown") from None
            if isinstance(result, Stale):
                claimed |= result.claimed
                continue
            return self._answer(job, result)
        raise TemporarilyUnavailable("try again shortly", reason="configuration_moving")

    def _answer(self, job: Job, result: Result) -> Answered:
        if isinstance(result, Exception):
            raise result
        outcome, configuration = result
        if isinstance(outcome.answer, OAuthError):
            raise outcome.answer
        body = response(outcome.answer, configuration, algorithm=self._settings.keys.algorithm)
        return Answered(body, job.grant.grant_type)

    async def _configuration(self, slug: str) -> TenantConfiguration:
        known = self._configurations.find_known(slug)
        if known is not None and known.tenant.enabled:
            return known
        read = await asyncio.to_thread(self._read_configuration, slug)
        if read is None:
            raise UnknownTenant(slug)
        return read

    def _read_configuration(self, slug: str) -> TenantConfiguration | None:
        with self._database.read() as tx:
            return self._configurations.find(tx, slug)

    def _is_current(self, configuration: TenantConfiguration) -> bool:
        read = self._read_configuration(configuration.tenant.slug)
        return read is not None and read.tenant.version == configuration.tenant.version

    async def _prepare(
        self,
        configuration: TenantConfiguration,
        params: Params,
        authorization: str | None,
        attempt: Attempt,
        claimed: frozenset[str] = frozenset(),
    ) -> Job:
        client, proof = await self._authenticated(configuration, params, authorization, attempt)
        grant = _grant(params, client)
        request = TokenRequest(
            configuration=configuration,
            client=client,
            params=params.only(grant.parameters),
            lifetimes=self._settings.tokens,
        )
        keys = grant.prepare(request)
        if proof.replay is not None and proof.replay[0] not in claimed:
            keys = FactKeys(keys.codes, keys.families, (Replay(*proof.replay),))
        return Job(replace(request, keys=keys), grant)

    async def _authenticated(
        self,
        configuration: TenantConfiguration,
        params: Params,
        authorization: str | None,
        attempt: Attempt,
    ) -> tuple[Client, Proof]:
        credentials = read_credentials(
            authorization,
            client_id=params.find("client_id"),
            client_secret=params.find("client_secret"),
            client_assertion=params.find("client_assertion"),
            client_assertion_type=params.find("client_assertion_type"),
        )
        attempt.names(configuration.tenant.id, credentials.client_id)
        client, keys = await self._clients.load(configuration, credentials.client_id)
        if credentials.assertion is not None and client.jwks_uri is not None:
            header, _ = read_unverified(credentials.assertion)
            keys = await self._clients.load_remote_keys(client, header.get("kid"))
        issuer = configuration.tenant.issuer
        proof = authenticate(
            client,
            credentials,
            issuer=issuer,
            token_endpoint=f"{issuer}/token",
            keys=keys,
            now=self._clock(),
        )
        attempt.authenticated(is_confidential=client.is_confidential)
        return client, proof


def _refuse_repeated(params: Params) -> None:
    # RFC 8707 lets `resource` repeat; a token here is for one server, and /authorize says the same (RI-03).
    if params.repeated == {"resource"}:
        raise InvalidTarget("only one resource is supported", reason="resource_repeated")
    params.refuse_repeated()


def _grant(params: Params, client: Client) -> Grant:
    grant_type = params.require("grant_type")
    grant = GRANTS.get(grant_type)
    if grant is None:
        raise UnsupportedGrantType(
            "the grant type is not supported", reason="grant_type_unsupported"
        )
    if client.grant_types.isdisjoint(grant.allowed_with):
        raise UnauthorizedClient(
            "the client is not registered for this grant type", reason="grant_type_not_allowed"
        )
    return grant
