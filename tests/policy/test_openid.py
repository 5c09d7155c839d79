"""What this server itself tells of a person, as a resource like any other (OIDC-03)."""

from datetime import UTC, datetime

import pytest

from authz.directory.assurance import Authentication
from authz.policy import EVERYONE, Ceiling, Reason, Subject, client_ceiling, decide
from authz.policy.openid import SCOPES, USERINFO_ID, userinfo_resource
from authz.policy.scopes import OPENID_SCOPES
from authz.policy.signals import MANAGE, READ, SSF_ID, ssf_resource
from authz.policy.snapshot import Resource, Scope, build

NOW = datetime(2026, 1, 2, tzinfo=UTC)
ENDPOINT = "https://as.example/t/acme/userinfo"
USERINFO = userinfo_resource("https://as.example/t/acme")
SERVER = Resource("res_1", "https://mcp.example", "https://mcp.example", "Logs")


def test_stream_management_is_a_resource_that_no_request_names():
    """SSF-05: found by `client_credentials` alone, under the issuer of its tenant."""
    made = ssf_resource("https://as.example/t/acme")
    address = "https://as.example/t/acme/ssf"
    assert (made.id, made.identifier, made.canonical) == (SSF_ID, address, address)
    assert made.is_builtin
    assert made.name
    assert {name for name, scope in made.scopes.items() if scope.is_default} == {READ, MANAGE}
    known = build(
        3,
        resources=[SERVER],
        roles=[],
        role_scopes=[],
        role_parents=[],
        group_roles=[],
        builtin=[made],
    )
    assert known.resources[SSF_ID] is made
    assert known.find_resource(address) is None


def decided(
    *,
    enabled=True,
    groups=None,
    signed_in=None,
    requested=frozenset({"openid", "email"}),
    ceilings=(),
):
    policy = build(
        3,
        resources=[SERVER],
        roles=[],
        role_scopes=[],
        role_parents=[],
        group_roles=[],
        client_groups=[] if groups is None else [("cli_1", groups)],
        builtin=[USERINFO],
    )
    return decide(
        policy,
        Subject("usr_1", enabled=enabled, authentication=signed_in),
        policy.resources[USERINFO_ID],
        client="cli_1",
        requested=requested,
        ceilings=ceilings,
        now=NOW,
    )


def test_the_resource_is_the_endpoint():
    """OIDC-03: the audience is compared as a string, and no MCP server can have its id."""
    assert (
        Resource(
            id="userinfo",
            identifier=ENDPOINT,
            canonical=ENDPOINT,
            name="Your account",
            scopes=SCOPES,
            is_builtin=True,
        )
        == USERINFO
    )


def test_its_scopes_say_who_somebody_is():
    """OIDC-03: each with a sentence of its own for the consent page, none of them given unasked (S10)."""
    assert SCOPES.keys() == OPENID_SCOPES
    for name, scope in SCOPES.items():
        assert scope == Scope(name, scope.description, "identity")
    assert len({scope.description for scope in SCOPES.values()}) == len(OPENID_SCOPES)


def test_everybody_is_known_without_a_role():
    decision = decided()
    assert decision.sources == {"openid": EVERYONE, "email": EVERYONE}
    assert decision.removed == {}
    assert decision.resource == ENDPOINT


@pytest.mark.parametrize(
    ("changes", "removed"),
    [
        ({"enabled": False}, {"openid": "subject_disabled", "email": "subject_disabled"}),
        ({"requested": frozenset({"phone"})}, {"phone": "scope_unknown"}),
        (
            {"ceilings": [Ceiling(Reason.CONSENT_WITHHELD, frozenset({"openid"}))]},
            {"email": "consent_withheld"},
        ),
        ({"requested": None}, {}),
    ],
)
def test_what_takes_it_away(changes, removed):
    decision = decided(**changes)
    assert decision.removed == removed
    assert "email" not in decision.granted


@pytest.mark.parametrize(
    ("resource", "scopes", "bound"),
    [
        (SERVER, frozenset({"a"}), frozenset({"a"})),
        (SERVER, None, None),
        (USERINFO, frozenset({"a"}), None),
    ],
)
def test_a_ceiling_of_mcp_scopes_does_not_speak_of_it(resource, scopes, bound):
    """OIDC-03: an operator who bounds what a client may do does not hide the person from it."""
    assert client_ceiling(scopes, resource) == Ceiling(Reason.CLIENT_CEILING, bound)


def test_a_client_for_others_is_not_told_who_somebody_is():
    """Features section 2, row 19: the limit is about being there, not about the scopes of one server."""
    decision = decided(groups=["grp_1"], signed_in=Authentication(NOW, None, None))
    assert not decision.granted
    assert set(decision.removed.values()) == {Reason.CLIENT_GROUPS}
