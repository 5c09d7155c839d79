"""What every endpoint that a client's program calls has in common: who asks, with which key, and one turn in the lane.

Owns the phases before and after the decision: the tenant's configuration, client authentication, proof of possession,
the batch, and preparing again when an operator changed something meanwhile. An endpoint says which job to submit.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from authz.clients.authentication import (
    FAPI_ALGORITHMS,
    REFUSED,
    Credentials,
    authenticate,
    read_credentials,
    takes_certificate,
)
from authz.clients.certificates import (
    Authorities,
    Certificate,
    CertificateError,
    carries,
    read_certificate,
)
from authz.clients.client import Client
from authz.clock import Clock
from authz.db import Database
from authz.db.again import again
from authz.db.availability import is_unavailable
from authz.db.batch import FateUnknown, Lane, LaneFull
from authz.errors import (
    InvalidClient,
    InvalidTarget,
    OAuthError,
    TemporarilyUnavailable,
    TooManyRequests,
)
from authz.jose import read_unverified
from authz.limits import Attempt
from authz.oauth import dpop
from authz.oauth.authorization import Outcome
from authz.oauth.clients_in_use import ClientsInUse
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configurations import Configurations
from authz.oauth.facts import Replay
from authz.oauth.lane import Job, Result, Stale, Unready
from authz.oauth.params import Params
from authz.settings import Settings
from authz.telemetry.traceparent import TraceParent
from authz.tenants import issuer_of
from authz.values import value

_PREPARATIONS = 4
"""How often a request is prepared again because an operator changed something meanwhile."""


class UnknownTenant(Exception):
    """No such issuer here: the edge answers 404."""


@value(frozen=True)
class Call:
    """A client's request as it arrived, without HTTP."""

    slug: str
    path: str
    """Of the endpoint below the issuer: `/token`."""
    params: Params
    attempt: Attempt
    """Whose budgets it spends."""
    authorization: str | None = None
    dpop: tuple[str, ...] = ()
    """Every `DPoP` header; more than one is refused."""
    certificate: str | None = None
    """What a trusted proxy says of the client's certificate (RFC 8705), and nobody else."""
    trace: TraceParent | None = None

    def __repr__(self) -> str:
        return f"Call({self.path!r})"


@value(frozen=True)
class Caller:
    """An authenticated client, and what its request proved besides."""

    configuration: TenantConfiguration
    client: Client
    params: Params
    jkt: str | None
    """Thumbprint of the key of its DPoP proof, where the endpoint takes one."""
    certificate: Certificate | None
    trace: TraceParent | None = None


Prepare = Callable[[Caller], Job | Awaitable[Job]]


