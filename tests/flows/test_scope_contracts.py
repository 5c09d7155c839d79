"""Scope contracts: a tool that is added to a scope reaches no token before somebody else approved it (S12)."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from authz.admin import changes, resources, roles, scope_contracts, scopes, tenants
from authz.admin.operator import Operator
from authz.admin.scopes import NewScope, ScopeChange
from authz.errors import Conflict, Forbidden, NotFound
from authz.policy.contracts import digest_of
from authz.resource_server.access_token import read_claims
from authz.resource_server.errors import LimitedTool
from authz.resource_server.messages import ToolCall
from authz.resource_server.tool_rules import ToolRules
from tests.support.console import administrator, at
from tests.support.databases import until_somebody_waits
from tests.support.harness import RESOURCE
from tests.support.operators import acting

OLD, NEW = ("read_logs",), ("read_logs", "purge_logs")


def set_mode(harness, mode):
    with harness.server.database.write() as tx:
        tenants.set_scope_changes(tx, harness.server.operator(), slug=harness.slug, mode=mode)


@pytest.fixture
def reviewing(harness):
    """A tenant that reviews what is added to scopes."""
    edit(harness, OLD)
    set_mode(harness, "reviewed")
    return harness


def edit(harness, tools, operator=None):
    with harness.server.database.write() as tx:
        return scopes.edit_scope(
            tx,
            operator or harness.server.operator(),
            harness.tenant_id,
            harness.resource.id,
            "logs.read",
            ScopeChange(tools=tools),
        )


def approve(harness, operator, contract=None, name="logs.read"):
    with harness.server.database.write() as tx:
        return scope_contracts.approve(
            tx,
            operator,
            harness.tenant_id,
            harness.resource.id,
            name,
            contract=contract or digest_of(NEW),
        )


def opens(harness, answer):
    return harness.claims(answer.access_token)["mcp_tools"]


def test_a_tool_is_added_reviewed_and_only_then_minted(reviewing):
    """S12, word by word: live grants do not include it; reviewer approves; only then does the new version mint."""
    live = reviewing.tokens()
    assert opens(reviewing, live) == ["read_logs"]
    line = edit(reviewing, NEW, acting(reviewing, "policy-author", "usr_author"))
    assert (line.tools, line.unreviewed) == (list(NEW), ["purge_logs"])
    assert line.contract == digest_of(NEW) != digest_of(OLD)
    live = reviewing.refresh(live.refresh_token)
    assert opens(reviewing, live) == ["read_logs"]
    assert opens(reviewing, reviewing.tokens("sre@example.com")) == ["read_logs"]
    assert approve(reviewing, acting(reviewing, "approver", "usr_second")) == ["purge_logs"]
    assert opens(reviewing, reviewing.refresh(live.refresh_token)) == ["purge_logs", "read_logs"]
    [told] = [
        it for it in reviewing.events("admin.changed") if it["detail"]["what"] == "scope.approve"
    ]
    assert told["actor"] == "console:usr_second"
    assert told["detail"]["values"] == {
        "scope": "logs.read",
        "tools": ["purge_logs"],
        "authors": ["console:usr_author", "usr_author"],
        "contract": digest_of(NEW),
        "asks_again": True,
    }


def test_a_server_refuses_what_the_token_does_not_include(reviewing):
    """Whatever the code of the server says by now: its tokens came before the review."""
    edit(reviewing, NEW)
    claims = reviewing.claims(reviewing.tokens().access_token)
    now = reviewing.clock().timestamp()
    token = read_claims(claims, issuer=reviewing.issuer, resource=RESOURCE, now=now)
    rules = ToolRules({"read_logs": "logs.read", "purge_logs": "logs.read"})
    rules.require([ToolCall("read_logs", {})], token, now)
    with pytest.raises(LimitedTool) as refused:
        rules.require([ToolCall("purge_logs", {})], token, now)
    assert refused.value.reason == "tool_not_reviewed"
    shown = [
        it for it in ("read_logs", "purge_logs") if rules.allows(it, token.scopes, token.tools)
    ]
    assert shown == ["read_logs"]


def test_nobody_approves_what_they_added_or_something_else_than_they_saw(reviewing):
    owner = acting(reviewing, "owner", "usr_owner")
    edit(reviewing, NEW, owner)
    second = acting(reviewing, "approver", "usr_second")
    with pytest.raises(Forbidden, match="cannot approve it"):
        approve(reviewing, owner)
    with pytest.raises(Forbidden):
        approve(reviewing, acting(reviewing, "policy-author", "usr_other"))
    with pytest.raises(Conflict, match="others by now"):
        approve(reviewing, second, digest_of(OLD))
    with pytest.raises(NotFound):
        approve(reviewing, second, name="nothing")
    approve(reviewing, second)
    with pytest.raises(Conflict, match="waits for a review"):
        approve(reviewing, second)


def test_what_goes_is_gone_at_once_and_comes_back_by_a_review(reviewing):
    live = reviewing.tokens()
    edit(reviewing, ())
    live = reviewing.refresh(live.refresh_token)
    assert opens(reviewing, live) == []
    assert edit(reviewing, OLD).unreviewed == list(OLD)
    assert opens(reviewing, reviewing.refresh(live.refresh_token)) == []


def test_taking_a_scope_out_and_in_again_is_no_way_round(reviewing):
    scope = NewScope(name="logs.read", risk="read", tools=NEW)
    place = reviewing.resource.id
    reviewing.change(scopes.remove_scope, place, "logs.read")
    assert reviewing.change(scopes.add_scope, place, scope).unreviewed == list(NEW)
    unheld = NewScope(name="logs.tail", risk="read", tools=("tail",))
    assert reviewing.change(scopes.add_scope, place, unheld).unreviewed == []


def test_a_server_that_is_new_is_no_way_round_either(reviewing):
    """A role for every server holds its scopes from the first moment on."""
    scopes_ = [
        NewScope(name="logs.read", risk="read", tools=NEW),
        NewScope(name="logs.seek", risk="read", tools=("seek",)),
    ]
    new = "https://new.example/mcp"
    reviewing.add_resource(new, scopes=scopes_)
    shown = reviewing.ask(resources.show, new, issuer=reviewing.issuer)
    waiting = {it.name: it.unreviewed for it in shown.scopes}
    assert waiting == {"logs.read": list(NEW), "logs.seek": []}


def test_what_two_people_agreed_on_was_reviewed(reviewing):
    author = acting(reviewing, "policy-author", "usr_author")
    with reviewing.server.database.write() as tx:
        asked = changes.propose(
            tx,
            Operator(**{**vars(author), "needs_second": True}),
            reviewing.tenant_id,
            operation="scopes.edit",
            arguments={
                "resource_id": reviewing.resource.id,
                "name": "logs.read",
                "tools": list(NEW),
            },
            reason="purging",
        )
    with reviewing.server.database.write() as tx:
        second = acting(reviewing, "approver", "usr_second")
        changes.approve(tx, second, reviewing.tenant_id, asked.id)
    assert opens(reviewing, reviewing.tokens()) == ["purge_logs", "read_logs"]


def test_without_the_demand_tools_count_at_once_and_tokens_do_not_name_them(harness):
    live = harness.tokens()
    assert edit(harness, NEW).unreviewed == []
    assert "mcp_tools" not in harness.claims(harness.refresh(live.refresh_token).access_token)
    # What waits goes on waiting when the demand ends.
    edit(harness, OLD)
    set_mode(harness, "reviewed")
    edit(harness, NEW)
    set_mode(harness, "at_once")
    with harness.server.database.read() as tx:
        line = scopes.show_scope(tx, harness.tenant_id, harness.resource.id, "logs.read")
    assert line.unreviewed == ["purge_logs"]
    assert harness.ask(roles.list_)


def test_the_console_shows_what_waits_and_somebody_else_approves_it(reviewing):
    author = administrator(reviewing, "owner")
    place = f"servers/{reviewing.resource.id}"
    form = {"name": "logs.read", "risk": "read", "default": "yes", "tools": " ".join(NEW)}
    assert at(author, f"{place}/declare", **form).status == 303
    shown = at(author, place)
    assert "waits for a review" in shown.text
    sent = {"name": "logs.read", "contract": shown.field("contract")}
    assert at(author, f"{place}/approve", **sent).status == 403
    second = administrator(reviewing, "approver", "sre@example.com")
    assert at(second, f"{place}/approve", **sent).status == 303
    assert "waits for a review" not in at(second, place).text


@pytest.mark.only("postgresql")
def test_of_two_edits_at_once_the_second_compares_with_what_the_first_made(harness):
    """S12: a tool that was taken out meanwhile comes in again as any other, after a review."""
    edit(harness, NEW)
    set_mode(harness, "reviewed")
    author = acting(harness, "policy-author", "usr_author")
    where = (harness.tenant_id, harness.resource.id)
    database = harness.server.database
    with ThreadPoolExecutor(1) as pool:
        with database.write() as tx:
            scopes.edit_scope(tx, author, *where, "logs.read", ScopeChange(tools=OLD))
            later = pool.submit(edit, harness, (*NEW, "shift_logs"), author)
            until_somebody_waits(database)
        line = later.result(20)
    assert line.unreviewed == ["purge_logs", "shift_logs"]
