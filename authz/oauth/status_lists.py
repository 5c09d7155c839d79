"""Token status lists (draft-ietf-oauth-status-list-20): which tokens of a server have ended, for whoever has one.

    GET /status/LIST -> {"sub": URI, "iat": .., "exp": .., "ttl": 25, "status_list": {"bits": 1, "lst": ".."}}

Decisions
- The bits come from what the tokens stand on, not from the feed: they are what introspection says of each. The feed is
  quicker and knows who reads; a list is for verifiers that know status lists and nothing else of ours.
- A list is made at most every `RECHECK` and may be kept for `TTL`, so a revocation is seen within the sum, 30 seconds.
- Lists are public, as the draft has it: names are random, and bits without tokens say nothing. An unknown list is 404.
- Where the key is elsewhere it signs within the bounds of all remote signatures, and an outage is asked about once a
  `RECHECK`: strangers neither fill the threads nor hammer the store.
"""

import asyncio
import base64
import gzip
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from authz.clock import Clock, numeric_date
from authz.db import Database
from authz.errors import SignerUnavailable
from authz.keys import INTROSPECTION, KeyRing
from authz.oauth.back_channel import BackChannel
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.configurations import Configurations
from authz.oauth.introspection import SIGNING_ALGORITHM, is_standing
from authz.oauth.rows.tokens import tokens_of_list
from authz.oauth.status_slots import SIZE, uri_of

JWT_TYP = "statuslist+jwt"
RECHECK = timedelta(seconds=5)
TTL = timedelta(seconds=25)
_MAX_KEPT = 256


@dataclass(frozen=True)
class Served:
    """A signed list, plain and compressed."""

    made_at: datetime
    plain: bytes
    zipped: bytes


@dataclass(frozen=True)
class _Failed:
    """When the key of a tenant was out of reach."""

    at: datetime
    error: SignerUnavailable


class StatusLists:
    """One per process, on the event loop."""

    def __init__(
        self,
        channel: BackChannel,
        database: Database,
        configurations: Configurations,
        clock: Clock,
    ) -> None:
        self._channel = channel
        self._database = database
        self._configurations = configurations
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], Served] = OrderedDict()
        self._failed: dict[str, _Failed] = {}
        self._making: dict[tuple[str, str], asyncio.Task[Served | None]] = {}

    async def find(self, slug: str, list_id: str) -> Served | None:
        """The list as it is now; None when no token is in it. Raises UnknownTenant."""
        configuration = await self._channel.configuration(slug)
        place = configuration.tenant.id, list_id
        known = self._kept.get(place)
        if known is not None and known.made_at <= self._clock() < known.made_at + RECHECK:
            return known
        # Everybody who comes for the same list waits for the same one.
        task = self._making.get(place)
        if task is None:
            task = asyncio.create_task(self._make(slug, list_id))
            self._making[place] = task
            task.add_done_callback(lambda _: self._making.pop(place, None))
        made = await asyncio.shield(task)
        self._keep(place, made)
        return made

    def _keep(self, place: tuple[str, str], made: Served | None) -> None:
        if made is None:
            self._kept.pop(place, None)
            return
        self._kept[place] = made
        self._kept.move_to_end(place)
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)

    async def _make(self, slug: str, list_id: str) -> Served | None:
        # Before the question: what the answer says is at least that young.
        now = self._clock()
        read = await asyncio.to_thread(self._read, slug, list_id, now)
        if read is None:
            return None
        configuration, claims = read
        tenant_id = configuration.tenant.id
        failed = self._failed.get(tenant_id)
        # Anybody may ask, and one key signs all lists of the tenant: a store that is down is not asked by each of them.
        if failed is not None and failed.at <= now < failed.at + RECHECK:
            raise SignerUnavailable(failed.error.description, reason=failed.error.reason)
        try:
            made = await configuration.keys.aside(
                (INTROSPECTION,), now, partial(_signed, configuration.keys, claims, now)
            )
        except SignerUnavailable as error:
            self._failed[tenant_id] = _Failed(self._clock(), error)
            raise
        self._failed.pop(tenant_id, None)
        return made

    def _read(
        self, slug: str, list_id: str, now: datetime
    ) -> tuple[TenantConfiguration, Mapping[str, object]] | None:
        with self._database.read() as tx:
            configuration = self._configurations.find(tx, slug)
            if configuration is None:
                return None
            tokens = tokens_of_list(tx, configuration.tenant.id, list_id, now)
        if not tokens:
            return None
        ended = [place for place, it in tokens if not is_standing(it, configuration, now)]
        return configuration, {
            "iss": configuration.tenant.issuer,
            "sub": uri_of(configuration.tenant.issuer, list_id),
            "iat": numeric_date(now),
            "exp": numeric_date(now + 2 * (TTL + RECHECK)),
            "ttl": int(TTL.total_seconds()),
            "status_list": {"bits": 1, "lst": packed(ended)},
        }


def _signed(keys: KeyRing, claims: Mapping[str, object], now: datetime) -> Served:
    token = keys.sign(INTROSPECTION, SIGNING_ALGORITHM, JWT_TYP, claims, now).encode()
    return Served(now, token, gzip.compress(token, mtime=0))


def packed(places: list[int]) -> str:
    """One bit a token, the lowest first, compressed and in base64url (§4.1, §4.2)."""
    bits = bytearray(SIZE // 8)
    for place in places:
        bits[place // 8] |= 1 << place % 8
    return base64.urlsafe_b64encode(zlib.compress(bytes(bits), 9)).rstrip(b"=").decode()
