"""Questions to an OpenID provider: bounded, answered in JSON, each failure named by the step it happened in.

Nothing of an answer is ever quoted: neither in a reason nor in a sentence (MCP-AS-98).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.federation.connector import PUBLIC_SENTENCE, UNREACHABLE, SignInRefused
from authz.net import Network, NetworkError, Profile
from authz.net.strict_json import NotStrict, read_object

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Room for somebody with 50,000 groups in an ID token or at the userinfo endpoint."""
MAX_ANSWER_PARTS = 200_000

_LATER = frozenset(
    {"busy", "connect", "cooling_down", "dns", "over_budget", "proxy", "status", "timeout", "tls"}
)
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9!#$&^_.+\-]+\+)?json")


@dataclass(frozen=True)
class Told:
    """A JSON answer of any status."""

    status: int
    members: Mapping[str, Any]

    def __repr__(self) -> str:
        return f"Told({self.status})"


def refused_by_network(step: str, error: NetworkError) -> SignInRefused:
    """What a failed fetch means for the person who waits."""
    sentence = UNREACHABLE if error.reason in _LATER else PUBLIC_SENTENCE
    return SignInRefused(f"{step}_{error.reason}", sentence)


async def ask(
    network: Network,
    step: str,
    url: str,
    *,
    bearer: str | None = None,
    form: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Told:
    """Fetch and read one answer. Raises SignInRefused with `STEP_...`."""
    sent = dict(headers or {})
    if bearer is not None:
        sent["Authorization"] = f"Bearer {bearer}"
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
        sent["Content-Length"] = str(len(form))
    try:
        fetched = await network.fetch(
            url,
            profile=Profile.OPERATOR,
            max_bytes=MAX_ANSWER_BYTES,
            method="GET" if form is None else "POST",
            headers=sent,
            content=None if form is None else form.encode("ascii"),
        )
    except NetworkError as error:
        raise refused_by_network(step, error) from error
    if fetched.status >= 500 or fetched.status == 429:
        # A gateway of theirs speaks: there is nothing to read.
        raise SignInRefused(f"{step}_status", UNREACHABLE)
    media_type = fetched.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not _JSON_TYPE.fullmatch(media_type):
        raise SignInRefused(f"{step}_content_type")
    try:
        return Told(fetched.status, read_object(fetched.body, max_parts=MAX_ANSWER_PARTS))
    except NotStrict:
        raise SignInRefused(f"{step}_json") from None
