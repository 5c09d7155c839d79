"""On behalf of: an access token of one MCP server, exchanged for one of the next (TX-*, S16). Pure.

Decisions:
- Who may: the client of the MCP server the token is for, or the client it was issued to, and only where a rule says so
  (`oauth.delegations`, TX-07). To anybody else it is a string like any other.
- The new token belongs to the grant of the old one: whatever ends the grant ends every hop, and one look at the grant
  shows all of them. It ends no later than the old one (TX-08).
- `sub` stays who it was; `act` names who acts now and keeps who acted before (TX-05). Nothing is decided by the earlier
  ones (RFC 8693 §4.1).
- A token bound to a key is exchanged by its own client with a proof of that key. The MCP server it is for has checked
  that proof when the token came, and authenticates; it cannot repeat the proof, because it has not got the key.
- Limits on tools (RFC 9396) hold at the MCP server they name. A scope that is limited there carries nothing to another
  server, where nobody would know of the limit.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authz.errors import (
    AccessDenied,
    InsufficientUserAuthentication,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    UnauthorizedClient,
)
from authz.oauth import authorization_details
from authz.oauth.asked import check_scopes, read_resource, read_scopes
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.delegations import MAX_DEPTH, Delegation, chain_of
from authz.oauth.facts import Facts, Family, IssuedToken
from authz.oauth.introspection import is_standing
from authz.oauth.issuing import Grounds, mint
from authz.oauth.params import Params
from authz.oauth.subject_tokens import SubjectToken
from authz.policy import Ceiling, Decision, Reason, decide
from authz.policy.reasons import OF_AUTHENTICATION
from authz.policy.snapshot import Policy, Resource


def decide_onward(
    grant_type: str,
    request: TokenRequest,
    found: SubjectToken,
    family: Family,
    facts: Facts,
    now: datetime,
) -> Outcome:
    """The next hop's token. Raises OAuthError."""
    configuration, client = request.configuration, request.client
    token = facts.find_token(configuration.tenant.id, found.claims["jti"])
    if token is None or not is_standing(token, configuration, now) or now >= family.expires_at:
        raise found.refusal("subject_token_dead")
    source = configuration.policy.resources[token.resource_id]
    _check_caller(request, found, token, source)
    target = _target(request.params, configuration.policy)
    rule = configuration.delegations.find(client.id, source.id, target.id)
    if rule is None:
        raise InvalidTarget("policy does not lead there", reason="delegation_unknown")
    actors = _actors(request, found, rule)
    limits = authorization_details.of_json(found.claims.get("authorization_details"))
    requested, details = _asked(request.params, source, target, limits, found.claims)
    decision = decide(
        configuration.policy,
        facts.subject(
            family.user_id, enabled=family.subject_enabled, authentication=family.authentication
        ),
        target,
        client=client.id,
        requested=requested,
        ceilings=(
            Ceiling(
                Reason.DELEGATION_CEILING,
                rule.carried(_carrying(found.claims, source, target, limits)),
            ),
            *configuration.ceilings(client, target, now),
        ),
        now=now,
    )
    if not decision.granted:
        raise _nothing(decision)
    grounds = Grounds(
        grant_id=family.id,
        client_id=client.id,
        subject=family.user_id,
        resource_id=target.id,
        expires_at=min(token.expires_at, family.expires_at),
        auth_time=family.auth_time,
        acr=family.acr,
        amr=family.amr,
        connection_id=family.connection_id,
        authorization_details=authorization_details.as_json(
            authorization_details.standing(details, target, decision.granted)
        ),
        tells_resource=True,
        actors=actors,
        parent=token.jti,
    )
    return mint(request, grounds, decision, grant_type=grant_type, now=now)


def _check_caller(
    request: TokenRequest, found: SubjectToken, token: IssuedToken, source: Resource
) -> None:
    client = request.client
    if client.id not in (token.client_id, source.client_id):
        # The same words as for a token that does not exist: a thief learns nothing of it (ATK-37).
        raise found.refusal("subject_token_of_other")
    if client.id not in request.configuration.delegations.actors.get(source.id, frozenset()):
        raise UnauthorizedClient(
            "policy does not let this client exchange tokens", reason="exchange_not_allowed"
        )
    bound_to = found.claims.get("cnf")
    if client.id != source.client_id and bound_to is not None and bound_to != request.confirmation:
        raise found.refusal("binding_other_key")
    may_act = found.claims.get("may_act")
    if may_act is not None and may_act.get("sub") != client.id:
        raise found.refusal("may_act_other")


def _target(params: Params, policy: Policy) -> Resource:
    """The MCP server asked for, under either name the RFC has for it. Raises InvalidTarget."""
    audience, resource = params.find("audience"), params.find("resource")
    if resource is None and audience is None:
        raise InvalidTarget("resource is missing", reason="resource_missing")
    if resource is None:
        params = Params([("resource", audience or "")])
    elif audience is not None and audience != resource:
        raise InvalidTarget("audience and resource name two servers", reason="target_twofold")
    return read_resource(params, policy)


def _actors(request: TokenRequest, found: SubjectToken, rule: Delegation) -> tuple[str, ...]:
    agent = request.configuration.agents.of_client(request.client.id)
    before = chain_of(found.claims.get("act"))
    own = request.client.id if agent is None else agent.id
    # Whoever narrows its own token is still the one who acts, and no further hop.
    actors = before if before[:1] == (own,) else (own, *before)
    if len(actors) > min(rule.max_depth, MAX_DEPTH):
        raise InvalidRequest("the chain of actors is too long", reason="delegation_depth")
    return actors


def _asked(
    params: Params,
    source: Resource,
    target: Resource,
    held: tuple[ToolLimit, ...],
    claims: Mapping[str, Any],
) -> tuple[frozenset[str] | None, tuple[ToolLimit, ...]]:
    """Scopes and limits asked for; limits of the same server can only be kept or tightened."""
    text = params.find("authorization_details")
    asked = authorization_details.parse(text, target)
    requested = read_scopes(params).resource
    check_scopes(requested, target)
    if requested is None and asked:
        requested = authorization_details.scopes_of(asked, target)
    if target.id != source.id:
        return requested, asked
    scopes = frozenset(str(claims["scope"]).split(" "))
    if requested is None:
        requested = scopes
    if text is None or not held:
        return requested, asked or held
    return requested, authorization_details.narrowed(asked, held, target, requested)


def _carrying(
    claims: Mapping[str, Any], source: Resource, target: Resource, limits: tuple[ToolLimit, ...]
) -> frozenset[str]:
    """The scopes of the presented token that count."""
    held = frozenset(str(claims["scope"]).split(" "))
    if target.id == source.id:
        return held
    return held - authorization_details.scopes_of(limits, source)


def _nothing(decision: Decision) -> OAuthError:
    reasons = set(decision.removed.values())
    if reasons <= {Reason.SCOPE_UNKNOWN, Reason.DELEGATION_CEILING}:
        return InvalidScope("the token carries none of these scopes", reason="scope_not_carried")
    if reasons <= OF_AUTHENTICATION | {Reason.SCOPE_UNKNOWN}:
        return InsufficientUserAuthentication(
            "the sign-in behind the token does not do for this", reason="sign_in_insufficient"
        )
    return AccessDenied("policy leaves no scope for this request", reason="nothing_granted")
