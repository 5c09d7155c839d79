"""From verified claims to somebody: what is believed of a provider's words, and what is left out (pure).

Decisions:
- People are known by a subject that stays theirs; an address only ever helps, and only where its own source vouches for
  it (OIDC-07, ATK-26).
- For mappings there is text, compared whole: objects, nested lists, numbers, truth values, control characters and
  over-long values are left out value by value, so that one strange group takes nobody's other groups away (ATK-28).
- What bounds the sign-in (`session_expiry`) or names it (`sid`) is never passed over because it cannot be read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from authz.directory.assurance import ACR_VALUES, MFA
from authz.directory.linking import UpstreamIdentity
from authz.federation.connector import SESSION_OVER, SignInRefused, Wish
from authz.federation.oidc_settings import OidcSettings
from authz.federation.presets import GUID, Preset
from authz.jose import JwtError, find_time_claim

MAX_SUBJECT_CHARS = 255
MAX_VALUE_CHARS = 256
MAX_VALUES = 100_000
_MAX_METHODS = 32

OTHER_TENANT = "This account belongs to another organisation. Sign in with the account of your own."


@dataclass(frozen=True)
class Said:
    """Everything a provider said in one sign-in."""

    id_token: Mapping[str, Any]
    userinfo: Mapping[str, Any]
    """Of the same subject; more complete than the ID token where both say something."""
    groups: tuple[str, ...] | None = None
    """Fetched because the ID token only points at them."""

    def of(self, claim: str) -> object:
        """What it says under this name."""
        return self.userinfo.get(claim, self.id_token.get(claim))

    def __repr__(self) -> str:
        return "Said(***)"


def check_tenant(claims: Mapping[str, Any], settings: OidcSettings, preset: Preset) -> None:
    """Of the customer this connection is for, where there is more than one (ATK-25). Raises SignInRefused."""
    if settings.tenant is not None and claims.get(preset.tenant_claim) != settings.tenant:
        raise SignInRefused("tenant_mismatch", OTHER_TENANT)


def identity_of(
    said: Said,
    settings: OidcSettings,
    preset: Preset,
    *,
    wish: Wish,
    wanted: frozenset[str],
    auth_time: datetime | None,
    now: datetime,
) -> UpstreamIdentity:
    """Who it is. Raises SignInRefused for what must be there and cannot be read."""
    claims = said.id_token
    email, is_verified = _email(said, settings, preset)
    methods = texts_in(claims.get("amr"))[:_MAX_METHODS]
    return UpstreamIdentity(
        subject=_subject(claims, settings, preset),
        email=email,
        email_verified=is_verified,
        name=_text(said.of(settings.name_claim), 1024),
        claims=_mappable(said, settings, wanted, is_verified=is_verified),
        auth_time=auth_time,
        acr=_acr(claims, preset, wish, methods),
        amr=methods,
        session=_session(claims),
        session_expires_at=_session_end(claims, now),
    )


def texts_in(value: object) -> tuple[str, ...]:
    """The usable text of a claim, each once. Raises SignInRefused for more than anybody has groups."""
    items = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if len(items) > MAX_VALUES:
        raise SignInRefused("claim_too_long")
    return tuple(dict.fromkeys(it for it in items if _text(it, MAX_VALUE_CHARS) is not None))


def lacks(claims: Mapping[str, Any], settings: OidcSettings, wanted: frozenset[str]) -> bool:
    """Whether the ID token leaves something out that is worth another question."""
    return not claims.keys() >= wanted | {settings.email_claim, settings.name_claim}


def _text(value: object, most: int) -> str | None:
    # Printable: neither NUL nor half a surrogate pair, which no database stores.
    usable = isinstance(value, str) and 1 <= len(value) <= most and value.isprintable()
    return str(value) if usable else None


def _subject(claims: Mapping[str, Any], settings: OidcSettings, preset: Preset) -> str:
    subject = _text(claims.get(settings.subject_claim), MAX_SUBJECT_CHARS)
    if subject is None:
        raise SignInRefused("subject_missing")
    composed = compose_subject(subject, settings, preset)
    if composed is None:
        raise SignInRefused("subject_malformed")
    return composed


def compose_subject(name: str, settings: OidcSettings, preset: Preset) -> str | None:
    """How people are known here, by what the provider calls them; None when it calls nobody so."""
    if not preset.has_tenant_in_issuer:
        return name
    return f"{settings.tenant}:{name}" if GUID.fullmatch(name) else None


def _email(said: Said, settings: OidcSettings, preset: Preset) -> tuple[str | None, bool]:
    """The address, and whether whoever said it vouches for it: never one's address with the other's word."""
    source = said.userinfo if settings.email_claim in said.userinfo else said.id_token
    email = _text(source.get(settings.email_claim), 320)
    word = source.get(preset.verified_claim)
    # By type as well: to Python, true equals 1.
    vouched = any(type(word) is type(good) and word == good for good in preset.verified_values)
    return email, email is not None and vouched


def _mappable(
    said: Said, settings: OidcSettings, wanted: frozenset[str], *, is_verified: bool
) -> Mapping[str, tuple[str, ...]]:
    if not is_verified:
        # A group must not be had by claiming an address.
        wanted = wanted - {settings.email_claim}
    found = {claim: texts_in(said.of(claim)) for claim in sorted(wanted)}
    if said.groups is not None and settings.groups_claim in wanted:
        found[settings.groups_claim] = texts_in(list(said.groups))
    return {claim: values for claim, values in found.items() if values}


def _acr(
    claims: Mapping[str, Any], preset: Preset, wish: Wish, methods: tuple[str, ...]
) -> str | None:
    """The provider's own name; ours for two factors where that was asked for, and came under another name."""
    acr = _text(claims.get("acr"), MAX_VALUE_CHARS)
    if acr in ACR_VALUES:
        # Names of ours are ours to give: nobody else has seen a password of the local directory.
        acr = None
    if preset.has_authentication_contexts:
        reached = texts_in(claims.get("acrs"))
        acr = next((it for it in wish.acr_values if it in reached), acr)
    if acr in wish.acr_values or MFA not in wish.acr_values:
        return acr
    has_two_factors = "mfa" in methods or (acr is not None and acr == preset.mfa_acr)
    return MFA if has_two_factors else acr


def _session(claims: Mapping[str, Any]) -> str | None:
    if claims.get("sid") is None:
        return None
    session = _text(claims["sid"], MAX_SUBJECT_CHARS)
    if session is None:
        # A logout token could never name it.
        raise SignInRefused("id_token_sid")
    return session


def _session_end(claims: Mapping[str, Any], now: datetime) -> datetime | None:
    """Until when the provider's session lasts; ours never outlives it (OIDC-08)."""
    try:
        value = find_time_claim(claims, "session_expiry")
    except JwtError as error:
        raise SignInRefused("id_token_session_expiry") from error
    if value is None:
        return None
    ends_at = datetime.fromtimestamp(value, tz=UTC)
    if ends_at <= now:
        raise SignInRefused("upstream_session_over", SESSION_OVER)
    return ends_at
