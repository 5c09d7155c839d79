"""MCP servers and their scopes."""

from collections.abc import Sequence

from authz.admin import credentials, resources, rollouts, scopes
from authz.admin.credentials import CredentialLine
from authz.admin.resources import ResourceDetails, ResourceLine
from authz.admin.rollouts import RolloutLine
from authz.admin.scopes import ScopeLine
from authz.web.api.kit import Change, Listing, Look, Route, Thing, listed


def _scopes(look: Look) -> Sequence[ScopeLine]:
    # By its id or its URL; the rows of scopes know the id alone.
    return scopes.scopes_of(
        look.tx, resources.load(look.tx, look.tenant_id, look.path["server"]).id
    )


def _show(look: Look) -> ResourceDetails:
    return resources.show(look.tx, look.tenant_id, look.path["server"], issuer=look.tenant.issuer)


SERVER = Thing(
    "/servers/{server}", "server", "One MCP server, by id or URL", _show, ResourceDetails
)
ROLLOUT = Thing(
    "/servers/{server}/rollout",
    "rollout",
    "How far it is rolled out",
    lambda look: rollouts.show(look.tx, look.tenant_id, look.path["server"], look.now),
    RolloutLine,
    omit=frozenset({"evidence"}),
)
SCOPE = Thing(
    "/servers/{server}/scopes/{scope}",
    "scope",
    "One scope of a server, which is named by id",
    lambda look: scopes.show_scope(
        look.tx, look.tenant_id, look.path["server"], look.path["scope"]
    ),
    ScopeLine,
)
CREDENTIAL = Thing(
    "/servers/{server}/credentials/{credential}",
    "credential",
    "One credential of a system behind a server: where its secret is, never what it is",
    lambda look: credentials.show(
        look.tx, look.tenant_id, look.path["server"], look.path["credential"]
    ),
    CredentialLine,
)
_OF_SERVER = {"server": "reference"}
_OF_SCOPE = {"server": "resource_id", "scope": "name"}


def _set(segment: str, operation: str, summary: str) -> Change:
    return Change(
        "PUT",
        f"/servers/{{server}}/{segment}",
        operation,
        summary,
        inputs=_OF_SERVER,
        thing=SERVER,
    )


ROUTES: tuple[Route, ...] = (
    Listing(
        "/servers",
        "servers",
        "MCP servers, by identifier",
        listed(lambda look: resources.list_(look.tx, look.tenant_id), "identifier"),
        ResourceLine,
    ),
    Change("POST", "/servers", "resources.add", "Register a server", made=lambda it: (it.id,)),
    SERVER,
    _set("name", "resources.set_name", "What people call it"),
    _set("identity", "resources.set_identity", "Whether a person has to be behind every token"),
    _set("status", "resources.set_status", "Switch it off or on"),
    _set("owner", "resources.set_owner", "Who answers for it"),
    _set("client", "resources.set_client", "With which client it asks about tokens"),
    _set("status-list", "resources.set_status_list", "Whether its tokens are in a status list"),
    ROLLOUT,
    Change(
        "PUT",
        "/servers/{server}/rollout",
        "resources.set_rollout",
        "Move it on, or back",
        inputs=_OF_SERVER,
        thing=ROLLOUT,
    ),
    Change(
        "POST",
        "/servers/{server}/default",
        "resources.set_default",
        "Requests that name no server are for this one",
        inputs=_OF_SERVER,
    ),
    Change(
        "POST",
        "/servers/{server}/no-default",
        "resources.unset_default",
        "Requests that name no server are for none",
        inputs=_OF_SERVER,
    ),
    Listing(
        "/servers/{server}/scopes",
        "scopes",
        "Its scopes, by name",
        listed(_scopes, "name"),
        ScopeLine,
    ),
    Change(
        "POST",
        "/servers/{server}/scopes",
        "scopes.add",
        "Declare one more scope; the server is named by id",
        inputs={"server": "resource_id"},
        made=lambda it: (it.name,),
    ),
    SCOPE,
    Change(
        "PATCH",
        "/servers/{server}/scopes/{scope}",
        "scopes.edit",
        "Change what a scope says",
        inputs=_OF_SCOPE,
        thing=SCOPE,
    ),
    Change(
        "POST",
        "/servers/{server}/scopes/{scope}/approve",
        "scopes.approve",
        "Let the tools that wait in a scope count; `contract` is the digest of the list that was looked at",
        inputs=_OF_SCOPE,
        answer="tools",
    ),
    Change(
        "DELETE",
        "/servers/{server}/scopes/{scope}",
        "scopes.remove",
        "Take a scope away; answers the roles that still name it",
        inputs=_OF_SCOPE,
        thing=SCOPE,
        answer="roles",
    ),
    Listing(
        "/credentials",
        "credentials",
        "Which server gets which credential of a system behind it",
        listed(lambda look: credentials.list_(look.tx, look.tenant_id), "server", "name"),
        CredentialLine,
    ),
    Listing(
        "/servers/{server}/credentials",
        "credentials",
        "Those of one server, by name",
        listed(
            lambda look: credentials.list_(look.tx, look.tenant_id, look.path["server"]), "name"
        ),
        CredentialLine,
    ),
    Change(
        "POST",
        "/servers/{server}/credentials",
        "credentials.add",
        "Let a server have the secret of a system behind it, by reference",
        inputs={"server": "server"},
        made=lambda it: (it.name,),
    ),
    CREDENTIAL,
    Change(
        "DELETE",
        "/servers/{server}/credentials/{credential}",
        "credentials.remove",
        "It gets it no more",
        inputs={"server": "server", "credential": "name"},
        thing=CREDENTIAL,
    ),
)
