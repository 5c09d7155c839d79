"""Versions of policy: kept, told apart, and brought back."""

from dataclasses import replace

import pytest

from authz import jobs
from authz.admin import admins, resources, roles, scopes, versions
from authz.admin.code.kind import Site
from authz.admin.roles_import import import_file
from authz.admin.scopes import NewScope
from authz.db.models import PolicyVersion
from authz.errors import Conflict, Forbidden, NeedsApproval, NotFound
from authz.policy.roles_file import parse
from tests.support.console import administrator, at


def kept(harness):
    with harness.server.database.write() as tx:
        return versions.record(tx, harness.server.operator("job"), harness.tenant_id)


def state(harness):
    with harness.server.database.write() as tx:
        return versions._document(Site(tx, harness.server.operator(), harness.tenant_id))


def test_a_state_is_kept_once(harness):
    first = kept(harness)
    assert first.version == harness.tenant().config_version
    assert "roles.import" in first.changes
    assert kept(harness) is None
    harness.add_user("new@example.com")
    harness.set_trust("deny_list")
    assert kept(harness) is None, "that is no policy"


def test_the_periodic_look_keeps_every_state_and_writes_policy_down_once_for_each_change(
    harness, monkeypatch
):
    written = []
    document = versions._document

    def counted(site):
        written.append(site.tenant_id)
        return document(site)

    def turn():
        jobs.keep_versions(harness.server.services, harness.clock())
        return (
            harness.count(PolicyVersion),
            written.count(harness.tenant_id),
        )

    monkeypatch.setattr(versions, "_document", counted)
    assert [turn(), turn()] == [(1, 1), (1, 1)]
    harness.set_trust("deny_list")
    assert [turn(), turn()] == [(1, 2), (1, 2)], "that is no policy, and is looked at once"
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com")
    assert [turn(), turn()] == [(2, 3), (2, 3)]


def test_a_version_says_who_changed_what(harness):
    kept(harness)
    harness.clock.advance(seconds=1)
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com")
    line = kept(harness)
    assert (line.authors, line.changes) == (["test"], ["role.bind"])
    shown = harness.ask(versions.show, line.version)
    assert any(it.startswith("+") and "dev@example.com" in it for it in shown.diff)
    assert [it.version for it in harness.ask(versions.page).rows] == [line.version, shown.before]


def test_the_way_back_is_whole(harness):
    first, before = kept(harness), state(harness)
    harness.clock.advance(seconds=1)
    harness.change(import_file, parse("roles: {other: [logs.read]}\nbindings: []"))
    harness.change(scopes.remove_scope, harness.resource.id, "incidents.trigger")
    harness.change(scopes.add_scope, harness.resource.id, NewScope(name="new.read", risk="read"))
    assert state(harness) != before
    told = harness.change(versions.revert, version=first.version)
    assert told
    assert state(harness) == before
    assert (
        "incidents.trigger" in harness.tokens("sre@example.com", scope="incidents.trigger").scopes
    )
    with pytest.raises(Conflict, match="already"):
        harness.change(versions.revert, version=first.version)
    [event] = [
        it for it in harness.events("admin.changed") if it["detail"]["what"] == "policy.revert"
    ]
    assert event["detail"]["values"]["changes"] == len(told)


def test_a_server_that_came_later_is_switched_off(harness):
    first = kept(harness)
    harness.change(
        resources.add, identifier="https://later.example/mcp", name="", owner="", scopes=[]
    )
    harness.change(versions.revert, version=first.version)
    later = next(it for it in harness.ask(resources.list_) if "later" in it.identifier)
    assert later.status == "disabled"


def test_going_back_is_a_change_of_policy(harness):
    first = kept(harness)
    author = replace(harness.server.operator(), needs_second=True)
    with harness.server.database.write() as tx, pytest.raises(NeedsApproval):
        versions.revert(tx, author, harness.tenant_id, version=first.version)
    reader = replace(harness.server.operator(), permissions=frozenset())
    with harness.server.database.write() as tx, pytest.raises(Forbidden):
        versions.revert(tx, reader, harness.tenant_id, version=first.version)


def test_another_tenants_version_is_not_there(harness, other_harness):
    line = kept(harness)
    with pytest.raises(NotFound):
        other_harness.ask(versions.show, line.version)
    with pytest.raises(NotFound):
        other_harness.change(versions.revert, version=line.version)


def test_a_long_list_has_pages_and_an_export_has_all_of_it(harness):
    last = kept(harness).version
    with harness.server.database.write() as tx:
        row = tx.get_one(PolicyVersion, (harness.tenant_id, last))
        same = {"at": row.at, "authors": ["somebody"], "changes": [], "digest": "0" * 64}
        for number in range(last + 1, last + 60):
            made = PolicyVersion(
                tenant_id=harness.tenant_id, version=number, document=row.document, **same
            )
            tx.add(made)
    browser = administrator(harness)
    first = at(browser, "versions")
    assert f"versions/{last + 59}" in first.text
    assert f'versions/{last}"' not in first.text
    second = at(browser, f"versions?after={last + 10}").text
    assert f'versions/{last}"' in second
    assert "Next page" not in second
    exported = at(browser, "versions?format=csv").text.splitlines()
    assert [line.split(",")[0] for line in exported[1:]] == [
        str(number) for number in range(last + 59, last - 1, -1)
    ]


def test_versions_at_the_console(harness):
    first = kept(harness)
    harness.clock.advance(seconds=1)
    harness.change(roles.bind, role="sre", kind="user", holder="dev@example.com")
    second = kept(harness)
    harness.change(admins.grant, role="owner", kind="user", holder="sre@example.com")
    browser = administrator(harness, role=None, login="sre@example.com")
    assert f"/console/versions/{second.version}" in at(browser, "versions").text
    assert "dev@example.com" in at(browser, f"versions/{second.version}").text
    asked = at(browser, f"versions/{first.version}/revert", x="1")
    assert "become what they were then" in asked.text
    assert at(browser, f"versions/{first.version}/revert", sure="yes").status == 303
    assert next(it.users for it in harness.ask(roles.list_) if it.name == "sre") == [
        "sre@example.com"
    ]
    for address in ("versions/99999999", "versions/x", "versions/-1"):
        assert at(browser, address).status == 404
