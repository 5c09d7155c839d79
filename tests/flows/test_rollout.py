"""Read-only rollout as a switch (features.md item 10), seen in tokens."""

import re

import pytest

from authz.admin import groups, resources, rollouts
from authz.errors import Conflict
from authz.policy import Subject, decide
from authz.policy.snapshot import HeldRole
from tests.support.console import administrator, at
from tests.support.harness import RESOURCE


@pytest.fixture
def owned(harness):
    harness.change(resources.set_owner, RESOURCE, "sre@example.com")
    return harness


def scopes_of(harness, login="sre@example.com"):
    asked = "logs.read logs.debug.write incidents.trigger"
    return harness.tokens(login, scope=asked).scopes


def test_nobody_writes_at_a_server_that_is_read_only(owned):
    owned.change(rollouts.set_rollout, RESOURCE, state="read_only")
    assert scopes_of(owned) == {"logs.read"}
    [issued] = owned.events("token.issued")
    assert issued["detail"]["removed"] == {
        "incidents.trigger": "rollout",
        "logs.debug.write": "rollout",
    }


def test_the_console_shows_the_evidence_and_takes_the_step(harness):
    """S17: the state of a server, with what speaks for the next one."""
    browser = administrator(harness)
    one = f"servers/{harness.resource.id}"
    assert "0 calls of tools by 0 people" in at(browser, one).text
    asked = at(browser, f"{one}/rollout", state="read_only")
    assert "loses it at the next refresh" in asked.text
    assert at(browser, f"{one}/rollout", state="read_only", sure="yes").status == 303
    assert scopes_of(harness) == {"logs.read"}
    harness.change(resources.set_owner, RESOURCE, "")
    refused = at(browser, f"{one}/rollout", state="full")
    assert (refused.status, "nobody is recorded to own" in refused.text) == (409, True)
    harness.change(resources.set_owner, RESOURCE, "sre@example.com")
    wrong = at(browser, f"{one}/rollout", state="canary", percent="many")
    assert "Give a whole number from 0 to 100" in wrong.text
    harness.change(groups.add, name="the pilots")
    shown = {"was_state": "read_only", "was_groups": "", "was_percent": "0"}
    canary = {"state": "canary", "groups": "the pilots", "percent": "10", **shown}
    assert at(browser, f"{one}/rollout", **canary).status == 303
    assert "the pilots, 10 % of all others" in re.sub("</?bdi>", "", at(browser, one).text)
    full = {"was_state": "canary", "was_groups": "the pilots", "was_percent": "10"}
    left = {"state": "full", "groups": "the pilots", "percent": "10", **full}
    assert at(browser, f"{one}/rollout", **left).status == 303
    late = at(browser, f"{one}/rollout", **{**shown, "state": "full"})
    assert (late.status, "Somebody else changed this meanwhile" in late.text) == (409, True)


def test_a_canary_has_what_its_roles_hold(owned):
    owned.change(groups.add, name="pilots")
    owned.change(rollouts.set_rollout, RESOURCE, state="canary", groups=["pilots"])
    assert scopes_of(owned) == {"logs.read"}
    owned.change(groups.add_member, group="pilots", user="sre@example.com")
    assert scopes_of(owned) == {"logs.read", "logs.debug.write", "incidents.trigger"}


def test_going_back_narrows_the_next_refresh(owned):
    first = owned.tokens("sre@example.com", scope="logs.read incidents.trigger offline_access")
    assert "incidents.trigger" in first.scopes
    owned.change(rollouts.set_rollout, RESOURCE, state="read_only")
    assert owned.refresh(first.refresh_token).scopes == {"logs.read"}


def test_a_server_without_an_owner_goes_no_further(harness):
    harness.change(rollouts.set_rollout, RESOURCE, state="read_only")
    harness.change(resources.set_owner, RESOURCE, "")
    with pytest.raises(Conflict, match="nobody is recorded to own"):
        harness.change(rollouts.set_rollout, RESOURCE, state="full")
    harness.change(resources.set_owner, RESOURCE, "sre@example.com")
    harness.change(rollouts.set_rollout, RESOURCE, state="full")
    assert scopes_of(harness) == {"logs.read", "logs.debug.write", "incidents.trigger"}


def test_the_step_is_recorded_with_what_was_observed(owned):
    owned.change(rollouts.set_rollout, RESOURCE, state="read_only")
    owned.clock.advance(days=3)
    line = owned.change(rollouts.set_rollout, RESOURCE, state="canary", percent=10)
    assert (line.state, line.percent, line.evidence.days) == ("canary", 10, 0)
    changed = [
        it for it in owned.events("admin.changed") if it["detail"]["what"] == "resource.rollout"
    ]
    values = changed[-1]["detail"]["values"]
    assert (values["before"], values["days"], values["calls"]) == ("read_only", 3, 0)


def test_in_read_only_no_way_leads_to_writing(owned):
    """Every person and client of the tenant, every scope: decided as for a token."""
    owned.change(rollouts.set_rollout, RESOURCE, state="read_only")
    with owned.server.database.read() as tx:
        policy = owned.server.services.configurations.load(tx, owned.tenant_id).policy
    resource = policy.resources[owned.resource.id]
    roles = tuple(HeldRole(it) for it in policy.roles)
    subject = Subject("usr_all", roles=roles, groups=frozenset(policy.group_roles))
    decision = decide(
        policy, subject, resource,
        client="any", requested=frozenset(resource.scopes), ceilings=(), now=owned.clock(),
    )  # fmt: skip
    assert decision.granted
    assert {resource.scopes[it].risk for it in decision.granted} == {"read"}
