"""What is said of an end of somebody's access: who signals it, how far it goes, and what ended."""

from dataclasses import dataclass
from datetime import datetime

from authz.audit.events import Event


@dataclass(frozen=True)
class Signal:
    """Who says that somebody's access ends, and since when."""

    source: str
    """`scim`, `logout_token`, `shared_signal` or `operator`."""
    because: str
    """A slug for the trail: `user_disabled`, `session_revoked` ..."""
    received_at: datetime
    """When it reached this server: the offboarding clock starts."""
    occurred_at: datetime | None = None
    """When it happened, as the sender says."""
    actor: str | None = None
    via: str | None = None
    """The connection or the stream it came through, by name."""
    reference: str | None = None
    """The sender's own name of it (`jti`), to find it in their log."""


@dataclass(frozen=True)
class Leaving:
    """Whose access ends, and how much of it. Whether they may come back is their status, which the caller sets."""

    user_id: str
    signal: Signal
    sessions: frozenset[str] | None = None
    """Digests: these sessions of theirs, and what was granted in them."""
    connection_id: str | None = None
    """What stands on this connection's word. With neither it is everything of theirs."""

    @property
    def is_whole(self) -> bool:
        """Everything, whatever it stands on."""
        return self.sessions is None and self.connection_id is None

    def covers(self, session_digest: str | None, connection_id: str | None) -> bool:
        """Whether something that stands on these ends."""
        if self.sessions is not None:
            return session_digest in self.sessions
        return self.connection_id in (None, connection_id)


@dataclass(frozen=True)
class Ended:
    """What ended, and what the trail has to say of it."""

    sessions: int
    families: int
    codes: int
    tokens: int
    seconds: float
    """From the signal to here; what remains is the commit."""
    events: tuple[Event, ...]
