"""Validating an authorization request (OAuth 2.1 §4.1.1, RFC 8707, MCP-AS-52 to -72). Pure.

Two stages, and the type says which one has passed: without a `ReturnAddress` an error is a page, with one it may be a
redirect. Nothing is ever sent to a URI that was not matched against the client's own list.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from authz.clients.client import Client
from authz.directory.assurance import PASSWORD
from authz.errors import (
    InvalidRequest,
    OAuthError,
    RequestNotSupported,
    RequestUriNotSupported,
    UnauthorizedClient,
    UnmetAuthenticationRequirements,
    UnsupportedResponseType,
)
from authz.oauth import authorization_details, dpop, openid, pkce
from authz.oauth.asked import check_scopes, read_resource, read_scopes, userinfo_alone
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.params import Params
from authz.policy.requirements import is_acr
from authz.policy.snapshot import Policy, Resource
from authz.urls import add_query

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
SIGNED_IN_BY = "signed_in_by"
"""Ours, added to a request that is taken up again: which sign-in was made for it."""
STEP_UP = "step_up"
"""Ours as well: the person was asked to sign in for what policy demands. Alone it says nothing."""
_MAX_ACR_VALUES = 20


class RedirectRefused(OAuthError):
    """The redirect URI is not the client's: shown on a page, never redirected (MCP-AS-54)."""

    code = "invalid_request"

    def __init__(self, sentence: str, *, reason: str, received: str | None) -> None:
        super().__init__("the redirect_uri cannot be used", reason=reason)
        self.sentence = sentence
        self.received = received


@dataclass(frozen=True)
class ReturnAddress:
    """Where answers of this request may go: a redirect URI that the client registered."""

    issuer: str
    redirect_uri: str
    state: str | None

    def with_code(self, code: str) -> str:
        """The success redirect (RFC 6749 §4.1.2, RFC 9207)."""
        return self._with([("code", code)])

    def with_error(self, error: OAuthError) -> str:
        """The error redirect; `iss` is in it as well (ISS-01)."""
        return self._with([("error", error.code), ("error_description", error.description)])

    def _with(self, pairs: Sequence[tuple[str, str]]) -> str:
        state = [] if self.state is None else [("state", self.state)]
        return add_query(self.redirect_uri, [*pairs, *state, ("iss", self.issuer)])


@dataclass(frozen=True)
class AuthorizationRequest:
    """A request that passed every check that needs no user."""

    client_id: str
    redirect_uri: str
    state: str | None
    code_challenge: str
    resource: Resource
    requested: frozenset[str] | None
    """Resource scopes asked for; None when none were (the resource's defaults apply)."""
    offline_access: bool
    prompt: frozenset[str]
    max_age: int | None
    login_hint: str | None
    dpop_jkt: str | None = None
    """The key that alone may redeem the code (RFC 9449 §10)."""
    openid: frozenset[str] = frozenset()
    """What is asked about the person; nothing without `openid`."""
    nonce: str | None = None
    acr_values: tuple[str, ...] = ()
    """The ways to sign in that do; any when empty."""
    signed_in_by: str | None = None
    was_stepped_up: bool = False
    """The page they last signed in on for this request said what policy demands, if `signed_in_by` is right."""
    details: tuple[ToolLimit, ...] = ()


def return_address(client: Client, params: Params, issuer: str) -> ReturnAddress:
    """Match the redirect URI. Raises RedirectRefused."""
    if not {"client_id", "redirect_uri", "state"}.isdisjoint(params.repeated):
        raise RedirectRefused(
            "The link has a parameter twice.", reason="parameter_repeated", received=None
        )
    uri = params.find("redirect_uri")
    if uri is None:
        if len(client.redirect_uris) != 1:
            raise RedirectRefused(
                "The link does not say where to return to.",
                reason="redirect_uri_missing",
                received=None,
            )
        uri = client.redirect_uris[0]
    elif not client.accepts_redirect(uri):
        raise RedirectRefused(
            "The client asked to return to an address it has not registered.",
            reason="redirect_uri_unregistered",
            received=uri,
        )
    return ReturnAddress(issuer, uri, params.find("state"))


