"""What has to be known of an OpenID provider before anybody is sent there; strict, and complete once it is stored."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from authz.errors import Invalid
from authz.federation.presets import PRESETS, Audience, Preset, Userinfo
from authz.secretstores import HINT
from authz.sections import SecretReference
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url

Algorithm = Literal["RS256", "PS256", "ES256", "ES384", "Ed25519", "EdDSA"]
"""Never `none` and never a MAC: a client secret is no key of the provider's (ATK-41)."""
ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256")
GRAPH = "https://graph.microsoft.com/v1.0"
_SECRETS = {"client_secret": "client_secret", "private_key": "private_key_jwt"}
# Mutable, reassigned, or somebody else's to choose: none of them says who somebody is (OIDC-07, ATK-26).
_NO_SUBJECTS = frozenset(
    {
        *("email", "upn", "preferred_username", "unique_name", "username", "login", "name"),
        *("nickname", "given_name", "family_name", "phone_number", "verified_primary_email"),
    }
)

_ClaimName = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,256}$")]
_Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]{1,256}$")]
_Printable = Annotated[str, Field(pattern=r"^[\x20-\x7e]{1,512}$")]


class OidcSettings(BaseModel):
    """One connection."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    issuer: str
    """Compared as a string with the metadata, the ID token and the answer (OIDC-06)."""
    client_id: _Printable
    client_auth: Literal["client_secret_basic", "client_secret_post", "private_key_jwt"]
    client_secret: SecretReference | None = None
    private_key: SecretReference | None = None
    """PEM or JWK; a certificate in the same PEM is named in the assertion."""
    key_id: _Printable | None = None
    assertion_algorithm: Algorithm | None = None
    assertion_audience: Audience
    scopes: Annotated[tuple[_Scope, ...], Field(min_length=1, max_length=20)]
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ALGORITHMS
    """What ID tokens may be signed with, whatever the token or the metadata says."""
    userinfo: Userinfo
    subject_claim: _ClaimName
    email_claim: _ClaimName = "email"
    name_claim: _ClaimName = "name"
    groups_claim: _ClaimName
    tenant: _Printable | None = None
    """The customer of a provider that has many; no other's tokens are accepted (ATK-25)."""
    graph_url: str | None = None


def preset_of(name: str) -> Preset:
    """The product. Raises Invalid."""
    if name not in PRESETS:
        raise Invalid(
            f"the preset {name!a} does not exist; use one of {', '.join(PRESETS)}", field="preset"
        )
    return PRESETS[name]


def check_settings(
    settings: Mapping[str, Any], preset_name: str, *, development: bool
) -> Mapping[str, Any]:
    """The settings as they are stored: what the preset says filled in. Raises Invalid naming the member."""
    preset = preset_of(preset_name)
    known = {name: value for name, value in settings.items() if value is not None}
    found = _read({**_defaults(known, preset), **known})
    _check_url("issuer", found.issuer, development=development)
    _check_issuer(found, preset)
    _check_secrets(found)
    _check_scopes(found)
    _check_claims(found, preset)
    _check_graph(found, preset, development=development)
    return found.model_copy(update={"tenant": _tenant(found, preset)}).model_dump(mode="json")


def stored_settings(settings: Mapping[str, Any]) -> OidcSettings:
    """The settings of a connection, checked when they were stored. Raises Invalid."""
    return _read(settings)


def _defaults(known: Mapping[str, Any], preset: Preset) -> dict[str, Any]:
    issuer = known.get("issuer", preset.issuer)
    return {
        "issuer": issuer,
        "client_auth": "private_key_jwt" if "private_key" in known else "client_secret_basic",
        "assertion_audience": preset.assertion_audience,
        "scopes": preset.scopes_at(issuer if isinstance(issuer, str) else ""),
        "userinfo": preset.userinfo,
        "subject_claim": preset.subject_claim,
        "groups_claim": preset.groups_claim,
        "graph_url": GRAPH if preset.has_graph else None,
    }


def _read(values: Mapping[str, Any]) -> OidcSettings:
    try:
        return OidcSettings.model_validate(dict(values))
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        raise Invalid(
            _sentence(problem["loc"], problem["type"], problem["msg"]),
            field="".join(map(str, problem["loc"][:1])),
        ) from None


