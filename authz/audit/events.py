"""What is recorded, one frozen dataclass per event. The set of fields is the schema.

Subject, client and agent are three separate fields of every event and never collapse (S1): a missing one is an
explicit null. No event ever holds a token, a code, a password or an e-mail address.

Each field has its meaning beside it; docs/events.md and docs/events.schema.json are made from them.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from functools import cache
from typing import Any, ClassVar

from authz.values import value

VERSION = 1
"""Of the shape of a body (S9). New kinds and new fields come without another one; what is left out, renamed or means
something else from now on takes the next, and readers of the old one go on with what was written before."""

ENVELOPE: Mapping[str, str] = {
    "v": "The version of this shape.",
    "tenant": "The id of the tenant.",
    "strand": "Which chain of the tenant it is in: `main`, or that of one process.",
    "position": "Its number there, from 1 and without a gap.",
    "at": "When it was recorded: UTC, with microseconds.",
    "kind": "What happened.",
    "subject": "Whom it is about: the id of a person, of a workload, or of a client that acts for itself.",
    "client": "Which application asked: its `client_id`.",
    "agent": "The record of the agent that the client belongs to.",
    "actor": "Who did it, where that is somebody other than the subject: an administrator, a token, `cli:NAME`.",
    "detail": "The fields of this kind.",
    "trace": "Trace and span of the request that caused it (W3C Trace Context); absent where it named none.",
}
"""What every body holds, in words."""


@value(frozen=True, kw_only=True)
class Event:
    """Common fields. `subject` is whom it is about, `actor` who did it when that is somebody else."""

    kind: ClassVar[str]

    subject: str | None = None
    """Whom it is about: the id of a person, of a workload, or of a client that acts for itself."""
    client: str | None = None
    """Which application asked: its `client_id`."""
    agent: str | None = None
    """The record of the agent that the client belongs to."""
    actor: str | None = None
    """Who did it, where that is somebody other than the subject: an administrator, a token, `cli:NAME`."""
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


@value(frozen=True, kw_only=True)
class TokenIssued(Event):
    """An access token left this server. Exactly one per `jti`."""

    kind = "token.issued"
    grant_type: str
    """How it was asked for, as at the token endpoint."""
    jti: str
    """Of the token."""
    grant_id: str
    """The authorization it stands on; all its tokens end with it."""
    resource: str
    """The one MCP server the token is for."""
    scopes: list[str]
    """What it holds."""
    removed: Mapping[str, str]
    """What was asked for and not given: scope to reason."""
    policy_version: int
    """Under which version of the configuration it was decided."""
    refresh_token: bool
    """Whether a refresh token came with it."""
    retry: bool = False
    """The same answer once more, to a client that had lost the first."""
    bound: str | None = None
    """`dpop` or `certificate` when the token is bound to a key of the client."""
    workload: Mapping[str, str] | None = None
    """Where it went to one: the trust entry and the rule by name, and what its platform calls it (`asserted`)."""
    assertion: Mapping[str, str] | None = None
    """The ID-JAG it was redeemed for: the trust entry, the `issuer`, the `jti` and, if it named one, the `tenant`."""
    actors: list[str] = field(default_factory=list)
    """Who acts for the subject, the current one first."""
    parent: str | None = None
    """The `jti` of the token this one was exchanged for; their `grant_id` is one."""


@value(frozen=True, kw_only=True)
class IdJagIssued(Event):
    """An assertion about a person left this server, for another authorization server (IDJAG-46)."""

    kind = "id_jag.issued"
    jti: str
    """Of the assertion."""
    audience: str
    """The issuer it was made for."""
    client_there: str
    """What the client is called there."""
    resource: str
    """The MCP server there."""
    scopes: list[str]
    """What it carries."""
    removed: Mapping[str, str]
    """What was asked for and not given: scope to reason."""
    policy_version: int
    """Under which version of the configuration it was decided."""
    grant_id: str
    """The authorization it was exchanged from."""


@value(frozen=True, kw_only=True)
class TokenRefused(Event):
    """The token endpoint refused an authenticated or identified client."""

    kind = "token.refused"
    grant_type: str
    """How it was asked for."""
    error: str
    """The code that the client was told."""
    reason: str
    """Why, for operators: the error catalogue explains each."""
    grant_id: str | None = None
    """The authorization it was about, where one was found."""
    workload: Mapping[str, str] | None = None
    """As in `token.issued`."""
    assertion: Mapping[str, str] | None = None
    """As in `token.issued`."""
    credential: str | None = None
    """The credential of another system that was asked for, by its name, where any MCP server here has one called so."""


@value(frozen=True, kw_only=True)
class CredentialReleased(Event):
    """An MCP server got the credential of a system behind it, for a token it was called with (V4)."""

    kind = "credential.released"
    resource: str
    """The MCP server."""
    name: str
    """What the server calls the credential."""
    reference: str
    """Where it is kept."""
    version: str | None
    """What its store calls the version that was sent; null where it has no name for versions."""
    jti: str
    """Of the token."""
    grant_id: str
    """The authorization that the token stands on."""
    holder: str
    """The client that the token was issued to."""
    actors: list[str]
    """Who acts for the subject by that token, the current one first."""
    scopes: list[str]
    """Of the token: what policy gives still, and the credential takes; all that are left where it takes none."""
    policy_version: int
    """Under which version of the configuration it was decided."""


@value(frozen=True, kw_only=True)
class AssertionReused(Event):
    """A client presented an assertion again, where the trust entry lets it (CONF-01)."""

    kind = "assertion.reused"
    trust: str
    """The trust entry that allows it."""


@value(frozen=True, kw_only=True)
class TokenRevoked(Event):
    """One access token ended before its time."""

    kind = "token.revoked"
    jti: str
    """Of the token."""
    reason: str
    """Why."""


@value(frozen=True, kw_only=True)
class FamilyRevoked(Event):
    """A token family ended before its time."""

    kind = "grant.revoked"
    grant_id: str
    """Of the authorization; its refresh token and its access tokens end."""
    reason: str
    """Why."""


@value(frozen=True, kw_only=True)
class OutcomesReported(Event):
    """An MCP server told what became of calls; `digest` is that of its signed batch, which is kept beside the trail."""

    kind = "outcomes.reported"
    resource: str
    """The MCP server that reports."""
    batch: str
    """The id of the batch."""
    digest: str
    """SHA-256 of the signed batch."""
    reporter: str
    """Which process of the server: its sequences are counted apart."""
    sequence: int
    """Its number; a gap is a batch that never came."""
    outcomes: int
    """How many calls it tells of."""
    failed: int
    """How many of them failed."""
    denied: int
    """How many the server refused."""
    unverified: int
    """How many name a token that this issuer did not make for that server."""
    lost: int
    """How many the server had to forget before it could tell."""


@value(frozen=True, kw_only=True)
class StrandOpened(Event):
    """A writer began a strand of its own; recorded in the main strand, so it cannot vanish whole."""

    kind = "audit.strand_opened"
    strand: str
    """Its name."""


@value(frozen=True, kw_only=True)
class EventsRemoved(Event):
    """Retention removed events that were old enough; what is left of them is named by a signed checkpoint."""

    kind = "audit.removed"
    before: str
    """They were older than this moment."""
    events: int
    """How many."""
    checkpoint: int
    """The number of the checkpoint that names them."""


@value(frozen=True, kw_only=True)
class AlertRaised(Event):
    """A rule of the configuration counted too many of something; one alert for a burst (M9)."""

    kind = "alert.raised"
    rule: str
    """Its name in the configuration."""
    per: str
    """What it counts apart: `agent`, `client`, `subject`, `resource` or `tenant`."""
    of: str
    """The one it counted."""
    count: int
    """How many are too many."""
    within: int
    """In so many seconds."""
    first_at: str
    """When the first of them happened."""
    last_at: str
    """When the last of them happened."""
    of_kind: str
    """The kind of what it counted; subject, client and agent are those of the last."""
    reason: str | None
    """Of the last."""
    resource: str | None
    """The MCP server of the last."""


@value(frozen=True, kw_only=True)
class LoginSucceeded(Event):
    """A person signed in."""

    kind = "login.succeeded"
    method: str
    """`password`, or the kind of the connection."""
    connection: str | None = None
    """The identity provider they came through."""
    acr: str | None = None
    """How strongly they signed in, in this server's words."""


