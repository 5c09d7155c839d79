"""A response that is good, and one defect at a time in it, signed by the identity provider itself (SAML-04, ATK-33)."""

from datetime import timedelta

import pytest

from authz.federation.connector import SignInRefused
from authz.federation.saml.times import LEEWAY, MAX_LIFETIME
from tests.support.configured import NOW
from tests.support.saml_idp import (
    BEARER,
    FORMATS,
    STATUSES,
    A,
    P,
    Said,
    SamlIdp,
    etree,
    key_of,
    posted,
)
from tests.support.saml_sp import Connection

SECOND = timedelta(seconds=1)
OURS, OTHER = "=", "https://other.example"


@pytest.fixture(scope="module")
def connection():
    return Connection()


def test_a_good_response_is_accepted(connection):
    finished = connection.finish(connection.respond())
    assert finished.identity.subject == f'["{FORMATS}:persistent","","","ada-7"]'
    assert finished.identity.auth_time == NOW - timedelta(minutes=1)
    assert finished.identity.session == "_session_1"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"version": "1.1"}, "response_version"),
        ({"version": "2.0 "}, "response_version"),
        ({"assertion_version": "1.1"}, "assertion_version"),
        ({"issued": NOW + LEEWAY + SECOND}, "response_issue_instant"),
        ({"issued": None}, "response_issue_instant"),
        ({"assertion_issued": NOW + LEEWAY + SECOND}, "assertion_issue_instant"),
        ({"assertion_issued": NOW - MAX_LIFETIME - SECOND}, "assertion_issue_instant"),
        ({"assertion_issued": None}, "assertion_issue_instant"),
        ({"destination": None}, "destination_mismatch"),
        ({"destination": "https://as.example/t/acme/federation/other/acs"}, "destination_mismatch"),
        ({"destination": "https://as.example/t/acme/federation/acme/acs/"}, "destination_mismatch"),
        ({"recipient": None}, "recipient_mismatch"),
        ({"recipient": "https://as.example/t/acme/federation/other/acs"}, "recipient_mismatch"),
        ({"issuer": OTHER}, "issuer_mismatch"),
        ({"response_issuer": OTHER}, "issuer_mismatch"),
        ({"issuer": " https://idp.example/saml"}, "issuer_mismatch"),
        ({"issuer": None}, "assertion_malformed"),
        ({"audiences": ()}, "audience_missing"),
        ({"audiences": ((),)}, "audience_malformed"),
        ({"audiences": ((OTHER,),)}, "audience_mismatch"),
        ({"audiences": ((OURS,), (OTHER,))}, "audience_mismatch"),
        ({"audiences": ((OTHER,), (OURS,))}, "audience_mismatch"),
        ({"not_before": NOW + LEEWAY + SECOND}, "conditions_not_yet_valid"),
        ({"not_on_or_after": NOW - LEEWAY}, "conditions_expired"),
        ({"not_on_or_after": "2026-01-02"}, "conditions_expired"),
        ({"confirmed_not_before": NOW + LEEWAY + SECOND}, "confirmation_not_yet_valid"),
        ({"confirmed_not_on_or_after": NOW - LEEWAY}, "confirmation_expired"),
        ({"confirmed_not_on_or_after": None}, "confirmation_expired"),
        ({"confirmed_not_on_or_after": NOW + MAX_LIFETIME + SECOND}, "lifetime_too_long"),
        ({"confirmed_not_on_or_after": "9999-12-31T23:59:59Z"}, "lifetime_too_long"),
        ({"confirmation": BEARER.replace("bearer", "sender-vouches")}, "confirmation_not_bearer"),
        ({"confirmation": BEARER.replace("bearer", "holder-of-key")}, "confirmation_not_bearer"),
        ({"in_response_to": "id_2"}, "in_response_to_mismatch"),
        ({"in_response_to": None}, "in_response_to_missing"),
        ({"confirmed_in_response_to": "id_2"}, "in_response_to_mismatch"),
        ({"confirmed_in_response_to": None}, "in_response_to_missing"),
        ({"name_id": None}, "subject_malformed"),
        ({"name_id": ""}, "name_id_unusable"),
        ({"name_id": "a" * 257}, "name_id_unusable"),
        ({"name_id": "ada\u202e7"}, "name_id_unusable"),
        ({"name_id": "\nada-7\n"}, "name_id_unusable"),
        ({"name_id_format": f"{FORMATS}:transient"}, "name_id_transient"),
        ({"authn_instant": None}, "authn_instant"),
        ({"authn_instant": NOW + LEEWAY + SECOND}, "authn_instant"),
        ({"session_ends": NOW}, "session_over"),
        ({"session_ends": "soon"}, "session_over"),
        ({"session_index": "s" * 257}, "authn_malformed"),
        ({"response_id": "1 2"}, "id_unusable"),
        ({"assertion_id": "_response_1"}, "id_duplicate"),
        ({"status": ()}, "status_malformed"),
        ({"status": (f"{STATUSES}:Responder",)}, "upstream_error"),
        (
            {"status": (f"{STATUSES}:Responder", f"{STATUSES}:NoAuthnContext")},
            "upstream_context_not_met",
        ),
        (
            {"status": (f"{STATUSES}:Responder", f"{STATUSES}:RequestDenied")},
            "upstream_request_denied",
        ),
        ({"status": (f"{STATUSES}:Success ",)}, "upstream_error"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_one_defect_is_one_reason(connection, said, reason):
    assert connection.outcome(connection.respond(signs=("assertion", "response"), **said)) == reason


@pytest.mark.parametrize(
    "said",
    [
        {"not_before": NOW + LEEWAY},
        {"not_before": None, "not_on_or_after": None},
        {"not_on_or_after": NOW - LEEWAY + SECOND},
        {"confirmed_not_before": NOW + LEEWAY},
        {"confirmed_not_on_or_after": NOW - LEEWAY + SECOND},
        {"confirmed_not_on_or_after": NOW + MAX_LIFETIME},
        {"issued": NOW + LEEWAY, "assertion_issued": NOW + LEEWAY},
        {"assertion_issued": "2026-01-02T12:00:00.1234567Z"},
        {"audiences": ((OTHER, OURS), (OURS,))},
        {"response_issuer": None},
        {"session_ends": NOW + SECOND},
        {"context": None},
        {"session_index": None},
    ],
    ids=lambda said: "-".join(said),
)
def test_what_is_just_good_enough(connection, said):
    assert connection.outcome(connection.respond(**said)) == "accepted"


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T12:05:00",
        "2026-01-02T12:05:00+00:00",
        "2026-01-02T12:05:00z",
        "2026-01-02 12:05:00Z",
        "2026-01-02T12:05Z",
        "2026-01-02T12:05:60Z",
        "2026-01-02T24:00:00Z",
        "2026-02-30T12:05:00Z",
        "0000-01-02T12:05:00Z",
        "12026-01-02T12:05:00Z",
        "2026-01-02T12:05:00.Z",
        "2026-01-02T12:05:00.1234567890Z",
        "\uff12\uff10\uff12\uff16-01-02T12:05:00Z",
        " 2026-01-02T12:05:00Z",
        "",
    ],
    ids=range(15),
)
def test_a_moment_is_written_in_one_way(connection, text):
    """Core §1.3.3: UTC, and nothing that two readers could take for two moments."""
    sent = connection.respond(confirmed_not_on_or_after=text)
    assert connection.outcome(sent) == "confirmation_expired"


