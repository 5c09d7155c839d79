"""The judgement is pure and total: whatever a stranger publishes, it says something and never fails."""

import json
import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authz.admin.rendering import as_json_value
from authz.cli.doctor import _told, _value
from authz.doctor.challenge import bearer_parameters
from authz.doctor.checks import judge
from authz.doctor.findings import FINDINGS
from authz.doctor.profiles import CLIENTS
from authz.doctor.walk import Answer, ServerWalk, Walk

URL, ISSUER = "https://mcp.example/mcp", "https://auth.example"
MEMBERS = (
    "issuer",
    "resource",
    "authorization_servers",
    "scopes_supported",
    "bearer_methods_supported",
    "authorization_endpoint",
    "token_endpoint",
    "jwks_uri",
    "registration_endpoint",
    "revocation_endpoint",
    "introspection_endpoint",
    "response_types_supported",
    "grant_types_supported",
    "code_challenge_methods_supported",
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "dpop_signing_alg_values_supported",
    "id_token_signing_alg_values_supported",
    "client_id_metadata_document_supported",
    "authorization_response_iss_parameter_supported",
    "keys",
    "error",
)
WORDS = st.sampled_from(
    f"{URL} {URL}/ {ISSUER} {ISSUER}/ {ISSUER}/a?b=c http://x.example http://[ https://[::1 none S256 "
    "code authorization_code refresh_token private_key_jwt RS256 HS256 * openid offline_access "
    "invalid_client \x1b[2J".split(" ")
)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), WORDS, st.text(max_size=5))
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(WORDS, SCALARS, max_size=2)
)
DOCUMENTS = st.one_of(st.none(), st.dictionaries(st.sampled_from(MEMBERS), VALUES, max_size=12))
STATUSES = st.sampled_from([None, 200, 204, 301, 307, 400, 401, 403, 404, 500, 502])
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "www-authenticate",
            "access-control-allow-origin",
            "access-control-allow-headers",
            "access-control-expose-headers",
            "location",
        ]
    ),
    st.one_of(WORDS, st.sampled_from(["*", 'Bearer resource_metadata="x", scope="a b"', "Bearer"])),
)


def answers(url):
    return st.builds(
        Answer,
        method=st.just("GET"),
        url=st.just(url),
        status=STATUSES,
        headers=HEADERS,
        document=DOCUMENTS,
        problem=st.just("dns"),
    )


PRM = "https://mcp.example/.well-known/oauth-protected-resource"
AS = f"{ISSUER}/.well-known/oauth-authorization-server"
OIDC = f"{ISSUER}/.well-known/openid-configuration"
SERVERS = st.builds(
    ServerWalk,
    issuer=st.sampled_from([ISSUER, f"{ISSUER}/", "http://[", "x", "http://auth.example"]),
    places=st.tuples(answers(AS), answers(OIDC)),
    misplaced=st.none() | answers(f"{ISSUER}/t{AS}"),
    keys=st.none() | answers(f"{ISSUER}/jwks"),
    token=st.none() | answers(f"{ISSUER}/token"),
    token_from_page=st.none() | answers(f"{ISSUER}/token"),
    preflight=st.none() | answers(AS),
    assumed=st.booleans(),
)
WALKS = st.builds(
    Walk,
    url=st.just(URL),
    unauthenticated=answers(URL),
    with_bad_token=st.none() | answers(URL),
    from_page=st.none() | answers(URL),
    preflight=st.none() | answers(URL),
    metadata=st.just(()) | st.tuples(answers(f"{PRM}/mcp"), answers(PRM)),
    servers=st.lists(SERVERS, max_size=2).map(tuple),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(WALKS, st.sets(st.sampled_from(list(CLIENTS)), min_size=1))
def test_whatever_was_published_there_is_a_report(found, names):
    report = judge(found, {name: CLIENTS[name] for name in names})
    assert {finding.code for finding in report.findings} <= set(FINDINGS)
    assert all(set(finding.clients) <= names and finding.clients for finding in report.findings)
    assert "\x1b" not in _told(report)
    assert json.loads(json.dumps(as_json_value(_value(report))))["url"] == URL


@given(st.text(alphabet=string.printable, max_size=60))
def test_any_header_is_read(text):
    found = bearer_parameters(text)
    assert found is None or "bearer" in text.lower()


def test_a_challenge_is_read_as_the_grammar_has_it():
    """RFC 9110 §11.6.1: quoted or not, in any order, among other schemes."""
    for header, expected in [
        (None, None),
        ("", None),
        ("Basic realm=x", None),
        ("Bearerish a=b", None),
        ("Bearer", {}),
        ("bearer realm=x", {"realm": "x"}),
        ('Bearer scope="a b", resource_metadata="https://x/y"', {"scope": "a b", "resource_metadata": "https://x/y"}),
        ('Basic realm="a", Bearer error="invalid_token"', {"error": "invalid_token"}),
        ('Bearer realm="say \\"hi\\", now", scope=a', {"realm": 'say "hi", now', "scope": "a"}),
        ('Bearer scope="a", DPoP algs="ES256"', {"scope": "a"}),
        ('Bearer scope="a", scope="b"', {"scope": "a"}),
    ]:  # fmt: skip
        assert bearer_parameters(header) == expected, header