@value(frozen=True, kw_only=True)
class SignInRefused(Event):
    """Somebody came back from an identity provider with an answer that was not believed, or is nobody here.

    Of a known account it is `LoginFailed`.
    """

    kind = "login.refused"
    method: str
    """The kind of the connection."""
    connection: str
    """Its short name."""
    reason: str
    """Why: see the error catalogue."""


@value(frozen=True, kw_only=True)
class BreakGlassUsed(Event):
    """Somebody used the emergency account of a domain that has to sign in through its connection."""

    kind = "login.break_glass"
    domain: str
    """Which one."""


@value(frozen=True, kw_only=True)
class UserProvisioned(Event):
    """An account was made because an identity provider vouched for somebody new."""

    kind = "user.provisioned"
    connection: str
    """Whose provider vouched."""


@value(frozen=True, kw_only=True)
class IdentityLinked(Event):
    """From now on (connection, subject) means this person."""

    kind = "identity.linked"
    connection: str
    """The identity provider's short name."""
    by: str
    """`provisioned`, `email`, `operator` or `scim`."""


@value(frozen=True, kw_only=True)
class GroupsMapped(Event):
    """What an identity provider says of a person put them into these groups, or no longer does."""

    kind = "groups.mapped"
    connection: str
    """The identity provider's short name."""
    added: list[str]
    """Names of groups."""
    removed: list[str]
    """Names of groups."""


