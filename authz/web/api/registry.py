"""All areas of the admin API: one line each."""

from collections.abc import Mapping

from authz.web.api import (
    agents,
    clients,
    connections,
    governance,
    installation,
    people,
    roles,
    servers,
    trust,
)
from authz.web.api.kit import Route

API: Mapping[str, tuple[Route, ...]] = {
    "People": people.ROUTES,
    "Clients": clients.ROUTES,
    "Agents": agents.ROUTES,
    "MCP servers": servers.ROUTES,
    "Roles": roles.ROUTES,
    "Policy and reviews": governance.ROUTES,
    "Identity providers": connections.ROUTES,
    "Trust": trust.ROUTES,
    "Installation": installation.ROUTES,
}
"""By title, in the order of the document."""
