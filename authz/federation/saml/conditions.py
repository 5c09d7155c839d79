"""Whether a verified assertion is for us, for now, and for the request that is under way (SAML-04; profiles §4.1.4)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from authz.federation.saml.documents import (
    Element,
    SamlError,
    Slot,
    children,
    maybe,
    one,
    own_id,
    several,
    text_of,
)
from authz.federation.saml.names import BEARER, ENTITY, a, ds
from authz.federation.saml.times import (
    LEEWAY,
    MAX_LIFETIME,
    check_not_early,
    check_not_late,
    read_moment,
)

_STATEMENTS = tuple(
    a(name) for name in ("AuthnStatement", "AttributeStatement", "AuthzDecisionStatement")
)
_ASSERTION: Sequence[Slot] = (
    one(a("Issuer")),
    maybe(ds("Signature")),
    one(a("Subject")),
    one(a("Conditions")),
    maybe(a("Advice")),
    several(*_STATEMENTS, most=32),
)
_SUBJECT: Sequence[Slot] = (one(a("NameID"), a("EncryptedID")), one(a("SubjectConfirmation")))
# An extension of `Condition` is not among them: what is not understood may be what forbids it (core §2.5.1.1).
_CONDITIONS: Sequence[Slot] = (
    several(a("AudienceRestriction"), a("OneTimeUse"), a("ProxyRestriction"), most=32),
)
_SHAPE = "assertion_malformed"


@dataclass(frozen=True)
class Expected:
    """What an answer is held against."""

    issuer: str
    audience: str
    destination: str
    in_response_to: str | None
    """Our request. None: there was none, and none may be named (SAML-06)."""


@dataclass(frozen=True)
class Parts:
    """An assertion that may be read."""

    id: str
    name_id: Element
    authn: Element
    attributes: Sequence[Element]
    expires_at: datetime
    """When it stops being acceptable; as long it has to be remembered (SAML-05)."""


def check_response(response: Element, expected: Expected, now: datetime) -> None:
    """What the envelope says. Raises SamlError."""
    own_id(response)
    if response.get("Version") != "2.0":
        raise SamlError("response_version")
    check_not_early(response.get("IssueInstant"), now, "response_issue_instant")
    if response.get("Destination") != expected.destination:
        raise SamlError("destination_mismatch")
    _check_in_response_to(response, expected)
    for issuer in (child for child in response if child.tag == a("Issuer")):
        _check_issuer(issuer, expected.issuer)


def check_assertion(assertion: Element, expected: Expected, now: datetime) -> Parts:
    """What the assertion says of itself; what is left to read. Raises SamlError."""
    parts = children(assertion, _ASSERTION, _SHAPE)
    if assertion.get("Version") != "2.0":
        raise SamlError("assertion_version")
    _check_issuer(parts[a("Issuer")][0], expected.issuer)
    issued = read_moment(assertion.get("IssueInstant"), "assertion_issue_instant")
    if not now - MAX_LIFETIME <= issued <= now + LEEWAY:
        raise SamlError("assertion_issue_instant")
    subject = children(parts[a("Subject")][0], _SUBJECT, "subject_malformed")
    if subject[a("EncryptedID")]:
        raise SamlError("name_id_encrypted")
    ends = _check_confirmation(subject[a("SubjectConfirmation")][0], expected, now)
    condition_ends = _check_conditions(parts[a("Conditions")][0], expected, now)
    if len(parts[a("AuthnStatement")]) != 1:
        raise SamlError("authn_statement_missing")
    return Parts(
        id=own_id(assertion),
        name_id=subject[a("NameID")][0],
        authn=parts[a("AuthnStatement")][0],
        attributes=parts[a("AttributeStatement")],
        expires_at=min(ends, condition_ends or ends) + LEEWAY,
    )


def _check_issuer(issuer: Element, expected: str) -> None:
    if text_of(issuer, "issuer_mismatch") != expected or issuer.get("Format", ENTITY) != ENTITY:
        raise SamlError("issuer_mismatch")


def _check_in_response_to(element: Element, expected: Expected) -> None:
    said = element.get("InResponseTo")
    if said == expected.in_response_to:
        return
    if expected.in_response_to is None:
        raise SamlError("unsolicited_names_a_request")
    raise SamlError("in_response_to_missing" if said is None else "in_response_to_mismatch")


def _check_confirmation(confirmation: Element, expected: Expected, now: datetime) -> datetime:
    """The bearer's own conditions (profiles §4.1.4.2)."""
    if confirmation.get("Method") != BEARER:
        raise SamlError("confirmation_not_bearer")
    found = children(confirmation, [one(a("SubjectConfirmationData"))], "confirmation_malformed")
    data = found[a("SubjectConfirmationData")][0]
    if data.get("Recipient") != expected.destination:
        raise SamlError("recipient_mismatch")
    _check_in_response_to(data, expected)
    if data.get("NotBefore") is not None:
        check_not_early(data.get("NotBefore"), now, "confirmation_not_yet_valid")
    ends = check_not_late(data.get("NotOnOrAfter"), now, "confirmation_expired")
    if ends > now + MAX_LIFETIME:
        raise SamlError("lifetime_too_long")
    return ends


def _check_conditions(conditions: Element, expected: Expected, now: datetime) -> datetime | None:
    found = children(conditions, _CONDITIONS, "conditions_malformed")
    restrictions = found[a("AudienceRestriction")]
    if not restrictions:
        raise SamlError("audience_missing")
    for restriction in restrictions:
        # Each has to be met, so two that contradict each other are met by nobody (core §2.5.1.4).
        audiences = children(
            restriction, [several(a("Audience"), least=1, most=64)], "audience_malformed"
        )
        named = [text_of(it, "audience_malformed") for it in audiences[a("Audience")]]
        if expected.audience not in named:
            raise SamlError("audience_mismatch")
    if conditions.get("NotBefore") is not None:
        check_not_early(conditions.get("NotBefore"), now, "conditions_not_yet_valid")
    if conditions.get("NotOnOrAfter") is None:
        return None
    return check_not_late(conditions.get("NotOnOrAfter"), now, "conditions_expired")
