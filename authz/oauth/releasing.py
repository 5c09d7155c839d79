"""Credentials of the systems behind an MCP server, released to that server for a token it was called with (V4). Pure.

    subject_token         the access token it was called with
    requested_token_type  urn:authz:token-type:upstream-credential
    audience              the name of the credential

Decisions:
- To the server's own client and to no other: not the client the token was issued to, which has the token and shall not
  have what is behind the server. What is released is what is bound to the server the *token* is for, so the client of
  two servers needs a token of each.
- The token is still worth something, and so is its grant; and policy as of now gives its holder, through the client
  that holds it, all that the credential takes. Whoever lost a role takes nothing out of a token that is good for
  minutes yet. A credential that takes no scope is released for a token that would still hold one of its own.
- A scope that is limited to some calls of a tool (RFC 9396) does not count: the system behind the server knows nothing
  of the limit, and with its key there are no calls that are not allowed.
- A token bound to a key needs no proof of it here: the server has checked that proof when the token came.
- No person is needed. For what a client or a workload got for itself, policy is asked as at that grant.
- A name that no server has and the name of another server's get one answer (V4): which there are is nobody's business.
- The value was read before, by `oauth.upstream_secrets`, if what the token says of itself leads to it (`foreseen`);
  what is decided here alone sends it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from authz.audit.events import CredentialReleased
from authz.errors import (
    AccessDenied,
    InsufficientUserAuthentication,
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    OAuthError,
    ServerError,
)
from authz.oauth import authorization_details
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.delegations import chain_of
from authz.oauth.facts import Facts, Family, IssuedToken
from authz.oauth.introspection import is_standing
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.subjects import client_subject, refuse_without_person
from authz.oauth.token_types import UPSTREAM_CREDENTIAL_TYPE
from authz.oauth.upstream_credentials import UpstreamCredential
from authz.oauth.workload import subject_of
from authz.oauth.workload_trust import is_workload
from authz.policy import Decision, Subject, decide
from authz.policy.reasons import OF_AUTHENTICATION
from authz.policy.snapshot import Resource

_OF_TOKENS = ("resource", "scope", "authorization_details")
"""Parameters about an access token, and none comes of this."""


@dataclass(frozen=True)
class Released:
    """The answer: it is sent, and written nowhere."""

    value: str = field(repr=False)

    @property
    def body(self) -> Mapping[str, Any]:
        """RFC 8693 §2.2.1: how it is used, and until when it is good, is not for this server to say."""
        return {
            "access_token": self.value,
            "issued_token_type": UPSTREAM_CREDENTIAL_TYPE,
            "token_type": "N_A",
        }


def foreseen(request: TokenRequest, found: SubjectToken) -> UpstreamCredential | None:
    """What may be released, as far as the token itself says; None where its own turn will refuse it anyhow."""
    policy = request.configuration.policy
    own = (policy.resources[it] for it in policy.resources_of(request.client.id))
    # As it was issued, compared as text.
    server = next((it for it in own if it.identifier == found.claims["aud"]), None)
    try:
        return None if server is None else _credential(request, found, server)
    except OAuthError:
        return None


def decide_release(
    request: TokenRequest, found: SubjectToken, family: Family | None, facts: Facts, now: datetime
) -> Outcome:
    """The value that was read, and the event that says so. Raises OAuthError.

    `family` is that of a person's grant; there is none behind a token without one.
    """
    configuration, client = request.configuration, request.client
    token = facts.find_token(configuration.tenant.id, found.claims["jti"])
    if token is None or not is_standing(token, configuration, now):
        raise found.refusal("subject_token_dead")
    if family is not None and now >= family.expires_at:
        raise found.refusal("subject_token_dead")
    server = configuration.policy.resources[token.resource_id]
    credential = _credential(request, found, server)
    decision = decide(
        configuration.policy,
        _holder(request, token, family, server, facts),
        server,
        client=token.client_id,
        requested=credential.scopes or _held_scopes(found, server),
        ceilings=configuration.ceilings_of(token.client_id, token.client_ceiling, server, now),
        now=now,
    )
    _check_granted(credential, decision)
    secret = request.upstream_secret
    if secret is None or secret.reference != credential.reference:
        # It was read for what the token says; what its record says has the last word.
        raise ServerError("the credential cannot be released", reason="credential_unread")
    agent = configuration.agents.of_client(client.id)
    released = CredentialReleased(
        subject=token.subject,
        client=client.id,
        agent=None if agent is None else agent.id,
        resource=server.identifier,
        name=credential.name,
        reference=credential.reference,
        version=secret.version,
        jti=token.jti,
        grant_id=found.grant_id,
        holder=token.client_id,
        actors=list(chain_of(found.claims.get("act"))),
        scopes=sorted(decision.granted),
        policy_version=decision.policy_version,
    )
    return Outcome(Released(secret.value), events=(released,))


def _credential(request: TokenRequest, found: SubjectToken, server: Resource) -> UpstreamCredential:
    """What is asked for, if it is this server's and the token opens it."""
    params, credentials = request.params, request.configuration.credentials
    if any(params.find(it) is not None for it in _OF_TOKENS):
        raise InvalidRequest(
            f"{', '.join(_OF_TOKENS)} do not go with a credential: it is named by audience",
            reason="credential_parameter",
        )
    name = params.find("audience")
    if name is None:
        raise InvalidRequest("audience is missing", reason="audience_missing")
    if server.client_id != request.client.id:
        # The same words as for a token that does not exist: a thief learns nothing of it (ATK-37).
        raise found.refusal("subject_token_of_other")
    may_act = found.claims.get("may_act")
    if may_act is not None and may_act.get("sub") != request.client.id:
        raise found.refusal("may_act_other")
    credential = credentials.find(server.id, name)
    if credential is None:
        raise InvalidTarget(
            "no credential of this name is kept for this MCP server",
            reason="credential_of_other" if name in credentials.names else "credential_unknown",
        )
    held = _held_scopes(found, server)
    if not held or not credential.scopes <= held:
        is_limited = credential.scopes <= _scopes_of(found)
        raise InvalidScope(
            "the token does not hold what the credential takes",
            reason="credential_scope_limited" if is_limited else "credential_scope_missing",
        )
    return credential


