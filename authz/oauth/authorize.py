"""What happens at /authorize once client and session are known: decide, ask for consent, make the code.

Runs in the plain lane. `next_step` answers what the browser should see next and is asked anew after every sign-in, so
login and consent never call each other and no step can be skipped by posting to a later one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from authz import audit, entropy
from authz.audit.events import (
    AuthorizationRefused,
    CodeIssued,
    ConsentGranted,
    ConsentRefused,
    Event,
)
from authz.db.models import AuthorizationCode
from authz.directory.sessions import SignedIn, hold
from authz.errors import (
    AccessDenied,
    ConsentRequired,
    InvalidScope,
    LoginRequired,
    OAuthError,
)
from authz.oauth import authorization_details
from authz.oauth.asking import Asking, Needed
from authz.oauth.clients_in_use import store_document
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.consents import (
    covers,
    find_consent,
    settled_scopes,
    store_consent,
    unchanged,
)
from authz.oauth.facts import Code
from authz.oauth.pending import Pending, store_pending
from authz.oauth.pushed import take_pushed
from authz.oauth.step_up import (
    check_what_came_of_it,
    lacking,
    needed_by,
    needed_for,
    needs_sign_in,
    refused_for_lack,
    refused_silently,
)
from authz.oauth.subjects import load_subject
from authz.policy import SENTENCES, Decision, Reason, decide
from authz.policy.scopes import OPENID, OPENID_SCOPES
from authz.urls import redirect_host

FAPI_CODE_LIFETIME = timedelta(seconds=60)
"""FAPI 2.0 §5.3.2.1 (FAPI-04), whatever the installation allows others."""


@dataclass(frozen=True)
class SignIn:
    """The person has to sign in (again) first."""

    needed: Needed
    is_step_up: bool = False
    """The session would do, but for what policy demands of a sign-in."""


@dataclass(frozen=True)
class AskConsent:
    """The person has to decide. `pending_id` is good for one answer from this session."""

    pending_id: str
    decision: Decision
    asked: frozenset[str]
    """Everything there is to decide about: the granted scopes and OpenID's, without the settled ones."""
    settled: frozenset[str]
    """Allowed before and not asked again (MCP-AS-72)."""
    already_granted: frozenset[str]
    """Allowed before, and asked again all the same."""
    changed: frozenset[str]
    """Of those, what means something else than it did then."""


@dataclass(frozen=True)
class SendBack:
    """Redirect to the client with this code."""

    code: str

    def __repr__(self) -> str:
        return "SendBack(***)"


Step = SignIn | AskConsent | SendBack


def next_step(tx: Session, asking: Asking, *, code_lifetime: timedelta, now: datetime) -> Step:
    """Decide what comes next. Raises an OAuthError for the return address; callers commit either way.

    PushedRequestRefused is not for the return address: somebody else answered this request meanwhile.
    """
    request = asking.request
    is_over = not hold(tx, asking.signed_in.digest)
    if is_over or needs_sign_in(request, asking.signed_in, now):
        if "none" in request.prompt:
            raise LoginRequired("the person has to sign in", reason="login_required")
        check_what_came_of_it(request, asking.signed_in, now)
        return SignIn(needed_by(request))
    decision = decide_for(tx, asking, now)
    needed = needed_for(decision, request, asking.signed_in, asking.configuration.policy)
    if needed is not None:
        if "none" in request.prompt:
            raise refused_silently(decision)
        return SignIn(needed, is_step_up=True)
    if not decision.granted:
        raise _nothing_granted(decision)
    consent = find_consent(tx, asking)
    wanted = decision.granted | request.openid
    if covers(consent, asking, wanted):
        return SendBack(
            _issue_code(tx, asking, wanted, by="remembered", lifetime=code_lifetime, now=now)
        )
    if "none" in request.prompt:
        raise ConsentRequired("the person has to consent", reason="consent_required")
    settled = settled_scopes(consent, asking) & wanted
    asked = wanted - settled
    already, changed = frozenset[str](), frozenset[str]()
    if consent is not None:
        already = consent.scopes & asked
        changed = already - unchanged(consent.versions, request.resource, already)
    return AskConsent(
        store_pending(tx, asking, asked, settled, now),
        decision,
        asked=asked,
        settled=settled,
        already_granted=already,
        changed=changed,
    )


