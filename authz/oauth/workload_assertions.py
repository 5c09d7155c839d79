"""Tokens of workloads, before anything is decided: whose are they, are they genuine, which rule knows them.

The prepare phase of the grant: network allowed, no transaction open. Nobody is authenticated before, so what is wrong
is counted at the address it came from, and what is right against the workload.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from authz.clock import Clock
from authz.errors import InvalidGrant
from authz.jose import (
    BEFORE_SIGNATURE,
    JwtError,
    Key,
    read_unverified,
    verify_in_vain,
    verify_jwt,
)
from authz.limits import Attempt
from authz.net import Documents, NetworkError
from authz.oauth import workload
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.issuer_keys import load_keys
from authz.oauth.params import Params
from authz.oauth.workload import REFUSED, Workload
from authz.oauth.workload_trust import WorkloadTrust

log = structlog.get_logger()


@dataclass(frozen=True)
class WorkloadAssertions:
    """One per process."""

    documents: Documents
    clock: Clock

    async def admitted(
        self, configuration: TenantConfiguration, params: Params, attempt: Attempt
    ) -> Workload:
        """The workload behind the assertion, if a rule knows it. Raises InvalidGrant, TooManyRequests."""
        text = params.require("assertion")
        trust, claims = await self._verified(configuration, text, attempt)
        try:
            signed, client_id = text.rpartition(".")[0], params.find("client_id")
            found = workload.check(claims, trust, signed=signed, client_id=client_id)
        except InvalidGrant as refused:
            # Genuine, so this is for the operator whose rule does not say what they meant.
            said = {"trust": trust.slug, "asserted": claims["sub"], "reason": refused.reason}
            log.info("workload.refused", **said)
            raise
        attempt.authenticated(is_confidential=True, name=found.id)
        return found

    async def _verified(
        self, configuration: TenantConfiguration, text: str, attempt: Attempt
    ) -> tuple[WorkloadTrust, Mapping[str, Any]]:
        """The entry, and what a genuine token says. Raises InvalidGrant, TooManyRequests."""
        tenant, has_checked = configuration.tenant, False
        try:
            header, unverified = read_unverified(text)
            issuer = unverified.get("iss")
            attempt.asserts(tenant.id, issuer if isinstance(issuer, str) else "")
            trust = _entry(configuration, issuer)
            keys = await self._keys(trust, header.get("kid"))
            profile, has_checked = workload.profile_of(trust, tenant.issuer), True
            return trust, verify_jwt(text, keys, profile, self.clock())
        except JwtError as error:
            if not has_checked or error.reason in BEFORE_SIGNATURE:
                # As much work as for a wrong signature: whom a tenant trusts is not to be timed (IDJAG-82).
                verify_in_vain(text)
            raise InvalidGrant(REFUSED, reason=error.reason) from error.__cause__

    async def _keys(self, trust: WorkloadTrust, key_id: object) -> Sequence[Key]:
        """Raises JwtError."""
        if trust.pinned_keys is not None:
            return trust.pinned_keys
        assert trust.settings.jwks_uri is not None  # checked when it was written  # noqa: S101
        try:
            return await load_keys(self.documents, trust.settings.jwks_uri, key_id)
        except NetworkError as error:
            raise JwtError(f"jwks_{error.reason}") from error


def _entry(configuration: TenantConfiguration, issuer: object) -> WorkloadTrust:
    """Raises JwtError."""
    if issuer == configuration.tenant.issuer:
        # Our own ID tokens look like this, and say who somebody is to a client (IDJAG-43).
        raise JwtError("workload_own_issuer")
    trust = configuration.workloads.of(issuer)
    if trust is None:
        raise JwtError("issuer_unknown")
    return trust
