"""The value every grant ends in, and the request every grant starts from."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, Protocol, Self

from authz import entropy
from authz.audit.events import Event
from authz.clients.client import Client
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import Changes, FactKeys, Facts
from authz.oauth.id_jag import IdJag
from authz.oauth.params import Params
from authz.oauth.status_slots import KeptSlot, StatusSlot, StatusSlots
from authz.oauth.subject_tokens import SubjectToken
from authz.oauth.upstream_secrets import UpstreamSecret
from authz.oauth.workload import Workload
from authz.settings import Tokens
from authz.values import value


@value(frozen=True)
class IdTokenRequest:
    """What an ID token has to say beyond who signed in, and how (OpenID Connect Core §2)."""

    algorithm: str
    nonce: str | None
    person: Mapping[str, Any] = field(default_factory=dict)
    """Claims about the person that they agreed to tell, where no userinfo endpoint can be asked for them."""


@value(frozen=True)
class Authorization:
    """Who may do what, for which client, at which resource: what one token response says."""

    client_id: str
    subject: str
    audience: str
    scopes: frozenset[str]
    jti: str
    grant_id: str
    issued_at: datetime
    expires_at: datetime
    auth_time: datetime | None = None
    acr: str | None = None
    amr: tuple[str, ...] = ()
    connection: str | None = None
    """The identity provider the person signed in with, by its slug; None for the local directory."""
    confirmation: Mapping[str, str] | None = None
    """The `cnf` claim: the token is good only with a proof of this key."""
    authorization_details: list[dict[str, Any]] | None = None
    tools: list[str] | None = None
    """What the scopes open, where the tenant reviews that (`policy.contracts`)."""
    refresh_token: str | None = None
    id_token: IdTokenRequest | None = None
    status: StatusSlot | None = None
    """Where a status list says whether the token still stands."""
    tells_resource: bool = False
    """The answer names the audience (ID-JAG §4.4.2)."""
    actors: tuple[str, ...] = ()
    """Who acts for the subject, the current one first: the `act` claim (RFC 8693 §4.1)."""
    may_act: str | None = None
    """The one client that may exchange this token."""
    is_exchanged: bool = False
    """The answer says what kind of token it is (RFC 8693 §2.2.1)."""

    def __repr__(self) -> str:
        return f"Authorization(jti={self.jti!r}, grant_id={self.grant_id!r})"


@value(frozen=True)
class FreshNames:
    """Randomness a decision may use, drawn before it, so that the decision itself is pure."""

    jti: str
    family_id: str
    salt: str

    @classmethod
    def drawn(cls) -> Self:
        """New ones."""
        return cls(*entropy.new_ids("at", "grt", "s"))


@value(frozen=True)
class TokenRequest:
    """A token request whose client is authenticated and whose parameters are the declared ones."""

    configuration: TenantConfiguration
    client: Client
    params: Params
    lifetimes: Tokens
    confirmation: Mapping[str, str] | None = None
    """The key the client proved to hold with this request."""
    assertion: IdJag | None = None
    """Verified; of the grants that redeem one."""
    workload: Workload | None = None
    """Who asks, where it is no client."""
    subject_token: SubjectToken | None = None
    """Verified; of token exchange."""
    upstream_secret: UpstreamSecret | None = None
    """Read for a credential that is asked for; `oauth.releasing` decides whether it is sent."""
    fresh: FreshNames = field(default_factory=FreshNames.drawn)
    slots: StatusSlots | KeptSlot = field(default_factory=StatusSlots)
    """Where a token gets its place in a status list, if its server wants one."""


@value(frozen=True)
class Outcome:
    """What a decision says: the answer, what changes, what is recorded. A refusal is an outcome too.

    The answer is what the endpoint that asked understands: an `Authorization` at the token endpoint, an `OAuthError`
    anywhere.
    """

    answer: Any
    changes: Changes = field(default_factory=Changes)
    events: tuple[Event, ...] = ()


class Grant(Protocol):
    """The handler of one grant type. The pipeline owns every shared step."""

    grant_type: str
    parameters: frozenset[str]
    allowed_with: frozenset[str]
    """A client that registered for any of these may use the grant."""

    def prepare(self, request: TokenRequest) -> FactKeys:
        """Check the syntax and name the facts. Raises OAuthError."""

    def decide(self, request: TokenRequest, facts: Facts, now: datetime) -> Outcome:
        """Pure. Raises OAuthError for a refusal that changes nothing."""