@value(frozen=True, kw_only=True)
class Provisioned(Event):
    """A provisioning client changed something: `what` is `kind.verb`, `target` the id of the user or group."""

    kind = "scim.changed"
    what: str
    """For example `user.create` or `group.member_add`."""
    target: str
    """The id of the user or group."""
    connection: str | None
    """Whose people the client provisions."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Names of attributes, never what is in them."""


@value(frozen=True, kw_only=True)
class AccessEnded(Event):
    """Every credential of a person ended, or every one of some sessions: the offboarding clock of this event."""

    kind = "access.ended"
    source: str
    """Who signalled it: `scim`, `logout_token`, `shared_signal` or `operator`."""
    reason: str
    """What the signal said."""
    sessions: int
    """Browser sessions that ended."""
    grants: int
    """Authorizations that ended."""
    codes: int
    """Codes and device codes that ended."""
    tokens: int
    """Live access tokens that ended."""
    seconds: float
    """From the arrival of the signal to the end of the last credential, without the commit."""
    via: str | None = None
    """The connection or the stream the signal came through."""
    reference: str | None = None
    """The sender's own name of the signal (`jti`)."""


@value(frozen=True, kw_only=True)
class StreamNoted(Event):
    """A stream of security events said something of itself."""

    kind = "signal_stream.noted"
    stream: str
    """Its name."""
    event: str
    """What it said, for example `stream_verified`."""
    reference: str
    """The `jti` of what it said."""


@value(frozen=True, kw_only=True)
class LoginFailed(Event):
    """A known account refused a sign-in. Unknown names go to metrics and logs only (architecture D4)."""

    kind = "login.failed"
    method: str
    """`password`, or the kind of the connection."""
    reason: str
    """Why: see the error catalogue."""
    connection: str | None = None
    """The identity provider they came through."""


@value(frozen=True, kw_only=True)
class SessionEnded(Event):
    """A person signed out."""

    kind = "session.ended"


