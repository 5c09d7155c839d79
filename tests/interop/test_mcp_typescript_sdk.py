"""The official TypeScript SDK's client in a Node process of its own."""

import json

import pytest

from tests.interop.scene import (
    CONFIDENTIAL,
    DEV,
    JAVASCRIPT,
    SERVICE,
    SRE,
    WORKLOAD,
    drive,
    node,
)

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def connect(scene, tenant, login, allowed, refused):
    script = str(JAVASCRIPT / "mcp_client.mjs")
    command = [node(), script, tenant.mcp_url, scene.host.client_id, allowed, refused]
    return drive(command, scene.person(login)).result


def test_a_developer_and_the_whole_flow(scene):
    result = connect(scene, scene.root, DEV, "read_logs", "set_debug_level")
    assert result["unauthorized"] == "UnauthorizedError"
    assert result["clientId"] == scene.host.client_id
    assert result["tools"] == ["query_analytics", "read_logs"]
    assert "read for usr_" in result["allowed"]
    assert set(result["iss"]) == {scene.root.issuer}


def test_a_refused_tool_leads_to_the_browser_and_is_refused_again(scene):
    result = connect(scene, scene.root, DEV, "read_logs", "set_debug_level")
    assert result["steppedUp"] == "UnauthorizedError"
    assert result["refused"]["name"] == "InsufficientScopeError"
    assert result["refused"]["scope"].split() == [
        "analytics.query",
        "logs.debug.write",
        "logs.read",
    ]
    assert set(result["scopes"]) == {"analytics.query logs.read"}


def test_an_expired_token_is_refreshed_without_the_person(scene):
    result = connect(scene, scene.root, DEV, "read_logs", "set_debug_level")
    assert result["visitsForRefresh"] == 0
    assert "read for usr_" in result["refreshed"]
    assert len(set(result["refreshTokens"])) == len(result["refreshTokens"]) == 3


def test_an_engineer_at_a_tenant_with_a_path(scene):
    result = connect(scene, scene.path, SRE, "trigger_incident", "query_analytics")
    assert result["tools"] == ["read_logs", "set_debug_level", "trigger_incident"]
    assert result["allowed"].startswith("incident opened")
    assert set(result["iss"]) == {scene.path.issuer}


@pytest.mark.parametrize("place", ["root", "path"])
def test_programs_without_a_person_call_a_tool(scene, place):
    """MCP-AS-75, JB-20: with a secret and with a key, by the SDK's own providers."""
    tenant = getattr(scene, place)
    clients = [
        {"clientId": CONFIDENTIAL, "clientSecret": tenant.secret},
        {
            "clientId": SERVICE,
            "privateKey": scene.service_key.as_dict(private=True),
            "algorithm": "ES256",
        },
    ]
    script = str(JAVASCRIPT / "mcp_service.mjs")
    command = [node(), script, tenant.mcp_url, tenant.issuer, json.dumps(clients)]
    answers = drive(command, scene.person()).result
    for answer, client in zip(answers, clients, strict=True):
        assert answer["tools"] == ["query_analytics", "read_logs"]
        assert f"read for {client['clientId']}" in answer["allowed"]


@pytest.mark.parametrize("place", ["root", "path"])
def test_a_workload_that_nobody_registered_calls_a_tool(scene, place):
    """WIF-01, SEP-1933: with a token of its platform, and the name that the SDK insists on sending."""
    tenant = getattr(scene, place)
    given = {"client_id": WORKLOAD, "valid_jwt": scene.workload_token(tenant.issuer)}
    script = str(JAVASCRIPT / "mcp_workload.mjs")
    command = ["env", f"MCP_CONFORMANCE_CONTEXT={json.dumps(given)}"]
    answer = drive([*command, node(), script, "--calls", tenant.mcp_url], scene.person()).result
    assert answer["tools"] == ["query_analytics", "read_logs"]
    assert "read for wkl_" in answer["allowed"]
