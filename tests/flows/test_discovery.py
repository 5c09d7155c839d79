"""Discovery, as clients of every age and their attackers ask for it."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import httpx2
import pytest
from joserfc.jwk import KeySet
from sqlalchemy import event

from tests.support import plain_http
from tests.support.harness import Harness, RunningServer, TestClock
from tests.support.plain_http import NO_TLS
from tests.support.web import FakeWeb

ISSUER = "https://as.example/auth"
SUFFIXES = ("oauth-authorization-server", "openid-configuration")


@pytest.fixture(scope="module")
def production(tmp_path_factory):
    """An installation below a path, behind a proxy that ends TLS."""
    folder = Path(tmp_path_factory.mktemp("production"))
    with FakeWeb() as web:
        server = RunningServer(
            folder, f"sqlite:///{folder / 'authz.db'}", web, TestClock(), issuer=ISSUER
        )
        with httpx2.Client(base_url=server.base, trust_env=False, verify=NO_TLS) as http:
            yield http
        server.close()


@pytest.fixture(scope="module")
def shared(server):
    """One tenant for tables that change nothing."""
    made = Harness(server)
    yield made
    made.close()


def locations(harness):
    path = f"/t/{harness.slug}"
    return [
        f"/.well-known/oauth-authorization-server{path}",
        f"/.well-known/openid-configuration{path}",
        f"{path}/.well-known/openid-configuration",
        f"{path}/.well-known/oauth-authorization-server",
    ]


def test_a_path_issuer_answers_at_every_location_clients_try(harness):
    """MCP-AS-10, MCP-AS-12, MCP-AS-14, MCP-AS-26, MCP-01, MCP-02, META-01."""
    for path in locations(harness):
        answer = harness.http.get(harness.server.base + path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json()["issuer"] == harness.issuer


def test_the_root_issuer_answers_at_the_host_root(harness):
    """MCP-AS-11, MCP-AS-14."""
    for suffix in SUFFIXES:
        answer = harness.http.get(f"{harness.server.base}/.well-known/{suffix}")
        assert answer.status_code == 200
        assert answer.json()["issuer"] == harness.server.base


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/auth",
        "/.well-known/openid-configuration/auth",
        "/auth/.well-known/openid-configuration",
        "/auth/.well-known/oauth-authorization-server",
    ],
)
def test_an_installation_below_a_path_answers_there_and_at_the_host_root(production, path):
    """MCP-AS-03, MCP-AS-04, MCP-AS-12, MCP-AS-15: the published URLs are https, whatever the socket speaks."""
    found = production.get(path, headers={"Host": "attacker.example"}).json()
    assert found["issuer"] == ISSUER
    urls = [value for name, value in found.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(urls) >= 3
    assert all(url.startswith(ISSUER + "/") and "?" not in url for url in urls)


@pytest.mark.parametrize(
    "path",
    [
        "/.well-known/oauth-authorization-server/t/nobody",
        "/t/nobody/.well-known/openid-configuration",
        "/t/nobody/jwks",
        "/.well-known/mcp-authorization-server",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-authorization-server/",
        "/.well-known/oauth-authorization-server/other",
        "/.well-known/oauth-authorization-server/t/{slug}/",
        "/.well-known/oauth-authorization-server/t/{slug}/more",
        "/t/{SLUG}/.well-known/openid-configuration",
        "/t/%00/.well-known/openid-configuration",
        "/.well-known/openid-configuration/t/%00",
        "/.well-known/openid-configuration/t/%ff",
        "/.well-known/openid-configuration/t/{slug}%00",
        "/.well-known/openid-configuration//t/{slug}",
        "/.well-known/openid-configuration/t/{slug};x=1",
        "/t/..%2f..%2fetc/jwks",
        "/t/%f0%9f%92%a9/jwks",
        "/t/" + "a" * 5000 + "/jwks",
    ],
)
def test_what_does_not_exist_is_404_and_json(shared, path):
    """MCP-AS-13, MCP-AS-18, MCP-AS-26, ATK-40, ATK-63: a 5xx or an HTML page would end a client's discovery."""
    path = path.replace("{slug}", shared.slug).replace("{SLUG}", shared.slug.upper())
    answer = shared.http.get(shared.server.base + path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()


def test_nothing_in_a_request_changes_a_byte(harness):
    """MCP-AS-14, MCP-AS-28, META-03, ATK-40."""
    poison = {
        "X-Forwarded-Host": "attacker.example",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/evil",
        "X-Forwarded-Port": "8443",
        "Forwarded": "host=attacker.example;proto=https",
        "X-Original-URL": "/t/other",
        "X-Rewrite-URL": "/t/other",
        "MCP-Protocol-Version": "2026-07-28",
        "Origin": "https://attacker.example",
        "Accept": "text/html",
    }
    for path in [*locations(harness), f"/t/{harness.slug}/jwks"]:
        url = harness.server.base + path
        plain = harness.http.get(url)
        for name, value in [*poison.items(), ("Host", "attacker.example")]:
            answer = harness.http.get(url, headers={name: value})
            assert (answer.status_code, answer.content) == (200, plain.content), name
        assert harness.http.get(f"{url}?issuer=https://attacker.example").content == plain.content


def test_metadata_is_cacheable_and_revalidates(harness):
    """META-03, MCP-AS-26."""
    url = harness.server.base + locations(harness)[0]
    first = harness.http.get(url)
    assert first.headers["cache-control"] == "public, max-age=300"
    again = harness.http.get(url, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert harness.http.get(url, headers={"If-None-Match": '"other"'}).status_code == 200
    assert harness.http.head(url).headers["etag"] == first.headers["etag"]


def test_a_web_client_may_read_discovery_keys_and_tokens(harness):
    """MCP-AS-27, MCP-AS-28, O21-05."""
    paths = [*locations(harness), f"/t/{harness.slug}/jwks", f"/t/{harness.slug}/token"]
    asked = {
        "Origin": "https://web.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": "mcp-protocol-version, authorization, content-type, dpop",
    }
    for path in paths:
        answer = harness.http.options(harness.server.base + path, headers=asked)
        allowed = {
            h.strip().lower() for h in answer.headers["access-control-allow-headers"].split(",")
        }
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert allowed >= {"mcp-protocol-version", "authorization", "content-type", "dpop"}
        assert "access-control-allow-credentials" not in answer.headers
    seen = harness.http.get(
        harness.server.base + paths[0], headers={"Origin": "https://web.example"}
    )
    assert seen.headers["access-control-allow-origin"] == "*"
    assert "WWW-Authenticate" in seen.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    "path", ["/authorize", "/login", "/logout", "/consent", "/clients/request"]
)
@pytest.mark.parametrize("method", ["OPTIONS", "GET", "POST"])
def test_pages_are_never_shared_with_other_origins(shared, path, method):
    """MCP-AS-27, O21-05."""
    asked = {"Origin": "https://web.example", "Access-Control-Request-Method": "GET"}
    answer = shared.http.request(method, shared.issuer + path, headers=asked)
    assert not [name for name in answer.headers if name.startswith("access-control-")]
    if method == "OPTIONS":
        assert answer.status_code == 405


def test_everything_advertised_is_what_works(harness):
    """MCP-AS-16 to MCP-AS-25, MCP-03, MCP-07, ISS-02, META-02, META-05, O21-26, CIMD-29, MCP-AS-05."""
    documents = [harness.http.get(harness.server.base + path).json() for path in locations(harness)]
    assert all(document == documents[0] for document in documents)
    found = documents[0]
    assert found["authorization_endpoint"] == f"{harness.issuer}/authorize"
    assert found["token_endpoint"] == f"{harness.issuer}/token"
    assert found["jwks_uri"] == f"{harness.issuer}/jwks"
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert found["response_types_supported"] == ["code"]
    assert found["client_id_metadata_document_supported"] is True
    assert found["authorization_response_iss_parameter_supported"] is True
    assert found["scopes_supported"] == ["offline_access"]
    assert found["token_endpoint_auth_methods_supported"] == [
        "none",
        "client_secret_basic",
        "client_secret_post",
        "private_key_jwt",
    ]
    algorithms = found["token_endpoint_auth_signing_alg_values_supported"]
    assert algorithms
    assert not [a for a in algorithms if a == "none" or a.startswith("HS")]
    assert found["subject_types_supported"] == ["public"]
    assert found["id_token_signing_alg_values_supported"]
    assert "registration_endpoint" not in found
    assert found["userinfo_endpoint"] == f"{harness.issuer}/userinfo"
    assert found["acr_values_supported"] == ["urn:authz:acr:password"]
    assert found["authorization_details_types_supported"] == ["mcp_tool"]
    assert {"sub", "aud", "nonce", "auth_time", "acr", "email"} <= set(found["claims_supported"])
    assert all(value != [] for value in found.values())
    assert "\\" not in json.dumps(found)
    for grant_type in found["grant_types_supported"]:
        answer = harness.token({"grant_type": grant_type, "client_id": harness.client_id})
        assert answer.error != "unsupported_grant_type"
    for grant_type in ("password", "implicit", "urn:ietf:params:oauth:grant-type:made-up"):
        answer = harness.token({"grant_type": grant_type, "client_id": harness.client_id})
        assert (answer.error, answer.reason) == ("unsupported_grant_type", "grant_type_unsupported")


def test_the_key_set_has_public_members_alone(server):
    """MCP-RS-03, ATK-69: of the tenant at the base, which was made as an installation makes it."""
    answer = plain_http.get(f"{server.base}/jwks")
    assert "max-age=300" in answer.headers["cache-control"]
    keys = answer.json()["keys"]
    assert {key["alg"] for key in keys} == {"ES256", "RS256"}
    assert all({"d", "p", "q", "dp", "dq", "qi", "k"}.isdisjoint(key) for key in keys)
    assert len(KeySet.import_key_set(answer.json()).keys) == len(keys)


def test_a_disabled_tenant_is_not_there(harness):
    """MCP-AS-26, META-03: within a second everywhere, and back as soon."""
    urls = [harness.server.base + path for path in locations(harness)]
    urls.append(f"{harness.issuer}/jwks")
    assert {harness.http.get(url).status_code for url in urls} == {200}
    harness.disable()
    assert {harness.http.get(url).status_code for url in urls} == {404}


def test_when_a_second_is_over_one_request_looks_and_the_others_do_not_wait(harness):
    """ATK-62: sixty clients at once are one look, not sixty threads that wait for the database."""
    url = f"{harness.issuer}/jwks"
    first = harness.http.get(url)
    harness.clock.advance(seconds=1.5)
    engine, looks, gate = harness.server.database.engine, [], threading.Event()

    def slow(_connection, _cursor, text, *_):
        looks.append(text)
        gate.wait(10)

    event.listen(engine, "before_cursor_execute", slow)
    try:
        with ThreadPoolExecutor(8) as several:
            asked = [several.submit(harness.http.get, url) for _ in range(8)]
            try:
                soon = list(zip(range(7), as_completed(asked, timeout=5), strict=False))
                seen = len(looks)
            finally:
                gate.set()
    finally:
        event.remove(engine, "before_cursor_execute", slow)
    assert (len(soon), seen) == (7, 1)
    answers = [it.result() for it in asked]
    assert {(it.content, it.headers["etag"]) for it in answers} == {
        (first.content, first.headers["etag"])
    }


def test_nobody_gets_what_was_true_long_ago(harness):
    """ATJ-06: four verifiers meet a key they do not know, after an hour in which nobody asked."""
    url = f"{harness.issuer}/jwks"
    before = harness.http.get(url)
    harness.clock.advance(hours=1)
    harness.add_rsa_keys()
    with ThreadPoolExecutor(4) as several:
        answers = list(several.map(harness.http.get, [url] * 4))
    assert {it.headers["etag"] for it in answers} == {answers[0].headers["etag"]}
    assert answers[0].headers["etag"] != before.headers["etag"]


def test_the_default_tenant_has_one_address(harness):
    """MCP-AS-14: a document found at another URL than its issuer's is an error to every client."""
    for path in (
        "/t/default/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/t/default",
        "/t/default/jwks",
        "/t/default/authorize",
    ):
        assert harness.http.get(harness.server.base + path).status_code == 404
