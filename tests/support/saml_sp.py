"""Our side of a SAML connection for tests: the connector, one connection, and the reason for which it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from authz.errors import ConfigurationError
from authz.federation.connector import (
    PUBLIC_SENTENCE,
    Answer,
    Finished,
    SignInRefused,
    Tools,
    Upstream,
    Wish,
)
from authz.federation.saml import SamlConnector
from authz.net import Documents, Network, NetworkConfig
from tests.support.configured import ISSUER, NOW, TENANT_ID
from tests.support.saml_idp import Key, SamlIdp, certificate_of, key_of, pem_of


def our_key() -> Key:
    """The private key of our side."""
    return key_of("sp")


def secrets(reference: str) -> bytes:
    """What stands behind `env:SP` and `env:OLD`; behind the others there is something, but no key to use."""
    match reference:
        case "env:SP" | "env:OLD":
            return pem_of(key_of(reference.removeprefix("env:").lower())).encode()
        case "env:SMALL":
            return pem_of(key_of("small", "rsa1024")).encode()
        case "env:CURVE":
            return pem_of(key_of("curve", "p256")).encode()
        case "env:TEXT":
            return b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"
    raise ConfigurationError(f"{reference} is not set")


def tools(network: Network | None = None) -> Tools:
    """What a connector may use; nothing is reached unless a network is given."""
    network = network or Network(NetworkConfig())
    return Tools(network, Documents(network, clock=lambda: NOW), secrets)


@dataclass
class Connection:
    """One connection to an identity provider."""

    idp: SamlIdp = field(default_factory=SamlIdp)
    settings: Mapping[str, Any] = field(default_factory=dict)
    preset: str = "generic"
    slug: str = "acme"

    def __post_init__(self) -> None:
        self.connector = SamlConnector(tools())
        checked = self.connector.check(self.idp.settings(**self.settings), self.preset)
        self.upstream = Upstream(
            id=f"con_{self.slug}",
            tenant_id=TENANT_ID,
            slug=self.slug,
            preset=self.preset,
            settings=checked,
            base=f"{ISSUER}/federation/{self.slug}",
        )

    def start(self, wish: Wish | None = None, state: str = "sta_1", *, now: datetime = NOW) -> Any:
        """Send somebody."""
        return self.connector.start(self.upstream, wish or Wish(), state, now)

    def finish(
        self,
        sent: str | Mapping[str, str],
        *,
        request: str | None = "id_1",
        wish: Wish | None = None,
        wants: frozenset[str] = frozenset(),
        now: datetime = NOW,
        started_at: datetime | None = None,
    ) -> Finished:
        """Take an answer; `request` is what was kept."""
        answer = Answer(
            params={"SAMLResponse": sent, "RelayState": "sta_1"} if isinstance(sent, str) else sent,
            kept={} if request is None else {"request": request},
            wish=wish or Wish(),
            started_at=started_at or now,
            wanted_claims=wants,
        )
        return self.connector.finish(self.upstream, answer, now)

    def outcome(self, sent: str | Mapping[str, str], **more: Any) -> str:
        """`accepted`, or the reason of a refusal; a defect of the answer says the one public sentence."""
        try:
            self.finish(sent, **more)
        except SignInRefused as refused:
            is_public = refused.sentence == PUBLIC_SENTENCE
            return refused.reason if is_public != _says_more(refused.reason) else refused.sentence
        return "accepted"

    def respond(self, **more: Any) -> str:
        """What its identity provider answers."""
        return self.idp.respond(self.upstream, **more)

    def with_settings(self, **more: Any) -> "Connection":
        """The same with other settings."""
        return replace(self, settings={**self.settings, **more})


def _says_more(reason: str) -> bool:
    own_fault = {
        "certificate_expired",
        "connection_misconfigured",
        "own_key_unusable",
        "session_over",
    }
    return reason in own_fault or reason.startswith("upstream_")


def signing() -> dict[str, Any]:
    """Settings of a connection that signs its requests."""
    return {"signing_key": "env:SP", "signing_certificate": pem_of(certificate_of(our_key()))}


def encryption(*references: str) -> dict[str, Any]:
    """Settings of a connection that takes encrypted assertions."""
    return {
        "decryption_keys": list(references or ("env:SP",)),
        "encryption_certificate": pem_of(certificate_of(our_key())),
    }
