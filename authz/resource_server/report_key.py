"""The key with which an MCP server signs its reports and authenticates; born where it is used.

    python -m authz.resource_server.report_key reports.jwk > reports.jwks

writes the private half to `reports.jwk` and prints the public half, which is registered at the authorization server.
"""

import json
import os
import secrets  # noqa: TID251 - this package stands alone
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, JWKRegistry, Key
from joserfc.jws import JWSRegistry

from authz.resource_server import strict_json
from authz.resource_server.compact import encode

# Kind of key -> the algorithm it signs with; RSA is left out: its assertions are several times as long.
_ALGORITHMS = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "Ed25519"}
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION_LIFETIME = 60


@dataclass(frozen=True)
class ReportKey:
    """A private key, the only algorithm it signs with, and its name."""

    key: Key = field(repr=False)
    algorithm: str
    key_id: str

    def sign(self, typ: str, payload: str) -> str:
        """A compact JWS over `payload`."""
        header = {"typ": typ, "alg": self.algorithm, "kid": self.key_id}
        signed = f"{encode(json.dumps(header).encode())}.{encode(payload.encode())}"
        signature = JWSRegistry.algorithms[self.algorithm].sign(signed.encode(), self.key)
        return f"{signed}.{encode(signature)}"


def client_assertion(key: ReportKey, client_id: str, issuer: str, now: float) -> dict[str, str]:
    """The form fields with which a client authenticates by its key (RFC 7523 section 2.2)."""
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": issuer,
        "iat": int(now),
        "exp": int(now) + _ASSERTION_LIFETIME,
        "jti": secrets.token_urlsafe(16),
    }
    return {
        "client_assertion_type": _ASSERTION_TYPE,
        "client_assertion": key.sign("client-authentication+jwt", json.dumps(claims)),
    }


def load_key(path: Path) -> ReportKey:
    """The private JWK in a file; raises ValueError, which never says what it read."""
    try:
        entry = strict_json.loads(path.read_bytes())
        algorithm = _ALGORITHMS[entry["kty"], entry["crv"]]
        key = JWKRegistry.import_key(entry)
        is_private = key.is_private
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError(f"{path} holds no JWK of the kinds P-256 or Ed25519") from None
    if not is_private:
        raise ValueError(f"{path} holds no private key")
    key_id = entry.get("kid", key.thumbprint())
    if not isinstance(key_id, str):
        raise ValueError(f"{path} names its key by something else than text")  # noqa: TRY004 - a bad file
    return ReportKey(key=key, algorithm=algorithm, key_id=key_id)


def make_key(path: Path) -> dict[str, Any]:
    """Write a new private key to `path`, which must not exist; return the public JWK Set."""
    key = ECKey.generate_key("P-256")
    names = {"kid": key.thumbprint(), "alg": "ES256", "use": "sig"}
    # Made for its owner alone, before there is anything in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**key.as_dict(private=True), **names}, file)
    return {"keys": [{**key.as_dict(private=False), **names}]}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m authz.resource_server.report_key FILE")
    print(json.dumps(make_key(Path(sys.argv[1])), indent=2))  # noqa: T201 - the one thing it is run for
