"""Dynamic registration: from what a stranger sent to what is registered and answered (RFC 7591 §2, RFC 7592 §2; pure).

Decisions:
- Grant types that a client can never give itself (DCR-07) are left out and the answer says what was registered: VS
  Code asks for every grant it finds advertised. A redirect URI is never left out: one that is refused refuses the
  request and is named, because a client that lost one without a word fails where nobody sees why (MCP-AS-92).
- A missing `application_type` follows from the redirect URIs; OpenID's default `web` would lock out the command line
  clients that do not send it (MCP-AS-90).
- `scope` is noted and no bound: clients register with the scopes of the day and step up later. What bounds them is
  the person's role, and `registration.scope_ceiling`.
- `jwks_uri` is for the invited: a stranger must not make this server fetch anything (ATK-47, ATK-48). Others send
  their keys in `jwks`.
- Members we do not know are ignored, and null is absence, as both specifications demand. A software statement is
  refused: nobody's is trusted, and to ignore it would be to say it was looked at.
- The same software on the same network gets the client it registered before (`software_digest`). Only where that
  gives nothing away: a public client, whose identifier everybody sees in a browser's address bar and whose answers go
  to the redirect URIs it has, which are equal. Never one with a secret or keys. See `admin.registration` for who may
  manage a client that two have asked for.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from authz.clients.client import DEFAULT_GRANT_TYPES
from authz.clients.metadata import (
    SECRET_METHODS,
    MetadataError,
    Rules,
    keys_in,
    link_in,
    name_in,
    redirect_uris_in,
    strings_in,
)
from authz.db.types import canonical_json
from authz.errors import (
    InvalidClientMetadata,
    InvalidRedirectUri,
    InvalidSoftwareStatement,
    OAuthError,
)
from authz.jose import ASYMMETRIC
from authz.urls import LOOPBACK_HOSTS, is_loopback_redirect, read_url

GRANT_TYPES = ("authorization_code", "refresh_token")
"""All that a client may give itself: a person takes part in each (DCR-07)."""
AUTH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")
APPLICATION_TYPES = ("native", "web")
_LINKS = ("client_uri", "logo_uri", "policy_uri", "tos_uri")
_TEXTS = ("software_id", "software_version")
_NOT_IN_AN_UPDATE = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)
_MAX_TEXT_CHARS = 200
_MAX_SCOPE_CHARS = 4096
_MAX_LISTED = 50
_NOT_SAYABLE = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*")


def registered_metadata(
    request: Mapping[str, Any],
    rules: Rules,
    *,
    is_invited: bool,
    scope_ceiling: frozenset[str] | None = None,
) -> dict[str, Any]:
    """The members to store and to answer, none of them null. `is_invited`: an operator gave out a token for it.

    Raises InvalidRedirectUri, InvalidClientMetadata or InvalidSoftwareStatement, which name what is wrong.
    """
    sent = {name: value for name, value in request.items() if value is not None}
    if "software_statement" in sent:
        raise InvalidSoftwareStatement(
            "software statements are not accepted here; leave software_statement out",
            reason="software_statement",
        )
    if "jwks_uri" in sent and not is_invited:
        raise _wrong("jwks_uri is not read from here; send the keys as jwks", "jwks_uri_uninvited")
    try:
        return _checked(sent, rules, scope_ceiling)
    except MetadataError as error:
        raise _refusal(error) from None


def check_update(
    request: Mapping[str, Any], client_id: str, is_secret: Callable[[str], bool]
) -> None:
    """What RFC 7592 §2.2 asks of an update besides its metadata. Raises InvalidClientMetadata."""
    if request.get("client_id") != client_id:
        raise _wrong("client_id is not that of the client", "update_client_id")
    for name in _NOT_IN_AN_UPDATE:
        if name in request:
            raise _wrong(f"{name} cannot be set; leave it out", "update_member")
    secret = request.get("client_secret")
    if secret is not None and not (isinstance(secret, str) and is_secret(secret)):
        raise _wrong("client_secret is not the current one; leave it out", "update_secret")


def uses_secret(metadata: Mapping[str, Any]) -> bool:
    """Whether the client has to be given a secret."""
    return metadata["token_endpoint_auth_method"] in SECRET_METHODS


def software_digest(metadata: Mapping[str, Any], network: str) -> str | None:
    """What is equal for the same software on the same network; None for a client that is nobody else's.

    Redirect URIs are taken as they are compared: a client that listens on another port each time is the same one.
    """
    method = metadata["token_endpoint_auth_method"]
    if method != "none":
        return None
    redirects = sorted({_without_port(uri) for uri in metadata["redirect_uris"]})
    text = canonical_json({**metadata, "redirect_uris": redirects, "network": network})
    return sha256(text.encode()).hexdigest()


def client_information(
    client_id: str,
    metadata: Mapping[str, Any],
    *,
    issued_at: datetime,
    issuer: str,
    token: str,
    secret: str | None,
) -> dict[str, Any]:
    """The answer of RFC 7591 §3.2.1 and RFC 7592 §3: only what is, no member of null (MCP-AS-93)."""
    answer = {
        "client_id": client_id,
        "client_id_issued_at": int(issued_at.timestamp()),
        **metadata,
        "registration_client_uri": f"{issuer}/register/{client_id}",
        "registration_access_token": token,
    }
    if secret is not None:
        answer |= {"client_secret": secret, "client_secret_expires_at": 0}
    return answer


def _checked(
    sent: Mapping[str, Any], rules: Rules, scope_ceiling: frozenset[str] | None
) -> dict[str, Any]:
    grants = _grant_types(sent)
    redirects = tuple(dict.fromkeys(redirect_uris_in(sent, rules)))
    if not redirects:
        raise InvalidRedirectUri("redirect_uris has none; send at least one", reason="no_redirect")
    method = _auth_method(sent)
    metadata: dict[str, Any] = {
        "redirect_uris": list(redirects),
        "grant_types": grants,
        "response_types": ["code"],
        "token_endpoint_auth_method": method,
        "application_type": _application_type(sent, redirects),
    }
    if "client_name" in sent:
        metadata["client_name"] = name_in(sent)
    for name in _LINKS:
        metadata |= _present(name, link_in(sent, name))
    for name in _TEXTS:
        metadata |= _present(name, _text(sent, name))
    metadata |= _present("scope", _scope(sent, scope_ceiling))
    return metadata | _keys(sent, method)


def _grant_types(sent: Mapping[str, Any]) -> list[str]:
    asked = strings_in(sent, "grant_types", default=DEFAULT_GRANT_TYPES)
    if len(asked) > _MAX_LISTED:
        raise _wrong("grant_types has too many entries", "metadata_grant_types")
    kept = [grant for grant in GRANT_TYPES if grant in asked]
    if "authorization_code" not in kept:
        raise _wrong(
            f"grant_types has nothing that a client may register by itself here ({', '.join(GRANT_TYPES)}); "
            "for another grant ask an administrator",
            "metadata_grant_types",
        )
    responses = strings_in(sent, "response_types", default=("code",))
    if set(responses) != {"code"}:
        raise _wrong(
            "response_types is not [code], which goes with the grant type authorization_code",
            "metadata_response_types",
        )
    return kept


def _auth_method(sent: Mapping[str, Any]) -> str:
    # The default of RFC 7591 §2: who says nothing gets a secret.
    method = _text(sent, "token_endpoint_auth_method") or "client_secret_basic"
    if method not in AUTH_METHODS:
        raise _wrong(
            f"token_endpoint_auth_method {method[:100]!a} is not one of {', '.join(AUTH_METHODS)}",
            "metadata_auth_method",
        )
    return method


def _application_type(sent: Mapping[str, Any], redirects: tuple[str, ...]) -> str:
    declared = _text(sent, "application_type")
    local = [uri for uri in redirects if not _is_web(uri)]
    if declared is None:
        return "native" if local else "web"
    if declared not in APPLICATION_TYPES:
        raise _wrong("application_type is neither native nor web", "metadata_application_type")
    if declared == "web" and local:
        raise InvalidRedirectUri(
            _sayable(
                f"redirect_uri {local[0][:200]!a} is not an https URL of a web site, which application_type web "
                "demands; register it as native"
            ),
            reason="redirect_uri_not_web",
        )
    return declared


def _is_web(uri: str) -> bool:
    parts = read_url("redirect_uri", uri)
    return parts.scheme == "https" and parts.host.lower() not in LOOPBACK_HOSTS


def _keys(sent: Mapping[str, Any], method: str) -> dict[str, Any]:
    """Keys for `private_key_jwt`; with another method they would promise a proof that nobody asks for."""
    needed = method == "private_key_jwt"
    jwks, jwks_uri = keys_in(sent, needed=needed)
    if not needed and (jwks is not None or jwks_uri is not None):
        raise _wrong(
            f"keys go with token_endpoint_auth_method private_key_jwt; it is {method}",
            "metadata_keys",
        )
    algorithm = _text(sent, "token_endpoint_auth_signing_alg")
    if algorithm is not None and algorithm not in ASYMMETRIC:
        raise _wrong(
            f"token_endpoint_auth_signing_alg is not one of {', '.join(ASYMMETRIC)}",
            "metadata_signing_alg",
        )
    if not needed:
        return {}
    return {
        **_present("jwks", jwks),
        **_present("jwks_uri", jwks_uri),
        **_present("token_endpoint_auth_signing_alg", algorithm),
    }


def _scope(sent: Mapping[str, Any], ceiling: frozenset[str] | None) -> str | None:
    text = sent.get("scope")
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > _MAX_SCOPE_CHARS or not _SCOPE.fullmatch(text):
        raise _wrong("scope is not a list of scope names, separated by one space", "metadata_scope")
    kept = [s for s in dict.fromkeys(text.split(" ")) if ceiling is None or s in ceiling]
    return " ".join(kept) or None


def _text(sent: Mapping[str, Any], name: str) -> str | None:
    value = sent.get(name)
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or not 1 <= len(value) <= _MAX_TEXT_CHARS
        or not value.isprintable()
    ):
        raise _wrong(
            f"{name} is not a text of 1 to {_MAX_TEXT_CHARS} printable characters",
            "metadata_member",
        )
    return value


def _present(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _without_port(uri: str) -> str:
    if not is_loopback_redirect(uri):
        return uri
    parts = read_url("redirect_uri", uri)
    return f"http://{parts.host}{parts.path}" + ("" if parts.query is None else f"?{parts.query}")


def _refusal(error: MetadataError) -> OAuthError:
    reason = error.reason.replace("document_", "metadata_")
    if error.reason == "document_redirect_uris":
        return InvalidRedirectUri(_sayable(str(error)), reason=reason)
    return InvalidClientMetadata(_sayable(str(error)), reason=reason)


def _wrong(sentence: str, reason: str) -> InvalidClientMetadata:
    return InvalidClientMetadata(_sayable(sentence), reason=reason)


def _sayable(sentence: str) -> str:
    """In the characters that RFC 6749 §5.2 allows in a description; it may quote what a stranger sent."""
    return _NOT_SAYABLE.sub("?", sentence.replace('"', "'"))