def validate(
    client: Client,
    params: Params,
    address: ReturnAddress,
    policy: Policy,
    *,
    pushed: bool,
    push_required: bool = False,
) -> AuthorizationRequest:
    """Check everything else. Raises an OAuthError that may travel to the return address.

    `pushed` when the parameters came from the client itself (RFC 9126) and not through a browser.
    """
    if params.repeated - {"resource"}:
        raise InvalidRequest("a parameter is repeated", reason="parameter_repeated")
    if not pushed and (push_required or client.requires_push):
        raise InvalidRequest("the request has to be pushed first", reason="push_required")
    if params.find("request") is not None:
        raise RequestNotSupported("request objects are not supported", reason="request_object")
    if params.find("request_uri") is not None:
        if pushed:
            raise InvalidRequest("request_uri cannot be pushed", reason="request_uri_pushed")
        raise RequestUriNotSupported("request_uri is not supported", reason="request_uri")
    response_type = params.require("response_type")
    if response_type != "code":
        raise UnsupportedResponseType("only code is supported", reason="response_type")
    if params.find("response_mode") not in (None, "query"):
        raise InvalidRequest("only response_mode query is supported", reason="response_mode")
    if not client.may_use("authorization_code"):
        raise UnauthorizedClient(
            "the client is not registered for this grant type", reason="grant_type_not_allowed"
        )
    if client.fapi:
        # It is said even where only one is registered (FAPI 2.0 §5.3.2.2).
        params.require("redirect_uri")
    challenge = _challenge(params)
    asked = read_scopes(params)
    resource = userinfo_alone(params, asked, policy) or read_resource(params, policy)
    details = authorization_details.parse(params.find("authorization_details"), resource)
    requested = asked.openid if resource.is_builtin else asked.resource
    check_scopes(requested, resource)
    if requested is None and details:
        requested = authorization_details.scopes_of(details, resource)
    if asked.openid:
        openid.algorithm_of(client)
    return AuthorizationRequest(
        client_id=client.id,
        redirect_uri=address.redirect_uri,
        state=address.state,
        code_challenge=challenge,
        resource=resource,
        requested=requested,
        offline_access=asked.offline_access,
        prompt=_prompt(params),
        max_age=_max_age(params),
        login_hint=params.find("login_hint"),
        dpop_jkt=_dpop_jkt(params),
        openid=asked.openid,
        nonce=openid.check_nonce(params.find("nonce")) if asked.openid else None,
        acr_values=_acr_values(params, policy),
        signed_in_by=params.find(SIGNED_IN_BY),
        was_stepped_up=params.find(STEP_UP) is not None,
        details=details,
    )


def _challenge(params: Params) -> str:
    """An absent method means `plain` (RFC 7636 §4.3), so absence is refused like any other than S256."""
    challenge = params.find("code_challenge")
    if challenge is None:
        raise InvalidRequest("code_challenge is missing", reason="code_challenge_missing")
    if params.find("code_challenge_method") != pkce.METHOD:
        raise InvalidRequest("code_challenge_method must be S256", reason="code_challenge_method")
    if not pkce.is_challenge(challenge):
        raise InvalidRequest("code_challenge is malformed", reason="code_challenge_malformed")
    return challenge


def _dpop_jkt(params: Params) -> str | None:
    jkt = params.find("dpop_jkt")
    if jkt is not None and not dpop.is_thumbprint(jkt):
        raise InvalidRequest("dpop_jkt is malformed", reason="dpop_jkt_malformed")
    return jkt


def _prompt(params: Params) -> frozenset[str]:
    prompt = frozenset((params.find("prompt") or "").split())
    if not prompt <= PROMPTS or ("none" in prompt and len(prompt) > 1):
        raise InvalidRequest("prompt is not supported", reason="prompt")
    return prompt


def _acr_values(params: Params, policy: Policy) -> tuple[str, ...]:
    """Those somebody might be able to do here, in the client's order. Raises UnmetAuthenticationRequirements.

    Identity providers have names of their own, so with one connected any name may be known, and what comes of the
    sign-in decides (SUA-01). Otherwise it is said before anybody types a password for nothing (RFC 9470 §5).
    """
    asked = (params.find("acr_values") or "").split(" ")
    if len(asked) > _MAX_ACR_VALUES:
        raise InvalidRequest("acr_values has too many values", reason="acr_values")
    has_others = bool(policy.open_connections)
    known = tuple(it for it in asked if it == PASSWORD or (has_others and is_acr(it)))
    if any(asked) and not known:
        raise UnmetAuthenticationRequirements(
            "none of the acr_values is supported", reason="acr_unsupported"
        )
    return known


def _max_age(params: Params) -> int | None:
    text = params.find("max_age")
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise InvalidRequest("max_age is malformed", reason="max_age")
    return int(text)
