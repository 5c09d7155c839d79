"""Keys that make DPoP proofs, by an independent call of the JOSE library."""

import itertools
import json
from base64 import urlsafe_b64encode
from datetime import datetime
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

_numbers = itertools.count(1)


class DpopKey:
    """A key pair whose holder proves it with each request."""

    def __init__(self, algorithm: str = "ES256", bits: int = 2048) -> None:
        self.algorithm = algorithm
        self.key: ECKey | OKPKey | RSAKey
        if algorithm in ("Ed25519", "EdDSA"):
            self.key = OKPKey.generate_key("Ed25519")
        elif algorithm.startswith("ES"):
            self.key = ECKey.generate_key("P-384" if algorithm == "ES384" else "P-256")
        else:
            self.key = RSAKey.generate_key(bits)

    @property
    def jkt(self) -> str:
        """The RFC 7638 thumbprint."""
        return self.key.thumbprint()

    def proof(
        self,
        uri: str,
        now: datetime,
        *,
        method: str = "POST",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A proof; claims and header members of None are left out."""
        body = {
            "htm": method,
            "htu": uri,
            "iat": int(now.timestamp()),
            "jti": f"proof-{next(_numbers)}",
            **claims,
        }
        members = {
            "typ": "dpop+jwt",
            "alg": self.algorithm,
            "jwk": self.key.as_dict(private=False),
            **(header or {}),
        }
        protected = {n: v for n, v in members.items() if v is not None}
        # Spelled here: the library would not sign the headers that tests want to see refused.
        parts = ".".join(
            urlsafe_b64encode(json.dumps(it).encode()).rstrip(b"=").decode()
            for it in (protected, {n: v for n, v in body.items() if v is not None})
        )
        signature = jws.JWSRegistry.algorithms[self.algorithm].sign(parts.encode(), self.key)
        return f"{parts}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"
