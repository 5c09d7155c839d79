"""An identity provider that asserts people to this server (ID-JAG), with keys of its own and every possible defect."""

import itertools
import json
from typing import Any

from joserfc import jws

from authz.admin import trust
from tests.support.client_keys import ClientKey
from tests.support.harness import RESOURCE, Answer, Harness

JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TYP = "oauth-id-jag+jwt"
ISSUER = "https://idp.corp.example"
_numbers = itertools.count(1)


class AssertingIdp:
    """One issuer; trusted where `trust_at` says so."""

    def __init__(self, issuer: str = ISSUER, algorithm: str = "ES256") -> None:
        self.issuer = issuer
        self.key = ClientKey(algorithm, kid=f"idp-{next(_numbers)}")

    def trust_at(
        self, harness: Harness, slug: str = "corp", *, provisions: bool = True, **settings: Any
    ) -> Any:
        """A trust entry of this tenant with pinned keys, and a connection of its own unless one is named."""
        connection = settings.pop("connection", None)
        if "jwks_uri" not in settings:
            settings = {"jwks": self.key.jwks, **settings}
        return harness.change(
            trust.add,
            slug=slug,
            issuer=self.issuer,
            settings=settings,
            connection=connection,
            provisions=provisions,
        )

    def assertion(
        self, harness: Harness, client_id: str, /, *, key: Any = None, **changed: Any
    ) -> str:
        """Good for five minutes; see `statement`."""
        header, claims = self.statement(harness, client_id, **changed)
        return jws.serialize_compact(
            header, json.dumps(claims), key or self.key.key, algorithms=[self.key.algorithm]
        )

    def statement(
        self,
        harness: Harness,
        client_id: str,
        /,
        *,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of one; a member of None is left out."""
        at = int(harness.clock().timestamp())
        body = {
            "iss": self.issuer,
            "sub": "alice",
            "aud": harness.issuer,
            "client_id": client_id,
            "jti": f"jag-{next(_numbers)}-{at}",
            "iat": at,
            "exp": at + 300,
            "resource": RESOURCE,
            "scope": "logs.read analytics.query",
            **claims,
        }
        protected = {
            "alg": self.key.algorithm,
            "typ": TYP,
            "kid": self.key.kid,
            **(header or {}),
        }
        return _present(protected), _present(body)


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def present(harness: Harness, made: Any, assertion: str | None, **fields: Any) -> Answer:
    """POST /token as the client `made`, with its secret."""
    pairs = {
        "grant_type": JWT_BEARER,
        "client_id": made.client.id,
        "client_secret": made.secret,
        "assertion": assertion,
        **fields,
    }
    return harness.token({n: v for n, v in pairs.items() if v is not None})
