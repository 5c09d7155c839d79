"""What a decision of the token lane may know: rows as frozen values, read for the whole batch in a fixed number of
statements, and updated as the batch goes on.

A request names what it needs by key (`FactKeys`); a decision answers with the facts it changed (`Changes`). A fact
spent by the first request of a batch is spent for the second, because the second sees the changed value. How facts
become statements is `oauth.rows`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from authz.directory.assurance import Authentication
from authz.directory.sessions import SignedIn
from authz.errors import OAuthError
from authz.policy import Subject
from authz.policy.snapshot import HeldRole
from authz.values import value


@value(frozen=True)
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
    connection_id: str | None
    session_digest: str | None
    signed_in_at: datetime
    upstream_expires_at: datetime | None
    created_at: datetime
    expires_at: datetime
    spent_at: datetime | None = None
    family_id: str | None = None
    subject_enabled: bool = True
    consent_stands: bool = True
    login: str = ""
    name: str = ""

    @property
    def authentication(self) -> Authentication:
        """How the person signed in."""
        return Authentication(self.auth_time, self.acr, self.connection_id)


@value(frozen=True)
class Approval:
    """A person's yes to a device."""

    user_id: str
    scopes: frozenset[str]
    auth_time: datetime
    acr: str | None
    amr: tuple[str, ...]
    connection_id: str | None
    session_digest: str | None
    signed_in_at: datetime
    upstream_expires_at: datetime | None

    @property
    def authentication(self) -> Authentication:
        """How the person signed in."""
        return Authentication(self.auth_time, self.acr, self.connection_id)


@value(frozen=True)
class Device:
    """A device's request (RFC 8628)."""

    digest: str
    tenant_id: str
    user_code: str
    """Digest of its normal form."""
    client_id: str
    resource_id: str
    requested: frozenset[str] | None
    offline_access: bool
    status: str
    poll_interval: int
    polled_at: datetime | None
    asked_from: str
    created_at: datetime
    expires_at: datetime
    family_id: str | None = None
    approval: Approval | None = None
    """What it will be, or was, redeemed for."""
    subject_enabled: bool = False
    consent_stands: bool = False


@value(frozen=True)
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
    connection_id: str | None
    session_digest: str | None
    signed_in_at: datetime
    confirmation: dict[str, str] | None
    """The `cnf` claim of its tokens."""
    authorization_details: list[dict[str, Any]] | None
    created_at: datetime
    idle_expires_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_because: str | None
    subject_enabled: bool = True
    consent_scopes: frozenset[str] | None = None
    """None when the consent is gone."""

    @property
    def authentication(self) -> Authentication:
        """How the person signed in, when the family was born."""
        return Authentication(self.auth_time, self.acr, self.connection_id)


@value(frozen=True)
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


@value(frozen=True)
class StatusPlace:
    """A token's place in a status list, to be."""

    jti: str
    tenant_id: str
    list_id: str
    place: int
    expires_at: datetime


@value(frozen=True)
class IssuedToken:
    """An access token of the past, and whether everything it stands on still stands."""

    jti: str
    tenant_id: str
    client_id: str
    subject: str
    resource_id: str
    expires_at: datetime
    revoked_at: datetime | None
    family_id: str | None
    """None when no family has it: the client acted on its own behalf."""
    family_revoked_at: datetime | None
    connection_id: str | None
    """Whose word the family stands on; None for the local directory, and without a family."""
    subject_enabled: bool
    client_kind: str | None
    client_status: str | None
    client_ceiling: frozenset[str] | None
    """What an operator bounds its client by; None bounds nothing."""


@value(frozen=True)
class Pushed:
    """An authorization request that its client pushed (RFC 9126)."""

    digest: str
    tenant_id: str
    client_id: str
    query: str
    """Its parameters, without those that authenticated the client."""
    created_at: datetime
    expires_at: datetime


@value(frozen=True)
class BrowserSession:
    """A browser's session of this tenant, live or not, and its person."""

    signed_in: SignedIn
    tenant_id: str
    expires_at: datetime
    ended_at: datetime | None
    subject_enabled: bool


@value(frozen=True)
class Person:
    """What this server may tell of a person."""

    id: str
    tenant_id: str
    login: str
    name: str


@value(frozen=True)
class LinkedIdentity:
    """Whose account somebody has at an identity provider."""

    connection_id: str
    subject: str
    tenant_id: str
    user_id: str
    user_status: str
    cut_at: datetime | None


@value(frozen=True)
class StoredConsent:
    """What a person allowed a client at a resource."""

    scopes: frozenset[str]
    limited: frozenset[str]
    """Of those, the ones allowed only within authorization details."""
    versions: Mapping[str, int]
    """By scope: the version that the person saw."""
    redirect_uris: tuple[str, ...]
    client_digest: str
    remembered: bool
    revoked_at: datetime | None


@value(frozen=True)
class Replay:
    """Something that may be presented once: `key` digests tenant, kind, issuer and `jti`."""

    key: str
    expires_at: datetime
    refusal: OAuthError | None
    """What a second presentation is answered; None when the decision minds for itself (`Facts.claim`)."""
    spent_by_refusal: bool = True
    """Whether it is used up also when what it was presented for is refused."""