def _sentence(place: tuple[int | str, ...], kind: str, message: str) -> str:
    # The value is never quoted: what stands in the wrong place may be a secret.
    name = ".".join(str(part) for part in place)
    if kind == "extra_forbidden":
        return f"{name!a} is not a setting of OpenID connections"
    if kind == "missing" or (name == "issuer" and kind == "string_type"):
        return f"{name} is missing"
    if name in _SECRETS:
        return f"{name} is not a secret reference; {HINT}"
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _check_url(name: str, text: str, *, development: bool) -> None:
    try:
        parts = read_url(name, text)
    except UrlError as error:
        raise Invalid(str(error), field=name) from None
    local = development and parts.host in LOOPBACK_HOSTS
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise Invalid(f"{name} {text!a} is not https", field=name)
    if parts.query is not None or parts.fragment is not None or parts.host != parts.host.lower():
        raise Invalid(
            f"{name} {text!a} has a query, a fragment or capitals in its host", field=name
        )


def _check_issuer(found: OidcSettings, preset: Preset) -> None:
    if preset.is_issuer(found.issuer):
        return
    hint = ""
    if preset.has_tenant_in_issuer:
        # `common` and `organizations` speak for every customer there is.
        hint = "; the id of your directory has to stand in it, neither a name nor `common`"
    raise Invalid(
        f"issuer {found.issuer!a} is not one of {preset.product}: it looks like {preset.issuer_example}{hint}",
        field="issuer",
    )


def _check_secrets(found: OidcSettings) -> None:
    needed = "private_key" if found.client_auth == "private_key_jwt" else "client_secret"
    for name in _SECRETS:
        value = getattr(found, name)
        if name == needed and value is None:
            raise Invalid(f"{name} is missing: client_auth is {found.client_auth}", field=name)
        if name != needed and value is not None:
            raise Invalid(f"{name} does not go with client_auth {found.client_auth}", field=name)
    if needed != "private_key":
        for name in ("key_id", "assertion_algorithm"):
            if getattr(found, name) is not None:
                raise Invalid(f"{name} goes with client_auth private_key_jwt only", field=name)


def _check_scopes(found: OidcSettings) -> None:
    if "openid" not in found.scopes:
        raise Invalid(
            "scopes: openid is missing, and without it nobody is signed in", field="scopes"
        )
    if "offline_access" in found.scopes:
        raise Invalid(
            "scopes: offline_access is for refresh tokens, and none is kept here", field="scopes"
        )


def _check_claims(found: OidcSettings, preset: Preset) -> None:
    if preset.has_tenant_in_issuer and found.subject_claim != preset.subject_claim:
        raise Invalid(
            f"subject_claim: people of {preset.product} are known by their object id",
            field="subject_claim",
        )
    if found.subject_claim in _NO_SUBJECTS or found.subject_claim == found.email_claim:
        raise Invalid(
            f"subject_claim: {found.subject_claim} can change or be given to somebody else; use sub",
            field="subject_claim",
        )
    if found.groups_claim in preset.reserved_claims:
        raise Invalid(
            f"groups_claim: {preset.product} drops {found.groups_claim}; use a name such as {preset.groups_claim}",
            field="groups_claim",
        )


def _check_graph(found: OidcSettings, preset: Preset, *, development: bool) -> None:
    if found.graph_url is None:
        return
    if not preset.has_graph:
        raise Invalid(f"graph_url does not go with {preset.product}", field="graph_url")
    _check_url("graph_url", found.graph_url, development=development)
    if found.graph_url.endswith("/"):
        raise Invalid(
            f"graph_url {found.graph_url!a} ends with a slash; remove it", field="graph_url"
        )


def _tenant(found: OidcSettings, preset: Preset) -> str | None:
    if preset.has_tenant_in_issuer:
        tenant = found.issuer.split("/")[3]
        if found.tenant not in (None, tenant):
            raise Invalid("tenant is not the directory of the issuer; leave it out", field="tenant")
        return tenant
    if preset.needs_tenant and found.tenant is None:
        raise Invalid(
            f"tenant is missing: {preset.product} signs in everybody; write the {preset.tenant_claim} of your people",
            field="tenant",
        )
    if found.tenant is not None and preset.tenant_claim == "hd":
        if not re.fullmatch(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", found.tenant):
            raise Invalid("tenant is not a domain", field="tenant")
        return found.tenant.lower()
    return found.tenant
