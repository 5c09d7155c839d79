"""Fetching security event tokens from a transmitter that does not push (RFC 8936).

Every exchange is one POST: it says what became of the tokens that came before, and asks for more. Long polling is not
used: whoever polls holds a lease, and a connection that waits would hold it for nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.federation.set_verification import SetRefused
from authz.federation.streams import Stream
from authz.net import Network, NetworkError, Profile, strict_json

MAX_EVENTS = 500
_MAX_BYTES = 4 * 1024 * 1024
_MAX_NAME_CHARS = 256


class PollFailed(Exception):
    """This turn gives nothing; `reason` is a slug. The next turn tries again."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Answers:
    """What became of tokens, as the transmitter is told; it sends others again."""

    done: list[str] = field(default_factory=list)
    refused: dict[str, SetRefused] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.done or self.refused)


@dataclass(frozen=True)
class Page:
    """Tokens by their `jti`, and whether more of them wait."""

    tokens: Mapping[str, str]
    has_more: bool


NOTHING = Page({}, has_more=False)


async def ask(
    network: Network, stream: Stream, bearer: str, answers: Answers, *, at_most: int = MAX_EVENTS
) -> Page:
    """Tell and ask. Raises PollFailed."""
    body: dict[str, Any] = {"maxEvents": at_most, "returnImmediately": True}
    if answers.done:
        body["ack"] = answers.done
    if answers.refused:
        body["setErrs"] = {
            jti: {"err": error.code, "description": error.sentence}
            for jti, error in answers.refused.items()
        }
    try:
        fetched = await network.fetch(
            stream.poll_url or "",
            profile=Profile.OPERATOR,
            max_bytes=_MAX_BYTES,
            method="POST",
            headers={"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"},
            content=json.dumps(body).encode(),
        )
    except NetworkError as error:
        raise PollFailed(f"poll_{error.reason}") from error
    if fetched.status == 202 and at_most == 0:
        return NOTHING
    if fetched.status != 200:
        raise PollFailed(f"poll_status_{fetched.status}")
    return read_page(fetched.body, at_most=at_most)


def read_page(body: bytes, *, at_most: int = MAX_EVENTS) -> Page:
    """The answer of a transmitter. Raises PollFailed."""
    if not body.strip() and at_most == 0:
        return NOTHING
    try:
        read = strict_json.read_object(body)
    except strict_json.NotStrict:
        raise PollFailed("poll_not_json") from None
    sets, more = read.get("sets", {}), read.get("moreAvailable", False)
    if not isinstance(sets, dict) or not isinstance(more, bool) or len(sets) > max(at_most, 0):
        raise PollFailed("poll_malformed")
    for jti, token in sets.items():
        if not isinstance(token, str) or not 1 <= len(jti) <= _MAX_NAME_CHARS:
            raise PollFailed("poll_malformed")
    return Page(sets, more)
