"""Every error this server raises on purpose.

    AuthzError                      for operators: a sentence that names the thing, the value and the way out
      ConfigurationError            the installation cannot start or continue like this
      NotFound                      the named thing does not exist
      Conflict                      it exists already, or its state forbids the operation
      Invalid                       a value was refused
      Forbidden                     whoever asks may not do this
        StaleSignIn                 they may, after signing in again
        NeedsApproval               they may ask for it, and somebody else approves it

    OAuthError                      for clients: an RFC error code; the class is the code
      InvalidRequest InvalidClient InvalidGrant SubjectUnlinked UnauthorizedClient UnsupportedGrantType
      UnsupportedResponseType InvalidScope InvalidTarget InvalidAuthorizationDetails AccessDenied
      LoginRequired ConsentRequired InteractionRequired UnmetAuthenticationRequirements
      InsufficientUserAuthentication RequestNotSupported RequestUriNotSupported InvalidDpopProof UseDpopNonce
      AuthorizationPending SlowDown ExpiredToken InvalidToken InsufficientScope ServerError TemporarilyUnavailable
        SignerUnavailable SecretUnavailable
      TooManyRequests
      InvalidRedirectUri InvalidClientMetadata InvalidSoftwareStatement RegistrationRefused

An OAuthError says three things to three readers: `code` to the client's program, `description` (public, constant,
ASCII) to its developer, `reason` (an internal slug) to logs, audit and tests. All failures of one kind of
assertion share one description, so that a prober learns nothing (IDJAG-82). Dynamic registration alone names the value
it refuses, made safe to print: its clients have to show it to somebody who can change it (MCP-AS-91).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar


class AuthzError(Exception):
    """An operator's error; its text is shown as it is. `field` names the argument it is about, where it is one."""

    def __init__(self, sentence: str = "", *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


@contextmanager
def about(field: str) -> Iterator[None]:
    """What is refused in here is about this argument, whatever it is called further down."""
    try:
        yield
    except AuthzError as error:
        error.field = field
        raise


class ConfigurationError(AuthzError):
    """The configuration or the environment is not usable."""


class NotFound(AuthzError):
    """The named thing does not exist."""


class Conflict(AuthzError):
    """The thing exists already, or its state forbids this."""


class Invalid(AuthzError):
    """A value was refused."""


class Forbidden(AuthzError):
    """Whoever asks may not do this; `permission` is what it takes."""

    def __init__(self, sentence: str, *, permission: str) -> None:
        super().__init__(sentence)
        self.permission = permission


class StaleSignIn(Forbidden):
    """They may, but signed in too long ago for it."""


class NeedsApproval(Forbidden):
    """They may ask for it; this tenant has somebody else approve it."""


class OAuthError(Exception):
    """An outcome of the protocol; it is recorded and committed like any other (architecture D4)."""

    code: ClassVar[str] = "server_error"
    status: ClassVar[int] = 400
    is_verdict: ClassVar[bool] = True
    """False for "not yet": a device asks every few seconds, and that is no news for the trail."""
    retry_after: int | None = None
    """Seconds after which the same request may be answered."""

    def __init__(self, description: str, *, reason: str) -> None:
        super().__init__(f"{self.code}: {description} [{reason}]")
        self.description = description
        self.reason = reason


class InvalidRequest(OAuthError):
    """RFC 6749 §4.1.2.1, §5.2."""

    code = "invalid_request"


class InvalidClient(OAuthError):
    """RFC 6749 §5.2: client authentication failed."""

    code = "invalid_client"
    status = 401


class InvalidGrant(OAuthError):
    """RFC 6749 §5.2."""

    code = "invalid_grant"


class SubjectUnlinked(InvalidGrant):
    """The assertion is good, and its subject is nobody here: whoever verified it may have an account made."""


class UnauthorizedClient(OAuthError):
    """RFC 6749 §4.1.2.1, §5.2: this client may not use this grant or response type."""

    code = "unauthorized_client"


class UnsupportedGrantType(OAuthError):
    """RFC 6749 §5.2."""

    code = "unsupported_grant_type"


class UnsupportedResponseType(OAuthError):
    """RFC 6749 §4.1.2.1."""

    code = "unsupported_response_type"


class InvalidScope(OAuthError):
    """RFC 6749 §4.1.2.1, §5.2."""

    code = "invalid_scope"


class InvalidTarget(OAuthError):
    """RFC 8707 §2."""

    code = "invalid_target"


class InvalidAuthorizationDetails(OAuthError):
    """RFC 9396 §5."""

    code = "invalid_authorization_details"


class AccessDenied(OAuthError):
    """RFC 6749 §4.1.2.1; at the token endpoint: user and client are fine, policy leaves nothing (CONF-03)."""

    code = "access_denied"


class LoginRequired(OAuthError):
    """OpenID Connect Core §3.1.2.6."""

    code = "login_required"


class ConsentRequired(OAuthError):
    """OpenID Connect Core §3.1.2.6."""

    code = "consent_required"


class InteractionRequired(OAuthError):
    """OpenID Connect Core §3.1.2.6."""

    code = "interaction_required"


class UnmetAuthenticationRequirements(OAuthError):
    """OpenID Connect Unmet Authentication Requirements §2, RFC 9470 §5: nobody can sign in like that here."""

    code = "unmet_authentication_requirements"


class InsufficientUserAuthentication(OAuthError):
    """ID-JAG §9.2, RFC 9470 §3: the same person, signed in more strongly or more recently, could get it."""

    code = "insufficient_user_authentication"


class RequestNotSupported(OAuthError):
    """OpenID Connect Core §3.1.2.6: signed request objects are not taken (JAR-02)."""

    code = "request_not_supported"


class RequestUriNotSupported(OAuthError):
    """OpenID Connect Core §3.1.2.6: nothing is fetched that a request names (JAR-03)."""

    code = "request_uri_not_supported"


class InvalidDpopProof(OAuthError):
    """RFC 9449 §5."""

    code = "invalid_dpop_proof"


class UseDpopNonce(OAuthError):
    """RFC 9449 §8: the proof is to be made again, with the nonce that travels in `DPoP-Nonce`."""

    code = "use_dpop_nonce"

    def __init__(self, description: str, *, reason: str, nonce: str) -> None:
        super().__init__(description, reason=reason)
        self.nonce = nonce


class AuthorizationPending(OAuthError):
    """RFC 8628 §3.5: the person has not answered yet."""

    code = "authorization_pending"
    is_verdict = False


class SlowDown(OAuthError):
    """RFC 8628 §3.5: as before, and from now on the device waits five seconds longer."""

    code = "slow_down"
    is_verdict = False


class ExpiredToken(OAuthError):
    """RFC 8628 §3.5: the device has to ask anew."""

    code = "expired_token"


class InsufficientScope(OAuthError):
    """RFC 6750 §3.1."""

    code = "insufficient_scope"
    status = 403


class ServerError(OAuthError):
    """RFC 6749 §4.1.2.1; never says why."""

    code = "server_error"
    status = 500


class TemporarilyUnavailable(OAuthError):
    """RFC 6749 §4.1.2.1; sent with 503 and Retry-After."""

    code = "temporarily_unavailable"
    status = 503
    retry_after = 1


class SignerUnavailable(TemporarilyUnavailable):
    """The key that has to sign does not: nothing was spent for it, so the same request may be sent again."""

    retry_after = 5


class SecretUnavailable(TemporarilyUnavailable):
    """The store of a secret does not answer, and is asked again after its cool-down (`secretstores`)."""

    retry_after = 10


class TooManyRequests(OAuthError):
    """A budget is used up: RFC 6585 §4.

    The code is the registered one that says "not now": `slow_down` tells a polling device to poll less for ever, and
    a code of our own would be read as a refusal.
    """

    code = "temporarily_unavailable"
    status = 429

    def __init__(self, description: str, *, reason: str, retry_after: int) -> None:
        super().__init__(description, reason=reason)
        self.retry_after = retry_after


class InvalidRedirectUri(OAuthError):
    """RFC 7591 §3.2.2."""

    code = "invalid_redirect_uri"


class InvalidClientMetadata(OAuthError):
    """RFC 7591 §3.2.2."""

    code = "invalid_client_metadata"


class InvalidSoftwareStatement(OAuthError):
    """RFC 7591 §3.2.2."""

    code = "invalid_software_statement"


class InvalidToken(OAuthError):
    """RFC 6750 §3.1: the bearer token of the request is not good for it."""

    code = "invalid_token"
    status = 401


class RegistrationRefused(AccessDenied):
    """RFC 7591 §3, RFC 7592 §2: the client may not register here, or not change what it registered."""

    status = 403
