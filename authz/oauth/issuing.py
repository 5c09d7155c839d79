"""From an `Authorization` to rows, event, claims and the answer. The only place that mints (RFC 9068)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authz.audit.events import TokenIssued
from authz.clock import numeric_date
from authz.db.types import canonical_json
from authz.keys import ACCESS_TOKEN
from authz.oauth.authorization import Authorization, Outcome, TokenRequest
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Changes, Code, Family, Token
from authz.oauth.refresh import spell
from authz.policy import Decision

TOKEN_TYP = "at+jwt"  # noqa: S105 -- RFC 9068 §2.1


def issue(
    request: TokenRequest,
    family: Family,
    decision: Decision,
    *,
    grant_type: str,
    is_new_family: bool,
    spent: Code | None = None,
    retry: bool = False,
    now: datetime,
) -> Outcome:
    """Rows, event and Authorization of one new access token in this family."""
    configuration = request.configuration
    issued_at = now
    # The absolute limit of the authorization holds for its last access token too.
    expires_at = min(now + request.lifetimes.access_token, family.expires_at)
    token = Token(
        jti=request.fresh.jti,
        tenant_id=family.tenant_id,
        family_id=family.id,
        client_id=family.client_id,
        subject=family.user_id,
        resource_id=family.resource_id,
        scopes=decision.granted,
        decision=canonical_json(decision.as_json()),
        issued_at=issued_at,
        expires_at=expires_at,
    )
    event = TokenIssued(
        subject=family.user_id,
        client=family.client_id,
        grant_type=grant_type,
        jti=token.jti,
        grant_id=family.id,
        resource=decision.resource,
        scopes=sorted(decision.granted),
        removed={scope: str(reason) for scope, reason in decision.removed.items()},
        policy_version=decision.policy_version,
        refresh_token=family.refreshable,
        retry=retry,
    )
    return Outcome(
        answer=Authorization(
            client_id=family.client_id,
            subject=family.user_id,
            audience=decision.resource,
            scopes=decision.granted,
            jti=token.jti,
            grant_id=family.id,
            issued_at=issued_at,
            expires_at=expires_at,
            auth_time=family.auth_time,
            amr=family.amr,
            refresh_token=spell(configuration.refresh_key, family) if family.refreshable else None,
        ),
        changes=Changes(
            codes=() if spent is None else (spent,),
            families=() if is_new_family else (family,),
            new_families=(family,) if is_new_family else (),
            tokens=(token,),
        ),
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
    }
    if authorization.auth_time is not None:
        made["auth_time"] = numeric_date(authorization.auth_time)
    if authorization.amr:
        made["amr"] = list(authorization.amr)
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
        "token_type": "Bearer",
        "expires_in": int((authorization.expires_at - authorization.issued_at).total_seconds()),
        "scope": " ".join(sorted(authorization.scopes)),
    }
    if authorization.refresh_token is not None:
        body["refresh_token"] = authorization.refresh_token
    return body
