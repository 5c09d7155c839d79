"""The /token pipeline. It owns every phase; a grant fills in what is particular to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from authz.clients.client import Client
from authz.clock import Clock
from authz.errors import UnauthorizedClient, UnsupportedGrantType
from authz.oauth import bindings, quotas
from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Grant, TokenRequest
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.grants import GATHERING, GRANTS
from authz.oauth.grants import workload as workload_grant
from authz.oauth.grants.gathering import Gathering
from authz.oauth.lane import Job
from authz.oauth.params import Params
from authz.oauth.releasing import Released
from authz.oauth.signing_ahead import MAY_SIGN, SignedAhead, sign_ahead, signed
from authz.oauth.status_slots import KeptSlot, StatusSlots
from authz.oauth.workload import as_client
from authz.oauth.workload_assertions import WorkloadAssertions
from authz.telemetry.traceparent import TraceParent
from authz.values import value


@value(frozen=True)
class Answered:
    """A successful answer, with what logs and metrics want to know."""

    body: Mapping[str, Any]
    grant_type: str
    dpop_nonce: str | None


class TokenEndpoint:
    """One per process."""

    def __init__(
        self,
        channel: BackChannel,
        assertions: Assertions,
        workloads: WorkloadAssertions,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._clock = clock
        self._assertions = assertions
        self._workloads = workloads
        self._slots = StatusSlots()

    async def handle(self, call: Call) -> Answered:
        """Answer a token request. Raises OAuthError, or UnknownTenant."""
        if workload_grant.is_presented(call.params, call.authorization):
            turn = self._channel.handle_unnamed(call, partial(self._prepare_workload, call))
        else:
            turn = self._channel.handle(call, partial(self._prepare, call), takes_dpop=True)
        outcome, configuration = await turn
        answer = outcome.answer
        body = (
            answer.body
            if isinstance(answer, SignedAhead | Released)
            else await signed(answer, configuration, self._channel.settings.keys.algorithm)
        )
        return Answered(
            body, call.params.require("grant_type"), self._channel.dpop_nonce(configuration)
        )

    def _prepare(self, call: Call, caller: Caller) -> Job | Awaitable[Job]:
        _count(call, caller.configuration, caller.client.id)
        grant = _grant(caller.params, caller.client)
        is_ahead = self._is_ahead(caller.configuration)
        certificate = None if caller.certificate is None else caller.certificate.thumbprint
        request = TokenRequest(
            configuration=caller.configuration,
            client=caller.client,
            params=caller.params.only(grant.parameters),
            lifetimes=self._channel.settings.tokens,
            slots=self._slots_for(is_ahead),
            confirmation=bindings.confirmation_of(caller.client, caller.jkt, certificate),
        )
        gathering = GATHERING.get(grant.grant_type)
        if gathering is not None:
            return self._gathered(gathering, request, caller.trace, is_ahead=is_ahead)
        job = self._job(grant, request, caller.trace)
        return self._signed_ahead(job) if is_ahead else job

    async def _prepare_workload(
        self, call: Call, configuration: TenantConfiguration, jkt: str | None
    ) -> Job:
        """No client authenticates here, so this leads to one grant and no other."""
        grant = workload_grant.WorkloadGrant()
        found = await self._workloads.admitted(configuration, call.params, call.attempt)
        _count(call, configuration, found.id)
        is_ahead = self._is_ahead(configuration)
        request = TokenRequest(
            configuration=configuration,
            client=as_client(found, configuration.tenant.id),
            params=call.params.only(grant.parameters),
            lifetimes=self._channel.settings.tokens,
            slots=self._slots_for(is_ahead),
            confirmation=None if jkt is None else {bindings.JKT: jkt},
            workload=found,
        )
        refusal = partial(workload_grant.refusal, request)
        job = replace(self._job(grant, request, call.trace), refusal=refusal)
        return await self._signed_ahead(job) if is_ahead else job

    async def _gathered(
        self, grant: Gathering, request: TokenRequest, trace: TraceParent | None, *, is_ahead: bool
    ) -> Job:
        request = await grant.gather(request, self._assertions)
        job = self._job(grant, request, trace, cure=grant.cure(request, self._assertions))
        return await self._signed_ahead(job) if is_ahead else job

    def _job(
        self,
        grant: Grant,
        request: TokenRequest,
        trace: TraceParent | None,
        *,
        cure: Callable[[], Awaitable[None]] | None = None,
    ) -> Job:
        job = Job(
            configuration=request.configuration,
            keys=grant.prepare(request),
            decide=partial(grant.decide, request),
            client_id=request.client.id,
            grant_type=grant.grant_type,
            trace=None if trace is None else str(trace),
            cure=cure,
        )
        most = self._channel.settings.limits.grants_per_agent
        clients = quotas.clients_of(grant, request) if most else frozenset()
        if not clients:
            return job
        keys = replace(job.keys, grants_of=clients, grants_at=self._clock())
        return replace(job, keys=keys, decide=partial(quotas.decide, grant, most, clients, request))

    async def _signed_ahead(self, job: Job) -> Job:
        return await sign_ahead(job, self._channel.submit, self._channel.settings.keys.algorithm)

    def _is_ahead(self, configuration: TenantConfiguration) -> bool:
        """Whether keys are elsewhere: then the answer is signed before anything is spent for it."""
        return configuration.keys.is_remote(MAY_SIGN, self._clock())

    def _slots_for(self, is_ahead: bool) -> StatusSlots | KeptSlot:
        return KeptSlot(self._slots) if is_ahead else self._slots


def _count(call: Call, configuration: TenantConfiguration, client_id: str) -> None:
    agent = configuration.agents.of_client(client_id)
    if agent is not None:
        call.attempt.acts_for(agent.id)


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
