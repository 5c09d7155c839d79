"""The way out: what an identity provider is asked, and that it can tell who asks."""

import base64
import re
from urllib.parse import quote

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from authz.directory.assurance import MFA, PASSWORD
from authz.federation.connector import MISCONFIGURED, SignInRefused, Wish
from tests.support.configured import NOW
from tests.support.saml_idp import FORMATS, MORE, SSO_URL, A, P, read_request
from tests.support.saml_sp import Connection, encryption, our_key, signing

POST = "urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST"


@pytest.fixture(scope="module")
def connection():
    return Connection()


def test_a_request_says_who_asks_and_where_the_answer_goes(connection):
    started = connection.start(state="sta_secret")
    request, parameters = read_request(started.url)
    assert started.url.startswith(f"{SSO_URL}?SAMLRequest=")
    assert parameters["RelayState"] == "sta_secret"
    assert {"SigAlg", "Signature"}.isdisjoint(parameters)
    assert request.tag == f"{P}AuthnRequest"
    assert dict(request.attrib) == {
        "ID": started.kept["request"],
        "Version": "2.0",
        "IssueInstant": NOW.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Destination": SSO_URL,
        "ProtocolBinding": POST,
        "AssertionConsumerServiceURL": connection.upstream.acs_url,
    }
    assert [child.tag for child in request] == [f"{A}Issuer", f"{P}NameIDPolicy"]
    assert request.findtext(f"{A}Issuer") == connection.upstream.entity_id
    assert request.find(f"{P}NameIDPolicy").get("Format") == f"{FORMATS}:persistent"


def test_every_request_has_a_name_of_its_own(connection):
    ids = {connection.start().kept["request"] for _ in range(50)}
    assert len(ids) == 50
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]{20,}", it) for it in ids)


def test_an_answer_to_it_is_accepted_and_to_another_one_not(connection):
    """SAML-04."""
    mine, other = connection.start().kept["request"], connection.start().kept["request"]
    sent = connection.respond(in_response_to=mine)
    assert connection.outcome(sent, request=mine) == "accepted"
    assert connection.outcome(sent, request=other) == "in_response_to_mismatch"


@pytest.mark.parametrize(
    ("wish", "is_forced"),
    [
        (Wish(), False),
        (Wish(is_fresh=True), True),
        (Wish(max_age=0), True),
        (Wish(max_age=3600), True),
    ],
    ids=["any", "fresh", "now", "age"],
)
def test_a_fresh_sign_in_is_asked_for(connection, wish, is_forced):
    """SUA-01."""
    request, _ = read_request(connection.start(wish).url)
    assert (request.get("ForceAuthn") == "true") == is_forced


def test_how_somebody_should_sign_in_is_asked_for(connection):
    """SUA-01: exactly one of these, in the order of preference, after the NameIDPolicy as the schema has it."""
    wish = Wish(acr_values=("urn:mfa", "urn:pwd&<>"))
    request, _ = read_request(connection.start(wish).url)
    context = request[-1]
    assert context.tag == f"{P}RequestedAuthnContext"
    assert context.get("Comparison") == "exact"
    assert [it.text for it in context] == ["urn:mfa", "urn:pwd&<>"]
    assert {it.tag for it in context} == {f"{A}AuthnContextClassRef"}


@pytest.mark.parametrize(
    ("preset", "asked"),
    [
        ("generic", ["https://refeds.org/profile/mfa", "urn:x"]),
        ("adfs", ["http://schemas.microsoft.com/claims/multipleauthn", "urn:x"]),
        ("okta", ["urn:okta:loa:2fa:any", "urn:x"]),
        ("entra", ["urn:x"]),
    ],
)
def test_our_own_names_are_asked_for_in_the_products_words(preset, asked):
    """SUA-01."""
    wish = Wish(acr_values=(MFA, "urn:x", PASSWORD))
    request, _ = read_request(Connection(preset=preset).start(wish).url)
    assert [it.text for it in request[-1]] == asked


def test_what_cannot_be_asked_for_is_not(connection):
    request, _ = read_request(connection.start(Wish(acr_values=(PASSWORD,))).url)
    assert request.find(f"{P}RequestedAuthnContext") is None


def test_a_signed_query_is_verified_as_it_stands():
    """Bindings §3.4.4.1: over the characters of the query, in the order of the specification."""
    connection = Connection(settings=signing())
    url = connection.start(state="sta_a/b+c").url
    signed, _, signature = url.partition("?")[2].partition("&Signature=")
    names = [pair.partition("=")[0] for pair in signed.split("&")]
    assert names == ["SAMLRequest", "RelayState", "SigAlg"]
    assert signed.endswith(f"&SigAlg={quote(f'{MORE}rsa-sha256', safe='')}")
    _, parameters = read_request(url)
    value = base64.b64decode(parameters["Signature"])
    public = our_key().public_key()
    public.verify(value, signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(value, signed.encode() + b"x", padding.PKCS1v15(), hashes.SHA256())
    assert "%" not in signature.replace("%2B", "").replace("%2F", "").replace("%3D", "")


def test_a_sign_on_url_keeps_its_own_query():
    connection = Connection(settings={"sso_url": "https://idp.example/sso?idp=a%2Fb", **signing()})
    url = connection.start().url
    assert url.startswith("https://idp.example/sso?idp=a%2Fb&SAMLRequest=")


@pytest.mark.parametrize("reference", ["env:GONE", "file:/nonexistent"])
def test_a_request_is_not_sent_unsigned_when_the_key_is_gone(reference):
    connection = Connection(settings={**signing(), "signing_key": reference})
    with pytest.raises(SignInRefused) as refused:
        connection.start()
    assert refused.value.reason == "connection_misconfigured"
    assert refused.value.sentence == MISCONFIGURED
    assert reference not in str(refused.value)


@pytest.mark.parametrize("reference", ["env:SMALL", "env:CURVE", "env:TEXT"])
def test_a_key_that_is_none_is_our_own_fault(reference):
    """For requests that are to be signed, and for what is encrypted for us."""
    connection = Connection(settings={**signing(), "signing_key": reference})
    with pytest.raises(SignInRefused) as refused:
        connection.start()
    assert (refused.value.reason, refused.value.sentence) == ("own_key_unusable", MISCONFIGURED)
    sealed = Connection(settings=encryption(reference))
    assert sealed.outcome(sealed.respond()) == "own_key_unusable"


def test_a_hint_goes_where_the_product_wants_it(connection):
    wish = Wish(login_hint="ada@corp.example")
    assert "ada" not in connection.start(wish).url
    _, parameters = read_request(Connection(preset="entra").start(wish).url)
    assert parameters["login_hint"] == "ada@corp.example"
    signed = Connection(preset="entra", settings=signing()).start(wish).url.partition("?")[2]
    assert signed.startswith("login_hint=ada%40corp.example&SAMLRequest=")


def test_nothing_of_it_shows_in_a_log(connection):
    assert repr(connection.start()) == "Start(***)"
