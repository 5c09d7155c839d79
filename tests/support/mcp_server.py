"""An MCP server on `authz.resource_server`, for tokens that a server under test minted."""

import asyncio
import base64
import hashlib
from typing import Any

import httpx2

from authz.resource_server import Needs, ProtectedApp, RemoteKeys, TokenVerifier, ToolRules
from tests.support.dpop_keys import DpopKey
from tests.support.harness import RESOURCE, Harness

TOOLS = ToolRules(
    {
        "read_logs": "logs.read",
        "query_logs": Needs("logs.read", max_age=300),
        "drain_logs": Needs("logs.read", max_age=300, acr_values=("phrh", "phr")),
    },
)


class Server:
    """It answers every call it is reached by, with who calls; it shares the clock of the harness."""

    def __init__(
        self, harness: Harness, *, resource: str = RESOURCE, require_dpop: bool = False
    ) -> None:
        self.clock, self.resource = harness.clock, resource
        verifier = TokenVerifier(
            RemoteKeys(harness.issuer),
            resource=resource,
            clock=lambda: harness.clock().timestamp(),
        )
        self.app = ProtectedApp(self.answer, verifier, TOOLS, "logs", require_dpop=require_dpop)

    async def answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Who calls."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["authz.token"].subject.encode()})

    def call(
        self,
        token: str,
        *,
        key: DpopKey | None = None,
        scheme: str = "Bearer",
        tool: str = "read_logs",
    ) -> httpx2.Response:
        """Call a tool with a token, and with a proof of its key."""
        headers = {"authorization": f"{scheme} {token}"}
        if key is not None:
            ath = hashlib.sha256(token.encode()).digest()
            headers["dpop"] = key.proof(
                self.resource,
                self.clock(),
                ath=base64.urlsafe_b64encode(ath).rstrip(b"=").decode(),
            )
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool}}
        return asyncio.run(self._post(headers, message))

    async def _post(self, headers: dict[str, str], message: Any) -> httpx2.Response:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport) as http:
            return await http.post(self.resource, headers=headers, json=message)
