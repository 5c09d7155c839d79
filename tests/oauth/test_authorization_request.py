"""Reading an authorization request by table: parameters in, a request or a refusal out (OAuth 2.1 §4.1.1).

Each table begins with one good request, and each line changes one thing of it.
"""

import json
from dataclasses import replace

import pytest

from authz.directory.assurance import MFA, PASSWORD
from authz.errors import (
    AccessDenied,
    InvalidRequest,
    OAuthError,
    UnmetAuthenticationRequirements,
)
from authz.oauth.asked import AskedScopes, check_scopes, read_resource, read_scopes, userinfo_alone
from authz.oauth.authorization_details import ToolLimit
from authz.oauth.authorization_request import (
    AuthorizationRequest,
    RedirectRefused,
    ReturnAddress,
    return_address,
    validate,
)
from authz.oauth.params import Params
from authz.policy.openid import userinfo_resource
from authz.policy.snapshot import Connection, Scope
from tests.support.arrange import REDIRECT, challenge
from tests.support.configured import CLIENT, ISSUER, RESOURCE, policy

ROTATING = replace(
    RESOURCE, scopes={**RESOURCE.scopes, "logs.write": Scope("logs.write", tools=("rotate",))}
)
USERINFO = userinfo_resource(ISSUER)
POLICY = policy(resources=[ROTATING], builtin=[USERINFO])
THUMBPRINT = "A-_" + "a" * 40
ADDRESS = ReturnAddress(ISSUER, REDIRECT, "s")
GOOD = {
    "response_type": "code",
    "client_id": CLIENT.id,
    "redirect_uri": REDIRECT,
    "state": "s",
    "code_challenge": challenge(),
    "code_challenge_method": "S256",
}
REQUEST = AuthorizationRequest(
    client_id=CLIENT.id,
    redirect_uri=REDIRECT,
    state="s",
    code_challenge=challenge(),
    resource=ROTATING,
    requested=None,
    offline_access=False,
    prompt=frozenset(),
    max_age=None,
    login_hint=None,
)


OKTA = Connection("con_1", "okta", True)


def read(
    changes=None, *, client=CLIENT, policy=POLICY, twice=None, pushed=False, push_required=False
):
    sent = {**GOOD, **(changes or {})}
    pairs = [(name, value) for name, value in sent.items() if value is not None]
    return validate(
        client,
        Params([*pairs, *([(twice, "x")] if twice else [])]),
        ADDRESS,
        policy,
        pushed=pushed,
        push_required=push_required,
    )


def detail(tool="rotate"):
    return json.dumps([{"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": tool}])


@pytest.mark.parametrize(
    ("sent", "read_as"),
    [
        ({}, {}),
        ({"response_mode": "query"}, {}),
        ({"resource": "https://MCP.example:443/mcp"}, {}),
        ({"scope": "logs.read admin"}, {"requested": frozenset({"logs.read", "admin"})}),
        ({"scope": "offline_access"}, {"offline_access": True}),
        ({"prompt": "none"}, {"prompt": frozenset({"none"})}),
        ({"prompt": "login consent"}, {"prompt": frozenset({"login", "consent"})}),
        ({"prompt": "select_account"}, {"prompt": frozenset({"select_account"})}),
        ({"max_age": "0"}, {"max_age": 0}),
        ({"max_age": "999999999"}, {"max_age": 999999999}),
        ({"login_hint": "dev"}, {"login_hint": "dev"}),
        ({"dpop_jkt": THUMBPRINT}, {"dpop_jkt": THUMBPRINT}),
        ({"signed_in_by": "d"}, {"signed_in_by": "d"}),
        ({"step_up": "1"}, {"was_stepped_up": True}),
        ({"step_up": ""}, {}),
        ({"nonce": "n"}, {}),
        ({"acr_values": PASSWORD}, {"acr_values": (PASSWORD,)}),
        ({"acr_values": f"x {PASSWORD} y"}, {"acr_values": (PASSWORD,)}),
        ({"acr_values": " ".join([PASSWORD] * 20)}, {"acr_values": (PASSWORD,) * 20}),
        (
            {"authorization_details": detail()},
            {
                "requested": frozenset({"logs.write"}),
                "details": (ToolLimit(RESOURCE.identifier, "rotate", {}),),
            },
        ),
        (
            {"authorization_details": detail(), "scope": "logs.read"},
            {
                "requested": frozenset({"logs.read"}),
                "details": (ToolLimit(RESOURCE.identifier, "rotate", {}),),
            },
        ),
        (
            {"scope": "openid profile", "nonce": "n"},
            {
                "resource": USERINFO,
                "requested": frozenset({"openid", "profile"}),
                "openid": frozenset({"openid", "profile"}),
                "nonce": "n",
            },
        ),
        (
            {"scope": "openid logs.read", "nonce": "n" * 512},
            {
                "requested": frozenset({"logs.read"}),
                "openid": frozenset({"openid"}),
                "nonce": "n" * 512,
            },
        ),
        (
            {"scope": "openid", "resource": RESOURCE.identifier},
            {"openid": frozenset({"openid"})},
        ),
        (
            {"scope": "openid", "authorization_details": detail()},
            {
                "requested": frozenset({"logs.write"}),
                "openid": frozenset({"openid"}),
                "details": (ToolLimit(RESOURCE.identifier, "rotate", {}),),
            },
        ),
    ],
)
def test_what_a_request_asks_for(sent, read_as):
    """MCP-AS-55, OIDC-01, OIDC-02, RAR-04, DPOP-03, SUA-01: every parameter that counts, and no other."""
    assert read(sent) == replace(REQUEST, **read_as)


