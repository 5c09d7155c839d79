"""What is recorded, one frozen dataclass per event. The set of fields is the schema.

Subject, client and agent are three separate fields of every event and never collapse (S1): a missing one is an
explicit null. No event ever holds a token, a code, a password or an e-mail address.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, ClassVar


@dataclass(frozen=True, kw_only=True)
class Event:
    """Common fields. `subject` is whom it is about, `actor` who did it when that is somebody else."""

    kind: ClassVar[str]

    subject: str | None = None
    client: str | None = None
    agent: str | None = None
    actor: str | None = None
    trace: str | None = None
    """Trace and span of the request that caused it (W3C Trace Context), where it named one (S14)."""

    def detail(self) -> dict[str, Any]:
        """The event's own fields."""
        names = _own_fields(type(self))  # type: ignore[arg-type] # every class is hashable
        return {name: getattr(self, name) for name in names}


@cache
def _own_fields(kind: type[Event]) -> tuple[str, ...]:
    common = {f.name for f in fields(Event)}
    return tuple(f.name for f in fields(kind) if f.name not in common)


@dataclass(frozen=True, kw_only=True)
class TokenIssued(Event):
    """An access token left this server. Exactly one per `jti`."""

    kind = "token.issued"
    grant_type: str
    jti: str
    grant_id: str
    resource: str
    scopes: list[str]
    removed: Mapping[str, str]
    policy_version: int
    refresh_token: bool
    retry: bool = False
    bound: str | None = None
    """`dpop` or `certificate` when the token is bound to a key of the client."""
    workload: Mapping[str, str] | None = None
    """Where it went to one: the trust entry and the rule by name, and what its platform calls it (`asserted`)."""
    actors: list[str] = field(default_factory=list)
    """Who acts for the subject, the current one first."""
    parent: str | None = None
    """The `jti` of the token this one was exchanged for; their `grant_id` is one."""


@dataclass(frozen=True, kw_only=True)
class IdJagIssued(Event):
    """An assertion about a person left this server, for another authorization server (IDJAG-46)."""

    kind = "id_jag.issued"
    jti: str
    audience: str
    client_there: str
    resource: str
    scopes: list[str]
    removed: Mapping[str, str]
    policy_version: int
    grant_id: str


@dataclass(frozen=True, kw_only=True)
class TokenRefused(Event):
    """The token endpoint refused an authenticated or identified client."""

    kind = "token.refused"
    grant_type: str
    error: str
    reason: str
    grant_id: str | None = None
    workload: Mapping[str, str] | None = None
    """As in `token.issued`."""


@dataclass(frozen=True, kw_only=True)
class AssertionReused(Event):
    """A client presented an assertion again, where the trust entry lets it (CONF-01)."""

    kind = "assertion.reused"
    trust: str


@dataclass(frozen=True, kw_only=True)
class TokenRevoked(Event):
    """One access token ended before its time."""

    kind = "token.revoked"
    jti: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class FamilyRevoked(Event):
    """A token family ended before its time."""

    kind = "grant.revoked"
    grant_id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class OutcomesReported(Event):
    """An MCP server told what became of calls; `digest` is that of its signed batch, which is kept beside the trail."""

    kind = "outcomes.reported"
    resource: str
    batch: str
    digest: str
    reporter: str
    sequence: int
    outcomes: int
    failed: int
    denied: int
    unverified: int
    lost: int


@dataclass(frozen=True, kw_only=True)
class StrandOpened(Event):
    """A writer process began a strand of its own; recorded in the main strand, so it cannot vanish whole."""

    kind = "audit.strand_opened"
    strand: str


@dataclass(frozen=True, kw_only=True)
class LoginSucceeded(Event):
    """A person signed in."""

    kind = "login.succeeded"
    method: str
    """`password`, or the kind of the connection."""
    connection: str | None = None
    acr: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignInRefused(Event):
    """Somebody came back from an identity provider with an answer that was not believed, or is nobody here.

    Of a known account it is `LoginFailed`.
    """

    kind = "login.refused"
    method: str
    connection: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class BreakGlassUsed(Event):
    """Somebody used the emergency account of a domain that has to sign in through its connection."""

    kind = "login.break_glass"
    domain: str


@dataclass(frozen=True, kw_only=True)
class UserProvisioned(Event):
    """An account was made because an identity provider vouched for somebody new."""

    kind = "user.provisioned"
    connection: str


@dataclass(frozen=True, kw_only=True)
class IdentityLinked(Event):
    """From now on (connection, subject) means this person."""

    kind = "identity.linked"
    connection: str
    by: str
    """`provisioned`, `email`, `operator` or `scim`."""


