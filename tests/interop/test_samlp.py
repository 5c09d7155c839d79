"""`samlp`, the SAML identity provider of Auth0, over sockets: what it makes of our requests, and we of its answers."""

from datetime import timedelta

import pytest

from authz.clock import system_clock
from authz.federation.saml import read_idp_metadata
from authz.federation.saml.encryption import REFUSED
from tests.interop.scene import plain_http
from tests.support.saml_forms import form_of
from tests.support.saml_idp import FORMATS, SamlIdp, certificate_of, key_of, pem_of, public_pem
from tests.support.saml_sp import Connection, encryption, our_key, signing
from tests.support.samlp import ENTITY_ID, GROUPS, PEOPLE, running

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture(scope="module")
def provider():
    ours = certificate_of(our_key())
    keys = {
        "encryptionCert": pem_of(ours),
        "encryptionPublicKey": public_pem(our_key()).decode(),
    }
    with running(**keys) as made, plain_http() as http:
        yield made.base, made.certificate, http


def connected(base, cert, mode, **settings):
    idp = SamlIdp(ENTITY_ID)
    idp.certificate = cert
    return Connection(idp, {"sso_url": f"{base}/sso?mode={mode}", **settings}, preset="adfs")


def answered(connection, http, **more):
    """Go there and bring back what the form says."""
    now = system_clock()
    started = connection.start(now=now, state="sta_a-b_c")
    form = form_of(http.get(started.url))
    assert form.action == connection.upstream.acs_url
    assert form.fields["RelayState"] == "sta_a-b_c"
    more = {"now": now, "request": started.kept["request"], **more}
    return form.fields, more


@pytest.mark.parametrize(
    ("mode", "signed"),
    [
        ("assertion", "assertion"),
        ("both", "assertion"),
        ("both", "response"),
        ("response", "response"),
    ],
    ids=["assertion", "both-assertion", "both-response", "response"],
)
def test_somebody_signs_in(provider, mode, signed):
    base, cert, http = provider
    connection = connected(base, cert, mode, signed=signed)
    fields, more = answered(connection, http)
    identity = connection.finish(fields, wants=frozenset({GROUPS}), **more).identity
    assert identity.subject == f'["{FORMATS}:persistent","","","ada-7"]'
    assert identity.email == PEOPLE["ada"]["email"]
    assert identity.name == PEOPLE["ada"]["name"]
    assert identity.claims == {GROUPS: ("dev", "r&d", "ops")}
    assert identity.session == "_session_1"
    assert abs(identity.auth_time - more["now"]) < timedelta(seconds=30)


@pytest.mark.parametrize(
    ("mode", "signed"), [("assertion", "response"), ("response", "assertion")], ids=["r", "a"]
)
def test_the_part_that_is_asked_for_has_to_be_signed(provider, mode, signed):
    base, cert, http = provider
    connection = connected(base, cert, mode, signed=signed)
    fields, more = answered(connection, http)
    assert connection.outcome(fields, **more) == "signature_missing"


def test_an_encrypted_assertion_is_read(provider):
    """SAML-10: its AES-GCM and its RSA-OAEP are ours."""
    base, cert, http = provider
    connection = connected(base, cert, "encrypted", **encryption())
    fields, more = answered(connection, http)
    assert "ada" not in fields["SAMLResponse"]
    assert connection.finish(fields, **more).identity.email == PEOPLE["ada"]["email"]
    other = connected(base, cert, "encrypted", **encryption("env:OLD"))
    assert other.outcome(fields, **more) == REFUSED


def test_a_refusal_over_there_is_no_sign_in_here(provider):
    base, cert, http = provider
    connection = connected(base, cert, "refused")
    fields, more = answered(connection, http)
    assert connection.outcome(fields, **more) == "upstream_error"


def test_a_name_that_looks_like_a_comment_is_a_name(provider):
    """ATK-31: escaped, it is text, all of it."""
    base, cert, http = provider
    connection = connected(base, cert, "assertion&who=comment")
    fields, more = answered(connection, http)
    assert connection.finish(fields, **more).identity.subject.endswith(',"ada-7<!-- -->x"]')


def test_an_answer_is_for_one_request_and_one_key(provider):
    base, cert, http = provider
    connection = connected(base, cert, "assertion")
    fields, more = answered(connection, http)
    assert (
        connection.outcome(fields, **{**more, "request": "id_other"}) == "in_response_to_mismatch"
    )
    now = more["now"]
    stranger = certificate_of(
        key_of("stranger"), begins=now - timedelta(1), ends=now + timedelta(1)
    )
    assert connected(base, stranger, "assertion").outcome(fields, **more) == "signature_wrong"


def test_its_metadata_is_imported(provider):
    base, cert, http = provider
    found = read_idp_metadata(http.get(f"{base}/metadata").content, system_clock())
    assert found.members == {
        "entity_id": ENTITY_ID,
        "sso_url": f"{base}/sso",
        "certificates": [pem_of(cert)],
    }


def test_it_verifies_the_signature_of_our_requests():
    """It refuses a request without one, or with another key's."""
    ours = certificate_of(our_key())
    with running(signingCert=pem_of(ours)) as made, plain_http() as http:
        base, cert = made.base, made.certificate
        connection = connected(base, cert, "assertion", **signing())
        fields, more = answered(connection, http)
        assert connection.finish(fields, **more).identity.email == PEOPLE["ada"]["email"]
        unsigned = connected(base, cert, "assertion")
        refused = http.get(unsigned.start(now=more["now"]).url)
        assert (refused.status_code, "MUST be signed" in refused.text) == (400, True)
        url = connection.start(now=more["now"]).url
        changed = http.get(url.replace("RelayState=sta_1", "RelayState=sta_2"))
        assert (changed.status_code, "Signature check errors" in changed.text) == (400, True)
