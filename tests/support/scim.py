"""A company's directory, as the SCIM endpoint meets it."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from authz.admin import scim_tokens
from authz.db.models import Connection
from authz.federation.oidc_settings import check_settings
from tests.support.connections import connection
from tests.support.harness import LOG, Harness, _reason_since

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def add_token(harness: Harness, connection: str | None = None, **values: Any) -> str:
    """A provisioning token of this tenant."""
    given = {"name": "directory", "lifetime": None, **values}
    made = harness.change(scim_tokens.add, connection=connection, **given)
    return str(made.token)


@dataclass
class Reply:
    """An answer, with the private reason from the log."""

    response: httpx2.Response
    reason: str | None

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.response.status_code

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = self.response.json()
        return found

    @property
    def id(self) -> str:
        """Of the resource."""
        return str(self.json["id"])

    @property
    def resources(self) -> list[dict[str, Any]]:
        """Of a list."""
        found: list[dict[str, Any]] = self.json["Resources"]
        return found

    @property
    def refusal(self) -> tuple[int, str | None, str | None]:
        """Status, `scimType` and reason."""
        body = self.json
        assert body["schemas"] == [ERROR], body
        assert body["status"] == str(self.status)
        assert body["detail"]
        return self.status, body.get("scimType"), self.reason


@dataclass
class Directory:
    """One provisioning client of one tenant."""

    harness: Harness
    token: str
    http: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = self.harness.http

    @property
    def base(self) -> str:
        """Where it provisions to."""
        return f"{self.harness.issuer}/scim/v2"

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Any request; `headers` with underscores for hyphens."""
        mark = len(LOG.events)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {self.token}", **named}
        if body is not None:
            sent.setdefault("Content-Type", "application/scim+json")
        response = self.http.request(
            method,
            f"{self.base}/{path}",
            json=body if not isinstance(body, bytes) else None,
            content=body if isinstance(body, bytes) else None,
            headers=sent,
        )
        return Reply(response, _reason_since(mark))

    def get(self, path: str, **headers: str) -> Reply:
        """GET."""
        return self.ask("GET", path, **headers)

    def find(self, kind: str, filter_: str, **query: Any) -> Reply:
        """GET a list with a filter."""
        parameters = httpx2.QueryParams({"filter": filter_, **query})
        return self.ask("GET", f"{kind}?{parameters}")

    def create(self, user_name: str = "ada@corp.example", **values: Any) -> Reply:
        """POST a user."""
        return self.ask("POST", "Users", {"schemas": [USER], "userName": user_name, **values})

    def create_group(self, name: str = "engineering", **values: Any) -> Reply:
        """POST a group."""
        return self.ask("POST", "Groups", {"schemas": [GROUP], "displayName": name, **values})

    def patch(self, path: str, *operations: Any, **headers: str) -> Reply:
        """PATCH with these operations."""
        body = {"schemas": [PATCH], "Operations": list(operations)}
        return self.ask("PATCH", path, body, **headers)

    def deactivate(self, user_id: str) -> Reply:
        """As Okta does when somebody leaves."""
        return self.patch(f"Users/{user_id}", {"op": "replace", "value": {"active": False}})

    def activate(self, user_id: str) -> Reply:
        """And when they come back."""
        return self.patch(f"Users/{user_id}", {"op": "replace", "value": {"active": True}})


def openid_settings(preset: str = "generic", **given: str) -> dict[str, Any]:
    """What a connection of this preset is stored with."""
    values = {
        "issuer": "https://idp.example",
        "client_id": "authz",
        "client_secret": "env:SECRET",
        **given,
    }
    return dict(check_settings(values, preset, development=False))


def directory(harness: Harness, connection: str | None = None) -> Directory:
    """A client with a token of its own."""
    return Directory(harness, add_token(harness, connection))


def add_connection(harness: Harness, slug: str = "okta", **values: Any) -> Connection:
    """An identity provider of this tenant; OpenID Connect and of no product unless told otherwise."""
    if "settings" not in values:
        values["settings"] = openid_settings()
    row = connection(harness.tenant_id, slug, harness.clock(), **values)
    with harness.server.database.write() as tx:
        tx.add(row)
    return row