@value(frozen=True, kw_only=True)
class ConsentGranted(Event):
    """A person allowed a client."""

    kind = "consent.granted"
    resource: str
    """The MCP server."""
    scopes: list[str]
    """What they allowed."""
    withheld: list[str]
    """What they were asked for and did not allow."""
    redirect_host: str
    """Where the answer goes: a host, or a scheme of the client's own."""
    remembered: bool
    """Whether they are not asked again for the same."""


@value(frozen=True, kw_only=True)
class ConsentRefused(Event):
    """A person refused a client."""

    kind = "consent.refused"
    resource: str
    """The MCP server."""


@value(frozen=True, kw_only=True)
class DeviceApproved(Event):
    """A person allowed a device to act for them; its tokens are events of their own."""

    kind = "device.approved"
    resource: str
    """The MCP server."""
    scopes: list[str]
    """What they allowed."""
    withheld: list[str]
    """What they were asked for and did not allow."""
    removed: Mapping[str, str]
    """What policy does not allow: scope to reason."""
    asked_from: str
    """The address of the device: whoever looks into a case of phishing starts here."""


@value(frozen=True, kw_only=True)
class DeviceDenied(Event):
    """A person sent a device away."""

    kind = "device.denied"
    resource: str
    """The MCP server."""
    reason: str
    """Why: they said no, or the request was not good any more."""
    asked_from: str
    """The address of the device."""


@value(frozen=True, kw_only=True)
class CodeIssued(Event):
    """An authorization code left this server."""

    kind = "code.issued"
    resource: str
    """The MCP server."""
    scopes: list[str]
    """What the code stands for."""
    by: str
    """`consent` when the person was asked, `remembered` when an earlier consent covered it."""


@value(frozen=True, kw_only=True)
class AuthorizationRefused(Event):
    """The authorization endpoint refused a signed-in person's request."""

    kind = "authorization.refused"
    error: str
    """The code that the client was told."""
    reason: str
    """Why, for operators: the error catalogue explains each."""


@value(frozen=True, kw_only=True)
class ClientRequested(Event):
    """A person asked for a client the trust policy does not admit."""

    kind = "client.requested"


@value(frozen=True, kw_only=True)
class ClientDocumentChanged(Event):
    """A client's metadata document is not what it was (CIMD-28)."""

    kind = "client.document_changed"
    changed: list[str]
    """Members of the document whose values differ."""


@value(frozen=True, kw_only=True)
class ClientRegistered(Event):
    """A client registered itself. Software that got its earlier client again is no event: it could be one a second."""

    kind = "client.registered"
    auth_method: str
    """How it proves who it is."""
    redirect_hosts: list[str]
    """Where answers may go."""
    initial_token: str | None
    """The id of the initial access token that let it in; null where registration is open."""


@value(frozen=True, kw_only=True)
class ClientUpdated(Event):
    """A client changed what it had registered."""

    kind = "client.updated"
    changed: list[str]
    """Members whose values differ."""


@value(frozen=True, kw_only=True)
class ClientRemoved(Event):
    """A client that had registered itself is forgotten."""

    kind = "client.removed"
    because: str
    """`asked` when it wished so, `unused` when nobody had allowed it."""
    revoked_grants: int
    """How many authorizations ended with it."""


@value(frozen=True, kw_only=True)
class SecretRead(Event):
    """This server read the secret behind a reference, in the version its store calls so. Never the value (V7)."""

    kind = "secret.read"
    reference: str
    """As it was named, for example `vault:authz/okta#client_secret`."""
    version: str | None
    """What the store calls it; of a file, when it was written; null of a variable."""


@value(frozen=True, kw_only=True)
class Changed(Event):
    """An operator changed something: `what` is `area.verb`, `target` the thing's identifier."""

    kind = "admin.changed"
    what: str
    """`area.verb`, for example `users.disable`."""
    target: str
    """The identifier of what was changed."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What was changed and to what; of secrets that they were set, never what they are."""
