"""Signing in at an OpenID provider: out with a state, a nonce and a challenge, back with a code, on with claims."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from pydantic import BaseModel

from authz import entropy
from authz.directory.assurance import ACR_VALUES, MFA
from authz.directory.linking import domain_of
from authz.errors import Invalid
from authz.federation.connector import (
    DENIED,
    MISCONFIGURED,
    UNREACHABLE,
    Answer,
    Finished,
    SignInRefused,
    Start,
    Tools,
    Upstream,
    Wish,
)
from authz.federation.oidc_claims import Said, check_tenant, compose_subject, identity_of, lacks
from authz.federation.oidc_client import Tokens, redeem
from authz.federation.oidc_discovery import Provider, load_keys, load_provider
from authz.federation.oidc_groups import is_overage, load_groups
from authz.federation.oidc_requests import ask
from authz.federation.oidc_settings import (
    OidcSettings,
    check_settings,
    preset_of,
    stored_settings,
)
from authz.federation.oidc_tokens import (
    KEY_REASONS,
    NOT_FRESH,
    Expected,
    auth_time_of,
    verify_id_token,
)
from authz.federation.presets import Preset
from authz.urls import add_query

_ERRORS: Mapping[str, str] = {
    "access_denied": DENIED,
    "login_required": DENIED,
    "interaction_required": DENIED,
    "account_selection_required": DENIED,
    "consent_required": DENIED,
    "unmet_authentication_requirements": NOT_FRESH,
    "server_error": UNREACHABLE,
    "temporarily_unavailable": UNREACHABLE,
    "invalid_request": MISCONFIGURED,
    "invalid_scope": MISCONFIGURED,
    "unauthorized_client": MISCONFIGURED,
    "unsupported_response_type": MISCONFIGURED,
}
"""RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6. Whatever else a provider writes there is repeated nowhere."""
_ACR = re.compile(r"[\x21-\x7e]{1,256}")
_CONTEXT = re.compile(r"c[1-9][0-9]?")
_HINT = re.compile(r"[^\x00-\x20\x7f]{1,254}")


@dataclass(frozen=True)
class OidcConnector:
    """Connections to OpenID providers."""

    tools: Tools
    kind: ClassVar[str] = "oidc"
    settings_model: ClassVar[type[BaseModel]] = OidcSettings

    def check(self, settings: Mapping[str, Any], preset: str) -> Mapping[str, Any]:
        """The settings as they will be stored. Raises Invalid naming the member."""
        development = self.tools.network.config.allow_loopback
        return check_settings(settings, preset, development=development)

    def subject_of(self, settings: Mapping[str, Any], preset: str, known_as: str) -> str | None:
        """What the subject claim will say, composed as at a sign-in."""
        return compose_subject(known_as, stored_settings(settings), preset_of(preset))

    def start(self, upstream: Upstream, wish: Wish, state: str, now: datetime) -> Start:  # noqa: ARG002
        """The provider's sign-in page, for one attempt. Raises SignInRefused."""
        settings, preset = _configured(upstream)
        provider = load_provider(self.tools, settings.issuer)
        nonce, verifier = entropy.new_token("non"), entropy.new_token("ver")
        request = {
            "response_type": "code",
            "response_mode": "query",
            "client_id": settings.client_id,
            "redirect_uri": upstream.redirect_uri,
            "scope": " ".join(settings.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": create_s256_code_challenge(verifier),
            "code_challenge_method": "S256",
            **_wished(wish, settings, preset),
        }
        kept = {"issuer": settings.issuer, "nonce": nonce, "verifier": verifier}
        return Start(add_query(provider.authorization_endpoint, list(request.items())), kept)

    def finish(self, upstream: Upstream, answer: Answer, now: datetime) -> Finished:
        """Who came back. Raises SignInRefused with a reason for each defect."""
        settings, preset = _configured(upstream)
        if answer.kept.get("issuer") != settings.issuer:
            # Another provider would be sent this one's code.
            raise SignInRefused("settings_changed")
        provider = load_provider(self.tools, settings.issuer)
        code = _code(answer.params, provider)
        tokens = redeem(
            self.tools,
            settings,
            provider,
            code=code,
            verifier=answer.kept["verifier"],
            redirect_uri=upstream.redirect_uri,
            now=now,
        )
        claims = self._verified(provider, settings, preset, answer, tokens, now)
        auth_time = auth_time_of(claims, answer.wish, answer.started_at, now)
        check_tenant(claims, settings, preset)
        said = self._asked(provider, settings, answer, tokens, claims)
        identity = identity_of(
            said,
            settings,
            preset,
            wish=answer.wish,
            wanted=answer.wanted_claims,
            auth_time=auth_time,
            now=now,
        )
        return Finished(identity)

    def published(self, upstream: Upstream) -> None:  # noqa: ARG002
        """Nothing: a provider is told by hand."""
        return

    def imported(self, document: bytes, now: datetime) -> Mapping[str, Any]:  # noqa: ARG002
        """There is no such document: what an OpenID provider publishes is found by its issuer."""
        raise Invalid("an OpenID provider needs no metadata file; set its issuer")

    def renewed(self, settings: Mapping[str, Any], now: datetime) -> None:  # noqa: ARG002
        """Nothing to do: discovery and keys are read as they are needed."""
        return

    def _verified(
        self,
        provider: Provider,
        settings: OidcSettings,
        preset: Preset,
        answer: Answer,
        tokens: Tokens,
        now: datetime,
    ) -> dict[str, Any]:
        expected = Expected(
            issuer=provider.issuer,
            client_id=settings.client_id,
            nonce=answer.kept["nonce"],
            algorithms=settings.algorithms,
            access_token=tokens.access_token,
            started_at=answer.started_at,
            kind=preset.token_kind,
        )
        keys = load_keys(self.tools, provider)
        try:
            return verify_id_token(tokens.id_token, keys, expected, now)
        except SignInRefused as refused:
            if refused.reason not in KEY_REASONS:
                raise
        keys = load_keys(self.tools, provider, anew=True)
        return verify_id_token(tokens.id_token, keys, expected, now)

    def _asked(
        self,
        provider: Provider,
        settings: OidcSettings,
        answer: Answer,
        tokens: Tokens,
        claims: Mapping[str, Any],
    ) -> Said:
        """What the ID token leaves out, from where the provider keeps it."""
        userinfo: Mapping[str, Any] = {}
        wants = settings.userinfo == "always" or (
            settings.userinfo == "when_missing" and lacks(claims, settings, answer.wanted_claims)
        )
        if wants and provider.userinfo_endpoint is not None and tokens.access_token is not None:
            userinfo = self._userinfo(provider.userinfo_endpoint, tokens.access_token, claims)
        groups = None
        if (
            settings.graph_url is not None
            and settings.groups_claim in answer.wanted_claims
            and is_overage(claims, settings.groups_claim)
        ):
            groups = load_groups(self.tools.network, settings.graph_url, tokens.access_token)
        return Said(claims, userinfo, groups)

    def _userinfo(
        self, url: str, access_token: str, claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        network = self.tools.network
        told = network.run_blocking(ask(network, "userinfo", url, bearer=access_token))
        if told.status != 200:
            raise SignInRefused("userinfo_refused")
        # Otherwise an access token of somebody else would dress this person in their claims (Core §5.3.2).
        if told.members.get("sub") != claims["sub"]:
            raise SignInRefused("userinfo_sub")
        return told.members


def _configured(upstream: Upstream) -> tuple[OidcSettings, Preset]:
    try:
        return stored_settings(upstream.settings), preset_of(upstream.preset)
    except Invalid as error:
        raise SignInRefused("settings_unusable", MISCONFIGURED) from error


def _code(params: Mapping[str, str], provider: Provider) -> str:
    """The code of an answer of this provider, and of no other (RFC 9207, ATK-02); its refusals come this way too."""
    issuer = params.get("iss")
    if issuer is None and provider.names_issuer:
        raise SignInRefused("answer_iss_missing")
    if issuer is not None and issuer != provider.issuer:
        raise SignInRefused("answer_iss")
    if "error" in params:
        error = params["error"]
        if error in _ERRORS:
            raise SignInRefused(f"upstream_{error}", _ERRORS[error])
        raise SignInRefused("upstream_error", DENIED)
    if not params.get("code"):
        raise SignInRefused("code_missing")
    return params["code"]


def _wished(wish: Wish, settings: OidcSettings, preset: Preset) -> dict[str, str]:
    """How they should sign in, in the words this provider understands (SUA-01, OIDC-10)."""
    request: dict[str, str] = {}
    if wish.is_fresh:
        request["prompt"] = preset.fresh_prompt
    age = 0 if wish.is_fresh else wish.max_age
    if age is not None and preset.sends_max_age:
        # Also with `prompt`: only `max_age` makes a provider say when it last saw them (Core §2).
        request["max_age"] = str(age)
    claims: dict[str, object] = dict(preset.claims_request or {})
    names = _acr_names(wish, preset)
    if preset.has_authentication_contexts:
        contexts = [name for name in names if _CONTEXT.fullmatch(name)]
        if contexts:
            claims["acrs"] = {"essential": True, "values": contexts}
    elif names:
        request["acr_values"] = " ".join(names)
    if claims:
        request["claims"] = json.dumps({"id_token": claims}, separators=(",", ":"))
    hint = wish.login_hint or ""
    if _HINT.fullmatch(hint):
        request["login_hint"] = hint
        domain = domain_of(hint)
        if preset.hint == "domain_hint" and domain is not None:
            request["domain_hint"] = domain
    if preset.hint == "hd" and settings.tenant is not None:
        request["hd"] = settings.tenant
    return request


def _acr_names(wish: Wish, preset: Preset) -> list[str]:
    """The provider's names: ours mean nothing to it, and some providers refuse names that they do not know."""
    names = [it for it in wish.acr_values if it not in ACR_VALUES and _ACR.fullmatch(it)][:10]
    if MFA in wish.acr_values and preset.mfa_acr is not None and preset.mfa_acr not in names:
        names.append(preset.mfa_acr)
    return names
