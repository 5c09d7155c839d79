"""The Identity Assertion JWT Authorization Grant: what its claims say, held against a trust entry and a caller. Pure.

Every defect is an InvalidGrant with the one public sentence and a reason of its own (IDJAG-82); an unknown resource is
an InvalidTarget (C-2). Whose account the subject has is `directory.linking`, what it gets is `policy`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from authz import entropy
from authz.clients.client import Client
from authz.errors import InvalidGrant, InvalidTarget, UnauthorizedClient
from authz.jose import LEEWAY, JwtError, Profile, time_claim
from authz.oauth.assertion_subjects import SubjectRefused, subject_key
from authz.oauth.trust import Trust
from authz.policy.scopes import parse_scope
from authz.urls import UrlError, canonical_resource

TYP = "oauth-id-jag+jwt"
GRANT_PROFILE = "urn:ietf:params:oauth:grant-profile:id-jag"
REFUSED = "the assertion is not valid"
"""The one public sentence, whatever is wrong."""
_MAX_JTI_CHARS = 256
_MAX_RESOURCES = 20
_MAX_TEXT = 512


@dataclass(frozen=True)
class IdJag:
    """A verified assertion that is good for this caller."""

    trust: Trust
    subject: str
    """Unique at the connection of the trust entry."""
    jti: str
    issued_at: datetime
    expires_at: datetime
    scopes: frozenset[str] | None
    """None when the identity provider leaves scopes to us."""
    resources: tuple[str, ...]
    """Canonical; none when the assertion names none."""
    auth_time: datetime | None
    acr: str | None
    amr: tuple[str, ...]
    jkt: str | None
    """The key the identity provider bound it to."""
    email: str | None
    email_verified: bool
    name: str | None
    claims: Mapping[str, tuple[str, ...]]
    """Text values, for mappings."""
    authorization_details: list[Any] | None

    def __repr__(self) -> str:
        return f"IdJag(trust={self.trust.slug!r})"

    def as_json(self) -> dict[str, str]:
        """For the trail: under this name the identity provider has it in its own (EMA-32, E8)."""
        told = {"trust": self.trust.slug, "issuer": self.trust.issuer, "jti": self.jti}
        tenant = self.claims.get("tenant")
        return told if tenant is None else {**told, "tenant": tenant[0]}

    @property
    def replay_key(self) -> str:
        """Per trust entry and issuer, so equal `jti`s of two issuers are two (IDJAG-66)."""
        parts = ("id_jag", self.trust.issuer, self.trust.id, self.jti)
        return entropy.digest("\x00".join(parts))

    @property
    def remembered_until(self) -> datetime:
        """Exactly as long as it would be accepted: the same constant on both sides."""
        return self.expires_at + LEEWAY * 2


def profile_of(trust: Trust, issuer: str) -> Profile:
    """What the JWT must look like; `issuer` is ours (IDJAG-01, -02, -04, -05 to -09)."""
    return Profile(
        typ=frozenset({TYP}),
        algorithms=trust.settings.algorithms,
        issuer=trust.issuer,
        audiences=frozenset({issuer}),
        max_lifetime=trust.max_lifetime,
        required=frozenset({"jti", "client_id"}),
    )


def choose(trusts: tuple[Trust, ...], claims: Mapping[str, Any]) -> Trust | None:
    """The entry for this assertion's customer of the issuer; None when it is of nobody we know (IDJAG-81)."""
    tenant = claims.get("tenant")
    for trust in trusts:
        if tenant is None and not trust.settings.tenants:
            return trust
        if isinstance(tenant, str) and tenant in trust.settings.tenants:
            return trust
    return None


def check(claims: Mapping[str, Any], trust: Trust, client: Client, *, slug: str) -> IdJag:
    """The claims of a JWT that satisfied `profile_of`, for this authenticated client at the tenant `slug`.

    Raises InvalidGrant, or UnauthorizedClient for a client that may not use this grant.
    """
    # The signature holds, so saying what is wrong with the client tells nobody whom we trust.
    if not client.is_confidential and not (
        client.kind == "cimd" and trust.settings.allow_public_cimd_clients
    ):
        raise UnauthorizedClient(
            "public clients may not redeem assertions here", reason="id_jag_public_client"
        )
    if claims["client_id"] != client.id:
        raise _refusal("id_jag_client_id")
    if trust.settings.clients and client.id not in trust.settings.clients:
        raise _refusal("id_jag_client_not_allowed")
    if len(claims["jti"]) > _MAX_JTI_CHARS:
        raise _refusal("jwt_jti")
    if claims.get("aud_tenant", slug) != slug:
        raise _refusal("id_jag_aud_tenant")
    issued_at = _moment(claims, "iat")
    try:
        subject = subject_key(claims, trust.name_ids)
    except SubjectRefused as refused:
        raise _refusal(refused.reason) from None
    return IdJag(
        trust=trust,
        subject=subject,
        jti=claims["jti"],
        issued_at=issued_at,
        expires_at=_moment(claims, "exp"),
        scopes=_scopes(claims),
        resources=_resources(claims),
        auth_time=_find_moment(claims, "auth_time"),
        acr=_text(claims, "acr"),
        amr=_words(claims, "amr"),
        jkt=_jkt(claims),
        email=_text(claims, "email"),
        email_verified=claims.get("email_verified") is True,
        name=_text(claims, "name"),
        claims=_mappable(claims),
        authorization_details=_details(claims),
    )


