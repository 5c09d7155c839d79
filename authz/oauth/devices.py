"""The rules of the device grant (RFC 8628), for its endpoint, its pages and its redemption. Pure.

Decisions:
- Its main abuse is somebody who sends you a code to type (§5.4), so nobody has it by default: an operator registers a
  client for it, and clients that describe or register themselves cannot (DEV-03).
- A destructive scope never leaves through it, whatever the role and the person say.
- A code is good for ten minutes. Not a setting: longer only helps whoever waits for a victim.
"""

from datetime import timedelta

from authz import entropy
from authz.clients.client import Client
from authz.errors import UnauthorizedClient
from authz.policy import Ceiling, Reason
from authz.policy.snapshot import Resource

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
LIFETIME = timedelta(minutes=10)
POLL_SECONDS = 5
SLOWER_BY_SECONDS = 5
"""RFC 8628 §3.5: how much longer a device has to wait after each `slow_down`."""

PENDING = "pending"
APPROVED = "approved"
DENIED = "denied"
SPENT = "spent"
ENDED = "ended"
"""Approved by somebody whose access ended before the device came back (`directory.leaving`)."""

_SEPARATORS = str.maketrans("", "", "- \t\u2010\u2011\u2012\u2013\u2212._")
_MAX_TYPED_CHARS = 32


def check_client(client: Client) -> None:
    """Raises UnauthorizedClient unless an operator registered this client for the grant."""
    if client.kind != "registered" or not client.may_use(DEVICE_GRANT):
        raise UnauthorizedClient(
            "the client is not registered for the device grant", reason="device_grant_not_allowed"
        )


def ceiling(resource: Resource) -> Ceiling:
    """What may leave through this grant at all."""
    allowed = (name for name, scope in resource.scopes.items() if scope.risk != "destructive")
    return Ceiling(Reason.DEVICE_CEILING, frozenset(allowed))


def user_code_digest(typed: str) -> str | None:
    """The digest of a code as people type it: any case, with or without separators. None if it cannot be one."""
    if len(typed) > _MAX_TYPED_CHARS:
        return None
    letters = typed.translate(_SEPARATORS).upper()
    is_code = len(letters) == entropy.USER_CODE_LENGTH and all(
        letter in entropy.USER_CODE_LETTERS for letter in letters
    )
    return entropy.digest(letters) if is_code else None


def shown_user_code(typed: str) -> str:
    """As the device shows it, to compare letter by letter; empty for what cannot be a code."""
    if user_code_digest(typed) is None:
        return ""
    letters = typed.translate(_SEPARATORS).upper()
    half = entropy.USER_CODE_LENGTH // 2
    return f"{letters[:half]}-{letters[half:]}"
