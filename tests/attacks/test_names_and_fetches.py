"""What a request can make this server say of itself, and whom it can make it ask (specs.md 7.3).

ATK-40 is sent as bytes, which no HTTP client would send; ATK-47 to ATK-52 are about fetches and what is remembered.
"""

import re
from contextlib import ExitStack

import pytest

from authz.admin import clients, tenants
from authz.admin.client_metadata import Registration
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.errors import Invalid
from tests.support import plain_http
from tests.support.arrange import VERIFIER
from tests.support.client_keys import ClientKey
from tests.support.databases import migrated_url
from tests.support.dpop_keys import DpopKey
from tests.support.harness import REDIRECT
from tests.support.processes import ServerProcess, installation
from tests.support.sockets import wire
from tests.support.web import Reply

ATTACKER = "attacker.example"
FORWARDED = (
    f"X-Forwarded-Host: {ATTACKER}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 8443\r\n"
    f"X-Forwarded-Prefix: //{ATTACKER}\r\nX-Forwarded-For: 10.0.0.1\r\nX-Host: {ATTACKER}\r\n"
    f"Forwarded: host={ATTACKER};proto=https\r\nX-Original-URL: /t/other\r\nVia: 1.1 {ATTACKER}\r\n"
    f"X-HTTP-Method-Override: POST\r\nOrigin: https://{ATTACKER}\r\nReferer: https://{ATTACKER}/\r\n"
)


def ask(port, head, body=""):
    """Status, head and body of the answer to these bytes."""
    with wire(port) as connection:
        connection.send(f"{head}Connection: close\r\n\r\n{body}".encode("latin-1"))
        head, _, body = connection.read().partition(b"\r\n\r\n")
    return int(head.split()[1]), head.decode("latin-1"), body.decode()


