"""What an operator may write of an OpenID provider, and what is stored of it."""

import json

import pytest

from authz.errors import Invalid
from authz.federation.oidc_settings import check_settings, stored_settings
from authz.federation.presets import PRESETS
from authz.secretstores import HINT

DIRECTORY = "7a1b2c3d-0000-4000-8000-00000000000a"
GENERIC = {
    "issuer": "https://login.example.com",
    "client_id": "mcp",
    "client_secret": "env:IDP_SECRET",
}
ENTRA = {**GENERIC, "issuer": f"https://login.microsoftonline.com/{DIRECTORY}/v2.0"}
GOOD = {
    "generic": GENERIC,
    "okta": {**GENERIC, "issuer": "https://example.okta.com"},
    "entra": ENTRA,
    "google": {
        "client_id": "1-a.apps.googleusercontent.com",
        "client_secret": "env:S",
        "tenant": "corp.example",
    },
    "jumpcloud": {"client_id": "c", "client_secret": "file:/run/secrets/jumpcloud"},
    "keycloak": {**GENERIC, "issuer": "https://sso.example.com/realms/corp"},
    "ping": {**GENERIC, "issuer": "https://auth.pingone.com/7a1b/as"},
    "auth0": {**GENERIC, "issuer": "https://corp.eu.auth0.com/"},
}


def check(settings, preset="generic", *, development=False):
    return check_settings(settings, preset, development=development)


def refused(settings, preset="generic", **more):
    with pytest.raises(Invalid) as error:
        check(settings, preset, **more)
    return str(error.value)


def test_what_is_stored_is_complete():
    assert check(GENERIC) == {
        "issuer": "https://login.example.com",
        "client_id": "mcp",
        "client_auth": "client_secret_basic",
        "client_secret": "env:IDP_SECRET",
        "private_key": None,
        "key_id": None,
        "assertion_algorithm": None,
        "assertion_audience": "issuer",
        "scopes": ["openid", "email", "profile"],
        "algorithms": ["RS256", "PS256", "ES256"],
        "userinfo": "when_missing",
        "subject_claim": "sub",
        "email_claim": "email",
        "name_claim": "name",
        "groups_claim": "groups",
        "tenant": None,
        "graph_url": None,
    }


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_takes_what_it_needs(preset):
    """And what is stored is taken again: it goes through JSON, and back into a form."""
    stored = check(GOOD[preset], preset)
    again = json.loads(json.dumps(stored))
    assert check(again, preset) == stored
    assert stored_settings(again).issuer == stored["issuer"]


@pytest.mark.parametrize("preset", PRESETS)
def test_each_preset_has_words_for_its_guide(preset):
    words = PRESETS[preset].words
    assert sum("{redirect_uri}" in step for step in words) == 1
    assert all(step[0].isupper() and step[-1] in ".}" for step in words)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"issuer": None}, "issuer is missing"),
        ({"issuer": 7}, "issuer is missing"),
        ({"issuer": "login.example.com"}, "issuer"),
        ({"issuer": "http://login.example.com"}, "not https"),
        ({"issuer": "http://127.0.0.1:8080"}, "not https"),
        ({"issuer": "https://login.example.com?a=b"}, "query"),
        ({"issuer": "https://login.example.com#a"}, "fragment"),
        ({"issuer": "https://Login.example.com"}, "capitals"),
        ({"issuer": "https://a@login.example.com"}, "issuer"),
        ({"issuer": "https://login.example.com/ "}, "issuer"),
        ({"client_id": None}, "client_id is missing"),
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a\nb"}, "client_id"),
        ({"client_id": ["a"]}, "client_id"),
        ({"client_auth": "none"}, "client_auth"),
        ({"client_auth": "client_secret_jwt"}, "client_auth"),
        ({"client_auth": "private_key_jwt", "client_secret": None}, "private_key is missing"),
        ({"client_secret": None}, "client_secret is missing"),
        ({"private_key": "env:KEY"}, "client_secret does not go with client_auth private_key_jwt"),
        (
            {"private_key": "env:KEY", "client_auth": "client_secret_post"},
            "private_key does not go with client_auth client_secret_post",
        ),
        ({"key_id": "k1"}, "key_id goes with client_auth private_key_jwt only"),
        ({"assertion_algorithm": "ES256"}, "assertion_algorithm goes with"),
        ({"assertion_audience": "https://login.example.com"}, "assertion_audience"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["email"]}, "scopes: openid is missing"),
        ({"scopes": ["openid", "offline_access"]}, "scopes: offline_access"),
        ({"scopes": ["openid", "a b"]}, "scopes.1"),
        ({"scopes": "openid"}, "scopes"),
        ({"algorithms": []}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms.0"),
        ({"algorithms": ["RS256", "HS256"]}, "algorithms.1"),
        ({"algorithms": ["RS512"]}, "algorithms.0"),
        ({"userinfo": True}, "userinfo"),
        ({"subject_claim": "email"}, "subject_claim"),
        ({"subject_claim": "preferred_username"}, "subject_claim"),
        ({"subject_claim": "upn"}, "subject_claim"),
        ({"subject_claim": "mail", "email_claim": "mail"}, "subject_claim"),
        ({"subject_claim": "a b"}, "subject_claim"),
        ({"groups_claim": ""}, "groups_claim"),
        ({"graph_url": "https://graph.example"}, "graph_url does not go with OpenID Connect"),
        ({"jwks_uri": "https://evil.example/jwks"}, "'jwks_uri' is not a setting"),
        ({"token_endpoint": "https://evil.example/token"}, "'token_endpoint' is not a setting"),
        ({"Issuer": "https://login.example.com"}, "'Issuer' is not a setting"),
    ],
    ids=lambda value: None if isinstance(value, str) else next(iter(value.items())).__repr__()[:40],
)
def test_a_setting_that_is_refused_is_named(settings, named):
    """ATK-03: there is no setting for an endpoint at all."""
    assert named in refused({**GENERIC, **settings})


