"""The error table of the token endpoint, and what a request has to look like (O21-06, O21-12, O21-13, MCP-AS-84)."""

import base64

import httpx2
import pytest

from tests.support.arrange import REDIRECT, VERIFIER
from tests.support.harness import RESOURCE

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def basic(client_id, secret):
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


@pytest.fixture
def confidential(harness):
    """A client with a secret."""
    return harness.add_client(name="Confidential", auth_method="client_secret_basic")


def good(harness, **fields):
    client_id = fields.get("client_id", harness.client_id)
    return {
        "grant_type": "authorization_code",
        "client_id": client_id,
        "code": harness.code(client_id=client_id),
        "code_verifier": VERIFIER,
        "redirect_uri": REDIRECT,
        "resource": RESOURCE,
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "status", "error", "reason"),
    [
        ({"grant_type": ""}, 400, "invalid_request", "grant_type_missing"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", "grant_type_unsupported"),
        ({"grant_type": "implicit"}, 400, "unsupported_grant_type", "grant_type_unsupported"),
        (
            {"grant_type": "AUTHORIZATION_CODE"},
            400,
            "unsupported_grant_type",
            "grant_type_unsupported",
        ),
        (
            {"grant_type": "client_credentials"},
            400,
            "unauthorized_client",
            "grant_type_not_allowed",
        ),
        ({"client_id": ""}, 401, "invalid_client", "client_missing"),
        ({"client_id": "nobody"}, 401, "invalid_client", "client_unknown"),
        ({"client_id": "https://nobody.example/c"}, 401, "invalid_client", "client_unknown"),
        ({"client_secret": "guess"}, 401, "invalid_client", "secret_wrong"),
    ],
)
def test_the_error_table(harness, fields, status, error, reason):
    """O21-01, O21-12, MCP-AS-01, MCP-AS-84: exact codes and statuses."""
    answer = harness.token(good(harness) | fields)
    assert (answer.status, answer.error, answer.reason) == (status, error, reason)
    assert answer.response.headers["cache-control"] == "no-store"
    assert "www-authenticate" not in answer.response.headers
    assert answer.json["error_description"].isascii()
    assert not set(answer.json["error_description"]) & set('"\\')
    assert set(answer.json) == {"error", "error_description"}


def test_the_client_is_judged_before_the_grant(harness):
    """A stranger learns nothing about grants."""
    answer = harness.token({"grant_type": "nonsense", "client_id": "nobody"})
    assert answer.error == "invalid_client"


def test_a_grant_the_client_did_not_register(harness):
    client_id = harness.add_client(
        name="Machine",
        redirect_uris=(),
        grant_types=("client_credentials",),
        auth_method="client_secret_post",
    )
    answer = harness.token(
        good(harness) | {"client_id": client_id.client.id, "client_secret": client_id.secret}
    )
    assert (answer.status, answer.error) == (400, "unauthorized_client")
    assert answer.reason == "grant_type_not_allowed"


@pytest.mark.parametrize(
    "name",
    [
        "grant_type",
        "client_id",
        "code",
        "code_verifier",
        "redirect_uri",
        "client_secret",
        "unknown",
    ],
)
def test_a_repeated_parameter_is_refused(harness, name):
    """O21-06, ATK-10: even with the same value, even one that nobody reads."""
    fields = good(harness)
    pairs = [*fields.items(), (name, fields.get(name, "x")), (name, fields.get(name, "x"))]
    answer = harness.token(pairs)
    assert (answer.status, answer.error) == (400, "invalid_request")
    assert answer.reason == "parameter_repeated"


@pytest.mark.parametrize("second", [RESOURCE, "https://other.example/mcp"])
def test_several_resources_are_a_wrong_target(harness, second):
    """RI-03, MCP-AS-69: RFC 8707 lets them repeat; one token is for one server, and the code says which."""
    fields = good(harness)
    answer = harness.token([*fields.items(), ("resource", second)])
    assert (answer.status, answer.error, answer.reason) == (
        400,
        "invalid_target",
        "resource_repeated",
    )
    assert harness.token(fields).ok


