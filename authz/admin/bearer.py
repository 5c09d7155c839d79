"""What is left today of an access token for the administration.

A token was made for what its bearer might do then. Roles end, groups change and ceilings are lowered meanwhile, and
whoever administers no more must not go on until the token expires.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from authz.clients import registered
from authz.db.models import TokenFamily
from authz.directory.assurance import Authentication
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.subjects import client_subject, load_subject
from authz.policy import Subject, decide
from authz.policy.administration import ADMIN_ID
from authz.policy.snapshot import Policy


def scopes_left(
    tx: Session, configuration: TenantConfiguration, claims: Mapping[str, Any], now: datetime
) -> frozenset[str]:
    """Those of its scopes that policy would grant again. The token itself was found to stand."""
    resource = configuration.policy.resources[ADMIN_ID]
    client_id = claims["client_id"]
    client = registered.find(tx, configuration.tenant.id, client_id)
    subject = _subject(tx, configuration.policy, configuration.tenant.id, claims)
    if client is None or subject is None:
        return frozenset()
    decision = decide(
        configuration.policy,
        subject,
        resource,
        client=client_id,
        requested=frozenset(claims["scope"].split()) & frozenset(resource.scopes),
        ceilings=configuration.ceilings_of(client_id, client.scope_ceiling, resource, now),
        now=now,
    )
    return decision.granted


def _subject(
    tx: Session, policy: Policy, tenant_id: str, claims: Mapping[str, Any]
) -> Subject | None:
    if claims["sub"] == claims["client_id"]:
        return client_subject(policy, claims["sub"])
    family = tx.get(TokenFamily, claims["grant_id"])
    if family is None or family.tenant_id != tenant_id or family.user_id != claims["sub"]:
        return None
    authentication = Authentication(family.auth_time, family.acr, family.connection_id)
    return load_subject(tx, family.user_id, authentication=authentication)
