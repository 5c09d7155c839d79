"""Whether clocks agree: this machine's, the database's, and the one that the world sees at the issuer (pure)."""

from datetime import datetime, timedelta

from authz.admin.installation import BAD, GOOD, LOOK, Check

NAME = "Clock"
NOTICED = timedelta(seconds=5)
REFUSED = timedelta(seconds=60)
"""Tokens of a node that is further off are not valid yet, or no longer, for everybody else."""


def compare(whose: str, other: datetime, before: datetime, after: datetime) -> Check:
    """The other clock, read between two looks at ours."""
    if other < before:
        apart, word = before - other, "ahead of"
    elif other > after:
        apart, word = other - after, "behind"
    else:
        apart, word = timedelta(0), "with"
    said = f"this machine's clock is {_told(apart)}{word} {whose}"
    if apart >= NOTICED:
        return Check(
            NAME,
            BAD if apart >= REFUSED else LOOK,
            said,
            "have both follow a time server (chrony, systemd-timesyncd)",
        )
    return Check(NAME, GOOD, said)


def _told(apart: timedelta) -> str:
    return "" if not apart else f"{apart.total_seconds():.1f} s "
