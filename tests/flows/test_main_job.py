"""The main job, black-box: sign in, consent, a method-scoped token, refresh."""


def test_a_developer_gets_exactly_the_scopes_of_the_role(harness):
    page = harness.browser().authorize(
        scope="logs.read analytics.query logs.debug.write incidents.trigger"
    )
    answer = harness.redeem(page.code)
    assert answer.ok, (answer.json, answer.reason)
    assert answer.scopes == {"logs.read", "analytics.query"}
    claims = harness.claims(answer.access_token)
    assert claims["iss"] == harness.issuer
    assert claims["aud"] == "https://mcp.example/mcp"
    assert claims["sub"] == harness.users["dev"]
    again = harness.refresh(answer.refresh_token)
    assert again.ok, (again.json, again.reason)
    assert again.scopes == answer.scopes
