"""Which issuers this tenant believes, about what, and how far: the trust entries as frozen values (IDJAG-80). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property
from typing import Any, Protocol

from authz.errors import Invalid
from authz.jose import ASYMMETRIC, JwtError, Key, import_jwks
from authz.oauth.assertion_subjects import SUBJECTS, NameIds
from authz.policy.scopes import parse_scope
from authz.urls import LOOPBACK_HOSTS, UrlError, canonical_resource, read_url

ID_JAG = "id_jag"
KINDS = (ID_JAG,)
REUSE = ("deny", "until_exp")
DEFAULT_LIFETIME = timedelta(minutes=15)
MAX_LIFETIME = timedelta(hours=1)
_MAX_ENTRIES = 200


class KeySource(Protocol):
    """Where the keys of an issuer are, or what they are."""

    @property
    def jwks_uri(self) -> str | None:
        """Where to ask for them."""

    @property
    def jwks(self) -> Mapping[str, Any] | None:
        """The keys themselves."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What they may sign with."""


@dataclass(frozen=True)
class TrustSettings:
    """What an operator says of an issuer; every empty list leaves its question to policy."""

    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = None
    """Pinned keys; exactly one of the two is set (IDJAG-53)."""
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")
    tenants: tuple[str, ...] = ()
    """The values of the `tenant` claim that are ours at an issuer of many customers; without any, an assertion must
    not have one (IDJAG-81, EMA-22, ATK-25)."""
    clients: tuple[str, ...] = ()
    """Who may redeem its assertions; anybody registered for the grant if empty."""
    resources: tuple[str, ...] = ()
    """Identifiers of the MCP servers it may speak of; all of the tenant if empty. Assertions without `resource` are for
    these alone (CONF-07)."""
    scope_ceiling: tuple[str, ...] | None = None
    max_lifetime_seconds: int = int(DEFAULT_LIFETIME.total_seconds())
    """Between `iat` and `exp` (IDJAG-08)."""
    assertion_reuse: str = "deny"
    """`until_exp`: the same client may present an assertion again; every time is an event (CONF-01)."""
    allow_public_cimd_clients: bool = False
    """Also clients that only their document vouches for; single use is forced for them (CONF-06)."""
    strict_subset: bool = False
    """Refuse an assertion that holds scopes the request does not ask for (C-8)."""
    subject: str | None = None
    """`sub` or `saml_nameid`; not said: what names people when they sign in at the connection (IDJAG-67)."""
    saml_issuer: str | None = None
    """The entity id whose names `sub_id` has, where the connection is not the SAML one that says so itself."""

    def as_json(self) -> dict[str, Any]:
        """As it is stored: what differs from the defaults."""
        found = {it.name: getattr(self, it.name) for it in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value != _DEFAULTS[name]
        }


_DEFAULTS = {it.name: it.default for it in fields(TrustSettings)}


@dataclass(frozen=True)
class Trust:
    """One enabled trust entry."""

    id: str
    slug: str
    kind: str
    connection_id: str
    issuer: str
    settings: TrustSettings
    name_ids: NameIds | None = None
    """Whose SAML names are the keys of its people; none where `sub` is."""

    @cached_property
    def pinned_keys(self) -> Sequence[Key] | None:
        """The keys of the entry; None where it has an address instead. Read once for each version of the tenant."""
        jwks = self.settings.jwks
        return None if jwks is None else import_jwks(jwks, algorithms=self.settings.algorithms)

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """The MCP servers it may speak of, canonical; all of the tenant if empty. Raises UrlError."""
        return tuple(canonical_resource(it) for it in self.settings.resources)

    @cached_property
    def max_lifetime(self) -> timedelta:
        """Between `iat` and `exp`."""
        return timedelta(seconds=self.settings.max_lifetime_seconds)

    @cached_property
    def scope_ceiling(self) -> frozenset[str] | None:
        """The most its assertions can lead to."""
        ceiling = self.settings.scope_ceiling
        return None if ceiling is None else frozenset(ceiling)


@dataclass(frozen=True)
class Trusts:
    """All enabled entries of a tenant."""

    by_issuer: Mapping[str, tuple[Trust, ...]] = field(default_factory=dict)

    def of(self, issuer: object) -> tuple[Trust, ...]:
        """The entries for this issuer, compared as text."""
        return self.by_issuer.get(issuer, ()) if isinstance(issuer, str) else ()


