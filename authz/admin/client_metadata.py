"""What an operator says of a client, checked and turned into RFC 7591 members (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.clients.trust import is_pattern
from authz.errors import Invalid
from authz.jose import ASYMMETRIC, JwtError, import_jwks
from authz.urls import (
    LOOPBACK_HOSTS,
    UrlError,
    check_client_id_url,
    check_redirect_uri,
    read_url,
)

MAX_NAME_CHARS = 200
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
AUTH_METHODS = ("none", *SECRET_METHODS, "private_key_jwt")
DEFAULT_GRANT_TYPES = ("authorization_code", "refresh_token")
GRANT_TYPES = (
    *DEFAULT_GRANT_TYPES,
    "client_credentials",
    "urn:ietf:params:oauth:grant-type:device_code",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A client to be, as an operator describes it."""

    name: str
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = DEFAULT_GRANT_TYPES
    auth_method: str = "none"
    jwks: Mapping[str, Any] | None = None
    jwks_uri: str | None = None
    client_uri: str | None = None
    private_schemes: frozenset[str] = frozenset()
    """Private-use schemes this installation allows in redirect URIs."""
    development: bool = False


def checked_metadata(registration: Registration) -> dict[str, Any]:
    """The members to store. Raises Invalid for the first thing that is wrong."""
    if not 1 <= len(registration.name) <= MAX_NAME_CHARS or not registration.name.isprintable():
        raise Invalid(f"the name of a client has 1 to {MAX_NAME_CHARS} printable characters")
    _check_method(registration)
    _check_grants(registration)
    for uri in registration.redirect_uris:
        try:
            check_redirect_uri(uri, private_schemes=registration.private_schemes)
        except UrlError as error:
            raise Invalid(str(error)) from None
    metadata: dict[str, Any] = {
        "client_name": registration.name,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(registration.grant_types),
        "response_types": ["code"] if "authorization_code" in registration.grant_types else [],
        "token_endpoint_auth_method": registration.auth_method,
    }
    if registration.jwks is not None:
        metadata["jwks"] = _checked_jwks(registration.jwks)
    for name in ("jwks_uri", "client_uri"):
        uri = getattr(registration, name)
        if uri is not None:
            metadata[name] = _checked_url(name, uri, development=registration.development)
    return metadata


def check_pattern(text: str) -> str:
    """A line for the trust policy: an exact client identifier URL, a host, or `*.` and a domain. Raises Invalid."""
    if text.startswith("https://"):
        try:
            return check_client_id_url(text)
        except UrlError as error:
            raise Invalid(str(error)) from None
    _, colon, port = text.partition(":")
    if not is_pattern(text) or (colon and not (port.isascii() and port.isdecimal())):
        raise Invalid(
            f"{text!r} is not a pattern; write a URL (https://app.example/client.json), a host "
            "(app.example) or a domain with all its hosts (*.app.example), in lower case"
        )
    if text.startswith("*.") and "." not in text[2:]:
        raise Invalid(f"{text!r} would cover a whole top-level domain; name more of the domain")
    return text


def _check_method(registration: Registration) -> None:
    method = registration.auth_method
    if method not in AUTH_METHODS:
        raise Invalid(
            f"the authentication method {method!r} is not one of {', '.join(AUTH_METHODS)}"
        )
    has_keys = [registration.jwks is not None, registration.jwks_uri is not None]
    if method == "private_key_jwt" and sum(has_keys) != 1:
        raise Invalid("private_key_jwt needs the client's public keys: a jwks or a jwks_uri, one")
    if method != "private_key_jwt" and any(has_keys):
        raise Invalid(f"keys are for private_key_jwt; the method is {method}")


def _check_grants(registration: Registration) -> None:
    if not registration.grant_types:
        raise Invalid("a client needs at least one grant type")
    for grant_type in registration.grant_types:
        if grant_type not in GRANT_TYPES:
            raise Invalid(f"the grant type {grant_type!r} is not one of {', '.join(GRANT_TYPES)}")
    by_browser = "authorization_code" in registration.grant_types
    if by_browser and not registration.redirect_uris:
        raise Invalid("a client with authorization_code needs at least one redirect URI")
    if not by_browser and registration.redirect_uris:
        raise Invalid("redirect URIs are for authorization_code, which this client may not use")
    if registration.auth_method == "none" and "client_credentials" in registration.grant_types:
        raise Invalid("client_credentials is for clients that authenticate; the method is none")


def _checked_jwks(jwks: Mapping[str, Any]) -> dict[str, Any]:
    try:
        import_jwks(dict(jwks), algorithms=ASYMMETRIC)
    except JwtError as error:
        raise Invalid(
            f"the jwks cannot be used [{error.reason}]: a JSON object whose `keys` are 1 to 20 public "
            "RSA or EC keys"
        ) from None
    return dict(jwks)


def _checked_url(name: str, text: str, *, development: bool) -> str:
    try:
        parts = read_url(name, text)
    except UrlError as error:
        raise Invalid(str(error)) from None
    near = development and parts.scheme == "http" and parts.host in LOOPBACK_HOSTS
    if parts.fragment is not None or not (parts.scheme == "https" or near):
        raise Invalid(f"{name} {text!r} is not an https URL without a fragment; use one")
    return text
