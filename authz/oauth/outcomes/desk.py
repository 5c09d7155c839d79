"""Where MCP servers report: believed one by one, kept together."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy.orm import Session

from authz.clients.client import Client
from authz.clock import Clock
from authz.db import Database
from authz.db.batch import Lane, LaneFull, Worker
from authz.db.plain_batch import PlainRunner
from authz.errors import InvalidClient, TemporarilyUnavailable, UnauthorizedClient
from authz.jose import Key
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts
from authz.oauth.lane import Job
from authz.oauth.outcomes import batches
from authz.oauth.outcomes.batches import Batch
from authz.oauth.outcomes.recording import Receipt, Report, receive

MAX_TOGETHER = 64
"""Batches in one transaction."""


class OutcomeDesk:
    """One per process."""

    def __init__(self, channel: BackChannel, database: Database, clock: Clock) -> None:
        self._channel = channel
        self._clock = clock
        self.lane: Lane[Report, Receipt] = Lane(
            [Worker(PlainRunner(database, name="outcomes"), self._together)],
            max_batch=MAX_TOGETHER,
        )

    async def handle(self, call: Call) -> Receipt:
        """Keep a batch of an authenticated MCP server. Raises OAuthError, or UnknownTenant."""
        outcome, _ = await self._channel.handle(call, self._prepare, may_fetch=False)
        try:
            receipt = await self.lane.submit(outcome.answer)
        except LaneFull:
            raise TemporarilyUnavailable(
                "the server is busy, try again shortly", reason="lane_full"
            ) from None
        if receipt.is_other:
            raise batches.refused("batch_of_another_content")
        return receipt

    async def _prepare(self, caller: Caller) -> Job:
        client, configuration = caller.client, caller.configuration
        if not client.is_confidential:
            raise InvalidClient("client authentication failed", reason="client_is_public")
        statement = caller.params.require(batches.PARAMETER)
        keys = await self._keys_of(configuration, client, batches.read_key_name(statement))
        batch = batches.verify(
            statement,
            keys,
            client_id=client.id,
            issuer=configuration.tenant.issuer,
            now=self._clock(),
        )
        report = Report(
            tenant_id=configuration.tenant.id,
            client_id=client.id,
            resource_id=_resource_of(configuration, client, batch),
            batch=batch,
            audit_key=configuration.audit_key,
        )
        return Job(
            configuration=configuration,
            keys=FactKeys(),
            decide=partial(_decided, report),
            client_id=client.id,
            is_reading=True,
        )

    async def _keys_of(
        self, configuration: TenantConfiguration, client: Client, key_id: object
    ) -> Sequence[Key]:
        keys: Any  # what `clients` has imported, whose interface says less
        if client.jwks_uri is None:
            _, keys = await self._channel.clients.load(configuration, client.id, may_fetch=False)
        else:
            keys = await self._channel.clients.load_remote_keys(
                client, lambda key: getattr(key, "kid", None) == key_id
            )
        if not keys:
            raise UnauthorizedClient(
                "the client has no key to sign batches with", reason="reporter_without_keys"
            )
        return tuple(keys)

    def _together(self, reports: Sequence[Report]) -> Callable[[Session], list[Any]]:
        return lambda tx: receive(tx, reports, self._clock)


def _resource_of(configuration: TenantConfiguration, client: Client, batch: Batch) -> str:
    """The server the batch is about, whose client this has to be. A server that is switched off may still tell.

    Compared as strings: `aud` is issued as the operator spelled it.
    """
    for resource in configuration.policy.by_canonical.values():
        if resource.identifier == batch.resource and resource.client_id == client.id:
            return resource.id
    raise UnauthorizedClient(
        "the client does not report for this resource", reason="reporter_of_another_resource"
    )


def _decided(report: Report, facts: Facts, now: datetime) -> Outcome:  # noqa: ARG001
    return Outcome(report)
