"""Rows that a test starts from, written where a browser would only be slow."""

import base64
import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from authz import entropy
from authz.db import Database
from authz.db.models import AuthorizationCode, Consent

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
REDIRECT = "https://client.example/callback"


def challenge(verifier: str = VERIFIER) -> str:
    """The S256 challenge."""
    return (
        base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    )


def add_code(
    database: Database,
    *,
    tenant_id: str,
    client_id: str,
    user_id: str,
    resource_id: str,
    now: datetime,
    scopes: Iterable[str] = ("logs.read", "analytics.query"),
    requested: Iterable[str] | None = ("logs.read", "analytics.query"),
    offline_access: bool = False,
    lifetime: timedelta = timedelta(seconds=60),
    **values: Any,
) -> str:
    """An authorization code and the consent it came from, as the consent page leaves them; answers the code."""
    code = entropy.new_token("azc")
    with database.write() as tx:
        consent = tx.get(Consent, (tenant_id, user_id, client_id, resource_id))
        if consent is None:
            tx.add(
                Consent(
                    tenant_id=tenant_id,
                    user_id=user_id,
                    client_id=client_id,
                    resource_id=resource_id,
                    scopes=frozenset(scopes),
                    redirect_uris=[REDIRECT],
                    client_digest="0" * 64,
                    remembered=True,
                    created_at=now,
                    updated_at=now,
                    revoked_at=None,
                )
            )
        else:
            consent.scopes = frozenset(scopes)
        tx.add(
            AuthorizationCode(
                digest=entropy.digest(code),
                tenant_id=tenant_id,
                client_id=client_id,
                user_id=user_id,
                resource_id=resource_id,
                redirect_uri=REDIRECT,
                code_challenge=challenge(),
                scopes=frozenset(scopes),
                requested=None if requested is None else frozenset(requested),
                offline_access=offline_access,
                auth_time=now,
                amr=["pwd"],
                signed_in_at=now,
                created_at=now,
                expires_at=now + lifetime,
                spent_at=None,
                family_id=None,
                **values,
            )
        )
    return code