class BackChannel:
    """One per process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        configurations: Configurations,
        clients: ClientsInUse,
        clock: Clock,
        lane: Lane[Job, Result],
        authorities: Authorities,
    ) -> None:
        self.settings = settings
        self.clients = clients
        self.lane = lane
        self._database = database
        self._configurations = configurations
        self._clock = clock
        self._authorities = authorities

    async def handle(
        self,
        call: Call,
        prepare: Prepare,
        *,
        takes_dpop: bool = False,
        may_fetch: bool = True,
    ) -> tuple[Outcome, TenantConfiguration]:
        """Authenticate, prepare, decide. Raises OAuthError, or UnknownTenant."""
        _refuse_repeated(call.params)

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            caller, replays = await self._caller(
                configuration, call, takes_dpop=takes_dpop, may_fetch=may_fetch
            )
            job = prepare(caller)
            return (job if isinstance(job, Job) else await job), replays

        return await self.decide(call.slug, prepared, call.trace)

    async def handle_unnamed(
        self, call: Call, prepare: Callable[[TenantConfiguration, str | None], Awaitable[Job]]
    ) -> tuple[Outcome, TenantConfiguration]:
        """As `handle`, where no client is authenticated: who asks is for `prepare` to find out, and to count.

        It gets the thumbprint of the key of a DPoP proof. Raises OAuthError, or UnknownTenant.
        """
        _refuse_repeated(call.params)

        async def prepared(configuration: TenantConfiguration) -> tuple[Job, tuple[Replay, ...]]:
            proof = self._proof(configuration, call, dpop.ALGORITHMS)
            if proof is None:
                return await prepare(configuration, None), ()
            return await prepare(configuration, proof.jkt), (proof.replay,)

        return await self.decide(call.slug, prepared, call.trace)

    async def decide(
        self,
        slug: str,
        prepare: Callable[[TenantConfiguration], Awaitable[tuple[Job, tuple[Replay, ...]]]],
        trace: TraceParent | None = None,
    ) -> tuple[Outcome, TenantConfiguration]:
        """Prepare and decide, for a request that no client authenticates. Raises OAuthError, or UnknownTenant.

        A replay key this request was the first to present is remembered even if the request has to be prepared again;
        it does not count against its own second turn.
        """
        claimed: frozenset[str] = frozenset()
        cure: Callable[[], Awaitable[None]] | None = None
        is_cured = False
        for _ in range(_PREPARATIONS):
            configuration = await self.configuration(slug)
            try:
                if cure is not None:
                    first, cure = cure, None
                    await first()
                    is_cured = True
                job, replays = await prepare(configuration)
            except TooManyRequests:
                raise
            except OAuthError:
                # What is refused here never reaches a batch, which would have noticed that the client has a new
                # secret, or is no longer blocked.
                if await asyncio.to_thread(again, self._is_current, configuration):
                    raise
                continue
            presented = (*job.keys.replays, *replays)
            fresh = tuple(r for r in presented if r.key not in claimed)
            if trace is not None:
                job = replace(job, trace=str(trace))
            if is_cured:
                job = replace(job, cure=None)
            result = await self.submit(job.with_replays(fresh))
            if isinstance(result, Stale):
                claimed |= result.claimed
                cure = job.cure if isinstance(result, Unready) else None
                continue
            if isinstance(result, Exception):
                raise result
            if isinstance(result[0].answer, OAuthError):
                raise result[0].answer
            return result
        raise TemporarilyUnavailable("try again shortly", reason="configuration_moving")

    async def submit(self, job: Job) -> Result:
        """One turn in the lane. Raises TemporarilyUnavailable."""
        try:
            return await self.lane.submit(job)
        except LaneFull:
            raise TemporarilyUnavailable(
                "the server is busy, try again shortly", reason="lane_full"
            ) from None
        except FateUnknown:
            # A refresh that is asked for again gets the same successor, whether or not this one was durable.
            raise TemporarilyUnavailable("try again shortly", reason="fate_unknown") from None
        except Exception as error:
            if is_unavailable(error):
                # Undone: the same request, sent again, is as good as new.
                raise TemporarilyUnavailable(
                    "try again shortly", reason="database_unavailable"
                ) from error
            raise

    async def configuration(self, slug: str) -> TenantConfiguration:
        """What this process last saw of the tenant; the batch checks its version. Raises UnknownTenant."""
        known = self._configurations.find_known(slug)
        if known is not None and known.tenant.enabled:
            return known
        read = await asyncio.to_thread(again, self._read_configuration, slug)
        if read is None:
            raise UnknownTenant(slug)
        return read

    def _read_configuration(self, slug: str) -> TenantConfiguration | None:
        with self._database.read() as tx:
            return self._configurations.find(tx, slug)

    def _is_current(self, configuration: TenantConfiguration) -> bool:
        read = self._read_configuration(configuration.tenant.slug)
        return read is not None and read.tenant.version == configuration.tenant.version

    async def _caller(
        self,
        configuration: TenantConfiguration,
        call: Call,
        *,
        takes_dpop: bool,
        may_fetch: bool = True,
    ) -> tuple[Caller, tuple[Replay, ...]]:
        client, certificate, replays = await self._authenticated(
            configuration, call, may_fetch=may_fetch
        )
        algorithms = FAPI_ALGORITHMS if client.fapi else dpop.ALGORITHMS
        proof = self._proof(configuration, call, algorithms) if takes_dpop else None
        jkt = None if proof is None else proof.jkt
        replays = replays if proof is None else (*replays, proof.replay)
        return Caller(configuration, client, call.params, jkt, certificate, call.trace), replays

    def _proof(
        self, configuration: TenantConfiguration, call: Call, algorithms: tuple[str, ...]
    ) -> dpop.Proof | None:
        if not call.dpop:
            return None
        return dpop.read_proof(
            call.dpop,
            method="POST",
            uris=self._addresses(configuration, call.path),
            algorithms=algorithms,
            nonces=self.nonces(configuration),
            tenant_id=configuration.tenant.id,
            now=self._clock(),
        )

    def _read(self, certificate: str) -> Certificate:
        try:
            return read_certificate(certificate, self._clock())
        except CertificateError as error:
            raise InvalidClient(REFUSED, reason=error.reason) from None

    def _addresses(self, configuration: TenantConfiguration, path: str) -> tuple[str, ...]:
        tenant, aside = configuration.tenant, self.settings.server.mtls_base
        issuers = (
            [tenant.issuer] if aside is None else [tenant.issuer, issuer_of(aside, tenant.slug)]
        )
        return tuple(f"{issuer}{path}" for issuer in issuers)

    def nonces(self, configuration: TenantConfiguration) -> dpop.Nonces | None:
        """The nonces DPoP proofs have to carry; None where none is demanded."""
        return dpop.Nonces(configuration.dpop_key) if self.settings.tokens.dpop_nonce else None

    def dpop_nonce(self, configuration: TenantConfiguration) -> str | None:
        """The nonce to hand out with an answer; None where none is demanded."""
        nonces = self.nonces(configuration)
        return None if nonces is None else nonces.current(self._clock())

    async def _authenticated(
        self,
        configuration: TenantConfiguration,
        call: Call,
        *,
        may_fetch: bool,
    ) -> tuple[Client, Certificate | None, tuple[Replay, ...]]:
        params = call.params
        credentials = read_credentials(
            call.authorization,
            client_id=params.find("client_id"),
            client_secret=params.find("client_secret"),
            client_assertion=params.find("client_assertion"),
            client_assertion_type=params.find("client_assertion_type"),
        )
        call.attempt.names(configuration.tenant.id, credentials.client_id)
        client, keys = await self.clients.load(
            configuration, credentials.client_id, may_fetch=may_fetch
        )
        certificate = None
        if call.certificate is not None and takes_certificate(client):
            certificate = self._read(call.certificate)
        is_sought = _sought(client, credentials, certificate)
        if is_sought is not None and client.jwks_uri is not None:
            keys = await self.clients.load_remote_keys(client, is_sought)
        issuer = configuration.tenant.issuer
        proof = authenticate(
            client,
            credentials,
            issuer=issuer,
            token_endpoint=f"{issuer}/token",
            keys=keys,
            certificate=certificate,
            authorities=self._authorities,
            now=self._clock(),
        )
        call.attempt.authenticated(is_confidential=client.is_confidential)
        if proof.replay is None:
            return client, certificate, ()
        refusal = InvalidClient("client authentication failed", reason="assertion_replayed")
        return client, certificate, (Replay(*proof.replay, refusal),)


def _sought(
    client: Client, credentials: Credentials, certificate: Certificate | None
) -> Callable[[object], bool] | None:
    """Which of the client's published keys the request needs; None when it needs none."""
    if credentials.assertion is not None:
        header, _ = read_unverified(credentials.assertion)
        return partial(_is_called, header.get("kid"))
    if certificate is not None and "self_signed_tls_client_auth" in client.auth_methods:
        return partial(carries, certificate=certificate)
    return None


def _is_called(key_id: object, key: object) -> bool:
    return not isinstance(key_id, str) or getattr(key, "kid", None) == key_id


def _refuse_repeated(params: Params) -> None:
    # RFC 8707 lets `resource` repeat; a token here is for one server, and /authorize says the same (RI-03).
    if params.repeated == {"resource"}:
        raise InvalidTarget("only one resource is supported", reason="resource_repeated")
    params.refuse_repeated()
