"""Protect an MCP server: verify the access token, check the scopes of each tool, publish the metadata.

For people who run MCP servers on the official SDK, on FastMCP or on plain ASGI:

    from mcp.server.mcpserver import MCPServer
    from authz.resource_server import protect

    server = MCPServer("logs")
    app = protect(server, issuer="https://as.example", resource="https://mcp.example/mcp",
                  tools={"read_logs": "logs.read", "purge_logs": {"logs.read", "logs.write"}})

Without a valid token nothing behind `app` is reached. A tool that the mapping does not name is absent
from `tools/list` and cannot be called; `undeclared_tools` names such tools, for a test.

With `reports=Reports(client_id, key, spool)` the authorization server learns what became of each call; with
`onward=Onward(client_id, key)` tools call other MCP servers for the same person.

What it owns: RFC 9068 verification, proofs of possession (RFC 9449), what a call needs (scopes, RFC 9470
step-up) and how a token limits it (`mcp_tool` authorization details), the challenges of RFC 6750, 9449, 9470
and 9728, the metadata document, the identity that tools see. What it never does: issue, introspect or store
tokens, forward a token to another server, or import another part of authz: it runs in your process and
needs joserfc and httpx2 only.

Decisions
- The AS's keys are never served older than their max-age: a removed key stops working then, at the price
  of 503 while the AS is away for longer. A key set is renewed in the background at half its age.
- Claim checks are written out here. joserfc's claims registry lets one audience of several match and takes
  booleans and 1e300 for dates; its decoder checks no `typ`, takes HS256 by default and refuses headers
  over 512 bytes. It supplies keys and signature primitives.
- Scopes, sign-in and limits are checked on the request body, before the server sees it, because only HTTP
  can carry the challenge that lets a client ask for more (MCP: 403 and `insufficient_scope`). Server hooks
  check again.
- Revocations are told by a feed that a task follows (`revocations`), not asked for at each call: a call costs two
  look-ups in memory, and the authorization server one connection. Without fresh news every request gets 503: who can
  keep the feed away from a server must not be able to keep a revoked token alive.
- Lists of tools are filtered in the server where it has a hook, and in the response in every case.
- Outcomes are taken down where a call is served, so also for tools that other tools call. The call appends to memory
  and nothing else; up to half a second of outcomes is lost with a process that is killed, and what a crash of the
  machine takes from the file. A report that had to be on disk first would make every call wait for the disk.
"""

from authz.resource_server.access_token import AccessToken
from authz.resource_server.current import current_token
from authz.resource_server.discovery import RemoteKeys
from authz.resource_server.errors import (
    AccessError,
    ExchangeRefusedError,
    InsufficientScope,
    InvalidProof,
    InvalidToken,
    KeysUnavailable,
    LimitedTool,
    MalformedRequest,
    MissingToken,
    NoCurrentTokenError,
    NoExchangeError,
    RevocationsUnavailable,
    SessionNotFound,
    UnknownTool,
    WeakAuthentication,
)
from authz.resource_server.metadata import metadata_document
from authz.resource_server.middleware import ProtectedApp
from authz.resource_server.onward import Onward
from authz.resource_server.protection import protect, undeclared_tools
from authz.resource_server.reporting import Reporter, Reports
from authz.resource_server.revocations import RevocationFeed, Revocations
from authz.resource_server.tool_rules import Needs, ToolRules
from authz.resource_server.verifier import TokenVerifier

__all__ = [
    "AccessError",
    "AccessToken",
    "ExchangeRefusedError",
    "InsufficientScope",
    "InvalidProof",
    "InvalidToken",
    "KeysUnavailable",
    "LimitedTool",
    "MalformedRequest",
    "MissingToken",
    "Needs",
    "NoCurrentTokenError",
    "NoExchangeError",
    "Onward",
    "ProtectedApp",
    "RemoteKeys",
    "Reporter",
    "Reports",
    "RevocationFeed",
    "Revocations",
    "RevocationsUnavailable",
    "SessionNotFound",
    "TokenVerifier",
    "ToolRules",
    "UnknownTool",
    "WeakAuthentication",
    "current_token",
    "metadata_document",
    "protect",
    "undeclared_tools",
]