def decide_for(tx: Session, asking: Asking, now: datetime) -> Decision:
    """What policy leaves of the request for this person through this client."""
    return decide(
        asking.configuration.policy,
        load_subject(tx, asking.signed_in.user_id, authentication=asking.signed_in.authentication),
        asking.request.resource,
        client=asking.client.id,
        requested=asking.request.requested,
        ceilings=asking.configuration.ceilings(asking.client, asking.request.resource, now),
        now=now,
    )


def allow(
    tx: Session,
    asking: Asking,
    chosen: frozenset[str],
    *,
    shown: Pending,
    code_lifetime: timedelta,
    now: datetime,
) -> SendBack | None:
    """Store the consent and make the code. Raises AccessDenied when nothing is left of the choice.

    What the page said it does not ask again counts as far as it is still so. None when a scope of the answer came to
    mean something else since the page was made: the answer was for the old words, and the person is asked again.
    """
    decision = decide_for(tx, asking, now)
    if not decision.granted:
        raise _nothing_granted(decision)
    request = asking.request
    wanted = decision.granted | request.openid
    answered = wanted & (chosen | shown.settled)
    if unchanged(shown.versions, request.resource, answered) != answered:
        return None
    still = settled_scopes(find_consent(tx, asking), asking)
    allowed = answered & (chosen | still)
    if OPENID not in allowed:
        allowed -= OPENID_SCOPES
    if allowed.isdisjoint(decision.granted):
        if not chosen.isdisjoint(lacking(decision)):
            # The sign-in became too old for it while the person read.
            raise refused_for_lack(decision)
        raise AccessDenied("the person allowed nothing", reason="consent_withheld")
    withheld = wanted - allowed
    remembered = asking.client.is_proven_at(asking.request.redirect_uri)
    store_consent(
        tx,
        tenant_id=asking.configuration.tenant.id,
        user_id=asking.signed_in.user_id,
        client=asking.client,
        resource=asking.request.resource,
        redirect_uri=asking.request.redirect_uri,
        allowed=allowed,
        withheld=withheld,
        limited=allowed & authorization_details.scopes_of(request.details, request.resource),
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
    if lacking(decision):
        return refused_for_lack(decision)
    if Reason.CLIENT_GROUPS in decision.removed.values():
        return AccessDenied(SENTENCES[Reason.CLIENT_GROUPS], reason="client_groups")
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
    asking: Asking, allowed: frozenset[str], code: str, *, lifetime: timedelta, now: datetime
) -> Code:
    """The record of a code: everything its redemption will be held against. `allowed` has OpenID's scopes in it."""
    request, signed_in = asking.request, asking.signed_in
    if asking.client.fapi:
        lifetime = min(lifetime, FAPI_CODE_LIFETIME)
    scopes = allowed if request.resource.is_builtin else allowed - OPENID_SCOPES
    details = authorization_details.standing(request.details, request.resource, scopes)
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
        openid=(allowed & request.openid) or None,
        nonce=request.nonce,
        authorization_details=authorization_details.as_json(details),
        dpop_jkt=request.dpop_jkt,
        auth_time=signed_in.auth_time,
        acr=signed_in.acr,
        amr=signed_in.amr,
        connection_id=signed_in.connection_id,
        session_digest=signed_in.digest,
        signed_in_at=signed_in.signed_in_at,
        upstream_expires_at=signed_in.upstream_expires_at,
        created_at=now,
        expires_at=now + lifetime,
    )


def _take(tx: Session, asking: Asking, now: datetime) -> None:
    if asking.pushed is not None:
        take_pushed(tx, asking.pushed, now)


def _record(tx: Session, asking: Asking, events: Sequence[Event], now: datetime) -> None:
    configuration = asking.configuration
    audit.record(tx, configuration.tenant.id, *events, key=configuration.audit_key, now=now)
