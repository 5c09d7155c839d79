"""Stream management of Shared Signals: a resource that clients of MCP servers get tokens for, and no person. Pure."""

from collections.abc import Mapping

from authz.policy.snapshot import Resource, Scope

SSF_ID = "ssf"
"""In rows; ids of MCP servers have a prefix."""
SSF_PATH = "/ssf"
RISK = "signals"
READ, MANAGE = "ssf.read", "ssf.manage"
SCOPES: Mapping[str, Scope] = {
    READ: Scope(READ, "Read streams of security events", RISK, is_default=True),
    MANAGE: Scope(MANAGE, "Manage streams of security events", RISK, is_default=True),
}


def ssf_resource(issuer: str) -> Resource:
    """The audience of tokens for stream management. Not found by name, except by `client_credentials`."""
    identifier = f"{issuer}{SSF_PATH}"
    return Resource(
        id=SSF_ID,
        identifier=identifier,
        canonical=identifier,
        name="Security events",
        scopes=SCOPES,
        is_builtin=True,
    )
