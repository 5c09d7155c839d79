"""From a decision to rows, event, claims and the answer. The only place that mints (RFC 9068).

`mint` says what is stored and recorded and is called inside the batch; `response` signs and is called after the commit.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from authz.audit.events import TokenIssued
from authz.clock import numeric_date
from authz.db.types import canonical_json
from authz.directory.assurance import UNKNOWN_TIME
from authz.keys import ACCESS_TOKEN, ID_TOKEN
from authz.oauth import authorization_details, bindings, openid
from authz.oauth.authorization import Authorization, IdTokenRequest, Outcome, TokenRequest
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.delegations import nested
from authz.oauth.facts import Changes, Family, StatusPlace, Token
from authz.oauth.refresh import spell
from authz.oauth.status_slots import StatusSlot, uri_of
from authz.oauth.token_types import ACCESS_TOKEN_TYPE, TOKEN_TYP
from authz.policy import Decision, contracts
from authz.tenants import REVIEWED
from authz.values import value


@value(frozen=True)
class Grounds:
    """What a token stands on: who, through which client, at which resource, until when at most."""

    grant_id: str
    client_id: str
    subject: str
    resource_id: str
    expires_at: datetime | None = None
    auth_time: datetime | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    connection_id: str | None = None
    authorization_details: list[dict[str, Any]] | None = None
    refresh_token: str | None = None
    id_token: IdTokenRequest | None = None
    tells_resource: bool = False
    actors: tuple[str, ...] | None = None
    """The chain of an exchanged token; None otherwise, where the client's agent is the only actor there may be."""
    parent: str | None = None
    """The `jti` of the token it was exchanged for."""


def issue(
    request: TokenRequest,
    family: Family,
    decision: Decision,
    *,
    grant_type: str,
    is_new_family: bool,
    changes: Changes | None = None,
    retry: bool = False,
    id_token: IdTokenRequest | None = None,
    tells_resource: bool = False,
    details: tuple[ToolLimit, ...] | None = None,
    now: datetime,
) -> Outcome:
    """One new access token in this family; `changes` are what else the grant changed.

    `details` are those of this token, where they are not all of the family's.
    """
    spelled = spell(request.configuration.refresh_key, family) if family.refreshable else None
    grounds = Grounds(
        grant_id=family.id,
        client_id=family.client_id,
        subject=family.user_id,
        resource_id=family.resource_id,
        # The absolute limit of the authorization holds for its last access token too.
        expires_at=family.expires_at,
        auth_time=family.auth_time,
        acr=family.acr,
        amr=family.amr,
        connection_id=family.connection_id,
        authorization_details=(
            family.authorization_details
            if details is None
            else authorization_details.as_json(details)
        ),
        refresh_token=spelled,
        id_token=id_token,
        tells_resource=tells_resource,
    )
    return mint(
        request,
        grounds,
        decision,
        grant_type=grant_type,
        changes=(
            Changes(new_families=(family,))
            if is_new_family and changes is None
            else replace(
                changes or Changes(),
                families=() if is_new_family else (family,),
                new_families=(family,) if is_new_family else (),
            )
        ),
        retry=retry,
        now=now,
    )


def mint(
    request: TokenRequest,
    grounds: Grounds,
    decision: Decision,
    *,
    grant_type: str,
    changes: Changes | None = None,
    retry: bool = False,
    now: datetime,
) -> Outcome:
    """Rows, event and Authorization of one new access token."""
    expires_at = now + request.lifetimes.access_token
    if grounds.expires_at is not None:
        expires_at = min(expires_at, grounds.expires_at)
    jti = request.fresh.jti
    agent = request.configuration.agents.of_client(grounds.client_id)
    if agent is not None and agent.expires_at is not None:
        expires_at = min(expires_at, agent.expires_at)
    actors = grounds.actors
    if actors is None:
        actors = () if agent is None else (agent.id,)
    token = Token(
        jti=jti,
        tenant_id=request.configuration.tenant.id,
        family_id=grounds.grant_id,
        client_id=grounds.client_id,
        subject=grounds.subject,
        resource_id=grounds.resource_id,
        scopes=decision.granted,
        decision=canonical_json(decision.as_json()),
        issued_at=now,
        expires_at=expires_at,
    )
    resource = request.configuration.policy.resources[grounds.resource_id]
    status: StatusSlot | None = None
    places: tuple[StatusPlace, ...] = ()
    if resource.status_list:
        status = request.slots.draw(resource.id, now)
        places = (StatusPlace(jti, token.tenant_id, status.list_id, status.place, expires_at),)
    tools = None
    if request.configuration.tenant.scope_changes == REVIEWED:
        tools = contracts.opened(resource, decision.granted)
    event = TokenIssued(
        subject=grounds.subject,
        client=grounds.client_id,
        agent=None if agent is None else agent.id,
        grant_type=grant_type,
        jti=jti,
        grant_id=grounds.grant_id,
        resource=decision.resource,
        scopes=sorted(decision.granted),
        removed={scope: str(reason) for scope, reason in decision.removed.items()},
        policy_version=decision.policy_version,
        refresh_token=grounds.refresh_token is not None,
        retry=retry,
        bound=bindings.kind_of(request.confirmation),
        actors=list(actors),
        parent=grounds.parent,
    )
    return Outcome(
        answer=Authorization(
            client_id=grounds.client_id,
            subject=grounds.subject,
            audience=decision.resource,
            scopes=decision.granted,
            jti=jti,
            grant_id=grounds.grant_id,
            issued_at=now,
            expires_at=expires_at,
            auth_time=None if grounds.auth_time == UNKNOWN_TIME else grounds.auth_time,
            acr=grounds.acr,
            amr=grounds.amr,
            connection=request.configuration.policy.slug_of(grounds.connection_id),
            confirmation=request.confirmation,
            authorization_details=grounds.authorization_details,
            tools=tools,
            refresh_token=grounds.refresh_token,
            id_token=grounds.id_token,
            status=status,
            tells_resource=grounds.tells_resource,
            actors=actors,
            may_act=request.configuration.may_act(resource),
            is_exchanged=grounds.parent is not None,
        ),
        changes=replace(changes or Changes(), tokens=(token,), status_places=places),
        events=(event,),
    )


