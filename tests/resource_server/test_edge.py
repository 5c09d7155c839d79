"""What a client meets at the HTTP layer: challenges, metadata, tools, sessions (MCP-RS-01 to 06)."""

import json
import subprocess
import sys

import httpx2
import pytest

from authz.resource_server import NoCurrentTokenError, ToolRules, current_token, protect
from authz.resource_server.request import MAX_BODY_BYTES

pytestmark = pytest.mark.anyio
METADATA = "https://mcp.example/.well-known/oauth-protected-resource/mcp"
ALGS = 'algs="ES256 ES384 PS256 Ed25519 EdDSA RS256"'
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def call(tool, request_id=1):
    return {
        "jsonrpc": "2.0",
        "id": request_id,
        "method": "tools/call",
        "params": {"name": tool, "arguments": {}},
    }


def listing(*names, **result):
    tools = [{"name": name, "inputSchema": {}} for name in names]
    return {"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, **result}}


async def test_without_a_token_the_challenge_has_no_error(edge):
    """MCP-RS-02, MCP-RS-05; RFC 6750 section 3.1."""
    answer = await edge.request("POST", json=LIST)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == (
        f'Bearer scope="logs.read logs.write", resource_metadata="{METADATA}", '
        f'DPoP scope="logs.read logs.write", resource_metadata="{METADATA}", {ALGS}'
    )
    assert answer.headers.get_list("www-authenticate")[0].endswith(f'"{METADATA}"')
    assert answer.headers["access-control-expose-headers"] == "WWW-Authenticate, Mcp-Session-Id"
    assert answer.headers["cache-control"] == "no-store"
    assert edge.seen == []


async def test_another_scheme_is_no_token(edge):
    answer = await edge.request("POST", headers=[("authorization", "Basic dTpw")], json=LIST)
    assert answer.status_code == 401
    assert "error" not in answer.headers["www-authenticate"]


async def test_a_bad_token_is_named_but_not_explained(edge, issuer):
    """MCP-RS-05: 401 for invalid and for expired."""
    for token in ("x", issuer.token(exp=1), issuer.token(aud="https://other.example")):
        answer = await edge.request("POST", token=token, json=LIST)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == (
            f'Bearer error="invalid_token", scope="logs.read logs.write", resource_metadata="{METADATA}", '
            f'DPoP scope="logs.read logs.write", resource_metadata="{METADATA}", {ALGS}'
        )
        assert answer.json()["error"] == {
            "code": -32600,
            "message": "The access token is not valid here.",
            "data": {"error": "invalid_token"},
        }
    assert edge.seen == []


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("authorization", "Bearer {t}"), ("authorization", "Bearer {t}")], ""),
        ([("authorization", "Bearer {t} {t}")], ""),
        ([("authorization", "Bearer {t}, Bearer {t}")], ""),
        ([("authorization", "Bearer ")], ""),
        ([("authorization", "Bearer")], ""),
        ([("authorization", "DPoP")], ""),
        ([("authorization", "Bearer {t}"), ("authorization", "DPoP {t}")], ""),
        ([("authorization", "Bearer {t}")], "?access_token={t}"),
        ([], "?access_token={t}"),
        ([], "?a=b&access%5Ftoken="),
        ([("authorization", "Bearer {t}"), ("mcp-session-id", "a"), ("mcp-session-id", "a")], ""),
        ([("authorization", "Bearer {t}"), ("content-encoding", "gzip")], ""),
    ],
)
async def test_a_malformed_request_is_a_400(edge, issuer, headers, query):
    """MCP-RS-05; a good token in the query string is refused as well (OAuth 2.1 section 5.1)."""
    token = issuer.token()
    sent = [(name, value.format(t=token)) for name, value in headers]
    answer = await edge.request("POST", "/mcp" + query.format(t=token), headers=sent, json=LIST)
    assert answer.status_code == 400
    assert 'error="invalid_request"' in answer.headers["www-authenticate"]
    assert edge.seen == []


async def test_a_good_token_reaches_the_app_with_body_and_identity(edge, issuer):
    answer = await edge.post(call("read_logs"))
    assert answer.status_code == 200
    scope, body = edge.seen[0]
    assert json.loads(body) == call("read_logs")
    assert scope["authz.token"].subject == "alice"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_scheme_has_no_case(edge, issuer):
    answer = await edge.request("GET", headers=[("Authorization", f"bEaReR {issuer.token()}")])
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("held", "message", "wanted"),
    [
        ("logs.read", call("purge_logs"), "logs.read logs.write"),
        ("profile offline_access", call("read_logs"), "logs.read profile"),
        ("logs.write", [call("read_logs", 1), call("purge_logs", 2)], "logs.read logs.write"),
        ("logs.read", [call("read_logs", 1), call("purge_logs", 2)], "logs.read logs.write"),
        (
            "logs.read",
            {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "purge_logs"}},
            "logs.read logs.write",
        ),
    ],
)
async def test_a_missing_scope_is_challenged_with_all_that_is_needed(
    edge, issuer, held, message, wanted
):
    """MCP-RS-05: one challenge for the whole operation; MCP-RS-04: never offline_access."""
    answer = await edge.post(message, token=issuer.token(scope=held))
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == (
        f'Bearer error="insufficient_scope", scope="{wanted}", resource_metadata="{METADATA}", '
        f'DPoP scope="{wanted}", resource_metadata="{METADATA}", {ALGS}'
    )
    assert edge.seen == []