def chosen_resource(id_jag: IdJag, asked: str | None, *, entry: tuple[str, ...]) -> str:
    """The one audience of the token, canonical; `asked` and `entry` (the trust entry's servers) are canonical too.

    Raises InvalidTarget: never a token without exactly one audience (IDJAG-57 to -59, CONF-07).
    """
    # The assertion's word binds; an entry stands in only where the assertion says nothing, as Okta's do.
    possible = id_jag.resources or entry
    if not possible:
        raise InvalidTarget("the assertion names no resource", reason="id_jag_resource_missing")
    if entry and not set(id_jag.resources) <= set(entry):
        raise InvalidTarget(
            "the resource is not registered here", reason="id_jag_resource_of_other"
        )
    if asked is None and len(possible) == 1:
        return possible[0]
    if asked is None:
        raise InvalidTarget(
            "the assertion is good for several resources: name one",
            reason="id_jag_resource_ambiguous",
        )
    if asked not in possible:
        raise InvalidTarget(
            "resource is not one of the assertion's", reason="id_jag_resource_not_granted"
        )
    return asked


# Identity providers name few servers, many times; nothing gets here that none of them signed.
_canonical = lru_cache(maxsize=256)(canonical_resource)


def _refusal(reason: str) -> InvalidGrant:
    return InvalidGrant(REFUSED, reason=reason)


def _find_moment(claims: Mapping[str, Any], name: str) -> datetime | None:
    return None if claims.get(name) is None else _moment(claims, name)


def _moment(claims: Mapping[str, Any], name: str) -> datetime:
    try:
        value = time_claim(claims, name)
    except JwtError as error:
        raise _refusal(error.reason) from None
    return datetime.fromtimestamp(value, tz=UTC)


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT or not value.isprintable():
        raise _refusal(f"id_jag_{name}")
    return value


def _words(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = claims.get(name, [])
    if not isinstance(value, list) or len(value) > _MAX_RESOURCES:
        raise _refusal(f"id_jag_{name}")
    if not all(isinstance(it, str) and it.isprintable() and len(it) <= _MAX_TEXT for it in value):
        raise _refusal(f"id_jag_{name}")
    return tuple(value)


def _scopes(claims: Mapping[str, Any]) -> frozenset[str] | None:
    value = claims.get("scope")
    if value is None:
        return None
    if not isinstance(value, str):
        raise _refusal("id_jag_scope")
    try:
        return parse_scope(value)
    except ValueError:
        raise _refusal("id_jag_scope") from None


def _resources(claims: Mapping[str, Any]) -> tuple[str, ...]:
    value = claims.get("resource")
    if value is None:
        return ()
    named = [value] if isinstance(value, str) else value
    if not isinstance(named, list) or not 1 <= len(named) <= _MAX_RESOURCES:
        raise _refusal("id_jag_resource")
    try:
        found = tuple(_canonical(it) for it in named if isinstance(it, str))
    except UrlError:
        raise _refusal("id_jag_resource") from None
    if len(set(found)) != len(named):
        raise _refusal("id_jag_resource")
    return found


def _jkt(claims: Mapping[str, Any]) -> str | None:
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    # A method nobody here can check would be a binding that is ignored (IDJAG-16).
    if not isinstance(confirmation, dict) or confirmation.keys() != {"jkt"}:
        raise _refusal("id_jag_cnf")
    jkt = confirmation["jkt"]
    if not isinstance(jkt, str):
        raise _refusal("id_jag_cnf")
    return jkt


def _mappable(claims: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Text, and lists of text; whatever else a claim is made of counts for nothing (ATK-28)."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in claims.items():
        if isinstance(value, str):
            found[name] = (value,)
        elif isinstance(value, list) and value and all(isinstance(it, str) for it in value):
            found[name] = tuple(value)
    return found


def _details(claims: Mapping[str, Any]) -> list[Any] | None:
    value = claims.get("authorization_details")
    if value is not None and not isinstance(value, list):
        raise _refusal("id_jag_authorization_details")
    return value
