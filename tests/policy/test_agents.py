"""Agents as policy sees them: how far they may go, until when, and which clients are theirs (M6)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authz.policy.agents import Agent, Agents
from authz.policy.snapshot import Resource

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LOGS = Resource("res_1", "https://logs.example", "https://logs.example/", "Logs")
MAIL = Resource("res_2", "https://mail.example", "https://mail.example/", "Mail")
OWN = Resource("own", "https://as.example/own", "https://as.example/own", "Own", is_builtin=True)
READING = frozenset({"logs.read"})
AGENT = Agent("agt_1", "triage", "usr_1", True, frozenset({"res_1"}), READING)


@pytest.mark.parametrize(
    ("changes", "is_live"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"expires_at": NOW + timedelta(microseconds=1)}, True),
        ({"expires_at": NOW}, False),
        ({"expires_at": NOW + timedelta(1), "enabled": False}, False),
    ],
)
def test_an_agent_acts_until_its_end(changes, is_live):
    assert replace(AGENT, **changes).is_live(NOW) is is_live


@pytest.mark.parametrize(
    ("changes", "resource", "bound"),
    [
        ({}, LOGS, ("agent_ceiling", READING)),
        ({"scope_ceiling": None}, LOGS, ("agent_ceiling", None)),
        ({}, MAIL, ("agent_ceiling", frozenset())),
        ({"scope_ceiling": None}, MAIL, ("agent_ceiling", frozenset())),
        ({"resources": frozenset()}, LOGS, ("agent_ceiling", frozenset())),
        ({}, OWN, ("agent_ceiling", None)),
        ({"enabled": False}, LOGS, ("agent_ended", frozenset())),
        ({"enabled": False}, OWN, ("agent_ended", frozenset())),
        ({"expires_at": NOW}, LOGS, ("agent_ended", frozenset())),
    ],
)
def test_the_most_an_agent_gets_at_a_server(changes, resource, bound):
    """M6: nothing at a server that its record does not name, whatever its ceiling; nothing at all after its end."""
    assert replace(AGENT, **changes).bound_at(resource, NOW) == bound


def test_a_client_belongs_to_one_agent_and_an_agent_has_several():
    other = replace(AGENT, id="agt_2", slug="other")
    agents = Agents({"job": AGENT, "router": other, "nightly": AGENT})
    assert agents.of_client("job") is AGENT
    assert agents.of_client("editor") is None
    assert agents.clients_of("agt_1") == {"job", "nightly"}
    assert agents.clients_of("agt_3") == frozenset()
