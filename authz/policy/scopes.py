"""The grammar of `scope` strings and the scopes that belong to the protocol rather than to a resource."""

import re

OFFLINE_ACCESS = "offline_access"
OPENID = "openid"
OPENID_SCOPES = frozenset({OPENID, "profile", "email"})
"""What this server can tell a client about a person (OpenID Connect Core §5.4)."""
PROTOCOL_SCOPES = OPENID_SCOPES | {OFFLINE_ACCESS, "address", "phone"}
"""Never resource scopes: `offline_access` asks for a refresh token (MCP-AS-81), the others are OpenID's."""

MAX_SCOPES = 200
MAX_CHARS = 4096
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,128}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def parse_scope(text: str) -> frozenset[str]:
    """The scope tokens of a request (RFC 6749 §3.3). Raises ValueError when the text is not one."""
    if len(text) > MAX_CHARS:
        raise ValueError("scope is too long")
    tokens = text.split(" ")
    if len(tokens) > MAX_SCOPES or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise ValueError("scope is malformed")
    return frozenset(tokens)


def is_scope_name(text: str) -> bool:
    """Whether a resource may declare this scope (ATJ-07): a narrow charset, no wildcard, no protocol scope."""
    return _NAME.fullmatch(text) is not None and text not in PROTOCOL_SCOPES
