"""Access tokens of this tenant that come back: recognised by signature and type, not by trust.

A signature that was good stays good as long as its key is published, so it is checked once per token and process; what
may change (revocation, people, clients) is read from the database every time.
"""

from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from authz import entropy
from authz.jose import JwtError, read_unverified
from authz.keys import ACCESS_TOKEN, ALGORITHMS, KeyRing
from authz.oauth.token_types import TOKEN_TYP

MAX_REMEMBERED = 8192


class OwnTokens:
    """One per process, on the event loop."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[str, Mapping[str, Any]]] = OrderedDict()

    def read(
        self, token: str, keys: KeyRing, *, tenant_id: str, now: datetime
    ) -> Mapping[str, Any] | None:
        """The claims, whether or not the token has expired; None for anything that is not an access token of ours."""
        place = tenant_id, entropy.digest(token)
        known = self._seen.get(place)
        if known is not None:
            key_id, claims = known
            self._seen.move_to_end(place)
            return claims if keys.is_published(key_id, now) else None
        try:
            header, _ = read_unverified(token)
            claims = keys.verify(
                token, purpose=ACCESS_TOKEN, typ=TOKEN_TYP, algorithms=ALGORITHMS, now=now
            )
        except JwtError:
            return None
        # Every access token has a record under its `jti`; what names none was not issued.
        if not isinstance(claims.get("jti"), str):
            return None
        self._seen[place] = str(header.get("kid")), claims
        if len(self._seen) > MAX_REMEMBERED:
            self._seen.popitem(last=False)
        return claims
