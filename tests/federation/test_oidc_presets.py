"""ATK-25, ATK-26, OIDC-07, OIDC-10: each product's quirks, at a provider that has them."""

import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from authz.directory.assurance import MFA
from authz.federation.connector import PUBLIC_SENTENCE, Wish
from authz.federation.oidc_claims import OTHER_TENANT
from tests.support.oidc_scene import DIRECTORY, OBJECT

ELSEWHERE = "7a1b2c3d-0000-4000-8000-00000000000b"
DOMAIN = "corp.example"


@pytest.fixture
def entra(scene):
    """Of one directory."""
    person = {
        "sub": "pairwise-1",
        "tid": DIRECTORY,
        "oid": OBJECT,
        "preferred_username": "dev@corp.example",
        "email_verified": None,
        "ver": "2.0",
    }
    metadata = {"authorization_response_iss_parameter_supported": None}
    return scene.idp("entra.example", f"/{DIRECTORY}/v2.0", person=person, metadata=metadata)


@pytest.fixture
def google(scene):
    return scene.idp("google.example", person={"hd": DOMAIN})


def connected(scene, idp, preset, **settings):
    return scene.upstream(idp, preset, preset, **settings)


def request_of(start):
    return dict(parse_qsl(urlsplit(start.url).query, strict_parsing=True))


# -- Microsoft Entra ID -------------------------------------------------------------------------------------


def test_people_of_entra_are_known_by_directory_and_object(scene, entra):
    identity = scene.sign_in(entra, connected(scene, entra, "entra")).identity
    assert identity.subject == f"{DIRECTORY}:{OBJECT}"
    assert identity.email == "dev@corp.example"


@pytest.mark.parametrize("tid", [ELSEWHERE, None, "common", [DIRECTORY], DIRECTORY.upper()])
def test_a_token_of_another_directory(scene, entra, tid):
    """ATK-25: the same issuer text and the same keys would not save us; the directory is compared by itself."""
    entra.claims["tid"] = tid
    refused = scene.refusal(entra, connected(scene, entra, "entra"))
    assert (refused.reason, refused.sentence) == ("tenant_mismatch", OTHER_TENANT)


@pytest.mark.parametrize(
    ("oid", "reason"),
    [
        (None, "subject_missing"),
        ([OBJECT], "subject_missing"),
        ("dev@corp.example", "subject_malformed"),
        (f"{OBJECT}:x", "subject_malformed"),
    ],
)
def test_nobody_of_entra_is_known_by_anything_else(scene, entra, oid, reason):
    entra.claims["oid"] = oid
    assert scene.refusal(entra, connected(scene, entra, "entra")).reason == reason


@pytest.mark.parametrize("edov", [True, 1, "1", "true"])
def test_an_address_counts_where_entra_verified_its_domain(scene, entra, edov):
    entra.claims["xms_edov"] = edov
    identity = scene.sign_in(entra, connected(scene, entra, "entra")).identity
    assert (identity.email, identity.email_verified) == ("dev@corp.example", True)


@pytest.mark.parametrize("edov", [None, False, 0, "0", "false", "TRUE", [True], {"a": 1}, 1.0])
def test_nobody_else_vouches_for_an_address_of_entra(scene, entra, edov):
    """ATK-26 (nOAuth): an administrator of any directory writes any address; `email_verified` is not Entra's word."""
    entra.claims |= {"email": "ceo@victim.example", "xms_edov": edov, "email_verified": True}
    identity = scene.sign_in(entra, connected(scene, entra, "entra")).identity
    assert not identity.email_verified
    assert identity.subject == f"{DIRECTORY}:{OBJECT}"


@pytest.mark.parametrize("claim", ["upn", "preferred_username", "unique_name"])
def test_names_of_entra_are_no_address(scene, entra, claim):
    entra.claims |= {"email": None, claim: "ceo@victim.example", "xms_edov": True}
    identity = scene.sign_in(entra, connected(scene, entra, "entra")).identity
    assert (identity.email, identity.email_verified) == (None, False)


def test_entra_is_told_where_they_belong(scene, entra):
    upstream = connected(scene, entra, "entra")
    request = request_of(scene.start(upstream, Wish(login_hint="dev@corp.example")))
    assert (request["login_hint"], request["domain_hint"]) == ("dev@corp.example", "corp.example")
    assert "domain_hint" not in request_of(scene.start(upstream, Wish(login_hint="dev")))
    assert request["scope"] == "openid email profile User.Read"


def test_authentication_contexts_of_entra(scene, entra):
    """It knows no `acr_values`: contexts are asked for, and come, as `acrs`."""
    upstream = connected(scene, entra, "entra")
    wish = Wish(acr_values=("c2", "c1", "gold", MFA, "c0", "c100"))
    request = request_of(scene.start(upstream, wish))
    assert "acr_values" not in request
    assert json.loads(request["claims"]) == {
        "id_token": {"acrs": {"essential": True, "values": ["c2", "c1"]}}
    }
    assert "claims" not in request_of(scene.start(upstream, Wish(acr_values=("gold",))))
    entra.claims |= {"acrs": ["c1", "c3"], "acr": "1"}
    assert scene.sign_in(entra, upstream, wish=wish).identity.acr == "c1"
    assert scene.sign_in(entra, upstream, wish=Wish(acr_values=("c2",))).identity.acr == "1"


# -- Google -------------------------------------------------------------------------------------------------


def test_people_of_the_domain(scene, google):
    upstream = connected(scene, google, "google", tenant=DOMAIN)
    identity = scene.sign_in(google, upstream).identity
    assert (identity.subject, identity.email_verified) == ("person-1", True)


