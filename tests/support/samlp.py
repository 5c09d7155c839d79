"""`samlp` as an identity provider, in a process of its own (tests/js/samlp_idp.mjs): it signs people in at once."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509

from authz.clock import system_clock
from tests.interop.scene import JAVASCRIPT, node
from tests.support.saml_idp import certificate_of, key_of, pem_of

ENTITY_ID = "https://samlp.example/saml"
GROUPS = "http://schemas.xmlsoap.org/claims/Group"
PEOPLE = {
    "ada": {
        "id": "ada-7",
        "email": "ada@corp.example",
        "name": "Ada <Lovelace> & Ké",
        "groups": ["dev", "r&d", "ops"],
    },
    "comment": {"id": "ada-7<!-- -->x", "email": "", "name": "", "groups": []},
}


@dataclass(frozen=True)
class Samlp:
    """It listens."""

    port: int
    certificate: x509.Certificate

    @property
    def base(self) -> str:
        """Another site than the server under test, which is at 127.0.0.1."""
        return f"http://localhost:{self.port}"


@contextlib.contextmanager
def running(**more: Any) -> Iterator[Samlp]:
    """Start it, and end it. It demands signed requests where `signingCert` is given."""
    now, day = system_clock(), timedelta(days=1)
    key = key_of("samlp")
    certificate = certificate_of(key, begins=now - day, ends=now + day)
    given = {
        "entityId": ENTITY_ID,
        "key": pem_of(key),
        "cert": pem_of(certificate),
        "people": PEOPLE,
        **more,
    }
    process = subprocess.Popen(
        [node(), str(JAVASCRIPT / "samlp_idp.mjs"), json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Samlp(int(process.stdout.readline()), certificate)
    finally:
        process.kill()
        process.communicate()
