"""What the loads present to a server: tokens, cookies and assertions, one a line."""

import base64
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from authz import entropy

RESOURCE = "https://mcp.example.com/mcp"
REDIRECT = "https://client.example.com/cb"
SCOPES = ("tools:read", "tools:call")
WEB, SERVICE, SIGNER, DESK = "web", "svc", "signer", "desk"
"""Clients: acts for people, acts for itself with a secret, acts for itself with a signed assertion, redeems assertions
about people."""
IDP, PEOPLE = "https://idp.example.com", 1000
"""Who asserts people, and how many it knows."""
SECRETS = {
    WEB: "web-secret-0123456789abcdef0123456789abcdef",
    SERVICE: "svc-secret-0123456789abcdef0123456789abcdef",
    DESK: "desk-secret-0123456789abcdef0123456789abcdef",
}
SESSIONS = 128
_ASSERTION_SECONDS = 300
_ID_JAG = "oauth-id-jag+jwt"


def basic(client: str) -> str:
    """The Authorization header of `client_secret_basic`."""
    return "Basic " + base64.b64encode(f"{client}:{SECRETS[client]}".encode()).decode()


@dataclass
class Supplies:
    """For one server; refresh tokens are spent once, so the next run takes the next ones."""

    folder: Path
    issuer: str
    key: ec.EllipticCurvePrivateKey | None
    """Signs assertions; None for a server that does not know the client."""
    first_unspent: int = 1
    scim_token: str | None = None
    """Of a provisioning client; None for a server without SCIM."""

    @property
    def refresh_tokens(self) -> Path:
        """Unspent ones."""
        return self.folder / "refresh-tokens"

    @property
    def access_tokens(self) -> Path:
        """Active ones."""
        return self.folder / "access-tokens"

    @property
    def cookies(self) -> Path:
        """Cookie headers of signed-in browsers."""
        return self.folder / "cookies"

    def take_tokens(self, count: int) -> tuple[int, int]:
        """The first and the last line of refresh tokens nobody has used."""
        first = self.first_unspent
        self.first_unspent += count
        return first, self.first_unspent - 1

    def assertions(self, count: int) -> Path:
        """A file of fresh ones; each may be used once, within minutes, so every run signs its own beforehand."""
        if self.key is None:
            raise ValueError("this server does not know the client that signs")
        file = self.folder / "assertions"
        write_lines(
            file, _signed(self.key, "JWT", _of_client(self.issuer, count, int(time.time())))
        )
        return file

    def id_jags(self, count: int) -> Path:
        """A file of fresh assertions about people, each for one use."""
        if self.key is None:
            raise ValueError("this server does not know the issuer")
        file = self.folder / "id-jags"
        now = int(time.time())
        write_lines(file, _signed(self.key, _ID_JAG, _about_people(self.issuer, count, now)))
        return file


def write_lines(file: Path, lines: Iterable[str]) -> None:
    """One a line."""
    with file.open("w") as output:
        output.writelines(f"{line}\n" for line in lines)


def spread(total: int, wanted: int) -> int:
    """Every how many-th of `total` to take for `wanted` that lie evenly between the others."""
    return max(1, total // max(1, wanted))


def new_signing_key() -> ec.EllipticCurvePrivateKey:
    """For ES256."""
    return ec.generate_private_key(ec.SECP256R1())


def public_jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """As a client registers it."""
    numbers = key.public_key().public_numbers()
    x, y = (_base64url(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y, "kid": "k1", "alg": "ES256", "use": "sig"}


def _of_client(audience: str, count: int, now: int) -> Iterator[Mapping[str, object]]:
    for _ in range(count):
        yield {
            "iss": SIGNER,
            "sub": SIGNER,
            "aud": audience,
            "jti": entropy.new_id("ast"),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }


def _about_people(audience: str, count: int, now: int) -> Iterator[Mapping[str, object]]:
    for number in range(count):
        yield {
            "iss": IDP,
            "sub": f"person-{number % PEOPLE}",
            "aud": audience,
            "client_id": DESK,
            "resource": RESOURCE,
            "scope": " ".join(SCOPES),
            "jti": entropy.new_id("jag"),
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
        }


def _signed(
    key: ec.EllipticCurvePrivateKey, typ: str, statements: Iterable[Mapping[str, object]]
) -> Iterator[str]:
    header = _base64url(json.dumps({"alg": "ES256", "kid": "k1", "typ": typ}).encode())
    algorithm = ec.ECDSA(SHA256())
    for claims in statements:
        signed = f"{header}.{_base64url(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(key.sign(signed.encode(), algorithm))
        yield f"{signed}.{_base64url(r.to_bytes(32) + s.to_bytes(32))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
