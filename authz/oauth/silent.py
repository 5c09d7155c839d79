"""An authorization request that needs no page: signed in, and an earlier consent covers it. Decided in the token lane.

It asks the same questions with the same functions as `oauth.authorize`; whatever is not a plain yes is answered there,
where there is a person to ask. So this module never refuses anybody and never shows anything.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from authz import entropy
from authz.audit.events import CodeIssued
from authz.clients.client import Client
from authz.oauth.asking import Asking
from authz.oauth.authorization import Outcome
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.authorize import new_code
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.consents import covers
from authz.oauth.facts import Changes, FactKeys, Facts
from authz.oauth.lane import Job
from authz.oauth.step_up import needed_for, needs_sign_in
from authz.policy import decide


@dataclass(frozen=True)
class SilentRequest:
    """A validated request of a browser that sent a session cookie."""

    configuration: TenantConfiguration
    client: Client
    request: AuthorizationRequest
    address: ReturnAddress
    session_digest: str
    code_lifetime: timedelta


def job_of(silent: SilentRequest) -> Job:
    """The job; its answer is the code, or None when a page is needed."""
    return Job(
        configuration=silent.configuration,
        keys=FactKeys(
            sessions=frozenset({silent.session_digest}),
            consents=frozenset({(silent.client.id, silent.request.resource.id)}),
        ),
        # Drawn before the decision, so that the decision itself is pure.
        decide=partial(_decide, silent, entropy.new_token("azc")),
        client_id=silent.client.id,
    )


def _decide(silent: SilentRequest, code: str, facts: Facts, now: datetime) -> Outcome:
    configuration, request = silent.configuration, silent.request
    signed_in = facts.find_session(configuration.tenant.id, silent.session_digest, now)
    if signed_in is None or needs_sign_in(request, signed_in, now):
        return Outcome(None)
    place = signed_in.user_id, silent.client.id, request.resource.id
    found = facts.consents.get(place)
    consent = found if found is not None and found.revoked_at is None else None
    asking = Asking(
        configuration=configuration,
        client=silent.client,
        request=request,
        address=silent.address,
        signed_in=signed_in,
        query="",
    )
    decision = decide(
        configuration.policy,
        facts.subject(signed_in.user_id, enabled=True, authentication=signed_in.authentication),
        request.resource,
        client=silent.client.id,
        requested=request.requested,
        ceilings=configuration.ceilings(silent.client, request.resource, now),
        now=now,
    )
    if needed_for(decision, request, signed_in, configuration.policy) is not None:
        return Outcome(None)
    wanted = decision.granted | request.openid
    if not decision.granted or not covers(consent, asking, wanted):
        return Outcome(None)
    issued = CodeIssued(
        subject=signed_in.user_id,
        client=silent.client.id,
        resource=request.resource.identifier,
        scopes=sorted(wanted),
        by="remembered",
    )
    made = new_code(asking, wanted, code, lifetime=silent.code_lifetime, now=now)
    return Outcome(code, Changes(new_codes=(made,)), (issued,))
