"""Moments of SAML, and the one leeway with which all of them are held against our clock."""

import re
from datetime import UTC, datetime, timedelta

from authz.federation.saml.documents import SamlError

LEEWAY = timedelta(seconds=60)
"""For the clocks of both sides, in both directions; an assertion is remembered for as long as it could be accepted."""
MAX_LIFETIME = timedelta(hours=12)
"""The longest an assertion may be good for: Okta says minutes, Entra an hour, the oldest AD FS ten hours."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")


def read_moment(text: str | None, reason: str) -> datetime:
    """An `xs:dateTime` in UTC (core §1.3.3). Raises SamlError."""
    found = _MOMENT.fullmatch(text or "")
    if found is None or not found[0].isascii():
        raise SamlError(reason)
    try:
        whole = datetime.fromisoformat(found[1])
    except ValueError:
        raise SamlError(reason) from None
    return whole.replace(tzinfo=UTC, microsecond=int((found[2] or "")[:6].ljust(6, "0")))


def write_moment(moment: datetime) -> str:
    """As it stands in a document."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def check_not_early(text: str | None, now: datetime, reason: str) -> None:
    """That a moment is not ahead of us. Raises SamlError."""
    if read_moment(text, reason) > now + LEEWAY:
        raise SamlError(reason)


def check_not_late(text: str | None, now: datetime, reason: str) -> datetime:
    """That a `NotOnOrAfter` is still ahead; what it says. Raises SamlError."""
    ends = read_moment(text, reason)
    if ends <= now - LEEWAY:
        raise SamlError(reason)
    return ends
