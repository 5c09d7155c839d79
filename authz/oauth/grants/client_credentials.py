"""A client acting on its own behalf (RFC 6749 §4.4): what it may do are the roles bound to it.

Decisions:
- Registration gives nothing by itself: without a role the answer is `access_denied`, whatever the client's ceiling.
- Its roles are part of the policy snapshot: few clients have any, and so the batch reads nothing for this grant.
- Authorization details limit it as they limit a person (`oauth.authorization_details`).
- `sub` is the client's identifier, which can never look like a person's (O21-28). No refresh token (O21-29).
"""

from dataclasses import dataclass
from datetime import datetime

from authz.errors import AccessDenied, UnauthorizedClient
from authz.oauth import authorization_details
from authz.oauth.asked import check_scopes, read_resource, read_scopes
from authz.oauth.authorization import Outcome, TokenRequest
from authz.oauth.facts import FactKeys, Facts
from authz.oauth.issuing import Grounds, mint
from authz.oauth.subjects import client_subject, refuse_without_person
from authz.policy import decide
from authz.policy.signals import SSF_ID
from authz.policy.snapshot import Resource


@dataclass(frozen=True)
class ClientCredentialsGrant:
    """A token for the client itself."""

    grant_type = "client_credentials"
    parameters = frozenset({"scope", "resource", "authorization_details"})
    allowed_with = frozenset({"client_credentials"})

    def prepare(self, request: TokenRequest) -> FactKeys:
        """Nothing has to be read. Raises UnauthorizedClient for a client that proves nothing."""
        if not request.client.is_confidential:
            raise UnauthorizedClient(
                "client_credentials is for clients that authenticate", reason="client_is_public"
            )
        return FactKeys()

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:  # noqa: ARG002
        """Policy alone says what the client gets."""
        policy, client = request.configuration.policy, request.client
        resource = _signals(request) or read_resource(request.params, policy)
        asked = read_scopes(request.params)
        refuse_without_person(resource)
        check_scopes(asked.resource, resource)
        details = authorization_details.parse(
            request.params.find("authorization_details"), resource
        )
        requested = asked.resource
        if requested is None and details:
            requested = authorization_details.scopes_of(details, resource)
        decision = decide(
            policy,
            client_subject(policy, client.id),
            resource,
            client=client.id,
            requested=requested,
            ceilings=request.configuration.ceilings(client, resource, now),
            now=now,
        )
        if not decision.granted:
            raise AccessDenied("policy leaves no scope for this request", reason="nothing_granted")
        grounds = Grounds(
            grant_id=request.fresh.family_id,
            client_id=client.id,
            subject=client.id,
            resource_id=resource.id,
            authorization_details=authorization_details.as_json(
                authorization_details.standing(details, resource, decision.granted)
            ),
        )
        return mint(request, grounds, decision, grant_type=self.grant_type, now=now)


def _signals(request: TokenRequest) -> Resource | None:
    """The management of event streams, which only clients of MCP servers can ask for, and only here (SSF-05)."""
    policy = request.configuration.policy
    resource = policy.resources.get(SSF_ID)
    if resource is None or request.params.find("resource") != resource.identifier:
        return None
    return resource if policy.resources_of(request.client.id) else None
