"""Key pairs of clients that sign assertions, by an independent call of the JOSE library."""

import itertools
import json
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_numbers = itertools.count(1)


class ClientKey:
    """A key pair of one client."""

    def __init__(self, algorithm: str = "ES256", kid: str | None = "k1") -> None:
        parameters: Any = {"alg": algorithm} | ({} if kid is None else {"kid": kid})
        self.algorithm, self.kid = algorithm, kid
        self.key: ECKey | OKPKey | RSAKey
        if algorithm in ("Ed25519", "EdDSA"):
            self.key = OKPKey.generate_key("Ed25519", parameters)
        elif algorithm.startswith("ES"):
            curve = "P-384" if algorithm == "ES384" else "P-256"
            self.key = ECKey.generate_key(curve, parameters)
        else:
            self.key = RSAKey.generate_key(2048, parameters)

    @property
    def public(self) -> dict[str, Any]:
        """The public JWK."""
        return dict(self.key.as_dict(private=False))

    @property
    def jwks(self) -> dict[str, Any]:
        """A key set with this key alone."""
        return {"keys": [self.public]}

    def sign(
        self,
        client_id: str,
        audience: object,
        now: datetime,
        *,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """An assertion good for a minute; a claim of None is left out."""
        at = int(now.timestamp())
        body = {
            "iss": client_id,
            "sub": client_id,
            "aud": audience,
            "iat": at,
            "exp": at + 60,
            "jti": f"jti-{next(_numbers)}-{at}",
            **claims,
        }
        kid = {} if self.kid is None else {"kid": self.kid}
        protected = {"alg": self.algorithm, "typ": "JWT", **kid, **(header or {})}
        registry = jws.JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
        payload = json.dumps({n: v for n, v in body.items() if v is not None})
        return jws.serialize_compact(protected, payload, self.key, registry=registry)

    def fields(
        self, client_id: str, audience: object, now: datetime, **more: Any
    ) -> dict[str, str]:
        """The two parameters of a request."""
        return {
            "client_assertion_type": TYPE,
            "client_assertion": self.sign(client_id, audience, now, **more),
        }
