"""Cross-app access with the TypeScript SDK: one client, unchanged, at the MCP conformance tool and at this server.

The tool's scenario for enterprise-managed authorization tests clients, against an identity provider, an authorization
server and an MCP server of its own. A client that passes there is a real counterpart; here it meets the real ones
(EMA-10 of specs.md, E3).
"""

import contextlib
import http.server
import json
import threading
import time
from urllib.parse import parse_qsl

import pytest
from joserfc import jwt
from joserfc.errors import JoseError

from tests.interop.scene import DESK, IDP, JAVASCRIPT, drive, node

pytestmark = [pytest.mark.interop, pytest.mark.slow]

CLIENT = str(JAVASCRIPT / "mcp_cross_app.mjs")
TOOL = JAVASCRIPT / "node_modules" / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
DESK_AT_IDP = "desk-at-idp"
TOKEN_TYPE = "urn:ietf:params:oauth:token-type"
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "requested_token_type": f"{TOKEN_TYPE}:id-jag",
    "subject_token_type": f"{TOKEN_TYPE}:id_token",
    "client_id": DESK_AT_IDP,
}


def id_token(scene, subject, audience=DESK_AT_IDP):
    """What the client got when somebody signed in at the identity provider."""
    at = int(time.time())
    claims = {"iss": IDP, "sub": subject, "aud": audience, "iat": at, "exp": at + 300}
    return jwt.encode({"alg": "ES256", "kid": "idp-1"}, claims, scene.idp_key)


@contextlib.contextmanager
def exchanging(scene, tenant):
    """The identity provider's token endpoint: an ID token of its own for an assertion at a server it knows."""
    forms = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = dict(parse_qsl(body, strict_parsing=True))
            forms.append(form)
            status, answer = exchange(form)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_):
            """Say nothing."""

    def exchange(form):
        if {name: form.get(name) for name in EXCHANGE} != EXCHANGE:
            return 400, {"error": "invalid_request"}
        # The SDK writes an issuer as a URL; the provider says the issuer as it was registered (IDJAG-21).
        if (form["audience"].rstrip("/"), form["resource"]) != (tenant.issuer, tenant.mcp_url):
            return 400, {"error": "invalid_target"}
        try:
            claims = jwt.decode(form["subject_token"], scene.idp_key, algorithms=["ES256"]).claims
        except JoseError:
            return 400, {"error": "invalid_grant"}
        if (claims["iss"], claims["aud"]) != (IDP, DESK_AT_IDP):
            return 400, {"error": "invalid_grant"}
        return 200, {
            "access_token": scene.id_jag(tenant.issuer, tenant.mcp_url, claims["sub"]),
            "issued_token_type": f"{TOKEN_TYPE}:id-jag",
            "token_type": "N_A",
            "expires_in": 300,
        }

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token", forms
        finally:
            server.shutdown()
            thread.join()


def run(scene, tenant, endpoint, **changed):
    context = {
        "client_id": DESK,
        "client_secret": tenant.desk_secret,
        "idp_client_id": DESK_AT_IDP,
        "idp_id_token": id_token(scene, "bob"),
        "idp_token_endpoint": endpoint,
        **changed,
    }
    variable = f"MCP_CONFORMANCE_CONTEXT={json.dumps(context)}"
    return drive(["env", variable, node(), CLIENT, tenant.mcp_url], scene.person())


def test_the_client_passes_the_scenario_of_the_conformance_tool(scene, tmp_path):
    """Which makes it more than a client of ours."""
    command = [node(), str(TOOL), "client", "--command", f"{node()} {CLIENT}", "-o", str(tmp_path)]
    scenario = ["--scenario", "auth/enterprise-managed-authorization"]
    driven = drive([*command, *scenario], scene.person(), folder=tmp_path)
    assert driven.code == 0, driven.output
    [file] = tmp_path.rglob("checks.json")
    checks = json.loads(file.read_text(encoding="utf-8"))
    faults = [check for check in checks if check["status"] not in ("SUCCESS", "INFO")]
    assert not faults, faults
    succeeded = {check["id"] for check in checks if check["status"] == "SUCCESS"}
    assert succeeded >= {"complete-flow-token-exchange", "complete-flow-jwt-bearer"}


@pytest.mark.parametrize("place", ["root", "path"])
@pytest.mark.parametrize("names_issuer", [True, False], ids=["issuer known", "issuer found"])
def test_the_same_client_calls_a_tool_here(scene, place, names_issuer):
    """EMA-01, EMA-10 (specs.md), E3: discovery, exchange, redemption, tool call."""
    tenant = getattr(scene, place)
    known = {"expected_issuer": tenant.issuer} if names_issuer else {}
    with exchanging(scene, tenant) as (endpoint, forms):
        result = run(scene, tenant, endpoint, **known).result
    assert result["tools"] == ["query_analytics", "read_logs"]
    assert "read for usr_" in result["answer"]
    assert set(result["scope"].split()) == {"logs.read", "analytics.query"}
    assert [it["resource"] for it in result["asked"]] == [tenant.mcp_url]
    assert len(forms) == 1


def test_without_a_grant_there_is_no_way_in(scene):
    """EMA-09: an ID token for somebody else is no assertion, and nothing falls back to it."""
    with exchanging(scene, scene.root) as (endpoint, forms):
        token = id_token(scene, "bob", audience="another")
        driven = run(scene, scene.root, endpoint, idp_id_token=token)
    assert driven.code != 0
    assert "invalid_grant" in driven.output
    assert len(forms) == 1


def test_a_wrong_secret_is_no_matter_of_grants(scene):
    """IDJAG-54: and the SDK's client calls nothing."""
    with exchanging(scene, scene.root) as (endpoint, _):
        driven = run(scene, scene.root, endpoint, client_secret="wrong")
    assert driven.code != 0
    assert "invalid_client" in driven.output
