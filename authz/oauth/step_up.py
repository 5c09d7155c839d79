"""What a sign-in has to be for a request, beyond being one: the client's wish and what policy demands (RFC 9470). Pure.

Decisions (SUA-01):
- Policy asks only for what another sign-in may bring: the scopes it removed for want of authentication alone, as far as
  some way to sign in is open that could do.
- It asks once. After a sign-in on a page that said what is needed the request goes on with what is left, because the
  person did what they could or would.
- Between silence and a page: what is left is no answer to `prompt=none` while a sign-in could bring more.
"""

from datetime import datetime, timedelta

from authz.directory.sessions import SignedIn
from authz.errors import (
    InteractionRequired,
    LoginRequired,
    OAuthError,
    UnmetAuthenticationRequirements,
)
from authz.oauth.asking import Needed
from authz.oauth.authorization_request import AuthorizationRequest
from authz.policy import OF_AUTHENTICATION, Decision, Reason
from authz.policy.requirements import Requirement, both, ways_to_meet
from authz.policy.snapshot import Policy

FRESH_SIGN_IN = timedelta(seconds=30)
"""A sign-in this recent satisfies any `max_age` of a client: otherwise `max_age=0` could never be met."""


def needs_sign_in(request: AuthorizationRequest, signed_in: SignedIn | None, now: datetime) -> bool:
    """Whether this session does not do. `prompt=login` is taken out of the request once it was satisfied."""
    if signed_in is None or not request.prompt.isdisjoint({"login", "select_account"}):
        return True
    return not _meets_acr(request, signed_in) or not _meets_age(request, signed_in.auth_time, now)


def needed_by(request: AuthorizationRequest) -> Needed:
    """What the client itself asks of a sign-in."""
    return Needed(request.acr_values, request.max_age)


def check_what_came_of_it(
    request: AuthorizationRequest, signed_in: SignedIn, now: datetime
) -> None:
    """Raises UnmetAuthenticationRequirements when this session was made for this request and still does not do.

    Asking once more would be a loop. An identity provider may not have done as it was asked to (SUA-04).
    """
    if request.signed_in_by != signed_in.mark:
        return
    reason = None
    if not _meets_acr(request, signed_in):
        reason = "acr_unmet"
    elif not _meets_age(request, signed_in.auth_time, now):
        # A person who let the page lie for long is asked again.
        reason = "max_age_unmet" if _meets_age(request, signed_in.signed_in_at, now) else None
    if reason is not None:
        raise UnmetAuthenticationRequirements(
            "the person did not sign in as asked for", reason=reason
        )


def needed_for(
    decision: Decision, request: AuthorizationRequest, signed_in: SignedIn, policy: Policy
) -> Needed | None:
    """What policy demands for the rest of the scopes; None when no sign-in could bring more, or it was asked for."""
    if decision.conditions is None:
        return None
    if request.was_stepped_up and request.signed_in_by == signed_in.mark:
        return None
    connections = policy.open_connections
    wanted, brings_more = _own(request), False
    for scope in lacking(decision):
        more = both(wanted, decision.conditions.required[scope])
        if more is not None and ways_to_meet(more, connections):
            wanted, brings_more = more, True
    if wanted is None or not brings_more:
        return None
    acr = wanted.acr or frozenset()
    ways = frozenset() if wanted.connection is None else ways_to_meet(wanted, connections)
    return Needed(
        tuple(dict.fromkeys(it for it in (*request.acr_values, *sorted(acr)) if it in acr)),
        wanted.max_age,
        tuple(sorted(ways)),
    )


def lacking(decision: Decision) -> list[str]:
    """The scopes that another sign-in might bring."""
    return sorted(scope for scope, why in decision.removed.items() if why in OF_AUTHENTICATION)


def refused_silently(decision: Decision) -> OAuthError:
    """The answer to `prompt=none` where a sign-in could bring more."""
    reasons = {decision.removed[scope] for scope in lacking(decision)}
    if reasons == {Reason.CONNECTION_NOT_ALLOWED}:
        return InteractionRequired(
            "the person has to sign in in another way", reason=Reason.CONNECTION_NOT_ALLOWED
        )
    return LoginRequired("the person has to sign in", reason="step_up_required")


def refused_for_lack(decision: Decision) -> UnmetAuthenticationRequirements:
    """The answer where nothing is left and the sign-in is why."""
    reason = next(str(decision.removed[scope]) for scope in lacking(decision))
    return UnmetAuthenticationRequirements(
        "policy demands another sign-in for this request", reason=reason
    )


def _own(request: AuthorizationRequest) -> Requirement | None:
    if not request.acr_values and request.max_age is None:
        return None
    return Requirement(frozenset(request.acr_values) or None, request.max_age)


def _meets_acr(request: AuthorizationRequest, signed_in: SignedIn) -> bool:
    return not request.acr_values or signed_in.acr in request.acr_values


def _meets_age(request: AuthorizationRequest, at: datetime, now: datetime) -> bool:
    if request.max_age is None:
        return True
    return now - at <= max(timedelta(seconds=request.max_age), FRESH_SIGN_IN)