def claims(authorization: Authorization, configuration: TenantConfiguration) -> dict[str, Any]:
    """The access token's claims: exactly one audience, no personal data (ATJ-02, ATJ-05)."""
    made: dict[str, Any] = {
        "iss": configuration.tenant.issuer,
        "sub": authorization.subject,
        "aud": authorization.audience,
        "client_id": authorization.client_id,
        "iat": numeric_date(authorization.issued_at),
        "exp": numeric_date(authorization.expires_at),
        "jti": authorization.jti,
        "scope": " ".join(sorted(authorization.scopes)),
        "grant_id": authorization.grant_id,
        "tenant": configuration.tenant.slug,
        # Under which it was decided: what is switched off later ends everything of before (`authz.revocations`).
        "policy_version": configuration.policy.version,
    }
    if authorization.auth_time is not None:
        made["auth_time"] = numeric_date(authorization.auth_time)
    if authorization.acr is not None:
        made["acr"] = authorization.acr
    if authorization.amr:
        made["amr"] = list(authorization.amr)
    if authorization.connection is not None:
        made["connection"] = authorization.connection
    if authorization.confirmation is not None:
        made["cnf"] = dict(authorization.confirmation)
    if authorization.authorization_details is not None:
        made["authorization_details"] = authorization.authorization_details
    if authorization.tools is not None:
        made[contracts.CLAIM] = authorization.tools
    if authorization.actors:
        made["act"] = nested(authorization.actors)
    if authorization.may_act is not None:
        made["may_act"] = {"sub": authorization.may_act}
    if authorization.status is not None:
        uri = uri_of(configuration.tenant.issuer, authorization.status.list_id)
        made["status"] = {"status_list": {"idx": authorization.status.place, "uri": uri}}
    return made


def response(
    authorization: Authorization, configuration: TenantConfiguration, *, algorithm: str
) -> Mapping[str, Any]:
    """The token response. Signs, so it is called after the commit."""
    body: dict[str, Any] = {
        "access_token": configuration.keys.sign(
            ACCESS_TOKEN,
            algorithm,
            TOKEN_TYP,
            claims(authorization, configuration),
            authorization.issued_at,
        ),
        "token_type": bindings.token_type(authorization.confirmation),
        "expires_in": int((authorization.expires_at - authorization.issued_at).total_seconds()),
        "scope": " ".join(sorted(authorization.scopes)),
    }
    if authorization.authorization_details is not None:
        body["authorization_details"] = authorization.authorization_details
    if authorization.tells_resource:
        body["resource"] = authorization.audience
    if authorization.is_exchanged:
        body["issued_token_type"] = ACCESS_TOKEN_TYPE
    if authorization.refresh_token is not None:
        body["refresh_token"] = authorization.refresh_token
    if authorization.id_token is not None:
        body["id_token"] = _id_token(authorization, authorization.id_token, configuration)
    return body


def _id_token(
    authorization: Authorization, asked: IdTokenRequest, configuration: TenantConfiguration
) -> str:
    claims = openid.id_token_claims(authorization, asked, issuer=configuration.tenant.issuer)
    return configuration.keys.sign(
        ID_TOKEN, asked.algorithm, openid.ID_TOKEN_TYP, claims, authorization.issued_at
    )
