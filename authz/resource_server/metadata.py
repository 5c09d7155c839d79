"""The Protected Resource Metadata document (RFC 9728), from which clients learn where to log in (pure)."""

from typing import Any

from authz.resource_server.dpop import ALGORITHMS
from authz.resource_server.tool_rules import ToolRules


def metadata_document(
    *, issuer: str, resource: str, tools: ToolRules, name: str, require_dpop: bool
) -> dict[str, Any]:
    """The document of `resource`; `issuer` and `resource` appear byte for byte as configured."""
    document: dict[str, Any] = {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": sorted(tools.all_scopes),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
        "dpop_signing_alg_values_supported": list(ALGORITHMS),
    }
    if require_dpop:
        document["dpop_bound_access_tokens_required"] = True
    return document
