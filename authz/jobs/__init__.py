"""Periodic work of the installation, by name: what to do, and how often. `runner` says whose turn it is.

What fails for one tenant is done for the others first. Keys change their state without a job, by the clock
(`keys.rotation`); a job only makes their successors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, delete, exists, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from authz.admin import (
    agents,
    changes,
    configured_clients,
    connections,
    keys,
    outcomes,
    registration,
    reviews,
    versions,
)
from authz.admin.audit_upkeep import Upkeep
from authz.admin.operator import Operator
from authz.admin.turns import Turn
from authz.db.models import (
    Agent,
    AuthorizationCode,
    AuthorizationRequest,
    Departure,
    DeviceCode,
    IdempotencyKey,
    IssuedToken,
    OutcomeBatch,
    PushedRequest,
    ReplayKey,
    RevocationEntry,
    Session,
    SignInAttempt,
    SigningKey,
    StatusEntry,
    Tenant,
    TokenFamily,
    ToolOutcome,
)
from authz.errors import ConfigurationError, Invalid
from authz.federation import streams
from authz.federation.connections import active
from authz.federation.connector import Tools
from authz.federation.desk import Recipient
from authz.federation.poller import Poller
from authz.federation.registry import Connectors
from authz.federation.streams import Stream
from authz.jobs.memory import give_back
from authz.jose import LEEWAY as JWT_LEEWAY
from authz.net import NetworkError
from authz.oauth.transmitting.pushing import Pusher
from authz.revocations.entries import LEEWAY
from authz.services import Services

log = structlog.get_logger()

EXPLAINABLE = timedelta(days=90)
"""How long after its end a token can still be explained (`authz explain`)."""
TOMBSTONES = timedelta(days=1)
"""How long a spent code is recognised as replayed."""
REPORTED = timedelta(days=400)
"""How long the offboarding clock remembers an event: a year and a little, for whoever compares."""
_ROWS_AT_ONCE = 2000
_CLIENTS_AT_ONCE = 200


@dataclass(frozen=True)
class Job:
    """Something to do every so often."""

    every: timedelta
    run: Callable[[Services, datetime], None]


def write_checkpoints(services: Services, now: datetime) -> None:
    """Tie the heads of every tenant's audit strands with a signed checkpoint, where one is due."""
    _upkeep(services).write_checkpoints(now)


def timestamp_checkpoints(services: Services, now: datetime) -> None:
    """Have somebody else say when the last checkpoints existed (RFC 3161), where an authority is configured."""
    _upkeep(services).timestamp(now)


def trim_trail(services: Services, now: datetime) -> None:
    """Remove events of the audit trail that are kept no longer, and make the partitions of the months to come."""
    upkeep = _upkeep(services)
    try:
        upkeep.make_partitions(now)
    finally:
        upkeep.remove(now)


def remove_expired(services: Services, now: datetime) -> None:
    """Delete what no decision will ask for again, a bounded number of rows per transaction."""
    expired: list[tuple[InstrumentedAttribute[str], ColumnElement[bool]]] = [
        (AuthorizationRequest.digest, AuthorizationRequest.expires_at < now),
        (PushedRequest.digest, PushedRequest.expires_at < now),
        (IdempotencyKey.key, IdempotencyKey.expires_at < now),
        (SignInAttempt.digest, SignInAttempt.expires_at < now),
        (AuthorizationCode.digest, AuthorizationCode.expires_at < now - TOMBSTONES),
        (DeviceCode.digest, DeviceCode.expires_at < now - TOMBSTONES),
        (ReplayKey.key, ReplayKey.expires_at < now),
        (RevocationEntry.id, RevocationEntry.expires_at < now - LEEWAY),
        (StatusEntry.jti, StatusEntry.expires_at < now - LEEWAY),
        (Session.digest, _is_forgotten(now)),
        (Departure.id, Departure.ended_at < now - REPORTED),
        (IssuedToken.jti, IssuedToken.expires_at < now - EXPLAINABLE),
        (TokenFamily.id, TokenFamily.expires_at < now - EXPLAINABLE),
        (
            ToolOutcome.batch_id,
            ToolOutcome.batch_id.in_(select(OutcomeBatch.id).where(_is_old(now))),
        ),
        (OutcomeBatch.id, _is_old(now)),
    ]
    for key, condition in expired:
        while True:
            rows = select(key).where(condition).limit(_ROWS_AT_ONCE)
            with services.database.write() as tx:
                removed = tx.execute(delete(key.class_).where(key.in_(rows)))
                count = int(removed.rowcount)  # type: ignore[attr-defined]
            if count < _ROWS_AT_ONCE:
                break