async def test_a_tool_without_scopes_does_not_exist_for_anyone(edge, issuer):
    """No challenge: a client that asked for more scopes would ask for ever."""
    answer = await edge.post(
        call("debug_shell", 7), token=issuer.token(scope="logs.read logs.write")
    )
    assert answer.status_code == 403
    assert "www-authenticate" not in answer.headers
    assert answer.json() == {
        "jsonrpc": "2.0",
        "id": 7,
        "error": {"code": -32602, "message": "Unknown tool."},
    }


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"1",
        b'"tools/call"',
        b"[[]]",
        b'{"method":["tools/call"]}',
        b'{"method":"tools/call"}',
        b'{"method":"tools/call","params":[]}',
        b'{"method":"tools/call","params":{"name":["read_logs"]}}',
        b'{"method":"ping","method":"tools/call","params":{"name":"purge_logs"}}',
        b'{"method":"tools/call","params":{"name":"read_logs","name":"purge_logs"}}',
        b'{"method":"tools/call","params":{"name":"read_logs"},"params":{"name":"purge_logs"}}',
        b"[" + b'{"method":"ping"},' * 100 + b'{"method":"ping"}]',
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"method":"tools/call","params":{"name":"read_logs","arguments":[]}}',
        b'{"method":"tools/call","params":{"name":"read_logs","arguments":"x"}}',
        b'{"method":"tools/call","params":{"name":"read_logs","arguments":{"a":1,"\\u0061":2}}}',
        '{"method":"tools/call","params":{"name":"purge_logs"}}'.encode("utf-16"),
        b'\xef\xbb\xbf{"method":"ping"}',
        b"[" * 3000 + b"]" * 3000,
    ],
)
async def test_a_body_with_two_readings_reaches_no_server(edge, issuer, body):
    answer = await edge.request("POST", token=issuer.token(), content=body)
    assert answer.status_code == 400
    assert edge.seen == []


async def test_a_body_is_read_only_up_to_the_cap_and_only_with_a_token(edge, issuer):
    body = b'"' + b"x" * MAX_BODY_BYTES + b'"'
    assert (await edge.request("POST", token=issuer.token(), content=body)).status_code == 413
    assert (await edge.request("POST", content=body)).status_code == 401
    assert edge.seen == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "post"])
async def test_other_methods_are_not_passed_on(edge, issuer, method):
    async def send(message):
        sent.append(message)

    sent = []
    scope = {"type": "http", "method": method, "path": "/mcp", "headers": [], "query_string": b""}
    await edge.app(scope, None, send)
    assert sent[0]["status"] == 405
    assert edge.seen == []