@pytest.mark.parametrize(
    "hosts",
    [
        f"Host: {ATTACKER}\r\n",
        f"Host: {ATTACKER}:8080\r\n{FORWARDED}",
        f"Host: 127.0.0.1\r\nHost: {ATTACKER}\r\n",
        f"Host: {ATTACKER}\r\nHost: 127.0.0.1\r\n",
        f"Host: 127.0.0.1@{ATTACKER}\r\n",
        f"Host: {ATTACKER}#127.0.0.1\r\n",
        f"Host:\r\n{FORWARDED}",
        FORWARDED,
        f"Host: 127.0.0.1\r\n Host: {ATTACKER}\r\n",
    ],
    ids=ascii,
)
def test_no_name_in_a_request_becomes_ours(harness, hosts):
    """ATK-40, ATK-70, META-03: discovery, keys and pages say what is configured, or nothing is answered."""
    port, tenant = harness.server.port, f"/t/{harness.slug}"
    paths = [
        f"/.well-known/oauth-authorization-server{tenant}",
        f"/.well-known/openid-configuration{tenant}",
        f"{tenant}/.well-known/openid-configuration",
        f"{tenant}/jwks",
        f"{tenant}/authorize?client_id={harness.client_id}",
        f"{tenant}/authorize",
        "/nowhere",
    ]
    for path in paths:
        _, _, honest = ask(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n")
        for target in (path, f"http://{ATTACKER}{path}"):
            status, head, body = ask(port, f"GET {target} HTTP/1.1\r\n{hosts}")
            assert ATTACKER not in head + body
            if status == 200 and not path.startswith(f"{tenant}/authorize"):
                assert body == honest
            assert status < 500


def test_no_name_in_a_request_becomes_the_issuer_of_a_token(harness):
    """ATK-40: nor where a browser is sent after signing in."""
    port, tenant = harness.server.port, f"/t/{harness.slug}"
    body = f"grant_type=authorization_code&client_id={harness.client_id}&code={harness.code()}"
    body += f"&code_verifier={VERIFIER}"
    form = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
    head = f"POST {tenant}/token HTTP/1.1\r\nHost: {ATTACKER}\r\n{FORWARDED}{form}{len(body)}\r\n"
    status, head, answer = ask(port, head, body)
    assert (status, ATTACKER in head + answer) == (200, False)
    token = re.search(r'"access_token":"([^"]+)"', answer)[1]
    assert harness.claims(token)["iss"] == harness.issuer
    browser = harness.browser()
    browser.http.headers.update({"X-Forwarded-Host": ATTACKER, "X-Forwarded-Proto": "https"})
    page = browser.authorize()
    assert page.sent["iss"] == harness.issuer
    assert ATTACKER not in page.location


@pytest.mark.parametrize(
    "spelling",
    [
        "//{at}/.well-known/oauth-authorization-server{t}",
        "/.well-known//oauth-authorization-server{t}",
        "/.well-known/oauth-authorization-server{t}/",
        "/.well-known/oauth-authorization-server{t};v=1",
        "/.well-known/oauth-authorization-server{t}%2f",
        "/.well-known/oauth-authorization-server/%2e%2e{t}",
        "/.well-known/oauth-authorization-server/../oauth-authorization-server{t}",
        "/.well-known/oauth-authorization-server{t}%00",
        "/.well-known/oauth-authorization-server%2ft%2f{slug}",
        "/.well-known/OAUTH-authorization-server{t}",
        "/.well-known/oauth-authorization-server/t/{upper}",
        "/.well-known/oauth-authorization-server{t}\\",
    ],
)
def test_another_spelling_is_another_page_or_the_same_bytes(harness, spelling):
    """ATK-40: a cache that takes two addresses for one, or one for two, keeps nothing that is wrong."""
    path = spelling.format(
        at=ATTACKER, t=f"/t/{harness.slug}", slug=harness.slug, upper=harness.slug.upper()
    )
    port = harness.server.port
    honest = f"/.well-known/oauth-authorization-server/t/{harness.slug}"
    known = ask(port, f"GET {honest} HTTP/1.1\r\nHost: 127.0.0.1\r\n")[2]
    status, head, body = ask(port, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert ATTACKER not in head + body
    assert body == known if status == 200 else 400 <= status < 500 and "max-age" not in head


INWARD = [
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
    *("[::ffff:10.0.0.1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::a00:1]", "[::]", "[::a00:1]"),
    *("255.255.255.255", "224.0.0.1"),
]
NOWHERE = [
    *("https://167772161/", "https://0xa000001/", "https://012.0.0.1/", "https://10.1/"),
    *(
        "https://10.0.0.1./",
        "https://[fe80::1%25eth0]/",
        "https://a@10.0.0.1/",
        "http://x.example/",
    ),
    *("file:///etc/passwd", "gopher://10.0.0.1/", "ftp://x.example/", "data:,{}", "//x.example/"),
    *("https://10.0.0.1\\@x.example/", "https://x.example:22/#", "https:///jwks", "jwks"),
]


@pytest.mark.parametrize("address", INWARD)
def test_a_key_address_does_not_lead_inward(harness, address):
    """ATK-47: refused before it is dialled, even for a client that an operator registered."""
    url = f"https://{address}/jwks"
    client_id = harness.add_client(auth_method="private_key_jwt", jwks_uri=url).client.id
    fields = ClientKey().fields(client_id, harness.issuer, harness.clock())
    answer = harness.post("/introspect", {"token": "x", **fields})
    assert (answer.status, answer.reason) == (401, "jwks_address_refused")


@pytest.mark.parametrize("url", NOWHERE)
@pytest.mark.parametrize("field", ["jwks_uri", "client_uri"])
def test_an_address_that_has_two_readings_is_not_even_registered(harness, field, url):
    """ATK-47: nor one that is not https."""
    with pytest.raises(Invalid):
        harness.add_client(auth_method="private_key_jwt", jwks=ClientKey().jwks, **{field: url})


STRANGE = [*NOWHERE, *(f"https://{address}/c" for address in INWARD), "https://own.example/c"]


@pytest.mark.parametrize("path", ["/token", "/revoke", "/introspect", "/par"])
def test_a_stranger_is_not_looked_up(harness, path):
    """ATK-47: an identifier nobody allowed is unknown where programs ask, and no name of it is resolved."""
    asked = len(harness.server.web.resolutions)
    for url in STRANGE:
        answer = harness.post(path, {"client_id": url, "token": "x", "grant_type": "x"})
        assert (answer.status, answer.error) == (401, "invalid_client")
    assert len(harness.server.web.resolutions) == asked


@pytest.mark.parametrize("member", ["jwks_uri", "logo_uri", "client_uri", "tos_uri", "policy_uri"])
def test_what_a_stranger_registers_is_not_looked_up(harness, member):
    """ATK-47: neither while it is registered nor afterwards."""
    with harness.server.database.write() as tx:
        tenants.set_registration(tx, harness.server.operator(), slug=harness.slug, mode="open")
    asked = len(harness.server.web.resolutions)
    for url in STRANGE:
        body = {"redirect_uris": [REDIRECT], "client_name": "x", member: url}
        answer = harness.http.post(f"{harness.issuer}/register", json=body)
        assert answer.status_code in (201, 400)
        if answer.status_code == 201:
            harness.browser().start(client_id=answer.json()["client_id"])
    assert len(harness.server.web.resolutions) == asked


def test_a_thousand_invented_key_names_are_a_few_fetches(harness):
    """ATK-49: the name is the attacker's to choose, the budget is not."""
    key = ClientKey(kid="real")
    harness.web.serve(harness.host, Reply.json(key.jwks))
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(harness.host, "/jwks")
    ).client.id
    for n in range(1000):
        invented = {"header": {"kid": f"invented-{n}"}}
        fields = key.fields(client_id, harness.issuer, harness.clock(), **invented)
        answer = harness.post("/revoke", {"token": "x", **fields})
        assert answer.status in (401, 429)
    assert harness.web.count(harness.host) <= 2


def test_a_removed_key_counts_no_longer(harness):
    """ATK-50: within the five minutes for which a key set is kept, whatever its host says it may be kept for."""
    key, other = ClientKey(kid="old"), ClientKey(kid="new")
    forever = {"Cache-Control": "max-age=31536000"}
    harness.web.serve(harness.host, Reply.json(key.jwks, headers=forever))
    client_id = harness.add_client(
        auth_method="private_key_jwt", jwks_uri=harness.web.url(harness.host, "/jwks")
    ).client.id

    def use(which):
        fields = which.fields(client_id, harness.issuer, harness.clock())
        return harness.post("/revoke", {"token": "x", **fields})

    assert use(key).status == 200
    harness.web.serve(harness.host, Reply.json(other.jwks, headers=forever))
    harness.clock.advance(minutes=6)
    assert use(key).reason == "jwt_key_unknown"
    assert use(other).status == 200


@pytest.fixture
def two(engine, worker, tmp_path):
    """An installation with a client that has a key, and two processes that serve it."""
    with ExitStack() as stack:
        url = stack.enter_context(migrated_url(engine, tmp_path, f"authz_replay_{worker}"))
        installed = stack.enter_context(installation(tmp_path, url))
        key = ClientKey()
        registration = Registration(
            name="Keyed", redirect_uris=(REDIRECT,), auth_method="private_key_jwt", jwks=key.jwks
        )
        operator = Operator.local("test", system_clock(), installed.services.envelope)
        with installed.services.database.write() as tx:
            made = clients.add(tx, operator, installed.tenant_id, registration)
        processes = [ServerProcess(installed.config) for _ in range(2)]
        for process in processes:
            stack.callback(process.stop)
        yield installed, [process.base for process in processes], key, made.client.id


@pytest.mark.slow
def test_what_was_used_at_one_process_is_used_up_at_the_other(two):
    """ATK-52: an assertion and a proof, one after the other and at the same time."""
    installed, bases, key, client_id = two
    issuer = installed.services.settings.server.issuer

    def post(base, path, fields, **headers):
        return plain_http.post(f"{base}{path}", data=fields, headers=headers)

    assertion = {"token": "x", **key.fields(client_id, issuer, system_clock())}
    assert post(bases[0], "/revoke", assertion).status_code == 200
    for base in reversed(bases):
        again = post(base, "/revoke", assertion)
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")

    proof = DpopKey().proof(f"{issuer}/token", system_clock())
    answers = [
        post(base, "/token", installed.redemption(installed.code()), DPoP=proof) for base in bases
    ]
    assert [answer.status_code for answer in answers] == [200, 400]
    assert answers[1].json()["error"] == "invalid_dpop_proof"
    assert answers[0].json()["token_type"] == "DPoP"
