"""Which MCP server has which credentials, and how one is written (V4)."""

from dataclasses import replace

import pytest

from authz.errors import Invalid
from authz.oauth.delegations import Delegation, Delegations
from authz.oauth.upstream_credentials import (
    MAX_REFERENCE_CHARS,
    UpstreamCredential,
    UpstreamCredentials,
    check_name,
    check_reference,
    check_scopes,
)
from tests.support.configured import RESOURCE, configuration


def bound(server, name):
    return UpstreamCredential(f"ucr_{server}_{name}", server, name, "vault:x", frozenset())


KEY, OWN, THEIRS = bound("res_1", "key"), bound("res_1", "own"), bound("res_2", "key")


def test_a_credential_is_one_servers():
    found = UpstreamCredentials.of([KEY, OWN, THEIRS])
    assert found.find("res_1", "key") is KEY
    assert found.find("res_2", "key") is THEIRS
    assert found.find("res_1", "own") is OWN
    for server, name in [("res_2", "own"), ("res_3", "key"), ("key", "res_1")]:
        assert found.find(server, name) is None
    assert found.names == {"key", "own"}
    assert [found.has_any(it) for it in ("res_1", "res_2", "res_3", "key")] == [
        True,
        True,
        False,
        False,
    ]


def test_a_tenant_without_any():
    assert UpstreamCredentials() == UpstreamCredentials.of([])
    assert not UpstreamCredentials().has_any("res_1")


def rule(client):
    return Delegation(f"dlg_{client}", client, RESOURCE.id, "res_2", {})


@pytest.mark.parametrize(
    ("credentials", "rules", "named"),
    [
        ([], [], None),
        ([KEY], [], RESOURCE.client_id),
        ([THEIRS], [], None),
        ([], ["cli_a"], "cli_a"),
        ([KEY], [RESOURCE.client_id], RESOURCE.client_id),
        ([THEIRS], ["cli_a"], "cli_a"),
        # The claim names one party, and may not name one of two.
        ([KEY], ["cli_a"], None),
        ([], ["cli_a", "cli_b"], None),
    ],
)
def test_who_may_exchange_a_servers_tokens(credentials, rules, named):
    """RFC 8693 §4.4: the server's own client too, where there is something to release to it."""
    made = configuration(
        credentials=UpstreamCredentials.of(credentials),
        delegations=Delegations.of([rule(it) for it in rules]),
    )
    assert made.may_act(RESOURCE) == named


def test_a_server_without_a_client_asks_for_nothing():
    made = configuration(credentials=UpstreamCredentials.of([KEY]))
    assert made.may_act(replace(RESOURCE, client_id=None)) is None


@pytest.mark.parametrize("name", ["a", "github", "a-1", "0", "x" * 63])
def test_a_name(name):
    assert check_name(name) == name


@pytest.mark.parametrize("name", ["", "A", "-a", "a-", "a b", "a_b", "x" * 64, "a\n", "é"])
def test_no_name(name):
    with pytest.raises(Invalid) as refused:
        check_name(name)
    assert repr(name) in str(refused.value)


LONGEST = "env:" + "X" * (MAX_REFERENCE_CHARS - 4)


@pytest.mark.parametrize("reference", ["env:KEY", "file:/run/key", "vault:kv/x#key", LONGEST])
def test_a_reference(reference):
    assert check_reference(reference) == reference


def test_no_reference():
    with pytest.raises(Invalid) as refused:
        check_reference("ghp_the_secret_itself")
    # V7: it may be the secret itself.
    assert "ghp" not in str(refused.value)
    with pytest.raises(Invalid) as refused:
        check_reference(f"{LONGEST}X")
    assert f"{MAX_REFERENCE_CHARS + 1} characters" in str(refused.value)
    assert "XX" not in str(refused.value)


def test_scopes_are_kept_in_order():
    assert check_scopes(iter(["b", "a", "b"])) == ["a", "b"]
    assert check_scopes([]) == []
    hundred = [f"s{n:03}" for n in range(100)]
    assert check_scopes(hundred * 2) == hundred


@pytest.mark.parametrize(
    ("scopes", "told"),
    [
        ([f"s{n}" for n in range(101)], "at most 100"),
        (["a", "a b"], "'a b'"),
        (["openid"], "'openid'"),
        ([""], "''"),
    ],
)
def test_no_scopes(scopes, told):
    with pytest.raises(Invalid) as refused:
        check_scopes(scopes)
    assert told in str(refused.value)