@pytest.mark.parametrize("name", ["client_secret", "private_key"])
def test_a_secret_in_the_wrong_place_is_not_repeated(name):
    text = refused({**GENERIC, name: "hunter2-hunter2"})
    assert text == f"{name} is not a secret reference; {HINT}"
    for other in ("userinfo", "client_auth", "scopes", "algorithms", "key_id"):
        assert "hunter2" not in refused({**GENERIC, other: ["hunter2-hunter2\n"]})


def test_http_is_for_development_on_loopback():
    local = {**GENERIC, "issuer": "http://127.0.0.1:8080"}
    assert check(local, development=True)["issuer"] == "http://127.0.0.1:8080"
    assert "not https" in refused({**GENERIC, "issuer": "http://idp.example"}, development=True)


def test_a_preset_that_does_not_exist():
    assert "okta" in refused(GENERIC, "octa")


def test_a_key_is_enough_to_say_how_we_prove_ourselves():
    stored = check(
        {"issuer": GENERIC["issuer"], "client_id": "mcp", "private_key": "file:/run/secrets/key"}
    )
    assert (stored["client_auth"], stored["client_secret"]) == ("private_key_jwt", None)


# -- presets ------------------------------------------------------------------------------------------------

ISSUERS = [
    ("okta", "https://example-admin.okta.com"),
    ("okta", "https://example.okta.com/"),
    ("okta", "https://example.okta.com/oauth2/default/v1/authorize"),
    ("entra", "https://login.microsoftonline.com/common/v2.0"),
    ("entra", "https://login.microsoftonline.com/organizations/v2.0"),
    ("entra", "https://login.microsoftonline.com/consumers/v2.0"),
    ("entra", "https://login.microsoftonline.com/corp.onmicrosoft.com/v2.0"),
    ("entra", f"https://sts.windows.net/{DIRECTORY}/"),
    ("entra", f"https://login.microsoftonline.com/{DIRECTORY.upper()}/v2.0"),
    ("entra", f"https://evil.example/{DIRECTORY}/v2.0/../../common/v2.0"),
    ("keycloak", "https://sso.example.com"),
    ("keycloak", "https://sso.example.com/realms/corp/"),
    ("keycloak", "https://sso.example.com/realms/corp/.well-known/openid-configuration"),
    ("auth0", "https://corp.eu.auth0.com"),
]


@pytest.mark.parametrize(("preset", "issuer"), ISSUERS)
def test_the_issuer_of_a_product_looks_like_one(preset, issuer):
    """Nobody is sent to `common`, whose tokens are anybody's (ATK-25)."""
    text = refused({**GOOD[preset], "issuer": issuer}, preset)
    assert text.startswith("issuer ")
    assert PRESETS[preset].issuer_example in text


def test_okta_with_and_without_an_authorization_server():
    """`groups` is a scope of the organisation's own server; others refuse what they do not know."""
    issuer = "https://example.okta.com"
    assert "groups" in check(GOOD["okta"], "okta")["scopes"]
    custom = check({**GENERIC, "issuer": f"{issuer}/oauth2/default"}, "okta")
    assert custom["scopes"] == ["openid", "email", "profile"]
    assert custom["assertion_audience"] == "token_endpoint"


def test_entra_knows_the_directory_from_the_issuer():
    stored = check(ENTRA, "entra")
    assert stored["tenant"] == DIRECTORY
    assert stored["subject_claim"] == "oid"
    assert stored["graph_url"] == "https://graph.microsoft.com/v1.0"
    assert check({**ENTRA, "tenant": DIRECTORY}, "entra") == stored
    another = "7a1b2c3d-0000-4000-8000-00000000000b"
    assert "tenant is not the directory" in refused({**ENTRA, "tenant": another}, "entra")
    assert "object id" in refused({**ENTRA, "subject_claim": "sub"}, "entra")


@pytest.mark.parametrize(
    "url", ["http://graph.example", "https://graph.example/v1.0/", "https://graph.example?a", "x"]
)
def test_graph_is_somewhere_safe(url):
    assert "graph_url" in refused({**ENTRA, "graph_url": url}, "entra")


@pytest.mark.parametrize("tenant", [None, "corp", "dev@corp.example", "https://corp.example", ""])
def test_google_is_for_one_organisation(tenant):
    assert refused({**GOOD["google"], "tenant": tenant}, "google").startswith("tenant")


def test_google_knows_its_issuer_and_spells_domains_small():
    stored = check({**GOOD["google"], "tenant": "Corp.Example"}, "google")
    assert stored["issuer"] == "https://accounts.google.com"
    assert stored["tenant"] == "corp.example"
    assert stored["userinfo"] == "never"


def test_auth0_drops_what_has_no_namespace():
    stored = check(GOOD["auth0"], "auth0")
    assert stored["groups_claim"].startswith("https://")
    for name in ("groups", "roles"):
        assert "groups_claim" in refused({**GOOD["auth0"], "groups_claim": name}, "auth0")


def test_jumpcloud_has_one_issuer_with_a_slash():
    assert check(GOOD["jumpcloud"], "jumpcloud")["issuer"] == "https://oauth.id.jumpcloud.com/"


def test_ping_is_always_asked_for_more():
    assert check(GOOD["ping"], "ping")["userinfo"] == "always"
