"""The scopes of one MCP server: add, edit, remove."""

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authz.admin import scope_contracts, scope_versions
from authz.admin.conditions import check_connections, requirement_of, stored
from authz.admin.operator import Operator
from authz.db.models import Resource, Role, RoleScope, Scope
from authz.errors import Conflict, Invalid, NotFound
from authz.policy.administration import ADMIN_PREFIX, Permission
from authz.policy.contracts import RISKS, digest_of
from authz.policy.requirements import Requirement
from authz.policy.scopes import is_scope_name
from authz.policy.snapshot import ANY_RESOURCE

DEFAULT_RISK = "write"
"""Of a scope whose risk nobody declared: the careful guess, because a wrong `read` hides a danger."""
MAX_DESCRIPTION_CHARS = 500
MAX_TOOL_CHARS = 128


@dataclass(frozen=True, kw_only=True)
class NewScope:
    """A scope to be."""

    name: str
    description: str = ""
    risk: str = DEFAULT_RISK
    is_default: bool = False
    tools: tuple[str, ...] = ()
    requires: Requirement | None = None
    """How a person must have signed in to get it."""


@dataclass(frozen=True)
class ScopeLine:
    """A scope in a list."""

    name: str
    description: str
    risk: str
    is_default: bool
    tools: list[str]
    """All that are declared."""
    unreviewed: list[str]
    """Of those, the ones that wait for a review, and do not count yet."""
    contract: str
    """The digest of `tools`: what an approval names."""
    requires: Requirement | None


@dataclass(frozen=True, kw_only=True)
class ScopeChange:
    """What to edit; None leaves a member as it is."""

    description: str | None = None
    risk: str | None = None
    is_default: bool | None = None
    tools: tuple[str, ...] | None = None
    requires: Requirement | None = None
    """`ANY_SIGN_IN` takes a requirement away."""


def check_scope(scope: NewScope) -> None:
    """Raises Invalid for the first thing that is wrong."""
    if not is_scope_name(scope.name):
        raise Invalid(
            f"{scope.name!r} cannot name a scope of a server: letters, digits and ._:/- (128 at most), no "
            "wildcard, and none of the names OAuth and OpenID Connect use themselves",
            field="name",
        )
    if scope.name.startswith(ADMIN_PREFIX):
        raise Invalid(
            f"{scope.name!r} begins like the scopes of administration, {ADMIN_PREFIX}", field="name"
        )
    if scope.risk not in RISKS:
        raise Invalid(
            f"risk {scope.risk!r} of {scope.name} is not one of {', '.join(RISKS)}", field="risk"
        )
    if len(scope.description) > MAX_DESCRIPTION_CHARS or not scope.description.isprintable():
        raise Invalid(
            f"the description of {scope.name} has {MAX_DESCRIPTION_CHARS} printable characters at most",
            field="description",
        )
    for tool in scope.tools:
        if not 1 <= len(tool) <= MAX_TOOL_CHARS or not tool.isprintable():
            raise Invalid(
                f"{tool!r} of {scope.name} is not a tool: 1 to {MAX_TOOL_CHARS} characters",
                field="tools",
            )


def store_scope(
    tx: Session, operator: Operator, tenant_id: str, resource_id: str, scope: NewScope
) -> Scope:
    """A row of a checked scope; its tools wait where a review is demanded, also those of a server that is new."""
    row = Scope(
        resource_id=resource_id,
        name=scope.name,
        tenant_id=tenant_id,
        description=scope.description,
        risk=scope.risk,
        is_default=scope.is_default,
        tools=list(dict.fromkeys(scope.tools)),
        requires=stored(scope.requires),
    )
    row.unreviewed = scope_contracts.waiting_anew(tx, operator, tenant_id, row)
    tx.add(row)
    return row


def add_scope(
    tx: Session, operator: Operator, tenant_id: str, resource_id: str, scope: NewScope
) -> ScopeLine:
    """Declare one more scope."""
    operator.must(Permission.POLICY_WRITE, resource_id=resource_id)
    _check_server(tx, tenant_id, resource_id)
    check_scope(scope)
    check_connections(tx, tenant_id, scope.requires)
    if tx.get(Scope, (resource_id, scope.name)) is not None:
        raise Conflict(
            f"the server declares {scope.name!r} already; `authz resources scope edit` changes it",
            field="name",
        )
    row = store_scope(tx, operator, tenant_id, resource_id, scope)
    # Consent to one of this name that was withdrawn is none to this.
    scope_versions.begin(tx, row)
    tx.flush()
    operator.changed(tx, tenant_id, "scope.add", resource_id, _values(row))
    return _line(row)


