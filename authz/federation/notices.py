"""What an identity provider said of somebody, once it is believed; and what came of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from authz.federation.security_events import Reaction
from authz.federation.streams import Stream
from authz.federation.subjects import Subject

LOGOUT_TOKEN, SHARED_SIGNAL = "logout_token", "shared_signal"
"""Sources of the offboarding clock."""


class Outcome(Enum):
    """What came of a notice."""

    ENDED = "ended"
    CLOSED = "closed"
    NOTED = "noted"
    UNKNOWN = "unknown"
    DISCARDED = "discarded"
    """Nothing came of these three; see `security_events.Action`."""
    NOBODY = "nobody"
    """Somebody it is about is nobody here, or nobody of this connection."""
    REPEATED = "repeated"
    """It was presented before, and was done then."""
    OFF = "off"
    """The tenant, the connection or the stream is switched off."""
    STALE = "stale"
    """The stream is not what it was when the notice was verified; nothing was done."""


@dataclass(frozen=True)
class Notice:
    """One of them: verified, and not yet done."""

    tenant_id: str
    connection_id: str
    source: str
    """`LOGOUT_TOKEN` or `SHARED_SIGNAL`."""
    via: str
    """The connection or the stream it came through, by name."""
    reference: str
    """Its `jti`."""
    replay_key: str
    remembered_until: datetime
    reaction: Reaction
    subject: Subject | None
    """None: nobody, as far as anybody can tell."""
    received_at: datetime
    occurred_at: datetime | None
    stream: Stream | None = None
    """As it was when its token was verified."""
    audit_key: bytes = field(repr=False, default=b"")
