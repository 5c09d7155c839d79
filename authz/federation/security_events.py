"""What follows from each kind of security event (CAEP, RISC, Shared Signals): one table, and what a few of them say.

Decisions:
- There is one answer to a doubt about somebody: what they have ends, and they sign in again, where the identity
  provider asks what it wants to know now and policy looks at the answer (`requires`). So scopes fall with assurance.
- What says that something got better changes nothing: whoever profits signs in again and has it.
- An account is closed by a signal, never opened: an operator or SCIM may have closed it for a reason of their own.
- In doubt it ends: a level or a direction that nobody knows counts as the worse one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
RISC = "https://schemas.openid.net/secevent/risc/event-type/"
SSF = "https://schemas.openid.net/secevent/ssf/event-type/"


class Action(Enum):
    """What is done."""

    END = "ended"
    """The named session, or everything the person has through this connection."""
    CLOSE = "closed"
    """The same, and the account is disabled."""
    NOTE = "noted"
    """Nothing: it is no reason to end anything."""
    IGNORE = "unknown"
    """Nothing: nobody here knows such events."""
    DISCARD = "discarded"
    """Nothing: it does not say whom it is about in a way that is understood here."""


@dataclass(frozen=True)
class Reaction:
    """What is done, and the slug that the trail has for it."""

    action: Action
    because: str

    @property
    def acts(self) -> bool:
        """Whether anything ends."""
        return self.action in (Action.END, Action.CLOSE)


def react(kind: str, payload: Mapping[str, Any]) -> Reaction:
    """What follows from this event; nothing from one that nobody here knows (SSF-04)."""
    entry = REACTIONS.get(kind)
    if entry is None:
        return Reaction(Action.IGNORE, "event_unknown")
    judge, because = entry
    return Reaction(judge(payload), because)


def _always(action: Action) -> Callable[[Mapping[str, Any]], Action]:
    def judge(_: Mapping[str, Any]) -> Action:
        return action

    return judge


def _unless(name: str, *harmless: str) -> Callable[[Mapping[str, Any]], Action]:
    """END, unless a member says something harmless."""

    def judge(payload: Mapping[str, Any]) -> Action:
        said = payload.get(name)
        is_harmless = isinstance(said, str) and said in harmless
        return Action.NOTE if is_harmless else Action.END

    return judge


REACTIONS: Mapping[str, tuple[Callable[[Mapping[str, Any]], Action], str]] = {
    f"{CAEP}session-revoked": (_always(Action.END), "session_revoked"),
    # A credential more takes nothing from the ones somebody signed in with.
    f"{CAEP}credential-change": (_unless("change_type", "create"), "credential_change"),
    f"{CAEP}assurance-level-change": (
        _unless("change_direction", "increase"),
        "assurance_level_change",
    ),
    f"{CAEP}device-compliance-change": (
        _unless("current_status", "compliant"),
        "device_compliance_change",
    ),
    f"{CAEP}token-claims-change": (_always(Action.END), "token_claims_change"),
    f"{CAEP}risk-level-change": (_unless("current_level", "LOW", "MEDIUM"), "risk_level_change"),
    f"{CAEP}session-established": (_always(Action.NOTE), "session_established"),
    f"{CAEP}session-presented": (_always(Action.NOTE), "session_presented"),
    f"{RISC}account-disabled": (_always(Action.CLOSE), "account_disabled"),
    f"{RISC}account-purged": (_always(Action.CLOSE), "account_purged"),
    f"{RISC}account-enabled": (_always(Action.NOTE), "account_enabled"),
    f"{RISC}account-credential-change-required": (
        _always(Action.END),
        "credential_change_required",
    ),
    f"{RISC}credential-compromise": (_always(Action.END), "credential_compromise"),
    f"{RISC}sessions-revoked": (_always(Action.END), "sessions_revoked"),
    f"{RISC}identifier-changed": (_always(Action.NOTE), "identifier_changed"),
    f"{RISC}identifier-recycled": (_always(Action.NOTE), "identifier_recycled"),
    f"{RISC}recovery-activated": (_always(Action.NOTE), "recovery_activated"),
    f"{RISC}recovery-information-changed": (_always(Action.NOTE), "recovery_information_changed"),
    f"{SSF}verification": (_always(Action.NOTE), "stream_verified"),
    f"{SSF}stream-updated": (_always(Action.NOTE), "stream_updated"),
}

SSF_REASONS = frozenset(because for kind, (_, because) in REACTIONS.items() if kind.startswith(SSF))
"""What a stream says of itself."""
