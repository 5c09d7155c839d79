"""What a whole batch wants to know: the keys of its requests, together."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from authz.db.statements import Call, Row
from authz.oauth.facts import FactKeys, Facts

Read = tuple[Call, Callable[[Facts, list[Row]], None]]
"""A statement, and how its rows become facts."""


@dataclass
class Wanted:
    """Sets of keys. A fact knows its own tenant, so only keys that two tenants may both have are told apart by it."""

    codes: set[str] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)
    user_codes: set[str] = field(default_factory=set)
    families: set[str] = field(default_factory=set)
    tokens: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    clients: set[str] = field(default_factory=set)
    resources: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)
    people_of: set[str] = field(default_factory=set)
    identities: set[tuple[str, str, str]] = field(default_factory=set)
    grants_of: set[tuple[str, str]] = field(default_factory=set)
    grants_at: set[datetime] = field(default_factory=set)
    replays: dict[tuple[str, str], datetime] = field(default_factory=dict)

    @classmethod
    def of(cls, keys: Iterable[tuple[str, FactKeys]]) -> "Wanted":
        """From pairs of tenant id and what its request needs."""
        wanted = cls()
        for tenant_id, it in keys:
            wanted.codes |= it.codes
            wanted.devices |= it.devices
            wanted.user_codes |= it.user_codes
            wanted.families |= it.families
            wanted.tokens |= it.tokens
            wanted.sessions |= it.sessions
            wanted.people |= it.people
            wanted.people_of |= it.people_of
            wanted.grants_of |= {(tenant_id, client_id) for client_id in it.grants_of}
            if it.grants_at is not None:
                wanted.grants_at.add(it.grants_at)
            wanted.identities |= {(tenant_id, *place) for place in it.identities}
            for client_id, resource_id in it.consents:
                wanted.clients.add(client_id)
                wanted.resources.add(resource_id)
            for replay in it.replays:
                wanted.replays[tenant_id, replay.key] = replay.expires_at
        return wanted