async def test_websockets_are_closed_before_they_open(edge):
    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        sent.append(message)

    sent = []
    await edge.app({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_every_path_needs_the_token(edge):
    for path in (
        "/",
        "/health",
        "/.well-known/oauth-protected-resource",
        "/.well-known/oauth-protected-resource/mcp/x",
    ):
        assert (await edge.request("GET", path)).status_code == 401
    assert edge.seen == []


async def test_an_unreachable_authorization_server_is_a_503(edge, issuer):
    issuer.raw["metadata"] = (500, {}, b"")
    answer = await edge.post(LIST)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "www-authenticate" not in answer.headers


# --- metadata


@pytest.mark.parametrize(
    ("resource", "path"),
    [
        ("https://mcp.example/mcp", "/mcp"),
        ("https://mcp.example", ""),
        ("https://mcp.example/", ""),
        ("https://mcp.example/a%20b", "/a%20b"),
    ],
)
async def test_the_metadata_document_is_served_where_clients_look(
    make_edge, issuer, resource, path
):
    """MCP-RS-01, 02, 04, 06: exact issuer, exact resource, no offline_access, open to any page."""
    edge = make_edge(resource=resource)
    url = "https://mcp.example/.well-known/oauth-protected-resource" + path
    answer = await edge.request("GET", url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json() == {
        "resource": resource,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["logs.read", "logs.write"],
        "bearer_methods_supported": ["header"],
        "resource_name": resource,
        "dpop_signing_alg_values_supported": [
            *("ES256", "ES384", "PS256", "Ed25519", "EdDSA", "RS256")
        ],
    }
    challenged = await edge.request("POST", json=LIST)
    assert f'resource_metadata="{url}"' in challenged.headers["www-authenticate"]
    assert (await edge.request("HEAD", url)).content == b""
    assert (await edge.request("POST", url)).status_code == 401


async def test_a_name_for_people_is_published(issuer):
    app = protect(
        None, issuer=issuer.url, resource="https://mcp.example/mcp", tools={"t": "s"}, name="Logs"
    )
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
        assert (await client.get(METADATA)).json()["resource_name"] == "Logs"


@pytest.mark.parametrize("path", ["/mcp", "/.well-known/oauth-protected-resource/mcp"])
async def test_the_preflight_is_answered_without_a_token(edge, path):
    headers = [("origin", "https://page.example"), ("access-control-request-method", "POST")]
    answer = await edge.request("OPTIONS", path, headers=headers)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["access-control-allow-headers"] == "Authorization, *"
    assert edge.seen == []


# --- lists of tools


@pytest.mark.parametrize(
    ("held", "visible"),
    [
        ("logs.read logs.write", ["read_logs", "purge_logs"]),
        ("logs.read", ["read_logs"]),
        ("logs.write", []),
        ("other", []),
    ],
)
@pytest.mark.parametrize("kind", ["json", "sse"])
async def test_a_list_names_only_what_the_token_may_call(edge, issuer, held, visible, kind):
    body = json.dumps(
        listing("read_logs", "purge_logs", "debug_shell", ttlMs=5, cacheScope="public")
    ).encode()
    if kind == "json":
        edge.reply = (
            200,
            [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())],
            [body[:20], body[20:]],
        )
    else:
        framed = b": hi\r\n\r\nid: 4\nevent: message\ndata: " + body + b"\n\n"
        edge.reply = (
            200,
            [(b"content-type", b"text/event-stream; charset=utf-8")],
            [framed[i : i + 7] for i in range(0, len(framed), 7)],
        )
    answer = await edge.post(
        LIST, token=issuer.token(scope=held), headers=[("accept-encoding", "gzip")]
    )
    text = answer.text if kind == "json" else answer.text.split("data: ")[1]
    result = json.loads(text)["result"]
    assert [tool["name"] for tool in result["tools"]] == visible
    assert result["cacheScope"] == "private"
    if kind == "sse":
        assert answer.text.startswith(": hi\r\n\r\nid: 4\nevent: message\n")
    assert not [name for name, _ in edge.seen[0][0]["headers"] if name == b"accept-encoding"]


@pytest.mark.parametrize(("held", "count"), [("logs.read", 3), ("logs.read logs.write", 7)])
async def test_an_analyst_sees_three_tools_and_an_sre_seven(make_edge, issuer, held, count):
    """M10: one server, one list, and as many tools as the token may call."""
    reading = {f"read_{n}": "logs.read" for n in range(3)}
    writing = {f"write_{n}": "logs.write" for n in range(4)}
    edge = make_edge(tools={**reading, **writing})
    body = json.dumps(listing(*reading, *writing)).encode()
    edge.reply = (200, [(b"content-type", b"application/json")], [body])
    tools = (await edge.post(LIST, token=issuer.token(scope=held))).json()["result"]["tools"]
    assert [it["name"] for it in tools] == [*reading, *writing][:count]


async def test_a_batch_of_lists_is_filtered(edge, issuer):
    edge.reply = (
        200,
        [(b"content-type", b"application/json")],
        [json.dumps([listing("read_logs", "debug_shell"), 5]).encode()],
    )
    answer = await edge.post([LIST, {"jsonrpc": "2.0", "id": 2, "method": "ping"}])
    assert answer.json()[0]["result"]["tools"] == [{"name": "read_logs", "inputSchema": {}}]


async def test_a_replayed_stream_is_filtered_though_it_answers_no_list_request(edge, issuer):
    data = json.dumps(listing("read_logs", "purge_logs"), indent=1).encode().split(b"\n")
    event = b"".join(b"data: " + line + b"\r\n" for line in data) + b"\r\n"
    edge.reply = (200, [(b"content-type", b"text/event-stream")], [event])
    answer = await edge.request("GET", token=issuer.token())
    assert "read_logs" in answer.text
    assert "purge_logs" not in answer.text


@pytest.mark.parametrize(
    "event",
    [
        b"data: tools\n\n",
        b'event: x\ndata: {"a":"tools"}\n\n',
        b": tools\n\n",
        b'data: {"result":{"tools":1}}\r\r',
        b"data: last, without an end",
    ],
)
async def test_events_without_a_list_pass_unless_nobody_can_read_them(edge, issuer, event):
    edge.reply = (200, [(b"content-type", b"text/event-stream")], [event])
    answer = await edge.request("GET", token=issuer.token())
    assert answer.content == (b": dropped\r\n\r\n" if event == b"data: tools\n\n" else event)


async def test_an_answer_to_a_list_that_is_not_json_is_withheld(edge, issuer):
    edge.reply = (200, [(b"content-type", b"text/html")], [b"<p>purge_logs"])
    answer = await edge.post(LIST)
    assert (answer.status_code, answer.content) == (500, b"")


async def test_a_compressed_answer_is_withheld(edge, issuer):
    edge.reply = (
        200,
        [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")],
        [b"..."],
    )
    with pytest.raises(RuntimeError, match="compressed"):
        await edge.post(LIST)


async def test_other_answers_pass_unread(edge, issuer):
    edge.reply = (
        201,
        [(b"content-type", b"application/json"), (b"access-control-allow-origin", b"https://x")],
        [b"{", b"oops"],
    )
    answer = await edge.post(call("read_logs"))
    assert (answer.status_code, answer.content) == (201, b"{oops")
    assert answer.headers["access-control-allow-origin"] == "https://x"


# --- sessions


async def open_session(edge, token, session="s1"):
    edge.reply = (
        200,
        [(b"content-type", b"application/json"), (b"mcp-session-id", session.encode())],
        [b"{}"],
    )
    await edge.post({"jsonrpc": "2.0", "id": 0, "method": "initialize"}, token=token)


async def test_a_session_serves_only_its_opener(edge, issuer):
    """A session id is no credential: another subject or client gets the answer for an unknown session."""
    await open_session(edge, issuer.token())
    headers = [("mcp-session-id", "s1")]
    assert (
        await edge.post(LIST, token=issuer.token(jti="renewed"), headers=headers)
    ).status_code == 200
    reached = len(edge.seen)
    for stranger in (issuer.token(sub="mallory"), issuer.token(client_id="other")):
        for method in ("POST", "GET", "DELETE"):
            answer = await edge.request(
                method,
                token=stranger,
                headers=headers,
                content=json.dumps(LIST) if method == "POST" else None,
            )
            assert answer.status_code == 404
    assert (await edge.post(LIST, headers=[("mcp-session-id", "unheard-of")])).status_code == 404
    assert len(edge.seen) == reached


async def test_an_ended_session_is_forgotten(edge, issuer):
    await open_session(edge, issuer.token())
    headers = [("mcp-session-id", "s1")]
    edge.reply = (405, [], [b""])
    assert (await edge.request("DELETE", token=issuer.token(), headers=headers)).status_code == 405
    edge.reply = (200, [], [b""])
    assert (await edge.request("DELETE", token=issuer.token(), headers=headers)).status_code == 200
    assert (await edge.post(LIST, headers=headers)).status_code == 404


async def test_a_refused_opening_binds_nothing(edge, issuer):
    edge.reply = (400, [(b"mcp-session-id", b"s1")], [b"{}"])
    await edge.post({"jsonrpc": "2.0", "id": 0, "method": "initialize"})
    assert (await edge.post(LIST, headers=[("mcp-session-id", "s1")])).status_code == 404


# --- identity


async def test_the_current_token_lasts_as_long_as_the_request(make_edge, issuer):
    seen = []

    async def app(scope, receive, send):
        seen.append(current_token())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    edge = make_edge(app=app)
    for subject in ("alice", "bob"):
        await edge.request("GET", token=issuer.token(sub=subject))
    assert [token.subject for token in seen] == ["alice", "bob"]
    with pytest.raises(NoCurrentTokenError):
        current_token()


@pytest.mark.parametrize(
    "scopes", ["", (), " ", 'a"b', ["a b"], "offline_access", "read offline_access"]
)
def test_a_tool_declared_without_a_usable_scope_stops_the_start(scopes):
    with pytest.raises(ValueError, match="tool 'read_logs'"):
        ToolRules({"read_logs": scopes})


def test_the_lint_names_tools_that_nobody_can_reach():
    assert ToolRules({"a": "s"}).undeclared(["c", "a", "b"]) == ["b", "c"]


def test_plain_asgi_needs_no_framework_and_no_other_part_of_this_project():
    program = (
        "import sys, authz.resource_server as r\n"
        "r.protect(print, issuer='https://as.example', resource='https://mcp.example/', tools={'t': 's'})\n"
        "print(*sorted(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = ran.stdout.split()
    assert not {"mcp", "fastmcp", "starlette", "pydantic", "structlog"} & set(loaded)
    ours = {name for name in loaded if name.startswith("authz.")}
    assert {name.split(".")[1] for name in ours} == {"resource_server"}
