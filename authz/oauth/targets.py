"""Resource authorization servers that ID-JAGs are issued for: which there are, and what each is told. Pure.

An MCP server whose tokens another authorization server issues is a resource like any other, with scopes that roles
hold, but it is kept apart (`Target.resources`), so that no grant can find it: no access token of ours is for it
(IDJAG-43, IDJAG-47).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any

from authz.clients.client import Client
from authz.errors import Invalid
from authz.oauth.trust import check_url
from authz.policy.scopes import parse_scope
from authz.policy.snapshot import Resource

_MAX_CLIENTS = 1000
MAX_LIFETIME = timedelta(minutes=15)


@dataclass(frozen=True)
class TargetSettings:
    """What an operator says of an authorization server."""

    clients: Mapping[str, str] = field(default_factory=dict)
    """Our client's identifier -> its identifier there (IDJAG-34)."""
    allow_cimd_clients: bool = False
    """Clients known by a metadata document are the same there, without an entry in `clients`."""
    scope_ceiling: tuple[str, ...] | None = None
    resource_required: bool = False
    """Refuse a request that names no resource, also where there is only one (IDJAG-23, IDJAG-85)."""
    tells_email: bool = False
    """Its accounts are found by address; others are not told it (IDJAG-37)."""
    lifetime_seconds: int = 300

    def as_json(self) -> dict[str, Any]:
        """As it is stored: what differs from the defaults."""
        default = TargetSettings()
        found = {it.name: getattr(self, it.name) for it in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value != getattr(default, name)
        }


@dataclass(frozen=True)
class Target:
    """One authorization server."""

    id: str
    slug: str
    issuer: str
    settings: TargetSettings
    resources: Mapping[str, Resource]
    """Enabled MCP servers of its own, by canonical identifier."""

    @property
    def lifetime(self) -> timedelta:
        """Of an assertion for it."""
        return timedelta(seconds=self.settings.lifetime_seconds)

    @property
    def scope_ceiling(self) -> frozenset[str] | None:
        """The most an assertion for it holds."""
        ceiling = self.settings.scope_ceiling
        return None if ceiling is None else frozenset(ceiling)

    def client_id_of(self, client: Client) -> str | None:
        """What this client is called there; None when nobody said (IDJAG-34)."""
        mapped = self.settings.clients.get(client.id)
        if mapped is None and client.kind == "cimd" and self.settings.allow_cimd_clients:
            return client.id
        return mapped


@dataclass(frozen=True)
class Targets:
    """All enabled authorization servers of a tenant."""

    by_issuer: Mapping[str, Target] = field(default_factory=dict)

    def find(self, issuer: str) -> Target | None:
        """By its issuer identifier, compared as text; there are no aliases (EMA-01)."""
        return self.by_issuer.get(issuer)


def settings_of(stored: Mapping[str, Any]) -> TargetSettings:
    """From `as_json`, which was checked when it was written."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return TargetSettings(**values)


def check_settings(given: Mapping[str, Any]) -> TargetSettings:
    """What an operator wrote, member by member. Raises Invalid naming the member."""
    known = {it.name for it in fields(TargetSettings)}
    unknown = given.keys() - known
    if unknown:
        raise Invalid(
            f"{sorted(unknown)[0]!r} is no setting of an authorization server; known are {', '.join(sorted(known))}"
        )
    clients = given.get("clients", {})
    if not isinstance(clients, Mapping) or len(clients) > _MAX_CLIENTS:
        raise Invalid(
            f"clients is an object of at most {_MAX_CLIENTS}: id here -> id there", field="clients"
        )
    for ours, theirs in clients.items():
        if not all(isinstance(it, str) and 1 <= len(it) <= 2048 for it in (ours, theirs)):
            raise Invalid(
                f"clients: {ours!r} -> {theirs!r} is not a pair of identifiers", field="clients"
            )
    for name in ("allow_cimd_clients", "resource_required", "tells_email"):
        if not isinstance(given.get(name, False), bool):
            raise Invalid(f"{name} is true or false", field=name)
    seconds = given.get("lifetime_seconds", 300)
    if type(seconds) is not int or not 30 <= seconds <= MAX_LIFETIME.total_seconds():
        raise Invalid(
            f"lifetime_seconds is 30 to {int(MAX_LIFETIME.total_seconds())}",
            field="lifetime_seconds",
        )
    ceiling = given.get("scope_ceiling")
    if ceiling is not None:
        _check_ceiling(ceiling)
    return settings_of(given)


def check_issuer(issuer: str) -> None:
    """The issuer identifier of somebody else. Raises Invalid."""
    check_url("issuer", issuer)


def _check_ceiling(ceiling: object) -> None:
    if not isinstance(ceiling, (list, tuple)):
        raise Invalid("scope_ceiling is a list of scopes", field="scope_ceiling")
    for scope in ceiling:
        try:
            is_one = isinstance(scope, str) and len(parse_scope(scope)) == 1
        except ValueError:
            is_one = False
        if not is_one:
            raise Invalid(f"{scope!r} in scope_ceiling is not a scope", field="scope_ceiling")
