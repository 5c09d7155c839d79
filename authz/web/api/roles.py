"""Roles, who holds them, and which claims of identity providers lead to them."""

from typing import Any

from authz.admin import bindings, local_grants, mappings, roles
from authz.admin.bindings import HolderLine
from authz.admin.local_grants import LocalGrant
from authz.admin.mappings import MappingLine
from authz.admin.paging import Slice
from authz.admin.roles import RoleHead
from authz.policy.roles_file import document_of
from authz.web.api.kit import Change, Listing, Look, Route, Thing, Window, listed


def _held(look: Look, part: Window, role: str | None) -> Slice[HolderLine]:
    return bindings.page(
        look.tx,
        look.tenant_id,
        role=role,
        kind=part.find("kind"),
        holder_id=part.find("holder_id"),
        after=part.after,
        limit=part.limit,
    )


def _file(look: Look) -> dict[str, Any]:
    return document_of(roles.export(look.tx, look.tenant_id))


ROLE = Thing(
    "/roles/{role}",
    "role",
    "One role, without its holders",
    lambda look: roles.show(look.tx, look.tenant_id, look.path["role"]),
    RoleHead,
)
FILE = Thing("/roles-file", "roles_file", "All roles and who holds them, as one file", _file, dict)
HOLDER = Thing(
    "/roles/{role}/holders/{kind}/{holder}",
    "role_holder",
    "One holder of a role",
    lambda look: bindings.show(
        look.tx,
        look.tenant_id,
        role=look.path["role"],
        kind=look.path["kind"],
        holder=look.path["holder"],
    ),
    HolderLine,
)
MAPPING = Thing(
    "/mappings/{mapping}",
    "mapping",
    "One mapping",
    lambda look: mappings.show(look.tx, look.tenant_id, look.path["mapping"]),
    MappingLine,
)
_OF_ROLE = {"role": "role"}
_FILTERS = {"kind": "user, group or client", "holder_id": "Of this user, group or client, by id"}

ROUTES: tuple[Route, ...] = (
    Listing(
        "/roles",
        "roles",
        "Roles, by name",
        listed(lambda look: roles.heads(look.tx, look.tenant_id), "name"),
        RoleHead,
    ),
    Change(
        "POST",
        "/roles",
        "roles.add",
        "A new role, which nobody holds yet",
        made=lambda it: (it.name,),
    ),
    ROLE,
    Change(
        "PATCH",
        "/roles/{role}",
        "roles.change",
        "Rename it, describe it, or say what it includes",
        inputs=_OF_ROLE,
        thing=ROLE,
        told=lambda look, it: roles.show(look.tx, look.tenant_id, it.name),
    ),
    Change(
        "PUT",
        "/roles/{role}/scopes",
        "roles.set_scopes",
        "What it holds at one server, or without one at every server that declares it",
        inputs=_OF_ROLE,
        thing=ROLE,
    ),
    Change(
        "DELETE",
        "/roles/{role}",
        "roles.remove",
        "Nobody holds it any more",
        inputs=_OF_ROLE,
        thing=ROLE,
    ),
    Change(
        "POST",
        "/role-matrix",
        "roles.set_matrix",
        "What several roles hold at one server, as one change",
        answer="changed",
    ),
    Change(
        "PUT",
        "/roles/{role}/requirement",
        "roles.require",
        "How its holders must have signed in; {} takes that away",
        inputs={"role": "role"},
        body="required",
        thing=ROLE,
    ),
    Listing(
        "/roles/{role}/holders",
        "role_holders",
        "Who holds a role",
        lambda look, part: _held(look, part, look.path["role"]),
        HolderLine,
        filters=_FILTERS,
        searches=False,
    ),
    Change(
        "POST",
        "/roles/{role}/holders",
        "roles.bind",
        "Give a role to a user, group or client; an existing binding gets the new end",
        inputs={"role": "role"},
        made=lambda it: (it.kind, it.holder),
    ),
    HOLDER,
    Change(
        "DELETE",
        "/roles/{role}/holders/{kind}/{holder}",
        "roles.unbind",
        "Take a role from its holder",
        inputs={"role": "role", "kind": "kind", "holder": "holder"},
        thing=HOLDER,
    ),
    Listing(
        "/role-bindings",
        "role_bindings",
        "Who holds which role",
        lambda look, part: _held(look, part, part.find("role")),
        HolderLine,
        filters={"role": "Of this role, by name", **_FILTERS},
        searches=False,
    ),
    Listing(
        "/local-grants",
        "local_grants",
        "Who holds a role because of what was put there here, not at the identity provider",
        listed(
            lambda look: local_grants.list_(look.tx, look.tenant_id, look.now),
            *("role", "kind", "holder", "id"),
        ),
        LocalGrant,
    ),
    FILE,
    Change(
        "PUT",
        "/roles-file",
        "roles.import",
        "Make the roles those of this file; roles it does not have are removed",
        body="file",
        thing=FILE,
    ),
    Listing(
        "/mappings",
        "mappings",
        "Which claims lead to which groups",
        listed(
            lambda look: mappings.list_(look.tx, look.tenant_id),
            *("connection", "claim", "value", "group"),
        ),
        MappingLine,
    ),
    Change("POST", "/mappings", "mappings.add", "Add a mapping", made=lambda it: (it.id,)),
    MAPPING,
    Change(
        "DELETE",
        "/mappings/{mapping}",
        "mappings.remove",
        "Take a mapping away",
        inputs={"mapping": "mapping_id"},
        thing=MAPPING,
    ),
)
