"""What an attacker does with tokens, scopes and operations (specs.md 7.4), where no test of a flow says it whole."""

import asyncio
import json
from time import perf_counter

import pytest

from authz.admin import resources, roles, tenants
from authz.db.models import Base
from authz.resource_server import InvalidToken, RemoteKeys, TokenVerifier
from tests.support.arrange import VERIFIER
from tests.support.basic import basic_of
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import LOG, PASSWORD, RESOURCE

CLIENT_GRANT = ("client_credentials",)


@pytest.fixture
def robot(harness):
    """A client with a secret that acts for itself and asks about tokens for the MCP server."""
    made = harness.add_client(
        auth_method="client_secret_basic", grant_types=CLIENT_GRANT, redirect_uris=()
    )
    harness.change(roles.bind, role="developer", kind="client", holder=made.client.id)
    harness.change(resources.set_client, RESOURCE, made.client.id)
    return made


def ask_as(robot, harness, path, **fields):
    return harness.post(path, fields, **basic_of(robot.client.id, robot.secret))


HOSTILE_SCOPES = [
    *(
        "logs.read incidents.trigger\x00",
        "logs.read\tincidents.trigger",
        'logs.read"',
        "logs.read\\",
    ),
    *("logs.read\u00a0incidents.trigger", "logs.read\u2003x", "logs.read\nincidents.trigger"),
    *("x admin", 'x"', "*", "logs.*", "LOGS.READ", "logs.read,incidents.trigger", "\u0455cope"),
    *("logs.read  incidents.trigger", " logs.read", "logs.read ", "incidents.trigger" * 500),
]


@pytest.mark.parametrize("scope", HOSTILE_SCOPES, ids=lambda scope: ascii(scope)[:30])
def test_no_spelling_of_a_scope_is_more_than_it_says(harness, robot, scope):
    """ATK-55, ATK-57: at each grant and on the way to it, what comes out was asked for, is known, and is allowed."""
    first = harness.redeem(harness.code(scopes=["logs.read"], requested=["logs.read"]))
    answers = [
        harness.refresh(first.refresh_token, scope=scope),
        ask_as(
            robot,
            harness,
            "/token",
            grant_type="client_credentials",
            resource=RESOURCE,
            scope=scope,
        ),
        harness.post("/par", {**harness.request, "scope": scope}),
    ]
    for answer in answers:
        assert answer.status in (200, 201, 400)
        if answer.status == 200:
            assert answer.scopes <= {"logs.read"}
        if answer.status == 400:
            assert answer.error in ("invalid_scope", "invalid_request", "access_denied")
    page = harness.browser().authorize(scope=scope)
    if "code" in page.sent:
        assert harness.redeem(page.code).scopes <= {"logs.read"}
    elif page.error is None:
        assert (page.status, page.reason.startswith("parameter_")) == (400, True)
    else:
        assert page.error in ("invalid_scope", "invalid_request", "access_denied")


def test_a_revoked_token_is_dead_at_once_where_it_is_asked_about_and_soon_elsewhere(harness, robot):
    """ATK-59: a server that asks knows at once; one that verifies by itself, when the token's ten minutes are over."""
    token = harness.redeem(harness.code()).access_token
    claims = harness.claims(token)
    assert claims["exp"] - claims["iat"] <= 600

    def is_active():
        return ask_as(robot, harness, "/introspect", token=token).json["active"]

    def verify():
        verifier = TokenVerifier(
            RemoteKeys(harness.issuer), resource=RESOURCE, clock=lambda: harness.clock().timestamp()
        )
        return asyncio.run(verifier.verify(token))

    assert is_active()
    harness.post("/revoke", {"token": token, "client_id": harness.client_id})
    assert not is_active()
    assert verify().subject == claims["sub"]
    harness.clock.advance(minutes=12)
    with pytest.raises(InvalidToken):
        verify()