ALGORITHM = {"id_token_signed_response_alg": "HS256"}


@pytest.mark.parametrize(
    ("code", "reason", "broken"),
    [
        ("invalid_request", "parameter_repeated", {"changes": {"scope": "a"}, "twice": "scope"}),
        (
            "invalid_target",
            "resource_repeated",
            {"changes": {"resource": "x"}, "twice": "resource"},
        ),
        ("request_not_supported", "request_object", {"changes": {"request": "x"}}),
        ("request_uri_not_supported", "request_uri", {"changes": {"request_uri": "x"}}),
        (
            "invalid_request",
            "request_uri_pushed",
            {"changes": {"request_uri": "x"}, "pushed": True},
        ),
        ("invalid_request", "response_type_missing", {"changes": {"response_type": None}}),
        ("unsupported_response_type", "response_type", {"changes": {"response_type": "token"}}),
        ("invalid_request", "response_mode", {"changes": {"response_mode": "fragment"}}),
        (
            "unauthorized_client",
            "grant_type_not_allowed",
            {"client": replace(CLIENT, grant_types=frozenset({"refresh_token"}))},
        ),
        ("invalid_request", "code_challenge_missing", {"changes": {"code_challenge": None}}),
        ("invalid_request", "code_challenge_method", {"changes": {"code_challenge_method": None}}),
        (
            "invalid_request",
            "code_challenge_method",
            {"changes": {"code_challenge_method": "plain"}},
        ),
        (
            "invalid_request",
            "code_challenge_malformed",
            {"changes": {"code_challenge": "a" * 42}},
        ),
        ("invalid_scope", "scope_malformed", {"changes": {"scope": "a  b"}}),
        ("invalid_scope", "scope_unknown", {"changes": {"scope": "unheard.of"}}),
        ("invalid_target", "resource_malformed", {"changes": {"resource": "x"}}),
        (
            "invalid_authorization_details",
            "details_tool",
            {"changes": {"authorization_details": detail("other")}},
        ),
        (
            "invalid_request",
            "id_token_algorithm",
            {
                "changes": {"scope": "openid"},
                "client": replace(CLIENT, metadata=ALGORITHM),
            },
        ),
        ("invalid_request", "prompt", {"changes": {"prompt": "create"}}),
        ("invalid_request", "prompt", {"changes": {"prompt": "none login"}}),
        (
            "invalid_request",
            "prompt",
            {"changes": {"prompt": "none login consent select_account"}},
        ),
        ("invalid_request", "max_age", {"changes": {"max_age": "-1"}}),
        ("invalid_request", "max_age", {"changes": {"max_age": "1.5"}}),
        ("invalid_request", "max_age", {"changes": {"max_age": "١"}}),
        ("invalid_request", "max_age", {"changes": {"max_age": "1000000000"}}),
        ("invalid_request", "dpop_jkt_malformed", {"changes": {"dpop_jkt": "a" * 42}}),
        ("invalid_request", "nonce", {"changes": {"scope": "openid", "nonce": "n" * 513}}),
        ("invalid_request", "acr_values", {"changes": {"acr_values": "a " * 20}}),
        ("unmet_authentication_requirements", "acr_unsupported", {"changes": {"acr_values": "x "}}),
        (
            "unmet_authentication_requirements",
            "acr_unsupported",
            {"changes": {"acr_values": "urn:other"}},
        ),
        ("invalid_request", "push_required", {"push_required": True}),
        (
            "invalid_request",
            "push_required",
            {"client": replace(CLIENT, metadata={"require_pushed_authorization_requests": True})},
        ),
        (
            "invalid_request",
            "redirect_uri_missing",
            {
                "client": replace(CLIENT, metadata={"fapi": True}),
                "changes": {"redirect_uri": None},
                "pushed": True,
            },
        ),
    ],
)
def test_a_request_with_one_defect_is_refused(code, reason, broken):
    """MCP-AS-55, MCP-AS-65, PAR-02, PAR-04, RI-03, OIDC-02, RFC 9470 §5."""
    with pytest.raises(OAuthError) as refusal:
        read(**broken)
    assert (refusal.value.code, refusal.value.reason) == (code, reason)
    assert refusal.value.description.isascii()


