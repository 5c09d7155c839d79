"""OAuth clients on Node that know nothing of MCP, each with every grant that it can do and we have.

`openid-client` is what applications use, `oauth4webapi` checks each answer against its specification. A library runs
once per issuer, all steps in one process; a test looks at one step.
"""

import json

import pytest

from tests.interop.scene import HEADLESS, JAVASCRIPT, PUBLIC, SERVICE, drive, node

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SCOPE = "logs.read"
STEPS = (
    *("discovery", "code", "par", "parWithKey", "dpop"),
    *("clientCredentials", "introspection", "revocation", "device"),
)
RUNS = [("openid_client", "root"), ("openid_client", "path"), ("oauth4webapi", "path")]


@pytest.fixture(scope="module", params=RUNS, ids="-".join)
def run(request, scene):
    """The issuer, and what each step got."""
    library, place = request.param
    tenant = getattr(scene, place)
    task = {
        "issuer": tenant.issuer,
        "resource": tenant.mcp_url,
        "scope": SCOPE,
        "publicId": PUBLIC,
        "serviceId": SERVICE,
        "serviceKey": scene.service_key.as_dict(private=True),
        "deviceId": HEADLESS,
        "steps": STEPS,
    }
    script = str(JAVASCRIPT / f"{library}.mjs")
    return tenant, drive([node(), script, json.dumps(task)], scene.person()).result


def test_discovery(run):
    """MCP-AS-10: both kinds of document."""
    tenant, found = run
    assert found["discovery"] == {"oauth2": tenant.issuer, "oidc": tenant.issuer}


def is_whole_flow(tenant, got, token_type="bearer"):
    """A sign-in and a refresh; both libraries have compared `iss` and `state` themselves."""
    assert got["iss"] == tenant.issuer
    assert got["tokens"]["scope"] == got["refreshed"]["scope"] == SCOPE
    assert got["tokens"]["token_type"] == got["refreshed"]["token_type"] == token_type
    assert got["tokens"]["refresh_token"] != got["refreshed"]["refresh_token"]


def test_code_with_pkce_and_refresh(run):
    tenant, found = run
    is_whole_flow(tenant, found["code"])


@pytest.mark.parametrize("step", ["par", "parWithKey"])
def test_a_pushed_request(run, step):
    """PAR-01: a public client, and one that proves itself; the link names the client and the reference alone."""
    tenant, found = run
    assert found[step]["sent"].keys() == {"client_id", "request_uri"}
    is_whole_flow(tenant, found[step])


def test_dpop(run):
    """DPOP-02, DPOP-03: a key of the client's own from the request to the refresh."""
    tenant, found = run
    is_whole_flow(tenant, found["dpop"], "dpop")


def test_client_credentials_with_a_signed_assertion(run):
    """JB-20: both name the issuer as the only audience."""
    _, found = run
    assert found["clientCredentials"]["scope"] == SCOPE
    assert "refresh_token" not in found["clientCredentials"]


def test_introspection(run):
    """INT-05, INT-06: `oauth4webapi` asks for a signed answer and verifies it."""
    tenant, found = run
    told = found["introspection"]
    assert (told["active"], told["scope"], told["iss"]) == (True, SCOPE, tenant.issuer)
    assert told["sub"] == told["client_id"] == SERVICE
    assert told["aud"] == tenant.mcp_url


def test_revocation(run):
    """REV-03: before, an access and a refresh token are good; after, neither of them nor what came before."""
    _, found = run
    assert found["revocation"] == [True, True, False, False, False]


def test_device(run):
    """DEV-01: it polls while the person, led by the complete address, signs in and allows."""
    tenant, found = run
    asked, tokens = found["device"]["asked"], found["device"]["tokens"]
    assert asked["verification_uri"] == f"{tenant.issuer}/device"
    assert tokens["scope"] == SCOPE
