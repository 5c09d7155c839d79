"""What the world gets at the issuer's address, asked the way the world asks: through the proxy in front of us."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from authz.admin.installation import BAD, GOOD, LOOK, Check
from authz.clock import Clock
from authz.installation.clocks import compare
from authz.net import Network, NetworkError, Profile

NAME = "Address"
_MAX_BYTES = 256 * 1024
_WAIT = timedelta(seconds=5)


def metadata_url(issuer: str) -> str:
    """Where RFC 8414 has the metadata of this issuer."""
    scheme, _, rest = issuer.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}://{authority}/.well-known/oauth-authorization-server{slash}{path}"


async def reach(network: Network, issuer: str, clock: Clock) -> Sequence[Check]:
    """Ask for our own metadata. Never raises: what goes wrong is the answer."""
    url = metadata_url(issuer)
    before = clock()
    try:
        found = await network.fetch(
            url, profile=Profile.OPERATOR, max_bytes=_MAX_BYTES, timeout=_WAIT
        )
    except NetworkError as error:
        return [
            Check(
                NAME,
                LOOK,
                f"{url} is not reached from here: {error}",
                "check DNS, the proxy in front and its certificate; where only clients outside can reach it, "
                "ask from there",
            )
        ]
    checks = [_metadata(url, found.status, found.body, issuer)]
    told = _date(found.headers.get("date"))
    if told is not None:
        # The header has whole seconds.
        checks.append(compare(f"the one at {issuer}", told, before - timedelta(seconds=1), clock()))
    return checks


def _metadata(url: str, status: int, body: bytes, issuer: str) -> Check:
    try:
        named = json.loads(body).get("issuer") if status == 200 else None
    except (ValueError, AttributeError):
        named = None
    if named == issuer:
        return Check(NAME, GOOD, f"{url} answers with this issuer")
    said = (
        f"{url} answers {status}"
        if named is None
        else f"{url} names another issuer: {ascii(named)[:160]}"
    )
    return Check(
        NAME,
        BAD,
        said,
        "have the proxy in front hand everything below the issuer's host to this server, unchanged; "
        "server.issuer is what clients see, byte for byte",
    )


def _date(text: str | None) -> datetime | None:
    try:
        found = None if text is None else parsedate_to_datetime(text)
    except ValueError:
        return None
    return None if found is None or found.tzinfo is None else found.astimezone(UTC)
