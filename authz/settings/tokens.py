"""How long tokens, grants and sessions live."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from authz.sections import AnySeconds, Seconds, Section


class Tokens(Section):
    """Lifetimes, in seconds."""

    access_token: Annotated[AnySeconds, Field(gt=timedelta(0), le=timedelta(days=1))] = timedelta(
        minutes=10
    )
    """How long one lives. What was switched off is told for as long as the longest of them may live."""
    code: Annotated[AnySeconds, Field(gt=timedelta(0), le=timedelta(minutes=10))] = timedelta(
        seconds=60
    )
    """How long an authorization code waits to be redeemed."""
    refresh_idle: Seconds = timedelta(days=14)
    """A grant that nobody refreshes for this long ends."""
    refresh_absolute: Seconds = timedelta(days=90)
    """A grant ends this long after the person allowed it, however often it is refreshed."""
    retry_window: Annotated[AnySeconds, Field(ge=timedelta(0), le=timedelta(minutes=10))] = (
        timedelta(seconds=60)
    )
    """How long a just-spent refresh token still answers with the same successor (CONF-09)."""
    dpop_nonce: bool = False
    """Demand a nonce of ours in every DPoP proof, so that none can be made ahead of its use (RFC 9449 §8)."""


class Sessions(Section):
    """Browser sessions."""

    lifetime: Seconds = timedelta(hours=12)
    """How long a person stays signed in here; never longer than at their identity provider, where it says so."""