@value(frozen=True)
class FactKeys:
    """What a request needs to know."""

    codes: frozenset[str] = frozenset()
    devices: frozenset[str] = frozenset()
    user_codes: frozenset[str] = frozenset()
    """By digest: which are in use."""
    families: frozenset[str] = frozenset()
    tokens: frozenset[str] = frozenset()
    sessions: frozenset[str] = frozenset()
    """By digest; with them comes the consent of their people to `consents`."""
    consents: frozenset[tuple[str, str]] = frozenset()
    """Client and resource."""
    people: frozenset[str] = frozenset()
    people_of: frozenset[str] = frozenset()
    """By family: the people who have them."""
    identities: frozenset[tuple[str, str]] = frozenset()
    """Connection and subject."""
    replays: tuple[Replay, ...] = ()
    grants_of: frozenset[str] = frozenset()
    """By client: how many families live at `grants_at`."""
    grants_at: datetime | None = None


@value(frozen=True)
class Changes:
    """What a decision changes."""

    codes: tuple[Code, ...] = ()
    new_codes: tuple[Code, ...] = ()
    devices: tuple[Device, ...] = ()
    new_devices: tuple[Device, ...] = ()
    families: tuple[Family, ...] = ()
    new_families: tuple[Family, ...] = ()
    tokens: tuple[Token, ...] = ()
    revoked_tokens: tuple[IssuedToken, ...] = ()
    status_places: tuple[StatusPlace, ...] = ()
    new_pushed: tuple[Pushed, ...] = ()


@dataclass
class Facts:
    """The facts of a batch. Lookups take the tenant, so that an identifier of another tenant is unknown (M1)."""

    codes: dict[str, Code] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    user_codes: set[tuple[str, str]] = field(default_factory=set)
    """Tenant and digest of those in use."""
    families: dict[str, Family] = field(default_factory=dict)
    tokens: dict[str, IssuedToken] = field(default_factory=dict)
    sessions: dict[str, BrowserSession] = field(default_factory=dict)
    consents: dict[tuple[str, str, str], StoredConsent] = field(default_factory=dict)
    """By person, client and resource."""
    roles: dict[str, tuple[HeldRole, ...]] = field(default_factory=dict)
    groups: dict[str, frozenset[str]] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    identities: dict[tuple[str, str], LinkedIdentity] = field(default_factory=dict)
    """By connection and subject."""
    grants: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Live families by tenant and client, of those whose number was asked for."""
    claimed: set[str] = field(default_factory=set)
    """Replay keys this batch was the first to present and has not handed out yet."""

    def find_code(self, tenant_id: str, digest: str) -> Code | None:
        """The code with this digest."""
        code = self.codes.get(digest)
        return code if code is not None and code.tenant_id == tenant_id else None

    def find_device(self, tenant_id: str, digest: str) -> Device | None:
        """The device's request with this digest."""
        device = self.devices.get(digest)
        return device if device is not None and device.tenant_id == tenant_id else None

    def find_family(self, tenant_id: str, family_id: str) -> Family | None:
        """The family with this id."""
        family = self.families.get(family_id)
        return family if family is not None and family.tenant_id == tenant_id else None

    def find_token(self, tenant_id: str, jti: str) -> IssuedToken | None:
        """The record of this access token."""
        token = self.tokens.get(jti)
        return token if token is not None and token.tenant_id == tenant_id else None

    def find_person(self, tenant_id: str, user_id: str) -> Person | None:
        """The person with this id."""
        person = self.people.get(user_id)
        return person if person is not None and person.tenant_id == tenant_id else None

    def find_identity(
        self, tenant_id: str, connection_id: str, subject: str
    ) -> LinkedIdentity | None:
        """The account behind this subject of this connection."""
        found = self.identities.get((connection_id, subject))
        return found if found is not None and found.tenant_id == tenant_id else None

    def find_session(self, tenant_id: str, digest: str, now: datetime) -> SignedIn | None:
        """The live session behind a cookie, if its person is active."""
        found = self.sessions.get(digest)
        if found is None or found.tenant_id != tenant_id:
            return None
        is_live = found.ended_at is None and now < found.expires_at
        return found.signed_in if is_live and found.subject_enabled else None

    def subject(
        self, user_id: str, *, enabled: bool, authentication: Authentication | None
    ) -> Subject:
        """The person as policy sees them."""
        return Subject(
            id=user_id,
            enabled=enabled,
            authentication=authentication,
            roles=self.roles.get(user_id, ()),
            groups=self.groups.get(user_id, frozenset()),
        )

    def claim(self, replay: Replay) -> bool:
        """Whether this presentation is the first; only one caller ever gets True."""
        if replay.key not in self.claimed:
            return False
        self.claimed.discard(replay.key)
        return True

    def give_back(self, replay: Replay) -> None:
        """Undo a `claim`: nothing came of the presentation."""
        self.claimed.add(replay.key)

    def unspent(self, presented: Iterable[tuple[str, Replay]]) -> list[tuple[str, str]]:
        """Tenant and key of what this batch was the first to present, and nothing came of."""
        return sorted(
            {
                (tenant_id, it.key)
                for tenant_id, it in presented
                if not it.spent_by_refusal and it.key in self.claimed
            }
        )

    def apply(self, changes: Changes) -> None:
        """What later decisions of the batch see."""
        self.codes.update((code.digest, code) for code in changes.codes)
        self.devices.update((it.digest, it) for it in changes.devices)
        self.user_codes.update((it.tenant_id, it.user_code) for it in changes.new_devices)
        self.grants.update((f.tenant_id, f.client_id) for f in changes.new_families)
        self.families.update((f.id, f) for f in (*changes.families, *changes.new_families))
        self.tokens.update((token.jti, token) for token in changes.revoked_tokens)