@pytest.mark.parametrize("name", ["refresh_token", "scope"])
def test_a_repeated_parameter_of_a_refresh_is_refused(harness, name):
    """O21-06."""
    first = harness.redeem(harness.code())
    fields = {
        "grant_type": "refresh_token",
        "client_id": harness.client_id,
        "refresh_token": first.refresh_token,
        "scope": "logs.read",
    }
    assert harness.token([*fields.items(), (name, fields[name])]).reason == "parameter_repeated"
    assert harness.token(fields).ok


# -- the shape of a request -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "HEAD"])
def test_only_post(harness, method):
    """O21-13: a token request in a URL would be in every log on the way."""
    response = harness.http.request(method, f"{harness.issuer}/token?grant_type=refresh_token")
    assert response.status_code == 405
    assert "POST" in response.headers["allow"]


def test_the_preflight_is_answered(harness):
    """MCP-AS-27, O21-05."""
    response = harness.http.options(
        f"{harness.issuer}/token",
        headers={"Origin": "https://inspector.example", "Access-Control-Request-Method": "POST"},
    )
    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in response.headers
    assert "MCP-Protocol-Version" in response.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b'{"grant_type":"authorization_code"}', "application/json"),
        (b"grant_type=authorization_code", "text/plain"),
        (b"grant_type=authorization_code", ""),
        (b"--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
    ],
)
def test_only_a_urlencoded_form(harness, content, content_type):
    """ATK-63, STK-14: a JSON body sent as text cannot pass for a form."""
    response = harness.http.post(
        f"{harness.issuer}/token", content=content, headers={"Content-Type": content_type}
    )
    assert response.status_code == 400
    assert response.json()["error"] == "invalid_request"


@pytest.mark.parametrize(
    "content_type",
    ["application/x-www-form-urlencoded; charset=utf-8", "APPLICATION/X-WWW-FORM-URLENCODED"],
)
def test_the_media_type_is_read_as_media_types_are(harness, content_type):
    answer = harness.token(good(harness), **{"Content-Type": content_type})
    assert answer.ok


@pytest.mark.parametrize(
    ("content", "status", "reason"),
    [
        (b"a=" + b"x" * 70_000, 413, "body_too_large"),
        (b"&".join(b"p%d=1" % n for n in range(100)), 400, "parameters_malformed"),
        (b"code=" + b"x" * 8193, 400, "parameter_too_long"),
        (b"code=%00", 400, "parameter_nul"),
        (b"code%00x=1", 400, "parameter_nul"),
        (b"code=%ff", 400, "parameters_malformed"),
        (b"code=\xff", 400, "parameters_malformed"),
        (b"code=%ud800", 401, "client_missing"),
        (b"", 401, "client_missing"),
    ],
)
def test_a_hostile_body_is_a_client_mistake(harness, content, status, reason):
    """ATK-63, ATK-11: never a 500."""
    mark = len(harness_log())
    response = harness.http.post(f"{harness.issuer}/token", content=content, headers=FORM)
    assert response.status_code == status
    assert [e["reason"] for e in harness_log()[mark:] if "reason" in e] == [reason]


def harness_log():
    from tests.support.harness import LOG

    return LOG.events


@pytest.mark.parametrize(
    "hostile", ['"><script>', "a\r\nSet-Cookie: x=1", "\u2028", "'; --", "\ud7ff"]
)
@pytest.mark.parametrize("name", ["code", "client_id", "grant_type", "refresh_token", "resource"])
def test_what_was_sent_is_never_echoed(harness, name, hostile):
    """O21-12, ATK-11."""
    answer = harness.token(good(harness) | {name: hostile})
    assert answer.status in (200, 400, 401)
    assert hostile not in answer.response.text
    assert answer.response.text.isascii()


def test_an_unknown_tenant_is_not_found(harness):
    response = harness.http.post(
        f"{harness.server.base}/t/nobody/token", content=b"a=1", headers=FORM
    )
    assert (response.status_code, response.json()) == (404, {"error": "not_found"})


# -- client authentication by secret ----------------------------------------------------------------------


def test_basic_and_post_both_work(harness, confidential):
    """O21-13, MCP-AS-87, MCP-AS-01."""
    client_id, secret = confidential.client.id, confidential.secret
    fields = good(harness, client_id=client_id)
    del fields["client_id"]
    assert harness.token(fields, Authorization=basic(client_id, secret)).ok
    fields = good(harness, client_id=client_id)
    assert harness.token(fields, Authorization=basic(client_id, secret)).ok
    assert harness.token(good(harness, client_id=client_id) | {"client_secret": secret}).ok


