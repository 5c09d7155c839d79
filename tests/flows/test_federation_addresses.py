"""What a connection publishes of itself, and how its provider may send people here."""

import pytest

from authz.db.models import Session, SignInAttempt
from tests.support.connections import connection
from tests.support.saml_idp import SamlIdp

ISSUER = "https://idp.example"


@pytest.fixture
def okta(harness):
    row = connection(harness.tenant_id, "okta", harness.clock(), settings={"issuer": ISSUER})
    with harness.server.database.write() as tx:
        tx.add(row)
    return f"{harness.issuer}/federation/okta"


def test_an_openid_connection_has_no_metadata(harness, okta):
    page = harness.browser().get(f"{okta}/metadata")
    assert (page.status, page.reason) == (404, "connection_unknown")


def test_a_saml_connection_tells_its_provider_what_it_needs(harness):
    """SAML-09: the entity id is where the metadata is."""
    row = connection(
        harness.tenant_id, "adfs", harness.clock(), kind="saml", settings=SamlIdp().settings()
    )
    with harness.server.database.write() as tx:
        tx.add(row)
    base = f"{harness.issuer}/federation/adfs"
    response = harness.http.get(f"{base}/metadata")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/samlmetadata+xml"
    assert f'entityID="{base}/metadata"' in response.text
    assert f'Location="{base}/acs"' in response.text


@pytest.mark.parametrize("how", ["get", "post"])
def test_a_provider_may_send_somebody_who_then_decides(harness, okta, how):
    """OIDC-09: a button and nothing else; nobody is signed in, nothing is stored, nothing is allowed."""
    browser = harness.browser()
    fields = {"iss": ISSUER, "login_hint": "dev@example.com", "target_link_uri": harness.issuer}
    if how == "get":
        page = browser.get(f"{okta}/initiate", **fields)
    else:
        page = browser.post(f"{okta}/initiate", fields, **{"Sec-Fetch-Site": "cross-site"})
    assert page.status == 200
    assert "Continue with <bdi>Okta</bdi>" in page.text
    assert page.field("then") == "home"
    assert harness.count(SignInAttempt) == harness.count(Session) == 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "initiate_iss"),
        ({"iss": f"{ISSUER}/"}, "initiate_iss"),
        ({"iss": "https://evil.example"}, "initiate_iss"),
        ({"iss": ISSUER, "target_link_uri": "https://evil.example"}, "initiate_target"),
        ({"iss": ISSUER, "target_link_uri": "//evil.example"}, "initiate_target"),
    ],
)
def test_whoever_else_sends_somebody_gets_a_page(harness, okta, fields, reason):
    """OIDC-09, ATK-18: another issuer, and no open redirector."""
    page = harness.browser().get(f"{okta}/initiate", **fields)
    assert (page.status, page.reason) == (400, reason)


def test_a_target_that_only_begins_like_ours_is_another(harness, okta):
    page = harness.browser().get(
        f"{okta}/initiate", iss=ISSUER, target_link_uri=f"{harness.issuer}.evil.example/"
    )
    assert (page.status, page.reason) == (400, "initiate_target")