@dataclass(frozen=True, kw_only=True)
class GroupsMapped(Event):
    """What an identity provider says of a person put them into these groups, or no longer does."""

    kind = "groups.mapped"
    connection: str
    added: list[str]
    removed: list[str]


@dataclass(frozen=True, kw_only=True)
class Provisioned(Event):
    """A provisioning client changed something: `what` is `kind.verb`, `target` the id of the user or group."""

    kind = "scim.changed"
    what: str
    target: str
    connection: str | None
    """Whose people the client provisions."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Names of attributes, never what is in them."""


@dataclass(frozen=True, kw_only=True)
class AccessEnded(Event):
    """Every credential of a person ended, or every one of some sessions: the offboarding clock of this event."""

    kind = "access.ended"
    source: str
    reason: str
    sessions: int
    grants: int
    codes: int
    tokens: int
    seconds: float
    """From the arrival of the signal to the end of the last credential, without the commit."""
    via: str | None = None
    """The connection or the stream the signal came through."""
    reference: str | None = None
    """The sender's own name of the signal (`jti`)."""


@dataclass(frozen=True, kw_only=True)
class StreamNoted(Event):
    """A stream of security events said something of itself."""

    kind = "signal_stream.noted"
    stream: str
    event: str
    reference: str


@dataclass(frozen=True, kw_only=True)
class LoginFailed(Event):
    """A known account refused a sign-in. Unknown names go to metrics and logs only (architecture D4)."""

    kind = "login.failed"
    method: str
    reason: str
    connection: str | None = None


@dataclass(frozen=True, kw_only=True)
class SessionEnded(Event):
    """A person signed out."""

    kind = "session.ended"


@dataclass(frozen=True, kw_only=True)
class ConsentGranted(Event):
    """A person allowed a client."""

    kind = "consent.granted"
    resource: str
    scopes: list[str]
    withheld: list[str]
    redirect_host: str
    remembered: bool


@dataclass(frozen=True, kw_only=True)
class ConsentRefused(Event):
    """A person refused a client."""

    kind = "consent.refused"
    resource: str


@dataclass(frozen=True, kw_only=True)
class DeviceApproved(Event):
    """A person allowed a device to act for them; its tokens are events of their own."""

    kind = "device.approved"
    resource: str
    scopes: list[str]
    withheld: list[str]
    removed: Mapping[str, str]
    asked_from: str
    """The address of the device: whoever looks into a case of phishing starts here."""


@dataclass(frozen=True, kw_only=True)
class DeviceDenied(Event):
    """A person sent a device away."""

    kind = "device.denied"
    resource: str
    reason: str
    asked_from: str


@dataclass(frozen=True, kw_only=True)
class CodeIssued(Event):
    """An authorization code left this server."""

    kind = "code.issued"
    resource: str
    scopes: list[str]
    by: str
    """`consent` when the person was asked, `remembered` when an earlier consent covered it."""


@dataclass(frozen=True, kw_only=True)
class AuthorizationRefused(Event):
    """The authorization endpoint refused a signed-in person's request."""

    kind = "authorization.refused"
    error: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class ClientRequested(Event):
    """A person asked for a client the trust policy does not admit."""

    kind = "client.requested"


@dataclass(frozen=True, kw_only=True)
class ClientDocumentChanged(Event):
    """A client's metadata document is not what it was (CIMD-28)."""

    kind = "client.document_changed"
    changed: list[str]


@dataclass(frozen=True, kw_only=True)
class ClientRegistered(Event):
    """A client registered itself. Software that got its earlier client again is no event: it could be one a second."""

    kind = "client.registered"
    auth_method: str
    redirect_hosts: list[str]
    initial_token: str | None
    """The id of the initial access token that let it in; null where registration is open."""


@dataclass(frozen=True, kw_only=True)
class ClientUpdated(Event):
    """A client changed what it had registered."""

    kind = "client.updated"
    changed: list[str]


@dataclass(frozen=True, kw_only=True)
class ClientRemoved(Event):
    """A client that had registered itself is forgotten."""

    kind = "client.removed"
    because: str
    """`asked` when it wished so, `unused` when nobody had allowed it."""
    revoked_grants: int


@dataclass(frozen=True, kw_only=True)
class Changed(Event):
    """An operator changed something: `what` is `area.verb`, `target` the thing's identifier."""

    kind = "admin.changed"
    what: str
    target: str
    values: Mapping[str, Any] = field(default_factory=dict)
