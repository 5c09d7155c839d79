"""What an operator says of a client, checked and turned into RFC 7591 members (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.clients.authentication import AUTH_METHODS, FAPI_ALGORITHMS, FAPI_METHODS, TLS_METHODS
from authz.clients.certificates import NAMES, check_name
from authz.clients.trust import is_pattern
from authz.errors import Invalid
from authz.jose import ASYMMETRIC, JwtError, import_jwks
from authz.oauth.devices import DEVICE_GRANT
from authz.urls import (
    LOOPBACK_HOSTS,
    UrlError,
    check_client_id_url,
    check_redirect_uri,
    is_loopback_redirect,
    read_url,
)

MAX_NAME_CHARS = 200
SECRET_METHODS = ("client_secret_basic", "client_secret_post")
_KEY_METHODS = ("private_key_jwt", TLS_METHODS[1])
DEFAULT_GRANT_TYPES = ("authorization_code", "refresh_token")
GRANT_TYPES = (
    *DEFAULT_GRANT_TYPES,
    "client_credentials",
    DEVICE_GRANT,
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
    certificate_name: tuple[str, str] | None = None
    """For `tls_client_auth`: which of the members of RFC 8705 §2.1.2, and its value."""
    certificate_bound: bool = False
    """Its tokens are bound to its certificate (RFC 8705 §3)."""
    dpop_bound: bool = False
    """Its tokens are bound to a key it proves with DPoP (RFC 9449 §5.2)."""
    push_only: bool = False
    """It pushes its authorization requests (RFC 9126 §6)."""
    fapi: bool = False
    """It is held to the FAPI 2.0 Security Profile."""
    token_endpoint_audience: bool = False
    """Its assertions may name the token endpoint: for clients that cannot be changed yet (JB-28)."""
    private_schemes: frozenset[str] = frozenset()
    """Private-use schemes this installation allows in redirect URIs."""
    development: bool = False


FLAGS: Mapping[str, str] = {
    "certificate_bound": "tls_client_certificate_bound_access_tokens",
    "dpop_bound": "dpop_bound_access_tokens",
    "push_only": "require_pushed_authorization_requests",
    "fapi": "fapi",
    "token_endpoint_audience": "token_endpoint_audience",
}
"""Members of a registration that are on or off, and what they are called in metadata, which has those that are on."""


def checked_metadata(registration: Registration) -> dict[str, Any]:
    """The members to store. Raises Invalid for the first thing that is wrong."""
    if not 1 <= len(registration.name) <= MAX_NAME_CHARS or not registration.name.isprintable():
        raise Invalid(
            f"the name of a client has 1 to {MAX_NAME_CHARS} printable characters", field="name"
        )
    _check_method(registration)
    _check_bindings(registration)
    _check_grants(registration)
    for uri in registration.redirect_uris:
        try:
            check_redirect_uri(uri, private_schemes=registration.private_schemes)
        except UrlError as error:
            raise Invalid(str(error), field="redirect_uris") from None
    metadata: dict[str, Any] = {
        "client_name": registration.name,
        "redirect_uris": list(registration.redirect_uris),
        "grant_types": list(registration.grant_types),
        "response_types": ["code"] if "authorization_code" in registration.grant_types else [],
        "token_endpoint_auth_method": registration.auth_method,
    }
    metadata |= {name: True for member, name in FLAGS.items() if getattr(registration, member)}
    if registration.certificate_name is not None:
        name, value = registration.certificate_name
        metadata[name] = value
    if registration.jwks is not None:
        metadata["jwks"] = _checked_jwks(registration)
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
            raise Invalid(str(error), field="pattern") from None
    _, colon, port = text.partition(":")
    if not is_pattern(text) or (colon and not (port.isascii() and port.isdecimal())):
        raise Invalid(
            f"{text!r} is not a pattern; write a URL (https://app.example/client.json), a host "
            "(app.example) or a domain with all its hosts (*.app.example), in lower case",
            field="pattern",
        )
    if text.startswith("*.") and "." not in text[2:]:
        raise Invalid(
            f"{text!r} would cover a whole top-level domain; name more of the domain",
            field="pattern",
        )
    return text


def _check_method(registration: Registration) -> None:
    method = registration.auth_method
    if method not in AUTH_METHODS:
        raise Invalid(
            f"the authentication method {method!r} is not one of {', '.join(AUTH_METHODS)}",
            field="auth_method",
        )
    has_keys = [registration.jwks is not None, registration.jwks_uri is not None]
    if method in _KEY_METHODS and sum(has_keys) != 1:
        raise Invalid(
            f"{method} needs the client's public keys: a jwks or a jwks_uri, one", field="jwks_uri"
        )
    if method not in _KEY_METHODS and any(has_keys):
        raise Invalid(
            f"keys are for {' and '.join(_KEY_METHODS)}; the method is {method}",
            field="auth_method",
        )
    _check_certificate_name(registration)


def _check_certificate_name(registration: Registration) -> None:
    rule = registration.certificate_name
    if (registration.auth_method == TLS_METHODS[0]) != (rule is not None):
        raise Invalid(
            f"the one name in its certificate goes with {TLS_METHODS[0]}, and only with it",
            field="certificate_name",
        )
    if rule is None:
        return
    name, value = rule
    if name not in NAMES:
        raise Invalid(
            f"the name of a certificate {name!r} is not one of {', '.join(NAMES)}",
            field="certificate_name",
        )
    try:
        check_name(name, value)
    except ValueError as error:
        raise Invalid(
            f"{name} {value!r} cannot be compared: {error}", field="certificate_name"
        ) from None


def _check_bindings(registration: Registration) -> None:
    if registration.dpop_bound and registration.certificate_bound:
        raise Invalid("a token is bound to one thing: to a DPoP key, or to a certificate")
    if registration.token_endpoint_audience and registration.auth_method != "private_key_jwt":
        raise Invalid(
            "the token endpoint as audience is for private_key_jwt", field="token_endpoint_audience"
        )
    if registration.fapi:
        _check_fapi(registration)


def _check_fapi(registration: Registration) -> None:
    """FAPI 2.0 Security Profile §5.3.2: what can be said of a client before it asks for anything."""
    if registration.auth_method not in FAPI_METHODS:
        raise Invalid(
            f"a FAPI client authenticates with one of {', '.join(sorted(FAPI_METHODS))}",
            field="auth_method",
        )
    if registration.token_endpoint_audience:
        raise Invalid(
            "the assertions of a FAPI client name the issuer, never the token endpoint",
            field="token_endpoint_audience",
        )
    for uri in registration.redirect_uris:
        if not uri.startswith("https://") and not is_loopback_redirect(uri):
            raise Invalid(
                f"a FAPI client returns to https or to loopback, not to {uri!r}",
                field="redirect_uris",
            )


def _check_grants(registration: Registration) -> None:
    if not registration.grant_types:
        raise Invalid("a client needs at least one grant type", field="grant_types")
    for grant_type in registration.grant_types:
        if grant_type not in GRANT_TYPES:
            raise Invalid(
                f"the grant type {grant_type!r} is not one of {', '.join(GRANT_TYPES)}",
                field="grant_types",
            )
    by_browser = "authorization_code" in registration.grant_types
    if by_browser and not registration.redirect_uris:
        raise Invalid(
            "a client with authorization_code needs at least one redirect URI",
            field="redirect_uris",
        )
    if not by_browser and registration.redirect_uris:
        raise Invalid(
            "redirect URIs are for authorization_code, which this client may not use",
            field="redirect_uris",
        )
    if registration.auth_method == "none" and "client_credentials" in registration.grant_types:
        raise Invalid(
            "client_credentials is for clients that authenticate; the method is none",
            field="grant_types",
        )


def _checked_jwks(registration: Registration) -> dict[str, Any]:
    jwks = dict(registration.jwks or {})
    algorithms = FAPI_ALGORITHMS if registration.fapi else ASYMMETRIC
    try:
        keys = import_jwks(jwks, algorithms=algorithms)
    except JwtError as error:
        raise Invalid(
            f"the jwks cannot be used [{error.reason}]: a JSON object whose `keys` are 1 to 20 public "
            f"keys for {', '.join(algorithms)}",
            field="jwks",
        ) from None
    if registration.auth_method == TLS_METHODS[1] and not any(key.get("x5c") for key in keys):
        raise Invalid(
            f"none of the keys has an x5c: {TLS_METHODS[1]} compares certificates", field="jwks"
        )
    return jwks


def _checked_url(name: str, text: str, *, development: bool) -> str:
    try:
        parts = read_url(name, text)
    except UrlError as error:
        raise Invalid(str(error), field=name) from None
    near = development and parts.scheme == "http" and parts.host in LOOPBACK_HOSTS
    if parts.fragment is not None or not (parts.scheme == "https" or near):
        raise Invalid(
            f"{name} {text!r} is not an https URL without a fragment; use one", field=name
        )
    return text