def test_theft_of_a_refresh_token_ends_all_that_came_of_it(harness, robot):
    """ATK-54: r1, r2, then r1 again: r2 and every access token of the family are dead, another family is not."""
    first = harness.redeem(harness.code())
    second = harness.refresh(first.refresh_token)
    third = harness.refresh(second.refresh_token)
    other = harness.redeem(harness.code())
    assert harness.refresh(first.refresh_token).error == "invalid_grant"
    assert harness.refresh(third.refresh_token).error == "invalid_grant"
    active = {
        name: ask_as(robot, harness, "/introspect", token=answer.access_token).json["active"]
        for name, answer in zip("123o", (first, second, third, other), strict=True)
    }
    assert active == {"1": False, "2": False, "3": False, "o": True}


@pytest.mark.parametrize("path", ["/token", "/introspect", "/revoke", "/par"])
def test_a_wrong_secret_costs_what_an_unknown_client_costs(harness, robot, path):
    """ATK-64: the fastest of many, so that it says what is done and not how busy the machine is."""

    def attempt(client_id):
        fields = {"token": "x", "grant_type": "client_credentials"}
        began = perf_counter()
        answer = harness.post(path, fields, **basic_of(client_id, "w" * 43))
        took = perf_counter() - began
        assert (answer.status, answer.error) == (401, "invalid_client")
        return took

    names = [robot.client.id, "cli_" + "x" * (len(robot.client.id) - 4)]
    known, unknown = (min(attempt(name) for _ in range(25)) for name in names)
    assert 0.2 < known / unknown < 5


def test_a_tenant_that_is_off_looks_like_one_that_never_was(harness):
    """ATK-65: at every address below it, to the byte."""
    paths = ["/token", "/introspect", "/revoke", "/par", "/jwks", "/authorize", "/login", "/device"]
    harness.disable()

    def answers(slug):
        for path in paths:
            method = "GET" if path in ("/jwks", "/authorize", "/device") else "POST"
            form = {"Content-Type": "application/x-www-form-urlencoded"}
            own = {"Sec-Fetch-Site": "same-origin", **form}
            url = f"{harness.server.base}/t/{slug}{path}"
            response = harness.http.request(method, url, headers=own)
            yield path, response.status_code, response.headers.get("content-type")

    assert list(answers(harness.slug)) == list(answers("nobody-here"))


def test_no_secret_is_told_to_logs_metrics_or_tables(harness, robot):
    """ATK-66: one canary in each place where a secret can be sent, rightly or by mistake, to each endpoint."""
    server, mark, sent = harness.server, len(LOG.events), []

    def canary(kind):
        sent.append(f"canary{len(sent)}{kind}{'q' * 24}")
        return sent[-1]

    with server.database.write() as tx:
        tenants.set_registration(tx, server.operator(), slug=harness.slug, mode="token")
    fields = (
        *("code", "code_verifier", "refresh_token", "client_secret", "client_assertion", "token"),
        *("device_code", "password", "assertion", "subject_token", "access_token", "id_token_hint"),
        *("request", "request_uri", "code_challenge", "user_code", "registration_access_token"),
    )
    for path in ("/token", "/introspect", "/revoke", "/par", "/device_authorization"):
        for name in fields:
            own = {"client_id": harness.client_id, "grant_type": "refresh_token"}
            harness.post(path, {**own, name: canary(name)})
            harness.post(path, {**own, "grant_type": "authorization_code", name: canary(name)})
        for scheme in ("Basic", "Bearer", "DPoP"):
            harness.post(path, {"token": "x"}, Authorization=f"{scheme} {canary(scheme)}")
        harness.post(path, {}, **basic_of(robot.client.id, canary("secret")))
        harness.post(path, {"client_id": harness.client_id}, DPoP=canary("proof"))
        harness.post(path, {}, Cookie=f"authz-session-{harness.slug}={canary('cookie')}")
        harness.post(f"{path}?client_secret={canary('query')}", {})
    for name in (*fields, "nonce", "login_hint"):
        harness.browser().start(**{name: canary(name)})
    browser = harness.browser()
    browser.post(f"{harness.issuer}/login", {"login": canary("login"), "password": canary("word")})
    browser.post(f"{harness.issuer}/login", {"login": "dev@example.com", "password": canary("w")})
    for path in ("/consent", "/device", "/device/confirm", "/logout", "/clients/request"):
        names = ("consent_id", "confirm_id", "user_code", "password", "continue")
        browser.post(harness.issuer + path, {name: canary(name) for name in names})
    bearer = {"Authorization": f"Bearer {canary('initial')}"}
    harness.http.post(f"{harness.issuer}/register", headers=bearer, json={"x": canary("body")})
    harness.http.get(f"{harness.issuer}/register/{robot.client.id}", headers=bearer)
    sent.append(PASSWORD)

    metrics = harness.http.get(f"{server.base}/metrics").text
    logged = "\n".join(map(repr, LOG.events[mark:]))
    assert "authz" in metrics
    assert "refresh_token_missing" in logged
    with server.database.read() as tx:
        rows = [
            repr(tuple(row))
            for table in Base.metadata.sorted_tables
            for row in tx.connection().exec_driver_sql(f"SELECT * FROM {table.name}")
        ]
    dump = "\n".join(rows)
    assert robot.client.id in dump
    for secret in sent:
        for place, text in {"log": logged, "metrics": metrics, "table": dump}.items():
            assert secret not in text, f"{secret} in {place}"


