"""Redeeming a device code (RFC 8628 §3.4): polled until a person has answered on another screen, then good once."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from authz import entropy
from authz.errors import (
    AccessDenied,
    AuthorizationPending,
    ExpiredToken,
    InvalidGrant,
    OAuthError,
    SlowDown,
)
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.devices import (
    DENIED,
    DEVICE_GRANT,
    ENDED,
    SLOWER_BY_SECONDS,
    SPENT,
    ceiling,
    check_client,
)
from authz.oauth.facts import Approval, Changes, Device, FactKeys, Facts
from authz.oauth.grants.shared import check_resource, new_family, refused, replayed, resource_of
from authz.oauth.issuing import issue
from authz.policy import Ceiling, Reason, decide

REFUSED = "the device code is not valid for this client"
"""The one public sentence for every defect of a device code."""
_TRAVEL = timedelta(seconds=1)
"""A device counts from its last request, this server from its arrival: that much may lie between."""


@dataclass(frozen=True)
class DeviceCodeGrant:
    """One device code, once, by the client it was made for, after a person allowed it."""

    grant_type = DEVICE_GRANT
    parameters = frozenset({"device_code", "resource"})
    allowed_with = frozenset({DEVICE_GRANT})

    def prepare(self, request: TokenRequest) -> FactKeys:
        """The device by the digest of its code. Raises UnauthorizedClient or InvalidRequest."""
        check_client(request.client)
        code = request.params.require("device_code")
        return FactKeys(devices=frozenset({entropy.digest(code)}))

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """Guards in the order an attacker meets them; a replay by the rightful client ends its family."""
        device = facts.find_device(
            request.configuration.tenant.id, entropy.digest(request.params.require("device_code"))
        )
        if device is None:
            raise InvalidGrant(REFUSED, reason="device_code_unknown")
        if device.client_id != request.client.id:
            raise InvalidGrant(REFUSED, reason="device_code_of_other_client")
        if device.status == SPENT:
            outcome = self._refused(InvalidGrant(REFUSED, reason="device_code_spent"), device)
            family = facts.find_family(device.tenant_id, device.family_id or "")
            return replayed(outcome, family, because="device_code_replayed", now=now)
        try:
            if now >= device.expires_at:
                raise ExpiredToken("the device code has expired", reason="device_code_expired")
            if device.status == DENIED:
                raise AccessDenied("the person refused", reason="device_denied")
            if device.status == ENDED:
                raise InvalidGrant(REFUSED, reason="access_ended")
            if device.approval is None:
                return _waiting(device, now)
            return self._redeem(request, device, device.approval, facts, now)
        except OAuthError as error:
            return self._refused(error, device)

    def _refused(self, error: OAuthError, device: Device) -> Outcome:
        return refused(
            error,
            grant_type=self.grant_type,
            client=device.client_id,
            subject=None if device.approval is None else device.approval.user_id,
            grant=device.family_id,
        )

    def _redeem(
        self,
        request: TokenRequest,
        device: Device,
        approval: Approval,
        facts: Facts,
        now: datetime,
    ) -> Outcome:
        """The person said yes; whether that still holds is asked now."""
        resource = resource_of(request.configuration.policy, device.resource_id)
        check_resource(request.params, resource)
        if not device.subject_enabled:
            raise InvalidGrant(REFUSED, reason="subject_disabled")
        if not device.consent_stands:
            raise InvalidGrant(REFUSED, reason="consent_revoked")
        decision = decide(
            request.configuration.policy,
            facts.subject(
                approval.user_id,
                enabled=device.subject_enabled,
                authentication=approval.authentication,
            ),
            resource,
            client=request.client.id,
            requested=device.requested,
            ceilings=(
                ceiling(resource),
                *request.configuration.ceilings(request.client, resource, now),
                Ceiling(Reason.CONSENT_WITHHELD, approval.scopes),
            ),
            now=now,
        )
        if not decision.granted:
            # Spent all the same: the answer to this code has been given.
            error = AccessDenied(
                "policy leaves no scope for this request", reason="nothing_granted"
            )
            spent = replace(device, status=SPENT)
            return replace(self._refused(error, device), changes=Changes(devices=(spent,)))
        family = new_family(
            request,
            user_id=approval.user_id,
            resource_id=device.resource_id,
            scopes=decision.granted,
            offline_access=device.offline_access,
            signed_in=approval,
            now=now,
        )
        spent = replace(device, status=SPENT, family_id=family.id)
        return issue(
            request,
            family,
            decision,
            grant_type=self.grant_type,
            is_new_family=True,
            changes=Changes(devices=(spent,)),
            now=now,
        )


def _waiting(device: Device, now: datetime) -> Outcome:
    """Not yet; and whoever asks too soon waits longer from now on (§3.5)."""
    interval = timedelta(seconds=device.poll_interval)
    if device.polled_at is not None and now < device.polled_at + interval - _TRAVEL:
        slower = replace(
            device, polled_at=now, poll_interval=device.poll_interval + SLOWER_BY_SECONDS
        )
        answer: OAuthError = SlowDown("wait longer between two requests", reason="polled_too_soon")
        return Outcome(answer, Changes(devices=(slower,)))
    pending = AuthorizationPending("the person has not answered yet", reason="device_pending")
    return Outcome(pending, Changes(devices=(replace(device, polled_at=now),)))
