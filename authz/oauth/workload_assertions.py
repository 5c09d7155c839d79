"""Tokens of workloads, before anything is decided: whose are they, are they genuine, which rule knows them.

The prepare phase of the grant: network allowed, no transaction open. Nobody is authenticated before, so what is wrong
is counted at the address it came from, and what is right against the workload.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from authz.clock import Clock
from authz.errors import InvalidGrant
from authz.jose import JwtError, Key, read_unverified, verify_jwt
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
        tenant, text = configuration.tenant, params.require("assertion")
        try:
            header, unverified = read_unverified(text)
            issuer = unverified.get("iss")
            attempt.asserts(tenant.id, issuer if isinstance(issuer, str) else "")
            if issuer == tenant.issuer:
                # Our own ID tokens look like this, and say who somebody is to a client (IDJAG-43).
                raise InvalidGrant(REFUSED, reason="workload_own_issuer")
            trust = configuration.workloads.of(issuer)
            if trust is None:
                raise InvalidGrant(REFUSED, reason="issuer_unknown")
            keys = await self._keys(trust, header.get("kid"))
            profile = workload.profile_of(trust, tenant.issuer)
            claims = verify_jwt(text, keys, profile, self.clock())
        except JwtError as error:
            raise InvalidGrant(REFUSED, reason=error.reason) from None
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

    async def _keys(self, trust: WorkloadTrust, key_id: object) -> Sequence[Key]:
        if trust.pinned_keys is not None:
            return trust.pinned_keys
        assert trust.settings.jwks_uri is not None  # checked when it was written  # noqa: S101
        try:
            return await load_keys(self.documents, trust.settings.jwks_uri, key_id)
        except NetworkError as error:
            raise InvalidGrant(REFUSED, reason=f"jwks_{error.reason}") from error
