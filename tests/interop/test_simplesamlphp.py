"""SimpleSAMLphp, with which universities sign people in, over sockets: its form, its session, its signatures, ours."""

from datetime import timedelta

import httpx2
import pytest

from authz.clock import system_clock
from authz.federation.connector import Wish
from authz.federation.saml import read_idp_metadata, sp_metadata
from tests.support.saml_forms import form_of
from tests.support.saml_idp import CLASSES, FORMATS, SamlIdp, pem_of
from tests.support.saml_sp import Connection, encryption, signing
from tests.support.simplesamlphp import PASSWORD, PEOPLE, SimpleSamlPhp

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with SimpleSamlPhp(tmp_path_factory.mktemp("simplesamlphp")) as running:
        yield running


@pytest.fixture
def person():
    """Somebody with a browser of their own."""
    with httpx2.Client(trust_env=False, timeout=30, follow_redirects=True) as browser:
        yield browser


def connected(provider, slug, **settings):
    """A connection made of the provider's metadata, which it knows by ours."""
    idp = SamlIdp(provider.entity_id)
    idp.certificate = provider.certificate
    names = {"email_attribute": "mail", "name_attribute": "cn"}
    connection = Connection(idp, {"sso_url": provider.sso_url, **names, **settings}, slug=slug)
    provider.know(sp_metadata(connection.upstream))
    return connection


def leave(connection, person, wish=None):
    """Go to the provider: the page there, and what has to be kept."""
    now = system_clock()
    started = connection.start(wish, now=now)
    kept = {"request": started.kept["request"], "wish": wish, "now": now}
    return person.get(started.url), kept


def sign_in(person, page, login="ada", password=PASSWORD):
    form = form_of(page)
    form.fields.update(username=login, password=password)
    return person.post(form.action, data=form.fields)


def answer_of(connection, page):
    """What the provider's last page posts to us."""
    form = form_of(page)
    assert form.action == connection.upstream.acs_url, page.text
    assert form.fields["RelayState"] == "sta_1"
    return form.fields


def test_its_metadata_is_imported(provider, person):
    found = read_idp_metadata(person.get(provider.entity_id).content, system_clock())
    assert found.members == {
        "entity_id": provider.entity_id,
        "sso_url": provider.sso_url,
        "certificates": [pem_of(provider.certificate)],
    }


@pytest.mark.parametrize("signed", ["assertion", "response"])
def test_somebody_signs_in(provider, person, signed):
    connection = connected(provider, f"by-{signed}", signed=signed)
    page, kept = leave(connection, person)
    answer = answer_of(connection, sign_in(person, page))
    identity = connection.finish(answer, wants=frozenset({"groups"}), **kept).identity
    ours = connection.upstream.entity_id
    assert identity.subject == f'["{FORMATS}:persistent","","{ours}","ada-7"]'
    assert (identity.email, identity.name) == ("ada@corp.example", "Ada Lovelace")
    assert identity.claims == {"groups": tuple(PEOPLE["ada"]["groups"])}
    assert identity.acr == f"{CLASSES}:Password"
    assert identity.session_expires_at - identity.auth_time > timedelta(hours=1)


def test_a_wrong_password_brings_no_answer(provider, person):
    page, _ = leave(connected(provider, "wrong"), person)
    page = sign_in(person, page, password="guess")
    assert "SAMLResponse" not in page.text
    assert "username" in form_of(page).fields


def test_its_session_signs_in_again_unless_a_fresh_sign_in_is_asked_for(provider, person):
    """SUA-01, SUA-04: it heeds ForceAuthn, and says when the person really signed in."""
    connection = connected(provider, "again")
    page, kept = leave(connection, person)
    first = connection.finish(answer_of(connection, sign_in(person, page)), **kept).identity
    page, kept = leave(connection, person)
    second = connection.finish(answer_of(connection, page), **kept).identity
    assert second.auth_time == first.auth_time
    page, kept = leave(connection, person, Wish(is_fresh=True))
    assert "username" in form_of(page).fields
    third = connection.finish(answer_of(connection, sign_in(person, page)), **kept).identity
    assert third.auth_time >= second.auth_time
    # What its session answers is found to be too old by whoever asked for more than that.
    page, kept = leave(connection, person)
    fields = answer_of(connection, page)
    later = {**kept, "now": kept["now"] + timedelta(minutes=4), "wish": Wish(is_fresh=True)}
    assert connection.outcome(fields, **later) == "authentication_too_old"


def test_an_answer_is_for_one_connection(provider, person):
    here, there = connected(provider, "here"), connected(provider, "there")
    page, kept = leave(here, person)
    answer = answer_of(here, sign_in(person, page))
    assert there.outcome(answer, **kept) == "destination_mismatch"
    assert here.outcome(answer, **kept) == "accepted"


def test_it_verifies_the_signature_of_our_requests(provider, person):
    """Our metadata says that requests are signed; it takes no others from then on."""
    connection = connected(provider, "signing", **signing())
    page, kept = leave(connection, person)
    answer = answer_of(connection, sign_in(person, page))
    assert connection.outcome(answer, **kept) == "accepted"
    url = connection.start(now=kept["now"]).url
    changed = person.get(url.replace("RelayState=sta_1", "RelayState=sta_2"))
    assert "Unable to validate signature on query string" in changed.text
    unsigned = person.get(url.partition("&SigAlg=")[0])
    assert "no signature found on message" in unsigned.text
    assert not any('"SAMLResponse"' in page.text for page in (changed, unsigned))


def test_what_it_encrypts_with_is_refused(tmp_path, person):
    """SAML-10, ATK-35: it knows AES-CBC alone, and the guide says to leave encryption off then."""
    with SimpleSamlPhp(tmp_path, **{"assertion.encryption": True}) as provider:
        connection = connected(provider, "sealed", **encryption())
        page, kept = leave(connection, person)
        answer = answer_of(connection, sign_in(person, page))
        assert connection.outcome(answer, **kept) == "encryption_algorithm_refused"
