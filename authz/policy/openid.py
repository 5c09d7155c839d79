"""What this server itself can tell a client about a person: a resource beside the MCP servers (OIDC-03). Pure."""

from collections.abc import Mapping

from authz.policy.scopes import OPENID
from authz.policy.snapshot import Resource, Scope

USERINFO_ID = "userinfo"
"""In rows; ids of MCP servers have a prefix."""
USERINFO_PATH = "/userinfo"
RISK = "identity"

SCOPES: Mapping[str, Scope] = {
    OPENID: Scope(OPENID, "Recognise you each time you sign in", RISK),
    "profile": Scope("profile", "See your name and your login name", RISK),
    "email": Scope("email", "See your email address", RISK),
}


def userinfo_resource(issuer: str) -> Resource:
    """The audience of tokens for the userinfo endpoint."""
    identifier = f"{issuer}{USERINFO_PATH}"
    return Resource(
        id=USERINFO_ID,
        identifier=identifier,
        canonical=identifier,
        name="Your account",
        scopes=SCOPES,
        is_builtin=True,
    )