def _is_old(now: datetime) -> ColumnElement[bool]:
    """Batches that need not be kept; what the audit trail says of them stays."""
    return OutcomeBatch.received_at < now - outcomes.KEPT


def _is_forgotten(now: datetime) -> ColumnElement[bool]:
    """Sessions that are over, and that no identity provider can end any more together with what was granted in them."""
    granted = exists().where(
        TokenFamily.session_digest == Session.digest,
        TokenFamily.revoked_at.is_(None),
        TokenFamily.expires_at > now,
    )
    is_over = or_(Session.expires_at < now, Session.ended_at < now - TOMBSTONES)
    return is_over & or_(Session.connection_id.is_(None), ~granted)


def wipe_gone_keys(services: Services, now: datetime) -> None:
    """Forget private keys that no verifier needs any more."""
    with services.database.read() as tx:
        tenants = tx.scalars(
            select(SigningKey.tenant_id)
            .where(SigningKey.gone_at <= now, keys.has_private_part())
            .distinct()
        ).all()
    turn = Turn()
    for tenant_id in tenants:
        with turn.of(tenant_id), services.database.write() as tx:
            operator = Operator.local("job", now, services.envelope)
            keys.wipe_gone(tx, operator, tenant_id)
    turn.end()


def rotate_keys(services: Services, now: datetime) -> None:
    """Make successors of keys that have signed for long enough (V5)."""
    settings = services.settings
    after, ahead = settings.keys.rotate_after, settings.keys.publish_ahead
    if not after:
        return
    turn = Turn()
    for tenant_id in _tenants(services):
        with turn.of(tenant_id):
            with services.database.read() as tx:
                found = keys.find_due(tx, tenant_id, after=after, publish_ahead=ahead, now=now)
            for purpose, algorithm in found:
                new = keys.generate_one(purpose, algorithm, services.custody)
                with services.database.write() as tx:
                    operator = Operator.local("job", now, services.envelope)
                    life = keys.rotate_due(
                        tx,
                        operator,
                        tenant_id,
                        new,
                        after=after,
                        publish_ahead=ahead,
                        longest_token=settings.tokens.access_token + JWT_LEEWAY,
                    )
                if life is not None:
                    log.info("key.rotated", tenant=tenant_id, purpose=purpose, key=life.key_id)
    turn.end()


def remove_unused_clients(services: Services, now: datetime) -> None:
    """Forget clients that registered themselves and that nobody allowed (DCR-04)."""
    before = now - services.settings.registration.unused_after
    turn = Turn()
    for tenant_id in _tenants(services):
        with turn.of(tenant_id):
            while True:
                with services.database.write() as tx:
                    operator = Operator.local("job", now, services.envelope)
                    removed = registration.remove_unused(
                        tx, operator, tenant_id, before=before, at_most=_CLIENTS_AT_ONCE
                    )
                if removed < _CLIENTS_AT_ONCE:
                    break
    turn.end()


def watch_agents(services: Services, now: datetime) -> None:
    """Put agents to sleep that nobody uses, or answers for, any more (M6)."""
    with services.database.read() as tx:
        tenants = tx.scalars(
            select(Agent.tenant_id).where(Agent.status == "active").distinct()
        ).all()
    turn = Turn()
    for tenant_id in tenants:
        with turn.of(tenant_id), services.database.write() as tx:
            agents.note_use(tx, tenant_id, now)
            agents.put_to_sleep(tx, Operator.local("job", now, services.envelope), tenant_id)
    turn.end()


def poll_signals(services: Services, now: datetime) -> None:  # noqa: ARG001
    """Ask the transmitters of security events that do not push (RFC 8936)."""
    found: list[tuple[Stream, Recipient]] = []
    with services.database.read() as tx:
        for stream, slug in streams.polled(tx):
            configuration = services.configurations.find(tx, slug)
            if configuration is not None:
                recipient = Recipient(stream.tenant_id, configuration.audit_key)
                found.append((stream, recipient))
    if found:
        poller = Poller(
            services.database,
            services.network,
            services.documents,
            services.secrets.resolve,
            services.clock,
        )
        poller.turn(found)


def push_events(services: Services, now: datetime) -> None:  # noqa: ARG001
    """Send what ended to receivers that do not fetch (RFC 8935)."""
    Pusher(
        services.database,
        services.configurations,
        services.network,
        services.secrets.resolve,
        services.clock,
    ).turn()


