"""The revocation feed as its readers see it: who may read what, and signed answers.

    POST /revocation_feed    after=41&wait=20, authenticated like /introspect
    -> {"iss": ..., "aud": CLIENT, "iat": ..., "as_of": ..., "waited": 3.2, "upto": 43, "has_more": false,
        "entries": [{"n": 42, "grant_id": "grt_..", "exp": ...},
                    {"n": 43, "claim": "client_id", "sha256": "..", "before_version": 17, "exp": ...}]}

Decisions
- A reader is an MCP server: the client its operator named (`authz resources client`), as for introspection, and it is
  told of its own servers' tokens alone. A client of no server reads nothing.
- Every answer is a JWT of its own type, also one without entries: that nothing ended is worth as much as that something
  did, and `as_of` says until when it is known. `waited` lets a reader count from its own clock: the answer is about a
  moment that many seconds after its request was on the way, however long the answer took.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from authz.clock import Clock, numeric_date
from authz.errors import InvalidClient, InvalidRequest, UnauthorizedClient
from authz.keys import INTROSPECTION
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.facts import FactKeys, Facts
from authz.oauth.introspection import SIGNING_ALGORITHM
from authz.oauth.lane import Job
from authz.oauth.params import Params
from authz.revocations.entries import BY_ID, GRANT, LEEWAY, TOKEN, claim_digest
from authz.revocations.hub import FeedHub, Page, Reader
from authz.revocations.numbering import Entry

PATH = "/revocation_feed"
JWT_TYP = "revocations+jwt"
LONGEST_WAIT = 30
_MAX_PLACE = 2**62
_NAMES = {GRANT: "grant_id", TOKEN: "jti"}


@dataclass(frozen=True)
class Subscription:
    """A reader that was let in, and what it asked for."""

    reader: Reader
    configuration: TenantConfiguration
    after: int | None
    wait: int


class RevocationFeed:
    """One per process."""

    def __init__(self, channel: BackChannel, hub: FeedHub, clock: Clock) -> None:
        self._channel = channel
        self.hub = hub
        self._clock = clock

    async def subscribe(self, call: Call) -> Subscription:
        """Let a reader in. Raises OAuthError, or UnknownTenant."""
        outcome, configuration = await self._channel.handle(call, self._prepare, may_fetch=False)
        return Subscription(
            outcome.answer,
            configuration,
            after=_number(call.params, "after", most=_MAX_PLACE),
            wait=_number(call.params, "wait", most=LONGEST_WAIT) or 0,
        )

    async def read(
        self, subscription: Subscription, after: int | None, wait: float
    ) -> tuple[str, int]:
        """The next answer, signed, and the place to go on from. Raises TemporarilyUnavailable."""
        asked_at = self._clock()
        page = await self.hub.read(subscription.reader, after, wait=wait)
        waited = max(0.0, (page.as_of - asked_at).total_seconds())
        keys = subscription.configuration.keys
        signed = await keys.aside(
            (INTROSPECTION,), self._clock(), partial(self._sign, subscription, page, waited)
        )
        return signed, page.upto

    def _sign(self, subscription: Subscription, page: Page, waited: float) -> str:
        now = self._clock()
        claims: dict[str, Any] = {
            "iss": subscription.configuration.tenant.issuer,
            "aud": subscription.reader.client_id,
            "iat": numeric_date(now),
            "as_of": page.as_of.timestamp(),
            "waited": round(waited, 3),
            "upto": page.upto,
            "has_more": page.has_more,
            "entries": [_told(it) for it in page.entries],
        }
        return subscription.configuration.keys.sign(
            INTROSPECTION, SIGNING_ALGORITHM, JWT_TYP, claims, now
        )

    def _prepare(self, caller: Caller) -> Job:
        if not caller.client.is_confidential:
            raise InvalidClient("client authentication failed", reason="client_is_public")
        return Job(
            configuration=caller.configuration,
            keys=FactKeys(),
            decide=partial(_admit, caller),
            client_id=caller.client.id,
            is_reading=True,
        )


def _admit(caller: Caller, facts: Facts, now: datetime) -> Outcome:  # noqa: ARG001
    """In the lane, so on the configuration that is true now."""
    own = caller.configuration.policy.resources_of(caller.client.id)
    if not own:
        raise UnauthorizedClient(
            "the feed is for MCP servers; this client is named by none",
            reason="client_of_no_server",
        )
    return Outcome(Reader(caller.configuration.tenant.id, caller.client.id, own))


def _told(entry: Entry) -> dict[str, Any]:
    told: dict[str, Any] = {"n": entry.position, "exp": numeric_date(entry.expires_at + LEEWAY)}
    if entry.kind in BY_ID:
        return {**told, _NAMES[entry.kind]: entry.value}
    return {
        **told,
        "claim": entry.kind,
        "sha256": claim_digest(entry.value),
        "before_version": entry.before_version,
    }


def _number(params: Params, name: str, *, most: int) -> int | None:
    text = params.find(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 20 or int(text) > most:
        raise InvalidRequest(f"{name} is a whole number up to {most}", reason=f"{name}_malformed")
    return int(text)
