"""Who a checked assertion is about, and no more of it than was asked for (SAML-07, SAML-08, SAML-11)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from authz.directory.assurance import ACR_VALUES, MFA
from authz.directory.linking import UpstreamIdentity
from authz.directory.name_ids import TRANSIENT, NameId, attribute_key, name_id_key
from authz.federation.connector import Wish
from authz.federation.saml.conditions import Parts
from authz.federation.saml.documents import Element, SamlError, children, maybe, several, text_of
from authz.federation.saml.names import a
from authz.federation.saml.settings import SamlSettings
from authz.federation.saml.times import LEEWAY, check_not_early, read_moment
from authz.federation.saml_presets import METHODS

_CLASSES = "urn:oasis:names:tc:SAML:2.0:ac:classes"
_NO_CLASS = f"{_CLASSES}:unspecified"
_WEAK_CLASSES = frozenset({f"{_CLASSES}:Password", f"{_CLASSES}:PasswordProtectedTransport"})
_MAX_NAME_CHARS = 256
_MAX_CLAIM_CHARS = 256
"""A mapping cannot name a longer value."""
_NAME_ID = "name_id_unusable"


@dataclass(frozen=True)
class _Authentication:
    at: datetime
    context: str | None
    session: str | None
    session_expires_at: datetime | None


def read_identity(
    parts: Parts,
    settings: SamlSettings,
    wish: Wish,
    *,
    wanted_claims: frozenset[str],
    started_at: datetime,
    now: datetime,
) -> UpstreamIdentity:
    """The person, and how they signed in. Raises SamlError."""
    authentication = _authentication(parts.authn, now)
    _check_fresh(authentication.at, wish, started_at)
    special = (
        settings.subject_attribute,
        settings.email_attribute,
        settings.name_attribute,
        settings.methods_attribute,
    )
    said = _attributes(parts.attributes, wanted_claims | {it for it in special if it is not None})
    methods = said.get(settings.methods_attribute or "", ())
    amr = tuple(dict.fromkeys(METHODS[it] for it in methods if it in METHODS))
    email = _single(said, settings.email_attribute, "email_ambiguous")
    return UpstreamIdentity(
        subject=_subject(parts.name_id, said, settings.subject_attribute),
        email=email,
        email_verified=email is not None and settings.email_is_verified,
        name=_single(said, settings.name_attribute, "name_ambiguous"),
        claims={
            name: tuple(it for it in said[name] if len(it) <= _MAX_CLAIM_CHARS)
            for name in sorted(wanted_claims & said.keys())
        },
        auth_time=authentication.at,
        acr=_acr(authentication.context, amr, wish, settings),
        amr=amr,
        session=authentication.session,
        session_expires_at=authentication.session_expires_at,
    )


def _subject(
    name_id: Element, said: dict[str, tuple[str, ...]], subject_attribute: str | None
) -> str:
    """The key of a person: an attribute an operator named, or the NameID with all that qualifies it (SAML-08)."""
    composed = _name_id_key(name_id, is_key=subject_attribute is None)
    if subject_attribute is None:
        return composed
    value = _single(said, subject_attribute, "subject_attribute_ambiguous")
    if value is None:
        raise SamlError("subject_attribute_missing")
    key = attribute_key(value)
    if key is None:
        raise SamlError("subject_attribute_unusable")
    return key


def _name_id_key(name_id: Element, *, is_key: bool) -> str:
    value = text_of(name_id, _NAME_ID)
    named = [name_id.get(it, "") for it in ("Format", "NameQualifier", "SPNameQualifier")]
    if is_key and named[0] == TRANSIENT:
        raise SamlError("name_id_transient")
    key = name_id_key(NameId(value, *named))
    if key is None:
        raise SamlError(_NAME_ID)
    return key


def _single(said: dict[str, tuple[str, ...]], name: str | None, reason: str) -> str | None:
    values = said.get(name or "", ())
    if len(values) > 1:
        raise SamlError(reason)
    return values[0] if values else None


def _authentication(statement: Element, now: datetime) -> _Authentication:
    at = read_moment(statement.get("AuthnInstant"), "authn_instant")
    check_not_early(statement.get("AuthnInstant"), now, "authn_instant")
    parts = children(
        statement, [maybe(a("SubjectLocality")), maybe(a("AuthnContext"))], "authn_malformed"
    )
    contexts = [
        text_of(it, "authn_malformed")
        for context in parts[a("AuthnContext")]
        for it in context
        if it.tag == a("AuthnContextClassRef")
    ]
    session = statement.get("SessionIndex")
    ends = statement.get("SessionNotOnOrAfter")
    if len(contexts) > 1 or any(len(it) > _MAX_NAME_CHARS for it in (*contexts, session or "")):
        raise SamlError("authn_malformed")
    session_ends = None if ends is None else read_moment(ends, "session_over")
    if session_ends is not None and session_ends <= now:
        raise SamlError("session_over")
    return _Authentication(at, contexts[0] if contexts else None, session, session_ends)


def _acr(
    context: str | None, amr: tuple[str, ...], wish: Wish, settings: SamlSettings
) -> str | None:
    """How strongly, by the name that was asked for, or else by the identity provider's."""
    if context == _NO_CLASS or context in ACR_VALUES:
        # Our own names are ours to give.
        context = None
    has_two_factors = "mfa" in amr or (context is not None and context == settings.mfa_context)
    # AD FS and Entra ID always name the class of a password, and the second factor beside it.
    is_more = context is None or context in _WEAK_CLASSES
    if has_two_factors and (is_more or (MFA in wish.acr_values and context not in wish.acr_values)):
        return MFA
    return context


def _check_fresh(at: datetime, wish: Wish, started_at: datetime) -> None:
    """What was asked for is looked at, not believed: an identity provider may pass ForceAuthn over (SUA-04)."""
    age = timedelta(0) if wish.is_fresh else None
    if wish.max_age is not None:
        allowed = timedelta(seconds=wish.max_age)
        age = allowed if age is None else min(age, allowed)
    if age is not None and started_at - at > age + LEEWAY:
        raise SamlError("authentication_too_old")


def _attributes(
    statements: Sequence[Element], wanted: frozenset[str]
) -> dict[str, tuple[str, ...]]:
    """The text values of the wanted attributes; of the others not even the names are kept (ATK-28)."""
    said: dict[str, list[str]] = {}
    for attribute in _each_attribute(statements):
        name = attribute.get("Name")
        if name in wanted:
            said.setdefault(str(name), []).extend(_values(attribute))
    return {name: tuple(values) for name, values in said.items()}


def _each_attribute(statements: Sequence[Element]) -> Iterator[Element]:
    for statement in statements:
        found = children(
            statement,
            [several(a("Attribute"), a("EncryptedAttribute"))],
            "attributes_malformed",
        )
        yield from found[a("Attribute")]


def _values(attribute: Element) -> Iterator[str]:
    found = children(attribute, [several(a("AttributeValue"))], "attributes_malformed")
    for value in found[a("AttributeValue")]:
        # Structured values are nobody's group; `xsi:nil` is empty.
        if not len(value) and (text := text_of(value, "attributes_malformed")):
            yield text
