"""Why a request is refused: one public sentence, one private reason, one HTTP status.

AccessError
+-- MalformedRequest    400 invalid_request
+-- MissingToken        401, no error code (RFC 6750 section 3.1)
+-- InvalidToken        401 invalid_token
+-- InvalidProof        401 invalid_dpop_proof
+-- WeakAuthentication  401 insufficient_user_authentication
+-- InsufficientScope   403 insufficient_scope
+-- LimitedTool         403 insufficient_authorization, no challenge: the grant says no
+-- UnknownTool         403, no challenge: no scope would help
+-- SessionNotFound     404
+-- BodyTooLarge        413
+-- KeysUnavailable     503
+-- RevocationsUnavailable  503
"""

from typing import ClassVar


class AccessError(Exception):
    """A request that is not served; `description` is public, `reason` is for logs and tests."""

    status: ClassVar[int]
    error: ClassVar[str | None] = None
    description: ClassVar[str]

    def __init__(self, reason: str) -> None:
        super().__init__(self.description)
        self.reason = reason

    @property
    def message(self) -> str:
        """What the caller reads."""
        return self.description


class MalformedRequest(AccessError):
    """The request contradicts itself or cannot be read."""

    status = 400
    error = "invalid_request"
    description = "The request is malformed."


class MissingToken(AccessError):
    """No access token was presented."""

    status = 401
    description = "An access token is required."


class InvalidToken(AccessError):
    """The token does not open this server; the sentence does not say which check failed."""

    status = 401
    error = "invalid_token"
    description = "The access token is not valid here."


class InvalidProof(AccessError):
    """The proof of possession is missing, wrong, old or used; the sentence does not say which."""

    status = 401
    error = "invalid_dpop_proof"
    description = "The proof of possession is not valid here."


class WeakAuthentication(AccessError):
    """The token is good, the sign-in behind it is too old or of the wrong kind (RFC 9470)."""

    status = 401
    error = "insufficient_user_authentication"
    description = "This operation needs a newer or a stronger sign-in."

    def __init__(
        self,
        reason: str,
        *,
        scopes: frozenset[str],
        max_age: int | None,
        acr_values: tuple[str, ...],
    ) -> None:
        super().__init__(reason)
        self.scopes = scopes
        self.max_age = max_age
        self.acr_values = acr_values


class InsufficientScope(AccessError):
    """The token is good, its scopes are not; `scopes` is what a new token has to carry."""

    status = 403
    error = "insufficient_scope"
    description = "The access token lacks a scope that this operation needs."

    def __init__(self, reason: str, scopes: frozenset[str]) -> None:
        super().__init__(reason)
        self.scopes = scopes


class LimitedTool(AccessError):
    """The token limits the arguments of the tool, and the call is outside of the limits (RFC 9396)."""

    status = 403
    error = "insufficient_authorization"
    description = "The access token limits what this tool may be called with."

    def __init__(self, reason: str, tool: str) -> None:
        super().__init__(reason)
        self.tool = tool

    @property
    def message(self) -> str:
        """The tool by name; never the values that would pass, which another may have to keep to himself."""
        return f"{self.description[:-1]}: {self.tool}"


class UnknownTool(AccessError):
    """The tool is not declared, whether or not the server has it."""

    status = 403
    description = "Unknown tool."


class SessionNotFound(AccessError):
    """The session is unknown, or belongs to somebody else: the same answer for both."""

    status = 404
    description = "Session not found."


class BodyTooLarge(AccessError):
    """The body is larger than what is read into memory."""

    status = 413
    description = "The request body is too large."


class KeysUnavailable(AccessError):
    """The authorization server's keys could not be read, so no token can be judged."""

    status = 503
    description = "The authorization server's keys are unavailable."


class RevocationsUnavailable(AccessError):
    """Nothing fresh is known of what was revoked, so no token can be trusted."""

    status = 503
    description = "The authorization server's revocations are unavailable."


class ExchangeRefusedError(RuntimeError):
    """The token of this request leads to no token for the other server, or to no credential; `error` is the code."""

    def __init__(self, error: str, because: str) -> None:
        super().__init__(f"{error}: {because}")
        self.error = error


class NoExchangeError(RuntimeError):
    """`exchange_for` or `credential` was called on a server that was protected without `onward`."""


class NoCurrentTokenError(RuntimeError):
    """`current_token` was called outside a request that `protect` let through."""
