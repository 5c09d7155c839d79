"""What the lab serves: the identity provider's keys and metadata, and the sample MCP server. Plain ASGI, no framework.

The MCP server speaks as little of the protocol as clients need, behind `authz.resource_server` as anybody's would be.
"""

import json
from collections.abc import Mapping
from typing import Any

from authz.clock import Clock, numeric_date
from authz.lab.identity_provider import IdentityProvider, Issuer
from authz.resource_server import ProtectedApp, RemoteKeys, TokenVerifier, ToolRules, current_token

READ, WRITE, WITHHELD = "lab.read", "lab.write", "lab.admin"
TOOLS = {"whoami": READ, "write_note": WRITE, "erase_notes": WITHHELD}
"""The tools of the sample MCP server, and the scope that opens each."""
MCP_PATH, OTHER_PATH = "/mcp", "/other"
_WORDS = {
    "whoami": "Says for whom, through which client and with which scopes it is called.",
    "write_note": "Pretends to write a note.",
    "erase_notes": "Pretends to erase all notes.",
}
STRANGE_PATH = "/strange"
"""Where nobody was told to look: before a well-known path, or after it."""
_MAX_BODY = 64 * 1024


class IdpApplication:
    """The public half of the identity provider. It hands out no assertion: only the lab has the keys."""

    def __init__(self, idp: IdentityProvider) -> None:
        self._idp = idp
        self._fetches = {"jwks": 0, "strange": 0}

    async def __call__(self, scope: Any, _: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, {"error": "method_not_allowed"})
        elif path == "/jwks":
            self._fetches["jwks"] += 1
            await _respond(send, 200, self._idp.read_published(), cache="max-age=60")
        elif path == "/client/jwks":
            await _respond(send, 200, self._idp.read_client_jwks(), cache="max-age=60")
        elif path == "/fetches":
            await _answer(send, 200, self._fetches)
        elif path.startswith(STRANGE_PATH) or path.endswith(STRANGE_PATH):
            self._fetches["strange"] += 1
            await _answer(send, 404, {"error": "none"})
        else:
            document = _metadata(self._idp, path)
            await _answer(send, 404 if document is None else 200, document or {"error": "none"})


def _metadata(idp: IdentityProvider, path: str) -> Mapping[str, Any] | None:
    """RFC 8414, for each issuer, before and after its path."""
    for kind in ("oauth-authorization-server", "openid-configuration"):
        for which in Issuer:
            if path in (f"/.well-known/{kind}{which}", f"{which}/.well-known/{kind}"):
                return {
                    "issuer": idp.issuer(which),
                    "jwks_uri": idp.jwks_uri,
                    "identity_chaining_requested_token_types_supported": [
                        "urn:ietf:params:oauth:token-type:id-jag"
                    ],
                }
    return None


class McpApplication:
    """Two MCP servers, at MCP_PATH and OTHER_PATH."""

    def __init__(self, issuer: str, base: str, clock: Clock) -> None:
        self._servers = {
            path: ProtectedApp(
                app=_mcp,
                verifier=TokenVerifier(
                    RemoteKeys(issuer),
                    resource=f"{base}{path}",
                    clock=lambda: float(numeric_date(clock())),
                ),
                tools=ToolRules(TOOLS),
                name="Lab",
            )
            for path in (MCP_PATH, OTHER_PATH)
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        path = scope["path"]
        for place, server in self._servers.items():
            if path == place or path == f"/.well-known/oauth-protected-resource{place}":
                await server(scope, receive, send)
                return
        await _answer(send, 404, {"error": "not_found"})


async def _mcp(scope: Any, receive: Any, send: Any) -> None:
    """The server behind the token."""
    if scope["method"] != "POST":
        await _answer(send, 405, {"error": "method_not_allowed"})
        return
    message = json.loads(await _body(receive))
    if "id" not in message:
        await _respond(send, 202, b"")
        return
    result = _result(message.get("method"), message.get("params") or {})
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    unknown = {"code": -32601, "message": "Method not found"}
    await _answer(send, 200, reply | ({"error": unknown} if result is None else {"result": result}))


def _result(method: Any, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if method == "initialize":
        return {
            "protocolVersion": params.get("protocolVersion", "2025-11-25"),
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "authz-lab", "version": "1"},
        }
    if method == "ping":
        return {}
    if method == "tools/list":
        schema = {"type": "object"}
        listed = [{"name": n, "description": w, "inputSchema": schema} for n, w in _WORDS.items()]
        return {"tools": listed}
    if method == "tools/call":
        return {"content": [{"type": "text", "text": _called(str(params.get("name")))}]}
    return None


def _called(tool: str) -> str:
    token = current_token()
    told = {
        "tool": tool,
        "sub": token.subject,
        "client_id": token.client_id,
        "scope": " ".join(sorted(token.scopes)),
    }
    return json.dumps(told)


async def _body(receive: Any) -> bytes:
    body, more = b"", True
    while more and len(body) <= _MAX_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


async def _answer(send: Any, status: int, document: Mapping[str, Any]) -> None:
    await _respond(send, status, json.dumps(document).encode())


async def _respond(send: Any, status: int, body: bytes, *, cache: str = "no-store") -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"cache-control", cache.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