@pytest.mark.parametrize(
    ("connections", "sent", "read_as"),
    [
        ((OKTA,), f'phr {PASSWORD} " gold x\x7f', ("phr", PASSWORD, "gold")),
        ((OKTA,), MFA, (MFA,)),
        ((OKTA,), '" \\', None),
        ((replace(OKTA, enabled=False),), f"phr {PASSWORD}", (PASSWORD,)),
        ((replace(OKTA, enabled=False),), f"phr {MFA}", None),
        ((), MFA, None),
        ((), f"{MFA} {PASSWORD}", (PASSWORD,)),
    ],
    ids=["others", "ours", "malformed", "off", "off alone", "nobody", "password"],
)
def test_which_ways_to_sign_in_may_be_asked_for(connections, sent, read_as):
    """SUA-01: any name while an identity provider is connected, and what nobody can do is said at once."""
    changes = {"acr_values": sent}
    made = policy(resources=[ROTATING], builtin=[USERINFO], connections=connections)
    if read_as is not None:
        assert read(changes, policy=made).acr_values == read_as
        return
    with pytest.raises(UnmetAuthenticationRequirements) as refusal:
        read(changes, policy=made)
    assert refusal.value.reason == "acr_unsupported"


@pytest.mark.parametrize(
    "client",
    [
        CLIENT,
        replace(CLIENT, metadata={"require_pushed_authorization_requests": True}),
        replace(CLIENT, metadata={"fapi": True}),
    ],
)
def test_what_was_pushed_needs_no_second_push(client):
    """PAR-04, FAPI-02."""
    assert read(client=client, pushed=True, push_required=True) == REQUEST


def test_who_never_asks_about_the_person_may_have_any_algorithm():
    assert read(client=replace(CLIENT, metadata=ALGORITHM)) == REQUEST


# -- where answers go ---------------------------------------------------------------------------------------

ONE = replace(CLIENT, redirect_uris=(REDIRECT,))


@pytest.mark.parametrize(
    ("client", "sent", "expected"),
    [
        (CLIENT, {"redirect_uri": REDIRECT, "state": "s"}, ADDRESS),
        (ONE, {"state": "s"}, ADDRESS),
        (ONE, {}, ReturnAddress(ISSUER, REDIRECT, None)),
        (
            CLIENT,
            {"redirect_uri": "http://127.0.0.1:7/back"},
            ReturnAddress(ISSUER, "http://127.0.0.1:7/back", None),
        ),
    ],
)
def test_where_an_answer_may_go(client, sent, expected):
    """MCP-AS-52."""
    assert return_address(client, Params(sent.items()), ISSUER) == expected


@pytest.mark.parametrize(
    ("pairs", "reason", "received"),
    [
        ([], "redirect_uri_missing", None),
        (
            [("redirect_uri", "https://client.example/other")],
            "redirect_uri_unregistered",
            "https://client.example/other",
        ),
        ([("redirect_uri", REDIRECT), ("client_id", "a")] * 2, "parameter_repeated", None),
        ([("redirect_uri", REDIRECT), ("redirect_uri", "x")], "parameter_repeated", None),
        ([("redirect_uri", REDIRECT), ("state", "a"), ("state", "b")], "parameter_repeated", None),
        (
            [("redirect_uri", REDIRECT), ("client_id", "a"), ("client_id", "b")],
            "parameter_repeated",
            None,
        ),
    ],
)
def test_where_no_answer_goes(pairs, reason, received):
    """MCP-AS-54: a page for the person, who is shown what the client sent."""
    with pytest.raises(RedirectRefused) as refusal:
        return_address(CLIENT, Params(pairs), ISSUER)
    assert (refusal.value.reason, refusal.value.received) == (reason, received)
    assert refusal.value.code == "invalid_request"
    assert refusal.value.sentence.endswith(".")
    assert refusal.value.description == "the redirect_uri cannot be used"


