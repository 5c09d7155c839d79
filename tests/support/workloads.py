"""A platform whose workloads have tokens of it, with keys of its own and every possible defect."""

import itertools
import json
from typing import Any

from joserfc import jws

from authz.admin import workload_trust
from tests.support.client_keys import ClientKey
from tests.support.harness import RESOURCE, Answer, Harness
from tests.support.id_jags import JWT_BEARER
from tests.support.web import Reply

CLUSTER = "https://cluster.example"
SUBJECT = "system:serviceaccount:agents:router"
RULE: dict[str, Any] = {
    "name": "router",
    "subject": SUBJECT,
    "claims": {"kubernetes.io": {"namespace": "agents"}},
    "resources": [RESOURCE],
    "roles": ["developer"],
}
_numbers = itertools.count(1)


class Platform:
    """One issuer of workload tokens; trusted where `trust_at` says so."""

    def __init__(self, issuer: str = CLUSTER, algorithm: str = "ES256") -> None:
        self.issuer = issuer
        self.key = ClientKey(algorithm, kid=f"platform-{next(_numbers)}")

    def publish(self, harness: Harness, host: str) -> str:
        """Serve its keys; answers where."""
        harness.web.serve(host, Reply.json(self.key.jwks))
        return harness.web.url(host, "/jwks")

    def trust_at(
        self, harness: Harness, slug: str = "cluster", *, preset: str | None = None, **settings: Any
    ) -> Any:
        """A trust entry of this tenant, with one rule and pinned keys unless others are given."""
        if "jwks_uri" not in settings:
            settings = {"jwks": self.key.jwks, **settings}
        return harness.change(
            workload_trust.add,
            slug=slug,
            issuer=self.issuer,
            settings={"rules": [RULE], **settings},
            preset=preset,
        )

    def assertion(self, harness: Harness, /, *, key: Any = None, **changed: Any) -> str:
        """Good for five minutes; see `statement`."""
        header, claims = self.statement(harness, **changed)
        registry = jws.JWSRegistry(algorithms=[self.key.algorithm], strict_check_header=False)
        return jws.serialize_compact(
            header, json.dumps(claims), key or self.key.key, registry=registry
        )

    def statement(
        self, harness: Harness, /, *, header: dict[str, Any] | None = None, **claims: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Header and claims of one; a member of None is left out."""
        at = int(harness.clock().timestamp())
        body = {
            "iss": self.issuer,
            "sub": SUBJECT,
            "aud": [harness.issuer],
            "jti": f"wl-{next(_numbers)}-{at}",
            "iat": at,
            "nbf": at,
            "exp": at + 300,
            "kubernetes.io": {
                "namespace": "agents",
                "serviceaccount": {"name": "router", "uid": "5e0c"},
            },
            **claims,
        }
        protected = {"alg": self.key.algorithm, "kid": self.key.kid, **(header or {})}
        return _present(protected), _present(body)


def ask(harness: Harness, assertion: str | None, headers: Any = None, **fields: Any) -> Answer:
    """POST /token as a workload: no client, no secret. A field of None is left out."""
    pairs = {"grant_type": JWT_BEARER, "assertion": assertion, "resource": RESOURCE, **fields}
    return harness.token(_present(pairs), **(headers or {}))


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