def edit_scope(
    tx: Session,
    operator: Operator,
    tenant_id: str,
    resource_id: str,
    name: str,
    change: ScopeChange,
) -> ScopeLine:
    """Change what a scope says; its name stays, because tokens and roles carry it."""
    operator.must(Permission.POLICY_WRITE, resource_id=resource_id)
    row = _load(tx, tenant_id, resource_id, name)
    # Two who edit at once: the second would compare with tools that are gone, and store what waited before the first,
    # so a tool would count that nobody reviewed.
    tx.refresh(row, with_for_update=True)
    edited = NewScope(
        name=row.name,
        description=row.description,
        risk=row.risk,
        is_default=row.is_default,
        tools=tuple(row.tools),
        requires=requirement_of(row.requires),
    )
    given = {key: value for key, value in vars(change).items() if value is not None}
    edited = replace(edited, **given)
    check_scope(edited)
    check_connections(tx, tenant_id, change.requires)
    before = scope_versions.meaning_of(row)
    row.description, row.risk, row.is_default = edited.description, edited.risk, edited.is_default
    tools = list(dict.fromkeys(edited.tools))
    row.unreviewed = scope_contracts.waiting(tx, operator, tenant_id, row, tools)
    row.tools = tools
    row.requires = stored(edited.requires)
    asks_again = scope_versions.begin_if_more(tx, row, before)
    tx.flush()
    values = {**_values(row), "asks_again": asks_again}
    operator.changed(tx, tenant_id, "scope.edit", resource_id, values)
    return _line(row)


def remove_scope(
    tx: Session, operator: Operator, tenant_id: str, resource_id: str, name: str
) -> list[str]:
    """Take a scope away; the next refresh of every token is without it.

    Answers the roles that still name it: they would hold it again if it came back.
    """
    operator.must(Permission.POLICY_WRITE, resource_id=resource_id)
    row = _load(tx, tenant_id, resource_id, name)
    tx.delete(row)
    tx.flush()
    operator.changed(tx, tenant_id, "scope.remove", resource_id, {"scope": name})
    return list(
        tx.scalars(
            select(Role.name)
            .join(RoleScope, RoleScope.role_id == Role.id)
            .where(
                Role.tenant_id == tenant_id,
                RoleScope.scope == name,
                RoleScope.resource_id.in_((resource_id, ANY_RESOURCE)),
            )
            .distinct()
            .order_by(Role.name)
        )
    )


def show_scope(tx: Session, tenant_id: str, resource_id: str, name: str) -> ScopeLine:
    """One scope of a server. Raises NotFound."""
    return _line(_load(tx, tenant_id, resource_id, name))


def scopes_of(tx: Session, resource_id: str) -> list[ScopeLine]:
    """The scopes of a server, by name."""
    rows = tx.scalars(select(Scope).where(Scope.resource_id == resource_id).order_by(Scope.name))
    return [_line(row) for row in rows]


def _check_server(tx: Session, tenant_id: str, resource_id: str) -> None:
    """The id may come from a stranger to this tenant."""
    row = tx.get(Resource, resource_id)
    if row is None or row.tenant_id != tenant_id:
        raise NotFound(f"there is no MCP server {resource_id!r}; `authz resources list` shows them")


def _load(tx: Session, tenant_id: str, resource_id: str, name: str) -> Scope:
    _check_server(tx, tenant_id, resource_id)
    row = tx.get(Scope, (resource_id, name))
    if row is None:
        declared = ", ".join(line.name for line in scopes_of(tx, resource_id)) or "none"
        raise NotFound(f"the server does not declare {name!r}; it declares: {declared}")
    return row


def _line(row: Scope) -> ScopeLine:
    return ScopeLine(
        row.name,
        row.description,
        row.risk,
        row.is_default,
        list(row.tools),
        [] if row.unreviewed is None else list(row.unreviewed["tools"]),
        digest_of(row.tools),
        requirement_of(row.requires),
    )


def _values(row: Scope) -> dict[str, Any]:
    return {
        "scope": row.name,
        "risk": row.risk,
        "default": row.is_default,
        "tools": list(row.tools),
        "unreviewed": [] if row.unreviewed is None else row.unreviewed["tools"],
        "contract": digest_of(row.tools),
        "requires": row.requires,
    }