def settings_of(stored: Mapping[str, Any]) -> TrustSettings:
    """From `as_json`, which was checked when it was written."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return TrustSettings(**values)


def check_settings(given: Mapping[str, Any]) -> TrustSettings:
    """What an operator wrote, member by member. Raises Invalid naming the member."""
    unknown = given.keys() - _DEFAULTS.keys()
    if unknown:
        raise Invalid(
            f"{sorted(unknown)[0]!r} is no setting of a trusted issuer; known are {', '.join(sorted(_DEFAULTS))}"
        )
    for name in ("algorithms", "tenants", "clients", "resources", "scope_ceiling"):
        value = given.get(name)
        if value is not None and not is_list_of_text(value):
            raise Invalid(
                f"{name} of a trusted issuer is a list of text, at most {_MAX_ENTRIES}", field=name
            )
    for name in ("allow_public_cimd_clients", "strict_subset"):
        if not isinstance(given.get(name, False), bool):
            raise Invalid(f"{name} of a trusted issuer is true or false", field=name)
    settings = settings_of(given)
    check_keys(settings)
    _check_bounds(settings)
    _check_subject(settings)
    return settings


def check_url(name: str, text: str) -> None:
    """https, or http on loopback, where only development may go. Raises Invalid."""
    try:
        parts = read_url(name, text)
    except UrlError as error:
        raise Invalid(str(error), field=name) from None
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.host in LOOPBACK_HOSTS):
        raise Invalid(f"{name} {text!r} is not an https URL; use one", field=name)


def check_keys(settings: KeySource) -> None:
    """Pinned or published, and such as we verify with. Raises Invalid."""
    if (settings.jwks is None) == (settings.jwks_uri is None):
        raise Invalid(
            "a trusted issuer has pinned keys (jwks) or a jwks_uri, one of them", field="jwks_uri"
        )
    if not settings.algorithms or not set(settings.algorithms) <= set(ASYMMETRIC):
        raise Invalid(
            f"algorithms of a trusted issuer are some of {', '.join(ASYMMETRIC)}",
            field="algorithms",
        )
    if settings.jwks is not None:
        try:
            import_jwks(settings.jwks, algorithms=settings.algorithms)
        except JwtError as error:
            raise Invalid(
                f"jwks of a trusted issuer is no set of public keys: {error.reason}", field="jwks"
            ) from None
    elif not isinstance(settings.jwks_uri, str):
        raise Invalid("jwks_uri of a trusted issuer is an https URL", field="jwks_uri")
    else:
        check_url("jwks_uri", settings.jwks_uri)


def check_lifetime(seconds: object) -> None:
    """Raises Invalid."""
    if type(seconds) is not int or not 1 <= seconds <= MAX_LIFETIME.total_seconds():
        raise Invalid(
            f"max_lifetime_seconds of a trusted issuer is 1 to {int(MAX_LIFETIME.total_seconds())}",
            field="max_lifetime_seconds",
        )


def _check_bounds(settings: TrustSettings) -> None:
    check_lifetime(settings.max_lifetime_seconds)
    if settings.assertion_reuse not in REUSE:
        raise Invalid(
            f"assertion_reuse of a trusted issuer is one of {', '.join(REUSE)}",
            field="assertion_reuse",
        )
    if settings.allow_public_cimd_clients and settings.assertion_reuse != "deny":
        # Nothing proves who presents it, so a copy must be worth nothing (CONF-06).
        raise Invalid(
            "allow_public_cimd_clients goes with single use: assertion_reuse deny",
            field="allow_public_cimd_clients",
        )
    for scope in settings.scope_ceiling or ():
        try:
            is_one = len(parse_scope(scope)) == 1
        except ValueError:
            is_one = False
        if not is_one:
            raise Invalid(f"{scope!r} in scope_ceiling is not a scope", field="scope_ceiling")


def _check_subject(settings: TrustSettings) -> None:
    if settings.subject not in (None, *SUBJECTS):
        raise Invalid(
            f"subject of a trusted issuer is one of {', '.join(SUBJECTS)}", field="subject"
        )
    if settings.saml_issuer is not None and not _is_text(settings.saml_issuer):
        raise Invalid("saml_issuer of a trusted issuer is an entity id", field="saml_issuer")


def is_list_of_text(value: object) -> bool:
    """Such as settings are made of."""
    return (
        isinstance(value, (list, tuple))
        and len(value) <= _MAX_ENTRIES
        and all(_is_text(it) for it in value)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 2048 and value.isprintable()
