"""What a decision of the token lane may know: rows as frozen values, read for the whole batch in a fixed number of
statements, and updated as the batch goes on.

A request names what it needs by key (`FactKeys`); a decision answers with the facts it changed (`Changes`). A fact
spent by the first request of a batch is spent for the second, because the second sees the changed value.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from authz.policy import Subject
from authz.policy.snapshot import HeldRole


@dataclass(frozen=True)
class Code:
    """An authorization code."""

    digest: str
    tenant_id: str
    client_id: str
    user_id: str
    resource_id: str
    redirect_uri: str
    code_challenge: str
    scopes: frozenset[str]
    requested: frozenset[str] | None
    offline_access: bool
    openid: frozenset[str] | None
    nonce: str | None
    authorization_details: list[dict[str, Any]] | None
    dpop_jkt: str | None
    auth_time: datetime
    acr: str | None
    amr: tuple[str, ...]
    expires_at: datetime
    spent_at: datetime | None
    family_id: str | None
    subject_enabled: bool = True
    consent_stands: bool = True


@dataclass(frozen=True)
class Family:
    """A token family."""

    id: str
    tenant_id: str
    client_id: str
    user_id: str
    resource_id: str
    scopes: frozenset[str]
    refreshable: bool
    salt: str
    generation: int
    rotated_at: datetime
    auth_time: datetime
    acr: str | None
    amr: tuple[str, ...]
    confirmation: dict[str, str] | None
    """The `cnf` claim its tokens carry."""
    authorization_details: list[dict[str, Any]] | None
    created_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    subject_enabled: bool = True
    consent_scopes: frozenset[str] | None = None
    """None when the consent is gone."""


@dataclass(frozen=True)
class Token:
    """The record of an access token to be."""

    jti: str
    tenant_id: str
    family_id: str
    client_id: str
    subject: str
    resource_id: str
    scopes: frozenset[str]
    decision: str
    issued_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Replay:
    """An assertion that may be presented once: `key` digests tenant, kind, issuer and `jti`."""

    key: str
    expires_at: datetime


@dataclass(frozen=True)
class FactKeys:
    """What a request needs to know."""

    codes: frozenset[str] = frozenset()
    families: frozenset[str] = frozenset()
    replays: tuple[Replay, ...] = ()


@dataclass(frozen=True)
class Changes:
    """What a decision changes."""

    codes: tuple[Code, ...] = ()
    families: tuple[Family, ...] = ()
    new_families: tuple[Family, ...] = ()
    tokens: tuple[Token, ...] = ()


@dataclass
class Facts:
    """The facts of a batch. Lookups take the tenant, so that an identifier of another tenant is unknown (M1)."""

    codes: dict[str, Code] = field(default_factory=dict)
    families: dict[str, Family] = field(default_factory=dict)
    roles: dict[str, tuple[HeldRole, ...]] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    claimed: set[str] = field(default_factory=set)
    """Replay keys this batch was the first to present and has not handed out yet."""

    def find_code(self, tenant_id: str, digest: str) -> Code | None:
        """The code with this digest."""
        code = self.codes.get(digest)
        return code if code is not None and code.tenant_id == tenant_id else None

    def find_family(self, tenant_id: str, family_id: str) -> Family | None:
        """The family with this id."""
        family = self.families.get(family_id)
        return family if family is not None and family.tenant_id == tenant_id else None

    def subject(self, user_id: str, *, enabled: bool) -> Subject:
        """The person as policy sees them."""
        return Subject(
            id=user_id,
            enabled=enabled,
            roles=self.roles.get(user_id, ()),
            groups=self.groups.get(user_id, frozenset()),
        )

    def claim(self, replay: Replay) -> bool:
        """Whether this presentation is the first; only one caller ever gets True."""
        if replay.key not in self.claimed:
            return False
        self.claimed.discard(replay.key)
        return True

    def apply(self, changes: Changes) -> None:
        """What later decisions of the batch see."""
        self.codes.update((code.digest, code) for code in changes.codes)
        self.families.update((f.id, f) for f in (*changes.families, *changes.new_families))