@pytest.mark.parametrize(
    "name",
    ["A\nB", "A\r\nlevel=info event=forged", "\x1b[2J", "\u202egnp.exe", "A\x00B", "A\u2028B"],
)
def test_no_name_forges_a_line(harness, name):
    """ATK-67: of a client that registers itself: one event, on one line, with the name as a value or not at all."""
    with harness.server.database.write() as tx:
        tenants.set_registration(tx, harness.server.operator(), slug=harness.slug, mode="open")
    body = {"client_name": name, "redirect_uris": ["https://app.example/cb"]}
    answer = harness.http.post(f"{harness.issuer}/register", json=body)
    events = harness.events("client.registered")
    named = [event for event in events if name in json.dumps(event, ensure_ascii=False)]
    assert not named
    if answer.status_code == 201:
        assert "\n" not in answer.json()["client_name"]
    else:
        assert answer.status_code == 400


def test_a_client_that_strips_its_proof_gets_no_weaker_token(harness):
    """ATK-72, ATK-73: from redemption to the last refresh, and never with the key of somebody else."""
    key, other = DpopKey(), DpopKey()
    where = f"{harness.issuer}/token"

    def redeem(code, *proofs):
        fields = {"grant_type": "authorization_code", "client_id": harness.client_id}
        headers = {"DPoP": proofs[0]} if proofs else {}
        return harness.token({**fields, "code": code, "code_verifier": VERIFIER}, **headers)

    request = {**harness.request, "dpop_jkt": key.jkt}
    page = harness.browser().authorize(**request)
    assert redeem(page.code).status == 400
    assert redeem(page.code, other.proof(where, harness.clock())).status == 400
    first = redeem(page.code, key.proof(where, harness.clock()))
    assert first.json["token_type"] == "DPoP"
    renew = {"grant_type": "refresh_token", "client_id": harness.client_id}
    renew["refresh_token"] = first.refresh_token
    assert harness.token(renew).error == "invalid_dpop_proof"
    stolen = harness.token(renew, DPoP=other.proof(where, harness.clock()))
    assert stolen.error == "invalid_grant"
    again = harness.token(renew, DPoP=key.proof(where, harness.clock()))
    assert harness.claims(again.access_token)["cnf"] == {"jkt": key.jkt}


def test_what_was_taken_between_two_steps_counts(harness):
    """ATK-71: between the person's yes and the code, the code and the token, and at each refresh."""
    key = ClientKey()
    made = harness.add_client(auth_method="private_key_jwt", jwks=key.jwks)
    browser = harness.browser()
    consent = browser.sign_in(browser.start(client_id=made.client.id, scope="logs.read"))
    harness.change(roles.unbind, role="developer", kind="user", holder="dev@example.com")
    answered = browser.decide(consent)
    assert "code" not in answered.sent
    assert answered.error == "access_denied"