@pytest.mark.parametrize("hd", [None, "evil.example", "", ["corp.example"], "Corp.Example", "."])
def test_people_of_no_domain_or_another(scene, google, hd):
    """ATK-25: the parameter is a wish of ours, and anybody takes it out of the URL; the claim is what counts."""
    google.claims |= {"hd": hd, "email": "dev@corp.example"}
    refused = scene.refusal(google, connected(scene, google, "google", tenant=DOMAIN))
    assert (refused.reason, refused.sentence) == ("tenant_mismatch", OTHER_TENANT)


def test_what_google_is_asked(scene, google):
    """It signs nobody in anew, and says when they last did only to those who ask in the `claims` parameter."""
    upstream = connected(scene, google, "google", tenant=DOMAIN)
    request = request_of(scene.start(upstream, Wish(is_fresh=True)))
    assert request["hd"] == DOMAIN
    assert request["prompt"] == "select_account"
    assert "max_age" not in request
    assert json.loads(request["claims"]) == {
        "id_token": {"auth_time": {"essential": True}, "amr": {"essential": True}}
    }
    assert scene.refusal(google, upstream, wish=Wish(is_fresh=True)).reason == "auth_time_missing"
    google.claims["auth_time"] = scene.clock().timestamp()
    assert scene.sign_in(google, upstream, wish=Wish(is_fresh=True)).identity.auth_time


@pytest.mark.parametrize("word", [None, False, "true", 1, "yes", [True]])
def test_a_word_that_is_not_yes_vouches_for_nothing(scene, google, word):
    google.claims["email_verified"] = word
    identity = scene.sign_in(google, connected(scene, google, "google", tenant=DOMAIN)).identity
    assert (identity.email, identity.email_verified) == ("dev@corp.example", False)


# -- the others ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Bearer", "Logout", "Refresh", 7, ["ID"]])
def test_other_tokens_of_keycloak_are_no_id_tokens(scene, kind):
    """One key signs them all; which is which stands in the claim `typ`."""
    idp = scene.idp("keycloak.example", "/realms/corp")
    upstream = connected(scene, idp, "keycloak")
    idp.claims["typ"] = kind
    refused = scene.refusal(idp, upstream)
    assert (refused.reason, refused.sentence) == ("id_token_kind", PUBLIC_SENTENCE)
    for good in ("ID", None):
        idp.claims["typ"] = good
        assert scene.sign_in(idp, upstream).identity.subject == "person-1"


def test_groups_of_keycloak_are_paths(scene):
    """Whole: `/a/admins` and `/b/admins` are two groups, and no path is anything but itself."""
    idp = scene.idp("keycloak.example", "/realms/corp")
    idp.person["groups"] = ["/engineering/sre", "/engineering", "/sales/sre"]
    identity = scene.sign_in(
        idp, connected(scene, idp, "keycloak"), wanted=frozenset({"groups"})
    ).identity
    assert identity.claims["groups"] == ("/engineering/sre", "/engineering", "/sales/sre")


def test_claims_of_auth0_have_names_that_are_addresses(scene):
    idp = scene.idp("auth0.example", "/")
    idp.person |= {"https://mcp-authz/groups": ["sre"], "groups": ["admin"]}
    upstream = connected(scene, idp, "auth0")
    identity = scene.sign_in(idp, upstream, wanted=frozenset({"https://mcp-authz/groups"})).identity
    assert identity.claims == {"https://mcp-authz/groups": ("sre",)}
    assert idp.count("/.well-known/openid-configuration") == 1


@pytest.mark.parametrize(
    ("preset", "path", "name"),
    [
        ("okta", "", "urn:okta:loa:2fa:any"),
        ("auth0", "/", "http://schemas.openid.net/pape/policies/2007/06/multi-factor"),
    ],
)
def test_two_factors_by_the_name_of_the_product(scene, preset, path, name):
    idp = scene.idp(f"{preset}.example", path)
    upstream = connected(scene, idp, preset)
    wish = Wish(acr_values=(MFA,))
    assert request_of(scene.start(upstream, wish))["acr_values"] == name
    idp.claims["acr"] = name
    assert scene.sign_in(idp, upstream, wish=wish).identity.acr == MFA
    named = Wish(acr_values=(name, MFA))
    assert request_of(scene.start(upstream, named))["acr_values"] == name
    assert scene.sign_in(idp, upstream, wish=named).identity.acr == name
    idp.claims["acr"] = "urn:okta:loa:1fa:any"
    assert scene.sign_in(idp, upstream, wish=wish).identity.acr == "urn:okta:loa:1fa:any"


def test_ping_says_at_userinfo_what_its_tokens_cannot_hold(scene):
    idp = scene.idp("ping.example", "/environment/as")
    idp.person["groups"] = ["[SIZE_LIMIT_EXCEEDED]"]
    idp.userinfo["groups"] = [f"group-{n}" for n in range(26)]
    identity = scene.sign_in(
        idp, connected(scene, idp, "ping"), wanted=frozenset({"groups"})
    ).identity
    assert len(identity.claims["groups"]) == 26


def test_a_customer_of_a_generic_provider_can_be_pinned_too(scene, idp):
    upstream = scene.upstream(idp, tenant="customer-1")
    assert scene.refusal(idp, upstream).reason == "tenant_mismatch"
    idp.claims["tenant"] = "customer-2"
    assert scene.refusal(idp, upstream).reason == "tenant_mismatch"
    idp.claims["tenant"] = "customer-1"
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
