"""Assertions of trusted issuers, before anything is decided: which entry, which key, is it genuine, whose is it.

The prepare phase of grants that redeem them: network allowed, no transaction open. What an assertion is dispatched on
is its `typ` alone, and the kind of the entries for its issuer; no second reading is ever tried (CONF-05).
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from authz import audit
from authz.clients.client import Client
from authz.clock import Clock
from authz.db import Database
from authz.db.again import again
from authz.db.models import Connection
from authz.directory.linking import LinkRefused, UpstreamIdentity, link
from authz.errors import InvalidGrant
from authz.jose import BEFORE_SIGNATURE, JwtError, Key, read_unverified, verify_in_vain, verify_jwt
from authz.net import Documents, NetworkError
from authz.oauth import id_jag
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.id_jag import REFUSED, IdJag
from authz.oauth.issuer_keys import load_keys
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.params import Params
from authz.oauth.subject_tokens import SubjectToken, read_subject_token
from authz.oauth.trust import ID_JAG, Trust
from authz.oauth.upstream_secrets import UpstreamSecrets


class _Refused(Exception):
    """The assertion is of nobody we know: no signature was looked at."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Assertions:
    """One per process."""

    database: Database
    documents: Documents
    clock: Clock
    own_tokens: OwnTokens
    upstream: UpstreamSecrets

    async def redeemable(
        self, configuration: TenantConfiguration, client: Client, text: str
    ) -> IdJag:
        """The assertion, if it is genuine and this client's. Raises InvalidGrant, UnauthorizedClient."""
        tenant = configuration.tenant
        header: dict[str, Any] = {}
        try:
            read = header, unverified = read_unverified(text)
            trust = _entry(configuration, header, unverified)
            keys = await self._keys(trust, header.get("kid"))
            profile = id_jag.profile_of(trust, tenant.issuer)
            claims = verify_jwt(text, keys, profile, self.clock(), read=read)
        except JwtError as error:
            if error.reason in BEFORE_SIGNATURE:
                verify_in_vain(text, header)
            raise InvalidGrant(REFUSED, reason=error.reason) from None
        except _Refused as refused:
            # As much work as for a wrong signature: whom a tenant trusts is not to be timed (IDJAG-82).
            verify_in_vain(text, header)
            raise InvalidGrant(REFUSED, reason=refused.reason) from refused.__cause__
        return id_jag.check(claims, trust, client, slug=tenant.slug)

    def exchangeable(
        self, configuration: TenantConfiguration, client: Client, params: Params
    ) -> SubjectToken:
        """The subject token of a token exchange, recognised. Raises OAuthError."""
        return read_subject_token(params, client, configuration, self.own_tokens, self.clock())

    async def link(self, configuration: TenantConfiguration, found: IdJag) -> None:
        """Give the subject an account, where the connection makes or takes over one. Raises InvalidGrant."""
        await asyncio.to_thread(again, self._link, configuration, found)

    def _link(self, configuration: TenantConfiguration, found: IdJag) -> None:
        identity = UpstreamIdentity(
            subject=found.subject,
            email=found.email,
            email_verified=found.email_verified,
            name=found.name,
            claims=found.claims,
        )
        now = self.clock()
        with self.database.write() as tx:
            connection = tx.get(Connection, found.trust.connection_id)
            if connection is None or connection.status != "active":
                raise InvalidGrant(REFUSED, reason="connection_disabled")
            try:
                linked = link(tx, connection, identity, now)
            except LinkRefused as refused:
                raise InvalidGrant(REFUSED, reason=refused.reason) from None
            if linked.events:
                audit.record(
                    tx,
                    connection.tenant_id,
                    *linked.events,
                    key=configuration.audit_key,
                    now=now,
                )

    async def _keys(self, trust: Trust, key_id: object) -> Sequence[Key]:
        """From the entry alone, never from the assertion; one unknown name asks at most once per interval (ATK-49)."""
        settings = trust.settings
        if trust.pinned_keys is not None:
            return trust.pinned_keys
        assert settings.jwks_uri is not None  # checked when it was written  # noqa: S101
        try:
            return await load_keys(self.documents, settings.jwks_uri, key_id)
        except NetworkError as error:
            raise _Refused(f"jwks_{error.reason}") from error


def _entry(
    configuration: TenantConfiguration, header: dict[str, Any], claims: dict[str, Any]
) -> Trust:
    """The trust entry that judges this assertion. Raises JwtError, _Refused."""
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != id_jag.TYP:
        raise JwtError("jwt_typ")
    if claims.get("iss") == configuration.tenant.issuer:
        # Ours are for other servers; redeeming one here would be a way round our own policy (IDJAG-43).
        raise _Refused("id_jag_own_issuer")
    entries = tuple(it for it in configuration.trusts.of(claims.get("iss")) if it.kind == ID_JAG)
    if not entries:
        raise _Refused("issuer_unknown")
    entry = id_jag.choose(entries, claims)
    if entry is None:
        raise _Refused("id_jag_tenant")
    if not configuration.policy.is_enabled(entry.connection_id):
        raise _Refused("connection_disabled")
    return entry
