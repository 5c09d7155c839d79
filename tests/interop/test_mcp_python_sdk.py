"""The official Python SDK's client and server, with nothing of ours between them but the two ends of OAuth."""

import asyncio

import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.auth.extensions.client_credentials import (
    ClientCredentialsOAuthProvider,
    PrivateKeyJWTOAuthProvider,
    SignedJWTParameters,
)
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client

from scripts.demo_parts.mcp_client import Memory, connected
from tests.interop.scene import CONFIDENTIAL, DESK, DEV, SERVICE, SRE

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def run(scene, login, work, *, tenant=None, mode="auto", chooses=None):
    """Connect as somebody, do `work`; answers what it answers, and every answer of a server."""
    seen = []
    person = scene.person(login)
    if chooses is not None:
        person.chooses = chooses

    async def trace(response):
        seen.append((response.request.url.path, response.status_code))

    async def main():
        url = (tenant or scene.root).mcp_url
        async with connected(
            url, client_id=scene.host.client_id, person=person, trace=trace, mode=mode
        ) as connection:
            return await work(connection)

    return asyncio.run(main()), seen


async def refusal_of(connection, tool):
    with pytest.raises(MCPError) as refused:
        await connection.call(tool)
    return str(refused.value)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("login", "tools"),
    [
        (DEV, ["query_analytics", "read_logs"]),
        (SRE, ["read_logs", "set_debug_level", "trigger_incident"]),
    ],
)
def test_each_role_sees_its_tools(scene, login, tools, mode):
    found, seen = run(scene, login, lambda connection: connection.tools(), mode=mode)
    assert found == tools
    assert next(status for path, status in seen if path == "/mcp") == 401
    assert ("/.well-known/oauth-protected-resource/mcp", 200) in seen
    assert ("/.well-known/oauth-authorization-server", 200) in seen
    assert ("/token", 200) in seen


def test_a_tenant_with_a_path_in_its_issuer(scene):
    async def work(connection):
        assert connection.provider.context.oauth_metadata.issuer is not None
        return await connection.call("read_logs"), connection.memory.client.issuer

    (answer, issuer), seen = run(scene, DEV, work, tenant=scene.path)
    assert "read for usr_" in answer
    assert str(issuer) == scene.path.issuer
    assert ("/.well-known/oauth-authorization-server/t/acme", 200) in seen


def test_a_tool_of_another_role_is_refused_and_asking_for_more_changes_nothing(scene):
    async def work(connection):
        refused = await refusal_of(connection, "set_debug_level")
        return refused, connection.memory.stored

    (refused, tokens), seen = run(scene, DEV, work)
    assert "lacks a scope" in refused
    assert [status for path, status in seen if path == "/mcp"][-2:] == [403, 403]
    assert [token.scope for token in tokens] == ["analytics.query logs.read"] * 2


def test_an_unticked_scope_is_not_granted_and_can_be_given_later(scene):
    async def work(connection):
        before = await connection.tools()
        connection.person.chooses = lambda page: page.offered
        answer = await connection.call("query_analytics")
        return before, answer, await connection.tools()

    def without_analytics(page):
        return [scope for scope in page.offered if scope != "analytics.query"]

    (before, answer, after), _ = run(scene, DEV, work, chooses=without_analytics)
    assert before == ["read_logs"]
    assert answer == "orders: 1204"
    assert after == ["query_analytics", "read_logs"]


def test_an_expired_token_is_refreshed_without_the_person(scene):
    async def work(connection):
        await connection.call("read_logs")
        pages = len(connection.person.pages)
        for _ in range(3):
            connection.expire()
            await connection.call("read_logs")
        return connection.memory.stored, len(connection.person.pages) - pages

    (tokens, new_pages), _ = run(scene, DEV, work)
    assert new_pages == 0
    assert len({token.refresh_token for token in tokens}) == len(tokens) == 4
    assert len({token.access_token for token in tokens}) == 4
    assert {token.scope for token in tokens} == {"analytics.query logs.read"}


def with_a_secret(scene, tenant, method):
    return ClientCredentialsOAuthProvider(
        tenant.mcp_url,
        Memory(),
        client_id=CONFIDENTIAL,
        client_secret=tenant.secret,
        token_endpoint_auth_method=method,
        issuer=tenant.issuer,
    )


def with_a_key(scene, tenant):
    signed = SignedJWTParameters(
        issuer=SERVICE,
        subject=SERVICE,
        signing_key=scene.service_key.as_pem(private=True).decode(),
        signing_algorithm="ES256",
    )
    return PrivateKeyJWTOAuthProvider(
        tenant.mcp_url,
        Memory(),
        client_id=SERVICE,
        assertion_provider=signed.create_assertion_provider(),
        issuer=tenant.issuer,
    )


@pytest.mark.parametrize("place", ["root", "path"])
@pytest.mark.parametrize(
    ("provider", "client_id"),
    [
        (lambda *where: with_a_secret(*where, "client_secret_basic"), CONFIDENTIAL),
        (lambda *where: with_a_secret(*where, "client_secret_post"), CONFIDENTIAL),
        (with_a_key, SERVICE),
    ],
    ids=["basic", "post", "key"],
)
def test_a_program_without_a_person_calls_a_tool(scene, place, provider, client_id):
    """MCP-AS-75, JB-20: the SDK's own providers ask for all that the server names and get what the role allows."""
    tenant = getattr(scene, place)

    async def main():
        async with (
            httpx2.AsyncClient(auth=provider(scene, tenant), trust_env=False, timeout=30) as http,
            Client(streamable_http_client(tenant.mcp_url, http_client=http)) as client,
        ):
            result = await client.call_tool("read_logs", {})
            listed = await client.list_tools()
            return result.content[0].text, {tool.name for tool in listed.tools}

    answer, tools = asyncio.run(main())
    assert f"read for {client_id}" in answer
    assert tools == {"read_logs", "query_analytics"}


@pytest.mark.parametrize("place", ["root", "path"])
@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic"])
def test_an_identity_provider_decides_and_nobody_is_asked(scene, place, method):
    """EMA-01, EMA-10 (specs.md), E1, E3: the SDK's own provider, from an assertion to a tool call, and once more."""
    tenant = getattr(scene, place)
    asked = []

    async def assertion(audience, resource):
        asked.append((audience, resource))
        return scene.id_jag(audience, resource)

    async def main():
        provider = IdentityAssertionOAuthProvider(
            tenant.mcp_url,
            Memory(),
            client_id=DESK,
            client_secret=tenant.desk_secret,
            issuer=tenant.issuer,
            assertion_provider=assertion,
            token_endpoint_auth_method=method,
        )
        async with (
            httpx2.AsyncClient(auth=provider, trust_env=False, timeout=30) as http,
            Client(streamable_http_client(tenant.mcp_url, http_client=http)) as client,
        ):
            result = await client.call_tool("read_logs", {})
            listed = await client.list_tools()
            return result.content[0].text, {tool.name for tool in listed.tools}

    answer, tools = asyncio.run(main())
    assert "read for usr_" in answer
    assert tools == {"read_logs", "query_analytics"}
    assert asked == [(tenant.issuer, tenant.mcp_url)]
