"""Where an OpenID provider is asked what: from its own metadata alone, and the keys it signs with.

Decisions:
- No endpoint is ever configured: all come from one document that calls itself the configured issuer, to the letter, so
  nobody can put the honest provider's sign-in page beside a token endpoint of their own (ATK-03, OIDC-06).
- A key that nobody knows makes the set be fetched again, at most once per interval (ATK-49); one that was withdrawn is
  believed for `CEILING` at most (ATK-50).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authz.federation.connector import MISCONFIGURED, SignInRefused, Tools
from authz.federation.keys_of import CEILING, FLOOR, Keys, read_keys
from authz.federation.oidc_requests import refused_by_network
from authz.jose import JwtError
from authz.net import NetworkError, Profile
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

_MAX_BYTES = 128 * 1024


@dataclass(frozen=True)
class Provider:
    """What a provider says of itself, as far as it matters."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    names_issuer: bool
    """It promises its name in every answer, so one without it is somebody else's (RFC 9207 §2.4, ATK-02)."""


@dataclass(frozen=True)
class _ProviderOf:
    """Reads the metadata of one issuer; equal for equal issuers, so that what was read is kept."""

    issuer: str
    development: bool

    def __call__(self, document: object) -> Provider:
        members = document if isinstance(document, Mapping) else {}
        if members.get("issuer") != self.issuer:
            raise SignInRefused("discovery_issuer", MISCONFIGURED)
        promises = members.get("authorization_response_iss_parameter_supported", False)
        if not isinstance(promises, bool):
            raise SignInRefused("discovery_malformed", MISCONFIGURED)
        userinfo = members.get("userinfo_endpoint")
        return Provider(
            issuer=self.issuer,
            authorization_endpoint=self._endpoint(members.get("authorization_endpoint")),
            token_endpoint=self._endpoint(members.get("token_endpoint")),
            jwks_uri=self._endpoint(members.get("jwks_uri")),
            userinfo_endpoint=None if userinfo is None else self._endpoint(userinfo),
            names_issuer=promises,
        )

    def _endpoint(self, value: object) -> str:
        """An https URL. The browser is sent to one of them, so it is judged here and not when it is dialled."""
        if not isinstance(value, str):
            raise SignInRefused("discovery_endpoint", MISCONFIGURED)
        try:
            parts = read_url("endpoint", value)
        except UrlError:
            raise SignInRefused("discovery_endpoint", MISCONFIGURED) from None
        local = self.development and parts.host in LOOPBACK_HOSTS
        if parts.scheme != "https" and not (local and parts.scheme == "http"):
            raise SignInRefused("discovery_endpoint", MISCONFIGURED)
        if parts.fragment is not None:
            raise SignInRefused("discovery_endpoint", MISCONFIGURED)
        return value


def load_provider(tools: Tools, issuer: str) -> Provider:
    """The metadata of an issuer. Raises SignInRefused. From a thread."""
    return tools.network.run_blocking(find_provider(tools, issuer))


async def find_provider(tools: Tools, issuer: str) -> Provider:
    """The same on the event loop."""
    try:
        document = await tools.documents.load(
            f"{issuer.removesuffix('/')}/.well-known/openid-configuration",
            profile=Profile.OPERATOR,
            max_bytes=_MAX_BYTES,
            floor=FLOOR,
            ceiling=CEILING,
            parse=_ProviderOf(issuer, tools.network.config.allow_loopback),
        )
    except NetworkError as error:
        raise refused_by_network("discovery", error) from error
    return document.value


def load_keys(tools: Tools, provider: Provider, *, anew: bool = False) -> Keys:
    """The keys it signs with; `anew` for a token whose key is not among them. Raises SignInRefused."""
    load = tools.documents.refresh if anew else tools.documents.load
    work = load(
        provider.jwks_uri,
        profile=Profile.OPERATOR,
        max_bytes=_MAX_BYTES,
        floor=FLOOR,
        ceiling=CEILING,
        parse=read_keys,
    )
    try:
        return tools.network.run_blocking(work).value
    except NetworkError as error:
        raise refused_by_network("keys", error) from error
    except JwtError as error:
        raise SignInRefused(f"keys_{error.reason}") from error