def _remove(path):
    def bend(root):
        for found in root.iterfind(path):
            found.getparent().remove(found)

    return bend


def _twice(path):
    def bend(root):
        found = root.find(path)
        found.addnext(etree.fromstring(etree.tostring(found)))

    return bend


def _put(path, name, **attributes):
    def bend(root):
        etree.SubElement(root.find(path), name, attributes)

    return bend


def _to_end(path):
    def bend(root):
        found = root.find(path)
        found.getparent().append(found)

    return bend


def _loose_text(root):
    root.find(f"{A}Assertion/{A}Conditions").tail = "loose"


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (_remove(f"{A}Assertion/{A}Conditions"), "assertion_malformed"),
        (_remove(f"{A}Assertion/{A}Subject"), "assertion_malformed"),
        (_remove(f"{A}Assertion/{A}AuthnStatement"), "authn_statement_missing"),
        (_remove(f".//{A}SubjectConfirmation"), "subject_malformed"),
        (_remove(f".//{A}SubjectConfirmationData"), "confirmation_malformed"),
        (_twice(f".//{A}SubjectConfirmation"), "subject_malformed"),
        (_twice(f".//{A}NameID"), "subject_malformed"),
        (_twice(f".//{A}Conditions"), "assertion_malformed"),
        (_twice(f".//{A}AuthnStatement"), "authn_statement_missing"),
        (_twice(f".//{A}AuthnContextClassRef"), "authn_malformed"),
        (_to_end(f"{A}Assertion/{A}Subject"), "assertion_malformed"),
        (_to_end(f"{A}Assertion/{A}Issuer"), "assertion_malformed"),
        (_to_end(f"{P}Status"), "response_malformed"),
        (_put(f".//{A}Conditions", f"{A}Condition"), "conditions_malformed"),
        (_put(f"{A}Assertion", "{urn:x}Statement"), "assertion_malformed"),
        (_put(".", "{urn:x}Thing"), "response_malformed"),
        (_loose_text, "assertion_malformed"),
        (_remove(f"{P}Status"), "response_malformed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stands_where_it_does_not_belong(connection, bend, reason):
    """SAML-02: the order of the schema, and nothing between."""
    assert connection.outcome(connection.respond(bend=bend)) == reason


@pytest.mark.parametrize("name", ["OneTimeUse", "ProxyRestriction"])
def test_conditions_that_change_nothing_here(connection, name):
    sent = connection.respond(bend=_put(f".//{A}Conditions", f"{A}{name}"))
    assert connection.outcome(sent) == "accepted"


def test_an_encrypted_name_is_nobody(connection):
    def bend(root):
        name = root.find(f".//{A}NameID")
        name.getparent().replace(name, etree.Element(f"{A}EncryptedID"))

    assert connection.outcome(connection.respond(bend=bend)) == "name_id_encrypted"


def test_an_assertion_has_one_replay_key_for_as_long_as_it_is_good(connection):
    """SAML-05: the leeway of acceptance is that of remembering."""
    sent = connection.respond(
        not_on_or_after=NOW + timedelta(minutes=3),
        confirmed_not_on_or_after=NOW + timedelta(minutes=7),
    )
    key, until = connection.finish(sent).once
    assert connection.finish(sent).once == (key, until)
    assert until == NOW + timedelta(minutes=3) + LEEWAY
    assert connection.outcome(sent, now=until - SECOND) == "accepted"
    assert connection.outcome(sent, now=until) == "conditions_expired"
    # Another envelope around the same assertion is the same assertion.
    assert connection.finish(connection.respond(response_id="_other")).once[0] == key
    assert connection.finish(connection.respond(assertion_id="_other")).once[0] != key


def test_an_answer_works_at_its_own_connection_only():
    """The same identity provider at two connections, as at two tenants: neither takes the other's assertion."""
    here, there = Connection(), Connection(slug="globex")
    assert there.outcome(here.respond()) == "destination_mismatch"
    sent = here.respond(destination=there.upstream.acs_url)
    assert there.outcome(sent) == "recipient_mismatch"
    sent = here.respond(destination=there.upstream.acs_url, recipient=there.upstream.acs_url)
    assert there.outcome(sent) == "audience_mismatch"
    assert there.outcome(there.respond()) == "accepted"


def test_an_answer_of_another_identity_provider_is_signed_by_nobody_here(connection):
    stranger = SamlIdp(key=key_of("stranger"))
    assert connection.outcome(stranger.respond(connection.upstream)) == "signature_wrong"


def test_unsolicited_responses_are_off(connection):
    """SAML-06, ATK-18: somebody else's perfectly good response would sign the browser in as them."""
    sent = connection.respond(in_response_to=None)
    assert connection.outcome(sent, request=None) == "unsolicited"
    assert connection.outcome(connection.respond(), request=None) == "unsolicited"


def test_unsolicited_responses_never_name_a_request(connection):
    """SAML-06: where they are allowed, one that was made for a request of somebody does not pass for unsolicited."""
    lax = connection.with_settings(unsolicited=True)
    assert lax.outcome(lax.respond(in_response_to=None), request=None) == "accepted"
    assert lax.outcome(lax.respond(), request=None) == "unsolicited_names_a_request"
    half = lax.respond(in_response_to=None, confirmed_in_response_to="id_1")
    assert lax.outcome(half, request=None) == "unsolicited_names_a_request"
    # And a pending request is completed by nothing unsolicited.
    assert lax.outcome(lax.respond(in_response_to=None)) == "in_response_to_missing"


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "response_missing"),
        ({"%53AMLResponse": "PHgvPg=="}, "response_missing"),
        ({"samlresponse": "PHgvPg=="}, "response_missing"),
        ({"SAMLart": "AAQAAA=="}, "response_missing"),
        ({"SAMLResponse": ""}, "xml_malformed"),
        ({"SAMLResponse": "PHg?"}, "message_not_base64"),
        ({"SAMLResponse": "PHgvPg="}, "message_not_base64"),
        ({"SAMLResponse": "PHgvPg==\u00e9"}, "message_not_base64"),
        ({"SAMLResponse": "PHg vPg=="}, "message_not_base64"),
        ({"SAMLResponse": "A" * (256 * 1024 + 4)}, "message_too_large"),
        ({"SAMLResponse": "PHgvPg=="}, "response_malformed"),
    ],
    ids=[
        "none",
        "escaped",
        "case",
        "artifact",
        "empty",
        "sign",
        "pad",
        "utf8",
        "space",
        "size",
        "x",
    ],
)
def test_what_the_form_holds(connection, params, reason):
    """CVE-2026-117691: one name, one reading of it."""
    assert connection.outcome(params) == reason


def test_base64_with_line_breaks_is_read(connection):
    sent = connection.respond()
    broken = "\r\n".join(sent[n : n + 76] for n in range(0, len(sent), 76))
    assert connection.outcome(broken) == "accepted"


def test_a_refusal_shows_nothing(connection):
    with pytest.raises(SignInRefused) as refused:
        connection.finish(connection.respond(issuer="https://evil.example"))
    assert str(refused.value) == "issuer_mismatch"
    assert "evil" not in refused.value.sentence
    assert refused.value.__cause__ is None


def test_only_one_of_several_identities_is_in_a_response(connection):
    root = connection.idp.response(connection.upstream, Said())
    connection.idp.sign_parts(root, ("assertion",))
    second = connection.idp.response(connection.upstream, Said(assertion_id="_two", name_id="eve"))
    connection.idp.sign_parts(second, ("assertion",))
    root.append(second.find(f"{A}Assertion"))
    assert connection.outcome(posted(root)) == "assertion_ambiguous"


def test_no_assertion_is_no_identity(connection):
    root = connection.idp.response(connection.upstream, Said())
    root.remove(root.find(f"{A}Assertion"))
    assert connection.outcome(posted(root)) == "assertion_missing"
