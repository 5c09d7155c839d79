"""The lab's identity provider: three issuers with one key, what they assert, and the keys they publish.

Its folder holds the private keys, so that an entry at the server under test outlives this process; `jwks.json` is what
is served at that moment, and what can be pinned where the server under test cannot reach this machine.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key

from authz import entropy
from authz.clock import numeric_date
from authz.errors import ConfigurationError
from authz.lab import forge
from authz.lab.statement import TYP, Statement
from authz.lab.target import Target

GROUP = "lab-people"
"""The group of everybody it asserts."""
CUSTOMER, OTHER_CUSTOMER = "lab-a", "lab-b"
"""Of the issuer of many customers: one that is trusted, one that is not."""
KNOWN = "lab-known"
"""Whom the server knows at the closed issuer."""
LIFETIME_SECONDS = 300
_KEYS, _JWKS, _CLIENT_JWKS = "keys.json", "jwks.json", "client-jwks.json"
_NAMES = ("idp", "client")


class Issuer(StrEnum):
    """What stands after the address of the identity provider."""

    MAIN = ""
    """Makes accounts for its people."""
    MANY = "/many"
    """Has many customers, of which CUSTOMER is trusted."""
    CLOSED = "/closed"
    """Makes no accounts; only KNOWN has one."""


@dataclass
class IdentityProvider:
    """One per lab."""

    folder: Path
    url: str
    """As the server under test knows it."""
    local_url: str
    """As this machine does."""
    key: Key = field(repr=False)
    client_key: Key = field(repr=False)
    """Of the lab's client, for `private_key_jwt`."""
    stranger: Key = field(default_factory=lambda: forge.new_key("lab-stranger"), repr=False)

    @classmethod
    def open(cls, folder: Path, url: str, *, local_url: str) -> "IdentityProvider":
        """The one that lives in `folder`, or a new one. Raises ConfigurationError."""
        path = folder / _KEYS
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not path.exists():
                keys = {name: forge.new_key(entropy.new_id(f"lab-{name}")) for name in _NAMES}
                stored = {name: key.as_dict(private=True) for name, key in keys.items()}
                _write(path, json.dumps(stored))
            stored = json.loads(path.read_text(encoding="utf-8"))
            found = {name: ECKey.import_key(stored[name]) for name in _NAMES}
        except OSError as error:
            raise ConfigurationError(
                f"the folder of the lab, {folder}, cannot be used: {error.strerror}"
            ) from None
        except (ValueError, KeyError, TypeError, JoseError):
            raise ConfigurationError(f"{path} does not hold the lab's keys; remove it") from None
        made = cls(folder, url, local_url, found["idp"], found["client"])
        # What an earlier run published besides is forgotten.
        made.publish([made.key])
        _write(folder / _CLIENT_JWKS, json.dumps(_jwks([made.client_key])))
        return made

    def issuer(self, which: Issuer = Issuer.MAIN) -> str:
        """As in `iss`."""
        return f"{self.url}{which}"

    @property
    def jwks_uri(self) -> str:
        """Where its keys are, the same for all its issuers."""
        return f"{self.url}/jwks"

    @property
    def client_jwks_uri(self) -> str:
        """Where the key of the lab's client is."""
        return f"{self.url}/client/jwks"

    @property
    def jwks_file(self) -> Path:
        """The same keys as a file."""
        return self.folder / _JWKS

    def publish(self, keys: Sequence[Key]) -> None:
        """Publish these keys, and no others."""
        _write(self.jwks_file, json.dumps(_jwks(keys)))

    def read_published(self) -> bytes:
        """What is published at this moment, by whichever process."""
        return self.jwks_file.read_bytes()

    def read_client_jwks(self) -> bytes:
        """The same of the client."""
        return (self.folder / _CLIENT_JWKS).read_bytes()

    def statement(
        self, target: Target, token_endpoint: str, now: datetime, issuer: Issuer = Issuer.MAIN
    ) -> Statement:
        """An assertion that the server under test has to redeem."""
        at = numeric_date(now)
        claims: dict[str, Any] = {
            "iss": self.issuer(issuer),
            "sub": KNOWN,
            "aud": target.issuer,
            "client_id": target.client.client_id,
            "jti": entropy.new_id("jag"),
            "iat": at,
            "exp": at + LIFETIME_SECONDS,
            "resource": target.resource,
            "scope": " ".join(target.scopes),
            "groups": [GROUP],
        }
        if issuer is Issuer.MANY:
            claims["tenant"] = CUSTOMER
        header = {"alg": forge.ALGORITHM, "typ": TYP, "kid": self.key.kid}
        return Statement(header, claims, self.key, self.stranger, token_endpoint)


def _jwks(keys: Sequence[Key]) -> dict[str, Any]:
    return {"keys": [forge.public_jwk(key) for key in keys]}


def _write(path: Path, text: str) -> None:
    """Whole or not at all: another process serves it."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.touch(mode=0o600)
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
