"""One of three MCP servers in a row: its tool calls the next one's, for the same person.

python -m scripts.demo_parts.hop_server ISSUER RESOURCE TOOL SCOPES CLIENT FOLDER [NEXT_RESOURCE NEXT_TOOL]
"""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer

from authz.resource_server import Onward, Reports, current_token, protect
from scripts.demo_parts.chain import told


def main() -> None:
    issuer, resource, tool, scopes, client_id, folder, *onward = sys.argv[1:]
    server = MCPServer(tool)

    async def serve(ctx: Context[Any]) -> str:
        """Says with which token it was called, and what the next server says."""
        token = current_token()
        lines = [told(token.claims)]
        if onward:
            next_resource, next_tool = onward
            headers = {"Authorization": f"Bearer {await token.exchange_for(next_resource)}"}
            trace = _traceparent(ctx)
            if trace is not None:
                headers["traceparent"] = trace
            lines.append(await _call(next_resource, next_tool, headers))
        return "\n".join(lines)

    server.add_tool(serve, name=tool)
    key = Path(folder) / "report.jwk"
    app = protect(
        server,
        issuer=issuer,
        resource=resource,
        tools={tool: scopes},
        name=tool,
        reports=Reports(client_id=client_id, key=key, spool=Path(folder) / "reports", every=0.2),
        onward=Onward(client_id=client_id, key=key) if onward else None,
    )
    place = urlsplit(resource)
    uvicorn.run(app, host=place.hostname or "", port=place.port or 80, log_level="warning")


async def _call(url: str, tool: str, headers: dict[str, str]) -> str:
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool(tool, {})
        return " ".join(getattr(part, "text", "") for part in result.content)


def _traceparent(ctx: Context[Any]) -> str | None:
    request = ctx.request_context.request
    return None if request is None else request.headers.get("traceparent")


if __name__ == "__main__":
    main()