def renew_connections(services: Services, now: datetime) -> None:
    """Take over what identity providers publish of themselves, such as the next certificate (SAML-09)."""
    connectors = Connectors(Tools(services.network, services.documents, services.secrets.resolve))
    turn = Turn()
    for tenant_id in _tenants(services):
        with turn.of(tenant_id):
            with services.database.read() as tx:
                rows = [(it.slug, it.kind, it.settings) for it in active(tx, tenant_id)]
            for slug, kind, settings in rows:
                try:
                    found = connectors.of(kind).renewed(settings, now)
                except (Invalid, NetworkError) as error:
                    # What is stored goes on counting; an operator sees it here before it has expired.
                    log.warning("connection.renewal_failed", connection=slug, reason=str(error))
                    continue
                if found is None or not found.changes:
                    continue
                with services.database.write() as tx:
                    connections.renew(
                        tx, Operator.local("job", now, services.envelope), tenant_id, slug, found
                    )
    turn.end()


def follow_client_secrets(services: Services, now: datetime) -> None:
    """Take over secrets of `[[client]]` that were rotated in their store (V5)."""
    for client in services.settings.client:
        if client.secret is None:
            continue
        try:
            secret = services.secrets.resolve(client.secret).decode()
        except (ConfigurationError, UnicodeDecodeError):
            continue  # logged where it failed; the one before goes on counting
        with services.database.write() as tx:
            operator = Operator.local("job", now, services.envelope)
            if configured_clients.follow_secret(tx, operator, client, secret):
                log.info("client.secret_followed", client=client.id)


def apply_changes(services: Services, now: datetime) -> None:
    """Make the changes of policy whose moment has come."""
    turn = Turn()
    for tenant_id in _tenants(services):
        with turn.of(tenant_id):
            with services.database.write() as tx:
                operator = Operator.local(
                    "job",
                    now,
                    services.envelope,
                    agents_per_owner=services.settings.limits.agents_per_owner,
                )
                done = changes.apply_due(tx, operator, tenant_id)
            for change in done:
                log.info("change.due", tenant=tenant_id, change=change.id, status=change.status)
    turn.end()


def expire_reviews(services: Services, now: datetime) -> None:
    """End what nobody answered for in access reviews that are due."""
    turn = Turn()
    for tenant_id in _tenants(services):
        with turn.of(tenant_id):
            with services.database.write() as tx:
                operator = Operator.local("job", now, services.envelope)
                ended = reviews.expire_overdue(tx, operator, tenant_id)
            if ended:
                log.info("review.overdue", tenant=tenant_id, ended=ended)
    turn.end()


def keep_versions(services: Services, now: datetime) -> None:
    """Keep what policy is, where it is another than before."""
    with services.database.read() as tx:
        active = select(Tenant.id, Tenant.config_version).where(Tenant.status == "active")
        present = [(tenant_id, version) for tenant_id, version in tx.execute(active)]
    changed = [it for it in present if _compared.get(it[0]) != it[1]]
    if not changed:
        return
    turn = Turn()
    for tenant_id, version in changed:
        with turn.of(tenant_id):
            with services.database.write() as tx:
                versions.record(tx, Operator.local("job", now, services.envelope), tenant_id)
            _compared[tenant_id] = version
    # The policy of a tenant where a hundred thousand hold a role by name is fifty megabytes for a moment.
    give_back()
    turn.end()


_compared: dict[str, int] = {}
"""The configuration each tenant had when this process last compared its policy. Clients and connections change it too,
and to find that policy is the same all of it is written down: once for each change, not every turn."""


JOBS: dict[str, Job] = {
    "agents": Job(timedelta(hours=1), watch_agents),
    "apply-changes": Job(timedelta(seconds=15), apply_changes),
    "audit-checkpoints": Job(timedelta(seconds=15), write_checkpoints),
    "audit-retention": Job(timedelta(hours=1), trim_trail),
    "audit-timestamps": Job(timedelta(minutes=1), timestamp_checkpoints),
    "client-secrets": Job(timedelta(minutes=1), follow_client_secrets),
    "connections": Job(timedelta(days=1), renew_connections),
    "overdue-reviews": Job(timedelta(minutes=5), expire_reviews),
    "policy-versions": Job(timedelta(seconds=15), keep_versions),
    "poll-signals": Job(timedelta(seconds=15), poll_signals),
    "push-events": Job(timedelta(seconds=15), push_events),
    "retention": Job(timedelta(hours=1), remove_expired),
    "rotate-keys": Job(timedelta(hours=1), rotate_keys),
    "unused-clients": Job(timedelta(hours=1), remove_unused_clients),
    "wipe-keys": Job(timedelta(hours=1), wipe_gone_keys),
}


def _upkeep(services: Services) -> Upkeep:
    return Upkeep(
        services.database, services.configurations, services.network, services.settings.audit
    )


def _tenants(services: Services) -> Sequence[str]:
    """The ids of those that are active."""
    with services.database.read() as tx:
        return tx.scalars(select(Tenant.id).where(Tenant.status == "active")).all()
