"""Policy as code: which changes open a door, whoever comes through it, and so take an approval."""

import pytest
import yaml

from authz.policy.code import KINDS
from authz.policy.code.clients import ClientEntry
from authz.policy.code.entries import Change
from authz.policy.code.reading import read


def client(**members):
    return {**ClientEntry(name="A").model_dump(mode="json"), **members}


def connection(**members):
    settings = {"issuer": "https://corp.okta.com", "client_id": "abc"}
    given = {"preset": "okta", "settings": settings, **members}
    text = yaml.safe_dump({"connections": {"okta": given}})
    return read({"a.yaml": text}).entries["connections"]["okta"]


def agent(**members):
    return {
        "purpose": "Sorts",
        "servers": ["s", "t"],
        "clients": ["c", "d"],
        "ceiling": ["a", "b"],
        "until": "2026-01-01T00:00:00",
        **members,
    }


def tenant(**members):
    return {
        "name": "A",
        "client_trust": "deny_list",
        "registration": "token",
        "change_control": "two_person",
        "scope_changes": "reviewed",
        **members,
    }


@pytest.mark.parametrize(
    ("kind", "before", "after", "widens"),
    [
        ("clients", None, client(), True),
        ("clients", client(), None, False),
        ("clients", None, client(blocked=True), False),
        ("clients", client(), client(name="B"), False),
        ("clients", client(), client(blocked=True), False),
        ("clients", client(blocked=True), client(), True),
        ("clients", client(), client(ceiling=["a"]), False),
        ("clients", client(ceiling=["a"]), client(), True),
        ("clients", client(ceiling=["a"]), client(ceiling=["a", "b"]), True),
        ("clients", client(ceiling=["a", "b"]), client(ceiling=["a"]), False),
        ("clients", client(ceiling=["a"]), client(ceiling=["a"], groups=["g"]), False),
        ("clients", client(ceiling=["a"], groups=["g"]), client(ceiling=["a"]), True),
        ("clients", client(), client(redirect_uris=["https://x"]), True),
        ("clients", None, {**client(name=None), "ceiling": ["a"]}, False),
        ("client_rules", None, {"verdict": "allow"}, True),
        ("client_rules", None, {"verdict": "deny"}, False),
        ("client_rules", {"verdict": "allow"}, None, False),
        ("client_rules", {"verdict": "deny"}, None, True),
        ("client_rules", {"verdict": "allow"}, {"verdict": "deny"}, False),
        ("client_rules", {"verdict": "deny"}, {"verdict": "allow"}, True),
        ("connections", None, connection(), True),
        ("connections", None, connection(enabled=False), False),
        ("connections", connection(), None, False),
        ("connections", connection(), connection(enabled=False), False),
        ("connections", connection(enabled=False), connection(), True),
        ("connections", connection(), connection(name="Corp", button=False), False),
        ("connections", connection(), connection(provision=True), True),
        ("connections", connection(provision=True), connection(), False),
        ("connections", connection(), connection(settings={"issuer": "https://x"}), True),
        *(
            (kind, before, after, after == {"enabled": True})
            for kind in ("trust", "targets", "workload_trust")
            for before in (None, {"enabled": True}, {"enabled": False})
            for after in (None, {"enabled": True}, {"enabled": False})
        ),
        ("delegations", None, {"max_depth": 1}, True),
        ("delegations", {"max_depth": 2}, {"max_depth": 1}, True),
        ("delegations", {"max_depth": 1}, None, False),
        ("domains", None, {"mandatory": True}, False),
        ("domains", None, {"mandatory": False}, False),
        ("domains", {"mandatory": False}, {"mandatory": True}, False),
        ("domains", {"mandatory": False}, None, False),
        ("domains", {"mandatory": True}, {"mandatory": False}, True),
        ("domains", {"mandatory": True}, None, True),
        ("agents", None, agent(), False),
        ("agents", agent(), None, False),
        ("agents", agent(), agent(purpose="Other"), False),
        ("agents", agent(), agent(servers=["s", "t", "u"]), True),
        ("agents", agent(), agent(servers=["s", "u"]), True),
        ("agents", agent(), agent(servers=["s"]), False),
        ("agents", agent(), agent(clients=["c", "d", "e"]), False),
        ("agents", agent(), agent(clients=["c", "e"]), True),
        ("agents", agent(), agent(clients=["c"]), True),
        ("agents", agent(), agent(ceiling=["a"]), False),
        ("agents", agent(), agent(ceiling=["a", "b", "c"]), True),
        ("agents", agent(), agent(ceiling=["a", "c"]), True),
        ("agents", agent(), agent(ceiling=None), True),
        ("agents", agent(ceiling=None), agent(), False),
        ("agents", agent(ceiling=None), agent(ceiling=None, purpose="Other"), False),
        ("agents", agent(), agent(until="2026-02-01T00:00:00"), True),
        ("agents", agent(), agent(until="2025-12-01T00:00:00"), False),
        ("agents", agent(), agent(until=None), True),
        ("agents", agent(until=None), agent(), False),
        ("settings", tenant(), tenant(name="Corp"), False),
        ("settings", tenant(), tenant(client_trust="deny_list"), False),
        ("settings", tenant(), tenant(client_trust="open"), True),
        ("settings", tenant(client_trust="allow_list"), tenant(), True),
        ("settings", tenant(), tenant(registration="off"), False),
        ("settings", tenant(), tenant(registration="open"), True),
        ("settings", tenant(), tenant(change_control="off"), True),
        ("settings", tenant(change_control="off"), tenant(), False),
        ("settings", tenant(), tenant(scope_changes="at_once"), True),
        ("settings", tenant(scope_changes="at_once"), tenant(), False),
        (
            "settings",
            tenant(change_control="off"),
            tenant(scope_changes="at_once"),
            True,
        ),
        *((kind, None, {}, False) for kind in ("groups", "resources", "rollouts", "mappings")),
    ],
    ids=lambda it: None,
)
def test_changes_that_let_somebody_in_are_known(kind, before, after, widens):
    assert KINDS[kind].widens(Change(kind, "x", before, after)) is widens