@pytest.mark.parametrize("tail", ["", "x"])
def test_a_wrong_secret_in_the_header_gets_a_challenge(harness, confidential, tail):
    """O21-12: WWW-Authenticate exactly when the header was used."""
    header = basic(confidential.client.id, f"{tail}wrong")
    answer = harness.token(good(harness, client_id=confidential.client.id), Authorization=header)
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "secret_wrong")
    assert answer.response.headers["www-authenticate"].startswith("Basic ")


def test_a_wrong_secret_in_the_body_gets_none(harness, confidential):
    """O21-12."""
    answer = harness.token(
        good(harness, client_id=confidential.client.id) | {"client_secret": "wrong"}
    )
    assert (answer.status, answer.reason) == (401, "secret_wrong")
    assert "www-authenticate" not in answer.response.headers


def test_a_confidential_client_has_to_authenticate(harness, confidential):
    """MCP-AS-01, CIMD-11."""
    answer = harness.token(good(harness, client_id=confidential.client.id))
    assert (answer.status, answer.error) == (401, "invalid_client")
    assert answer.reason == "client_unauthenticated"


def test_a_public_client_may_send_basic_without_a_secret(harness):
    """MCP-AS-22: some clients take the first advertised method."""
    answer = harness.token(good(harness), Authorization=basic(harness.client_id, ""))
    assert answer.ok, answer.reason


@pytest.mark.parametrize(
    ("header", "fields", "error", "reason"),
    [
        ("Bearer abc", {}, "invalid_request", "authorization_scheme"),
        ("Basic", {}, "invalid_request", "basic_malformed"),
        ("Basic !!!", {}, "invalid_request", "basic_malformed"),
        (
            "Basic " + base64.b64encode(b"no-colon").decode(),
            {},
            "invalid_request",
            "basic_malformed",
        ),
        (
            "Basic " + base64.b64encode(b":secret").decode(),
            {},
            "invalid_request",
            "basic_malformed",
        ),
        ("Basic " + base64.b64encode(b"\xff:x").decode(), {}, "invalid_request", "basic_malformed"),
        (basic("someone-else", "x"), {}, "invalid_request", "client_id_mismatch"),
        (None, {"client_secret": "x"}, "invalid_request", "two_auth_methods"),
        (None, {"client_assertion": "a.b.c"}, "invalid_request", "two_auth_methods"),
    ],
)
def test_a_header_that_does_not_fit(harness, confidential, header, fields, error, reason):
    """O21-13: one method, well formed."""
    client_id = confidential.client.id
    header = header or basic(client_id, confidential.secret)
    answer = harness.token(good(harness, client_id=client_id) | fields, Authorization=header)
    assert (answer.status, answer.error, answer.reason) == (400, error, reason)


def test_two_authorization_headers_are_refused(harness, confidential):
    """ATK-10: a proxy and this server must not read different ones."""
    header = basic(confidential.client.id, confidential.secret)
    fields = good(harness, client_id=confidential.client.id)
    response = harness.http.post(
        f"{harness.issuer}/token",
        content=str(httpx2.QueryParams(fields)),
        headers=[*FORM.items(), ("Authorization", header), ("Authorization", header)],
    )
    assert (response.status_code, response.json()["error"]) == (400, "invalid_request")
    assert harness_log()[-1]["reason"] == "authorization_twice"


def test_secrets_overlap_while_they_rotate(harness, confidential):
    """V5: the old one until the overlap ends, by the clock."""
    from datetime import timedelta

    from authz.admin import clients

    client_id = confidential.client.id
    new = harness.change(clients.rotate_secret, client_id, overlap=timedelta(hours=1)).secret
    for secret in (confidential.secret, new):
        assert harness.token(good(harness, client_id=client_id) | {"client_secret": secret}).ok
    harness.clock.advance(hours=1)
    old = good(harness, client_id=client_id) | {"client_secret": confidential.secret}
    assert harness.token(old).reason == "secret_wrong"
    assert harness.token(old | {"client_secret": new}).ok


def test_a_secret_cannot_be_sent_for_a_public_client(harness):
    answer = harness.token(good(harness) | {"client_secret": "x"})
    assert (answer.status, answer.reason) == (401, "secret_wrong")
