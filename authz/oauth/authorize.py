"""What happens at /authorize once client and session are known: decide, ask for consent, make the code.

Runs in the plain lane. `next_step` answers what the browser should see next and is asked anew after every sign-in, so
login and consent never call each other and no step can be skipped by posting to a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz import audit, entropy
from authz.audit.events import (
    AuthorizationRefused,
    CodeIssued,
    ConsentGranted,
    ConsentRefused,
    Event,
)
from authz.db.models import AuthorizationCode, GroupMember, RoleBinding
from authz.directory.sessions import SignedIn
from authz.errors import (
    AccessDenied,
    ConsentRequired,
    InvalidScope,
    LoginRequired,
    OAuthError,
)
from authz.oauth.asking import Asking
from authz.oauth.authorization_request import AuthorizationRequest
from authz.oauth.clients_in_use import store_document
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.consents import covers, find_consent, store_consent
from authz.oauth.facts import Code
from authz.oauth.pending import store_pending
from authz.oauth.pushed import take_pushed
from authz.policy import Ceiling, Decision, Reason, Subject, decide
from authz.policy.snapshot import HeldRole
from authz.urls import redirect_host

FAPI_CODE_LIFETIME = timedelta(seconds=60)
"""FAPI 2.0 §5.3.2.1 (FAPI-04), whatever the installation allows others."""
FRESH_SIGN_IN = timedelta(seconds=30)
"""A sign-in this recent satisfies any `max_age`: otherwise `max_age=0` could never be met."""


@dataclass(frozen=True)
class SignIn:
    """The person has to sign in (again) first."""


@dataclass(frozen=True)
class AskConsent:
    """The person has to decide. `pending_id` is good for one answer from this session."""

    pending_id: str
    decision: Decision
    already_granted: frozenset[str]


@dataclass(frozen=True)
class SendBack:
    """Redirect to the client with this code."""

    code: str

    def __repr__(self) -> str:
        return "SendBack(***)"


Step = SignIn | AskConsent | SendBack


def needs_sign_in(request: AuthorizationRequest, signed_in: SignedIn | None, now: datetime) -> bool:
    """Whether this session does not do. `prompt=login` is taken out of the request once it was satisfied."""
    if signed_in is None or not request.prompt.isdisjoint({"login", "select_account"}):
        return True
    if request.max_age is None:
        return False
    allowed = max(timedelta(seconds=request.max_age), FRESH_SIGN_IN)
    return now - signed_in.auth_time > allowed


def next_step(tx: Session, asking: Asking, *, code_lifetime: timedelta, now: datetime) -> Step:
    """Decide what comes next. Raises an OAuthError for the return address; callers commit either way.

    PushedRequestRefused is not for the return address: somebody else answered this request meanwhile.
    """
    request = asking.request
    if needs_sign_in(request, asking.signed_in, now):
        if "none" in request.prompt:
            raise LoginRequired("the person has to sign in", reason="login_required")
        return SignIn()
    decision = decide_for(tx, asking, now)
    if not decision.granted:
        raise _nothing_granted(decision)
    consent = find_consent(tx, asking)
    if consent is not None and covers(consent, asking, decision):
        return SendBack(
            _issue_code(
                tx, asking, decision.granted, by="remembered", lifetime=code_lifetime, now=now
            )
        )
    if "none" in request.prompt:
        raise ConsentRequired("the person has to consent", reason="consent_required")
    already = consent.scopes if consent is not None else frozenset()
    return AskConsent(store_pending(tx, asking, now), decision, already & decision.granted)


def decide_for(tx: Session, asking: Asking, now: datetime) -> Decision:
    """What policy leaves of the request for this person through this client."""
    return decide(
        asking.configuration.policy,
        load_subject(tx, asking.signed_in.user_id),
        asking.request.resource,
        client=asking.client.id,
        requested=asking.request.requested,
        ceilings=(Ceiling(Reason.CLIENT_CEILING, asking.client.scope_ceiling),),
        now=now,
    )


def load_subject(tx: Session, user_id: str) -> Subject:
    """An active person with roles and groups."""
    roles = tx.execute(
        select(RoleBinding.role_id, RoleBinding.expires_at).where(
            RoleBinding.subject_kind == "user", RoleBinding.subject_id == user_id
        )
    )
    groups = tx.scalars(select(GroupMember.group_id).where(GroupMember.user_id == user_id))
    return Subject(
        id=user_id,
        roles=tuple(HeldRole(role_id, expires_at) for role_id, expires_at in roles),
        groups=frozenset(groups),
    )


def allow(
    tx: Session,
    asking: Asking,
    chosen: frozenset[str],
    *,
    code_lifetime: timedelta,
    now: datetime,
) -> SendBack:
    """Store the consent and make the code. Raises AccessDenied when nothing is left of the choice."""
    decision = decide_for(tx, asking, now)
    if not decision.granted:
        raise _nothing_granted(decision)
    allowed = decision.granted & chosen
    if not allowed:
        raise AccessDenied("the person allowed nothing", reason="consent_withheld")
    withheld = decision.granted - chosen
    remembered = asking.client.is_proven_at(asking.request.redirect_uri)
    store_consent(
        tx,
        tenant_id=asking.configuration.tenant.id,
        user_id=asking.signed_in.user_id,
        client=asking.client,
        resource_id=asking.request.resource.id,
        redirect_uri=asking.request.redirect_uri,
        allowed=allowed,
        withheld=withheld,
        remembered=remembered,
        now=now,
    )
    if asking.fetched is not None:
        store_document(tx, asking.configuration, asking.fetched, now=now)
    granted = ConsentGranted(
        subject=asking.signed_in.user_id,
        client=asking.client.id,
        resource=asking.request.resource.identifier,
        scopes=sorted(allowed),
        withheld=sorted(withheld),
        redirect_host=redirect_host(asking.request.redirect_uri),
        remembered=remembered,
    )
    code = _issue_code(
        tx, asking, allowed, by="consent", lifetime=code_lifetime, now=now, before=[granted]
    )
    return SendBack(code)


def refuse(tx: Session, asking: Asking, now: datetime) -> AccessDenied:
    """Record the person's no; answers what to send back. Raises PushedRequestRefused."""
    _take(tx, asking, now)
    refused = ConsentRefused(
        subject=asking.signed_in.user_id,
        client=asking.client.id,
        resource=asking.request.resource.identifier,
    )
    _record(tx, asking, [refused], now)
    return AccessDenied("the person refused", reason="consent_refused")


