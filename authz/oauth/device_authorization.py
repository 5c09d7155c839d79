"""POST /device_authorization (RFC 8628 §3.1): a device asks for a pair of codes, one for itself and one for a person.

Nothing is decided here about a person: there is none yet. What could never be granted is refused at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from authz import entropy
from authz.errors import InvalidRequest, TemporarilyUnavailable
from authz.oauth.asked import AskedScopes, check_scopes, read_resource, read_scopes
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.devices import LIFETIME, PENDING, POLL_SECONDS, check_client, user_code_digest
from authz.oauth.facts import Changes, Device, FactKeys, Facts
from authz.oauth.lane import Job
from authz.policy.snapshot import Resource

_DRAWS = 4
"""How often a user code is drawn again because it is in use: even once is a rare event."""


@dataclass(frozen=True)
class _Codes:
    """Randomness of one attempt, drawn before the decision, so that the decision itself is pure."""

    device_code: str = field(default_factory=lambda: entropy.new_token("azd"))
    user_code: str = field(default_factory=entropy.new_user_code)

    def __repr__(self) -> str:
        return "_Codes(***)"


class DeviceAuthorization:
    """One per process."""

    def __init__(self, channel: BackChannel) -> None:
        self._channel = channel

    async def handle(self, call: Call, *, asked_from: str) -> Mapping[str, Any]:
        """Answer an authenticated client's device at this address. Raises OAuthError, or UnknownTenant."""
        for _ in range(_DRAWS):
            codes = _Codes()
            prepare = partial(_prepare, codes=codes, asked_from=asked_from)
            outcome, configuration = await self._channel.handle(call, prepare)
            if not outcome.answer:
                continue
            page = f"{configuration.tenant.issuer}/device"
            return {
                "device_code": codes.device_code,
                "user_code": codes.user_code,
                "verification_uri": page,
                "verification_uri_complete": f"{page}?user_code={codes.user_code}",
                "expires_in": int(LIFETIME.total_seconds()),
                "interval": POLL_SECONDS,
            }
        raise TemporarilyUnavailable("try again shortly", reason="user_codes_taken")


def _prepare(caller: Caller, *, codes: _Codes, asked_from: str) -> Job:
    check_client(caller.client)
    if caller.params.find("authorization_details") is not None:
        # Limits that would be dropped silently (RFC 9396 §5).
        raise InvalidRequest(
            "authorization_details are not supported here", reason="details_not_supported"
        )
    resource = read_resource(caller.params, caller.configuration.policy)
    asked = read_scopes(caller.params)
    check_scopes(asked.resource, resource)
    digest = user_code_digest(codes.user_code) or ""
    return Job(
        configuration=caller.configuration,
        keys=FactKeys(user_codes=frozenset({digest})),
        decide=partial(_decide, caller, codes, digest, resource, asked, asked_from),
        client_id=caller.client.id,
    )


def _decide(
    caller: Caller,
    codes: _Codes,
    user_code: str,
    resource: Resource,
    asked: AskedScopes,
    asked_from: str,
    facts: Facts,
    now: datetime,
) -> Outcome:
    """Whether the user code was free: its unique row in the table decides between two processes, as the batch that
    lost runs again and finds it here.
    """
    tenant_id = caller.configuration.tenant.id
    if (tenant_id, user_code) in facts.user_codes:
        return Outcome(answer=False)
    device = Device(
        digest=entropy.digest(codes.device_code),
        tenant_id=tenant_id,
        user_code=user_code,
        client_id=caller.client.id,
        resource_id=resource.id,
        requested=asked.resource,
        offline_access=asked.offline_access,
        status=PENDING,
        poll_interval=POLL_SECONDS,
        polled_at=None,
        asked_from=asked_from,
        created_at=now,
        expires_at=now + LIFETIME,
    )
    return Outcome(answer=True, changes=Changes(new_devices=(device,)))
