"""A chain of MCP servers, each with a client of its own, and exchanges between them."""

from typing import Any

from authz.admin import delegations, resources
from authz.admin.scopes import NewScope
from tests.support.harness import RESOURCE, Answer, Harness

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
REFRESH_TOKEN = "urn:ietf:params:oauth:token-type:refresh_token"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
ID_JAG = "urn:ietf:params:oauth:token-type:id-jag"
TICKETS = "https://tickets.example/mcp"
PAGER = "https://pager.example/mcp"
ROLES = """
roles:
  developer: [logs.read, analytics.query, tickets.read, tickets.write, pages.read]
  sre: [logs.read, logs.debug.write, incidents.trigger]
bindings:
  - {role: developer, users: [dev@example.com]}
  - {role: sre, users: [sre@example.com]}
"""
TICKET_SCOPES = (
    NewScope(name="tickets.read", description="Read tickets", risk="read", is_default=True),
    NewScope(
        name="tickets.write", description="Write tickets", risk="write", tools=("write_ticket",)
    ),
)
PAGE_SCOPES = (NewScope(name="pages.read", description="Read pages", risk="read", is_default=True),)


class Chain:
    """Operations -> tickets -> pager. Nothing is allowed yet but what roles say."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        harness.add_resource(TICKETS, name="Tickets", scopes=TICKET_SCOPES)
        harness.add_resource(PAGER, name="Pager", scopes=PAGE_SCOPES)
        harness.import_roles(ROLES)
        self.ops, self.tickets = (self.add_server(it) for it in (RESOURCE, TICKETS))

    def add_server(self, resource: str | None, **values: Any) -> Any:
        """A client that exchanges tokens; the one of an MCP server if `resource` names it."""
        made = self.harness.add_client(
            **{
                "auth_method": "client_secret_post",
                "grant_types": (TOKEN_EXCHANGE,),
                "redirect_uris": (),
                "name": resource or "A client",
                **values,
            }
        )
        if resource is not None:
            self.harness.change(resources.set_client, resource, made.client.id)
        return made

    def allow(self, made: Any, source: str, target: str, **carries: Any) -> Any:
        """A rule; `carries` maps scopes there (with _ for .) to the scopes that carry them."""
        depth = carries.pop("max_depth", 5)
        return self.harness.change(
            delegations.add,
            client_id=made.client.id,
            from_server=source,
            to_server=target,
            carries={name.replace("_", "."): by for name, by in carries.items()},
            max_depth=depth,
        )

    def allow_all(self) -> None:
        """Both hops, in the sense of the example: who reads logs may read tickets, and then pages."""
        self.allow(
            self.ops,
            RESOURCE,
            TICKETS,
            tickets_read=["logs.read"],
            tickets_write=["logs.debug.write"],
        )
        self.allow(self.tickets, TICKETS, PAGER, pages_read=["tickets.read"])

    def exchange(self, made: Any, token: str | None, target: str | None, **fields: Any) -> Answer:
        """As the client `made`, with its secret; None leaves a field out."""
        headers = fields.pop("headers", {})
        pairs = {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": made.client.id,
            "client_secret": made.secret,
            "subject_token": token,
            "subject_token_type": ACCESS_TOKEN,
            "resource": target,
            **fields,
        }
        return self.harness.token({n: v for n, v in pairs.items() if v is not None}, **headers)

    def first(self, **values: Any) -> Answer:
        """The person's own token for the first server."""
        wanted = {"scopes": ["logs.read"], "requested": ["logs.read"], **values}
        return self.harness.redeem(self.harness.code(**wanted))