def record_refusal(
    tx: Session,
    configuration: TenantConfiguration,
    signed_in: SignedIn,
    client_id: str,
    error: OAuthError,
    now: datetime,
) -> None:
    """A signed-in person's request was refused: an event with the private reason."""
    event = AuthorizationRefused(
        subject=signed_in.user_id, client=client_id, error=error.code, reason=error.reason
    )
    audit.record(tx, configuration.tenant.id, event, key=configuration.audit_key, now=now)


def _nothing_granted(decision: Decision) -> OAuthError:
    if decision.removed and set(decision.removed.values()) == {Reason.SCOPE_UNKNOWN}:
        return InvalidScope("the resource has none of these scopes", reason="scope_unknown")
    return AccessDenied("policy leaves no scope for this request", reason="nothing_granted")


def _issue_code(
    tx: Session,
    asking: Asking,
    scopes: frozenset[str],
    *,
    by: str,
    lifetime: timedelta,
    now: datetime,
    before: Sequence[Event] = (),
) -> str:
    _take(tx, asking, now)
    code = entropy.new_token("azc")
    request, signed_in = asking.request, asking.signed_in
    made = new_code(asking, scopes, code, lifetime=lifetime, now=now)
    names = [column.name for column in AuthorizationCode.__table__.c]
    values = {name: getattr(made, name) for name in names}
    tx.add(AuthorizationCode(**{**values, "amr": list(made.amr)}))
    issued = CodeIssued(
        subject=signed_in.user_id,
        client=asking.client.id,
        resource=request.resource.identifier,
        scopes=sorted(scopes),
        by=by,
    )
    _record(tx, asking, [*before, issued], now)
    return code


def new_code(
    asking: Asking, scopes: frozenset[str], code: str, *, lifetime: timedelta, now: datetime
) -> Code:
    """The record of a code: everything its redemption will be held against."""
    request, signed_in = asking.request, asking.signed_in
    if asking.client.fapi:
        lifetime = min(lifetime, FAPI_CODE_LIFETIME)
    return Code(
        digest=entropy.digest(code),
        tenant_id=asking.configuration.tenant.id,
        client_id=asking.client.id,
        user_id=signed_in.user_id,
        resource_id=request.resource.id,
        redirect_uri=request.redirect_uri,
        code_challenge=request.code_challenge,
        scopes=scopes,
        requested=request.requested,
        offline_access=request.offline_access,
        openid=None,
        nonce=None,
        authorization_details=None,
        dpop_jkt=request.dpop_jkt,
        auth_time=signed_in.auth_time,
        acr=signed_in.acr,
        amr=signed_in.amr,
        created_at=now,
        expires_at=now + lifetime,
    )


def _take(tx: Session, asking: Asking, now: datetime) -> None:
    if asking.pushed is not None:
        take_pushed(tx, asking.pushed, now)


def _record(tx: Session, asking: Asking, events: Sequence[Event], now: datetime) -> None:
    configuration = asking.configuration
    audit.record(tx, configuration.tenant.id, *events, key=configuration.audit_key, now=now)
