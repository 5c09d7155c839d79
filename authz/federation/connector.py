"""What a connector is asked, and what it is given."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel

from authz.directory.linking import UpstreamIdentity
from authz.net import Documents, Network

PUBLIC_SENTENCE = "Your identity provider's answer could not be accepted."
"""The one sentence for every defect of an answer; the reason is for the log and the trail."""
DENIED = "Your identity provider did not let you in. Try again, or ask your administrator whether you may come here."
SESSION_OVER = "Your session at your identity provider has ended. Sign in again."
UNREACHABLE = "Your identity provider could not be reached. Try again in a minute."
OUT_OF_ORDER = (
    "Signing in through your identity provider is out of order right now. Try again in a minute."
)
MISCONFIGURED = (
    "The connection to your identity provider is not set up properly. Tell your administrator."
)


class SignInRefused(Exception):
    """An upstream answer that is not believed, or an upstream error.

    `reason` is a slug for logs, audit and tests. `sentence` is what the person reads.
    """

    def __init__(
        self, reason: str, sentence: str = PUBLIC_SENTENCE, *, is_ours: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sentence = sentence
        self.is_ours = is_ours
        """Nothing is wrong with the answer: something of ours is out of order, and it may be better in a minute."""


@dataclass(frozen=True)
class Tools:
    """What a connector may use; one per process. Connectors run in threads and may block."""

    network: Network
    documents: Documents
    resolve_secret: Callable[[str], bytes]


@dataclass(frozen=True)
class Upstream:
    """One enabled connection, as its connector sees it."""

    id: str
    tenant_id: str
    slug: str
    preset: str
    settings: Mapping[str, Any]
    base: str
    """`ISSUER/federation/SLUG`: its redirect URI, assertion consumer and metadata are below."""

    @property
    def redirect_uri(self) -> str:
        """Where OpenID providers send the browser back to."""
        return f"{self.base}/callback"

    @property
    def acs_url(self) -> str:
        """Where SAML responses are posted to."""
        return f"{self.base}/acs"

    @property
    def entity_id(self) -> str:
        """What this connection is called as a SAML service provider, and where its metadata is."""
        return f"{self.base}/metadata"


@dataclass(frozen=True)
class Wish:
    """How the person should sign in."""

    acr_values: tuple[str, ...] = ()
    max_age: int | None = None
    """Seconds since they last proved who they are, at most."""
    is_fresh: bool = False
    """They have to prove it now, whatever session the provider has (`prompt=login`, `ForceAuthn`)."""
    login_hint: str | None = None


@dataclass(frozen=True)
class Start:
    """Where the browser goes, and what has to be at hand when it comes back."""

    url: str
    kept: Mapping[str, Any]
    """JSON; kept with the attempt and never shown to the browser."""

    def __repr__(self) -> str:
        return "Start(***)"


@dataclass(frozen=True)
class Answer:
    """What came back, and what it is held against."""

    params: Mapping[str, str]
    """Of the callback's query, or of the posted form; each once."""
    kept: Mapping[str, Any]
    wish: Wish
    started_at: datetime
    wanted_claims: frozenset[str]
    """The claims that mappings mention; more need not be fetched."""

    def __repr__(self) -> str:
        return "Answer(***)"


@dataclass(frozen=True)
class Finished:
    """Who it is, and what may be presented only once."""

    identity: UpstreamIdentity
    once: tuple[str, datetime] | None = None
    """A replay key (digest of kind, issuer and id) and until when it has to be remembered (SAML-05)."""


@dataclass(frozen=True)
class Renewed:
    """What a provider publishes of itself now."""

    settings: Mapping[str, Any]
    """All settings of the connection, with what is published put in."""
    changes: tuple[str, ...]
    """For an operator to read; none when nothing changed."""


class Connector(Protocol):
    """One protocol. Made once per process; holds no state of a sign-in."""

    kind: ClassVar[str]
    settings_model: ClassVar[type[BaseModel]]
    """What a connection of this kind can be told: forms are made from it."""

    def check(self, settings: Mapping[str, Any], preset: str) -> Mapping[str, Any]:
        """The settings as they will be stored, defaults and preset filled in. Raises Invalid naming the member."""

    def subject_of(self, settings: Mapping[str, Any], preset: str, known_as: str) -> str | None:
        """The subject that a later sign-in will have, from what the company's directory calls the person.

        None when the two have nothing to do with each other.
        """

    def start(self, upstream: Upstream, wish: Wish, state: str, now: datetime) -> Start:
        """Where to send the browser. `state` comes back as it is. Raises SignInRefused."""

    def finish(self, upstream: Upstream, answer: Answer, now: datetime) -> Finished:
        """Verify everything. Raises SignInRefused with a reason for each defect."""

    def published(self, upstream: Upstream) -> tuple[bytes, str] | None:
        """What this connection tells its provider about itself, and its media type, where the protocol has that."""

    def imported(self, document: bytes, now: datetime) -> Mapping[str, Any]:
        """The settings that a document of the provider says. Raises Invalid."""

    def renewed(self, settings: Mapping[str, Any], now: datetime) -> Renewed | None:
        """The settings as the provider publishes them now; None where they are read at each sign-in anyhow.

        Raises Invalid, NetworkError.
        """