def _scopes_of(found: SubjectToken) -> frozenset[str]:
    return frozenset(str(found.claims["scope"]).split(" "))


def _held_scopes(found: SubjectToken, server: Resource) -> frozenset[str]:
    """The scopes of the token that are not limited to some calls."""
    limits = authorization_details.of_json(found.claims.get("authorization_details"))
    return _scopes_of(found) - authorization_details.scopes_of(limits, server)


def _holder(
    request: TokenRequest,
    token: IssuedToken,
    family: Family | None,
    server: Resource,
    facts: Facts,
) -> Subject:
    """Whose token it is, as policy sees them now."""
    configuration = request.configuration
    if family is not None:
        return facts.subject(
            family.user_id, enabled=family.subject_enabled, authentication=family.authentication
        )
    refuse_without_person(server)
    if is_workload(token.subject):
        # It is there: the token stands on it.
        rule = configuration.workloads.by_id[token.subject]
        return subject_of(token.subject, rule, configuration.policy)
    return client_subject(configuration.policy, token.subject)


def _check_granted(credential: UpstreamCredential, decision: Decision) -> None:
    if decision.granted and credential.scopes <= decision.granted:
        return
    # Of what was asked for: all that the credential takes, or of a token without it, all that it holds.
    reasons = set(decision.removed.values())
    if reasons <= OF_AUTHENTICATION:
        raise InsufficientUserAuthentication(
            "the sign-in behind the token does not do for this", reason="sign_in_insufficient"
        )
    raise AccessDenied(
        "policy no longer gives what the credential takes", reason="credential_scope_lost"
    )
