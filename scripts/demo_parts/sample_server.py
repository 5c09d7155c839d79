"""The sample MCP server: four tools of an operations team, on the official SDK, behind `protect`.

python -m scripts.demo_parts.sample_server ISSUER RESOURCE
"""

import sys
from urllib.parse import urlsplit

import uvicorn
from mcp.server.mcpserver import MCPServer

from authz.resource_server import current_token, protect

server = MCPServer("Operations")


@server.tool()
def read_logs(service: str = "checkout") -> str:
    """The last lines that a service logged."""
    return f"{service}: 3 requests, 0 errors (read for {current_token().subject})"


@server.tool()
def query_analytics(metric: str = "orders") -> str:
    """A number of today."""
    return f"{metric}: 1204"


@server.tool()
def set_debug_level(service: str = "checkout", level: str = "debug") -> str:
    """Make a service log more, or less."""
    return f"{service} now logs at {level}"


@server.tool()
def trigger_incident(title: str = "checkout is slow") -> str:
    """Wake up whoever is on call."""
    return f"incident opened: {title}"


TOOLS = {
    "read_logs": "logs.read",
    "query_analytics": "analytics.query",
    "set_debug_level": "logs.debug.write",
    "trigger_incident": "incidents.trigger",
}


def main() -> None:
    issuer, resource = sys.argv[1:]
    app = protect(server, issuer=issuer, resource=resource, tools=TOOLS, name="Operations")
    place = urlsplit(resource)
    uvicorn.run(app, host=place.hostname or "", port=place.port or 80, log_level="warning")


if __name__ == "__main__":
    main()
