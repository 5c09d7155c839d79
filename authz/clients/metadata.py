"""Client metadata: from a document or a stored record to a `Client`, checked member by member (RFC 7591 §2, CIMD §4).

Pure. A refusal is a `MetadataError` whose text may be shown to the person who waits: it names the member, what is wrong
and, where it helps, the value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authz.clients.client import DEFAULT_GRANT_TYPES, Client
from authz.jose import ASYMMETRIC, JwtError, import_jwks
from authz.urls import UrlError, check_redirect_uri

SECRET_METHODS = frozenset({"client_secret_basic", "client_secret_post"})
DOCUMENT_METHODS = frozenset({"none", "private_key_jwt"})
_SECRET_MEMBERS = ("client_secret", "client_secret_expires_at")
_MAX_REDIRECTS = 50
_MAX_NAME_CHARS = 200

TOKEN_ENDPOINT_AUDIENCE_HOSTS = frozenset({"chatgpt.com"})
"""Hosts whose clients name the token endpoint in their assertions instead of the issuer (decisions.md, C-7)."""


class MetadataError(Exception):
    """The metadata was refused; the text is for people, the reason for logs and tests."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Rules:
    """What this installation accepts beyond the specifications."""

    private_schemes: frozenset[str] = frozenset()
    development: bool = False
    """Metadata documents may be on loopback."""


def client_of_document(
    document: Mapping[str, Any], *, client_id: str, tenant_id: str, rules: Rules, approved: bool
) -> Client:
    """The client a Client ID Metadata Document describes. Raises MetadataError.

    The document's `client_id` must equal the identifier it was fetched from, as a string (CIMD-07), and nothing in
    it may be a secret: everybody can read it (CIMD-09, CIMD-10).
    """
    if document.get("client_id") != client_id:
        raise MetadataError(
            "its client_id is not the address it was fetched from", reason="document_client_id"
        )
    for member in _SECRET_MEMBERS:
        if member in document:
            raise MetadataError(f"it publishes {member}", reason="document_secret")
    methods = _document_methods(document)
    redirects = redirect_uris_in(document, rules)
    grants = strings_in(document, "grant_types", default=DEFAULT_GRANT_TYPES)
    if "authorization_code" in grants and not redirects:
        raise MetadataError("it lists no redirect_uris", reason="document_redirect_uris")
    jwks, jwks_uri = keys_in(document, needed="private_key_jwt" in methods)
    uses_token_endpoint = urlsplit(client_id).hostname in TOKEN_ENDPOINT_AUDIENCE_HOSTS
    return Client(
        tenant_id=tenant_id,
        id=client_id,
        kind="cimd",
        enabled=True,
        name=name_in(document),
        redirect_uris=redirects,
        grant_types=frozenset(grants),
        auth_methods=methods,
        jwks=jwks,
        jwks_uri=jwks_uri,
        approved=approved,
        names_token_endpoint=uses_token_endpoint,
        metadata=document,
        logo_uri=link_in(document, "logo_uri"),
        client_uri=link_in(document, "client_uri"),
        policy_uri=link_in(document, "policy_uri"),
        tos_uri=link_in(document, "tos_uri"),
    )


def name_in(document: Mapping[str, Any]) -> str:
    """Its `client_name`, as it may be shown. Raises MetadataError."""
    name = document.get("client_name")
    if not isinstance(name, str) or not name.strip():
        raise MetadataError("it has no client_name", reason="document_client_name")
    # Controls and direction marks could rearrange the consent page's sentence.
    if len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise MetadataError(
            f"its client_name is longer than {_MAX_NAME_CHARS} characters or has control characters",
            reason="document_client_name",
        )
    return name.strip()


def _document_methods(document: Mapping[str, Any]) -> frozenset[str]:
    """The authentication methods a document states.

    Absent: `private_key_jwt` when it publishes keys, because a client with keys that needs none would be
    impersonable (CIMD-11); else `none`. A document may list `none` beside `private_key_jwt` (C-9).
    """
    has_keys = "jwks" in document or "jwks_uri" in document
    method = document.get("token_endpoint_auth_method", "private_key_jwt" if has_keys else "none")
    if not isinstance(method, str) or method not in DOCUMENT_METHODS:
        raise MetadataError(
            "its token_endpoint_auth_method is not none or private_key_jwt",
            reason="document_auth_method",
        )
    listed = strings_in(document, "token_endpoint_auth_methods_supported", default=())
    return frozenset({method}) | (frozenset(listed) & DOCUMENT_METHODS)


def redirect_uris_in(document: Mapping[str, Any], rules: Rules) -> tuple[str, ...]:
    """Its `redirect_uris`, all of them or none. Raises MetadataError naming the one that is refused."""
    uris = strings_in(document, "redirect_uris", default=())
    if len(uris) > _MAX_REDIRECTS:
        raise MetadataError(
            f"it lists more than {_MAX_REDIRECTS} redirect_uris", reason="document_redirect_uris"
        )
    for uri in uris:
        try:
            check_redirect_uri(uri, private_schemes=rules.private_schemes)
        except UrlError as error:
            # Dropping one silently would hide the mistake until somebody lands on it (MCP-AS-92).
            raise MetadataError(
                f"one of its redirect_uris is refused: {error}", reason="document_redirect_uris"
            ) from None
    return uris


def keys_in(
    document: Mapping[str, Any], *, needed: bool
) -> tuple[Mapping[str, Any] | None, str | None]:
    """Its `jwks` or its `jwks_uri`, public keys only. Raises MetadataError."""
    jwks, jwks_uri = document.get("jwks"), link_in(document, "jwks_uri")
    if jwks is not None and jwks_uri is not None:
        raise MetadataError("it has both jwks and jwks_uri", reason="document_keys")
    if needed and jwks is None and jwks_uri is None:
        raise MetadataError("it uses private_key_jwt but publishes no keys", reason="document_keys")
    if jwks is not None:
        try:
            import_jwks(jwks, algorithms=ASYMMETRIC)
        except JwtError as error:
            raise MetadataError("its jwks is not usable", reason=error.reason) from None
    return jwks, jwks_uri


def link_in(document: Mapping[str, Any], name: str) -> str | None:
    """An https URL that is its member `name`. Raises MetadataError."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > 2048 or not _is_https(value):
        raise MetadataError(f"its {name} is not an https URL", reason="document_link")
    return value


def _is_https(text: str) -> bool:
    if not text.startswith("https://") or not text.isascii() or not text.isprintable():
        return False
    if any(character in text for character in ' \\"<>^`{|}'):
        return False
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 -- raises ValueError for a bad one
    except ValueError:
        return False
    return bool(parts.hostname) and "@" not in parts.netloc


def strings_in(
    document: Mapping[str, Any], name: str, *, default: tuple[str, ...]
) -> tuple[str, ...]:
    """Its member `name`, a list of strings. Raises MetadataError."""
    value = document.get(name)
    if value is None:
        return default
    if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
        raise MetadataError(f"its {name} is not a list of strings", reason="document_member")
    return tuple(value)
