"""The Protected Resource Metadata document (RFC 9728), from which clients learn where to log in (pure)."""

from typing import Any

from authz.resource_server.tool_scopes import ToolScopes


def metadata_document(
    *, issuer: str, resource: str, tools: ToolScopes, name: str
) -> dict[str, Any]:
    """The document of `resource`; `issuer` and `resource` appear byte for byte as configured."""
    return {
        "resource": resource,
        "authorization_servers": [issuer],
        "scopes_supported": sorted(tools.all_scopes),
        "bearer_methods_supported": ["header"],
        "resource_name": name,
    }