def test_what_an_answer_says():
    """ISS-01, MCP-AS-56: `iss` in each, `state` as it came and only if it came."""
    issuer = "iss=https%3A%2F%2Fas.example%2Ft%2Facme"
    assert ADDRESS.with_code("azc_1") == f"{REDIRECT}?code=azc_1&state=s&{issuer}"
    bare = replace(ADDRESS, state=None)
    assert bare.with_code("azc_1") == f"{REDIRECT}?code=azc_1&{issuer}"
    error = AccessDenied("the person refused", reason="private")
    said = "error=access_denied&error_description=the%20person%20refused"
    assert ADDRESS.with_error(error) == f"{REDIRECT}?{said}&state=s&{issuer}"


# -- resource and scopes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "expected", "offline_access", "openid"),
    [
        (None, AskedScopes(None, frozenset()), False, set()),
        ("logs.read", AskedScopes(frozenset({"logs.read"}), frozenset()), False, set()),
        ("offline_access", AskedScopes(None, frozenset({"offline_access"})), True, set()),
        ("profile", AskedScopes(None, frozenset({"profile"})), False, set()),
        (
            "openid email a offline_access address",
            AskedScopes(
                frozenset({"a"}), frozenset({"openid", "email", "offline_access", "address"})
            ),
            True,
            {"openid", "email"},
        ),
    ],
)
def test_whose_scopes_are_asked_for(scope, expected, offline_access, openid):
    """MCP-AS-81, OIDC-01."""
    asked = read_scopes(Params([("scope", scope or "")]))
    assert (asked, asked.offline_access, asked.openid) == (expected, offline_access, openid)


def test_one_of_the_scopes_has_to_be_known():
    check_scopes(None, RESOURCE)
    check_scopes(frozenset({"logs.read", "unheard.of"}), RESOURCE)
    with pytest.raises(OAuthError, match=r": the resource .* \[scope_unknown\]"):
        check_scopes(frozenset({"unheard.of"}), RESOURCE)


OTHER = replace(RESOURCE, id="res_2", identifier="https://b.example", canonical="https://b.example")


@pytest.mark.parametrize(
    ("resources", "sent", "expected"),
    [
        ([RESOURCE], [], RESOURCE),
        ([RESOURCE, OTHER], [], "resource_missing"),
        ([], [], "resource_missing"),
        ([RESOURCE, OTHER], [("resource", "https://b.example")], OTHER),
        ([RESOURCE], [("resource", "https://b.example")], "resource_unknown"),
        ([RESOURCE], [("resource", "b.example")], "resource_malformed"),
        ([RESOURCE], [("resource", RESOURCE.identifier)] * 2, "resource_repeated"),
        (
            [RESOURCE, replace(OTHER, enabled=False)],
            [("resource", "https://b.example")],
            "resource_disabled",
        ),
    ],
)
def test_which_resource_is_asked_for(resources, sent, expected):
    """RI-03, RI-04."""
    configured = policy(resources=resources)
    if isinstance(expected, str):
        with pytest.raises(OAuthError) as refusal:
            read_resource(Params(sent), configured)
        assert (refusal.value.code, refusal.value.reason) == ("invalid_target", expected)
        assert refusal.value.description.isascii()
    else:
        assert read_resource(Params(sent), configured) == expected


@pytest.mark.parametrize(
    ("sent", "is_alone"),
    [
        ([("scope", "openid")], True),
        ([("scope", "openid offline_access")], True),
        ([("scope", "profile")], False),
        ([], False),
        ([("scope", "openid logs.read")], False),
        ([("scope", "openid"), ("resource", RESOURCE.identifier)], False),
        ([("scope", "openid"), ("authorization_details", "[]")], False),
        ([("scope", "openid"), ("resource", ""), ("resource", "")], False),
    ],
)
def test_when_only_the_person_is_asked_about(sent, is_alone):
    """OIDC-03."""
    params = Params(sent)
    found = userinfo_alone(params, read_scopes(params), POLICY)
    assert found == (USERINFO if is_alone else None)
    assert userinfo_alone(params, read_scopes(params), policy()) is None


def test_a_refusal_names_the_parameter():
    with pytest.raises(InvalidRequest, match=r": response_type is missing \["):
        read({"response_type": None})
