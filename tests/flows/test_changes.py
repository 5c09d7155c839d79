"""Change control: two people, a moment, and nobody round it (features S17, V3)."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from authz.admin import admins, changes, credentials, operations, resources, roles, tenants
from authz.admin.scopes import NewScope, add_scope
from authz.errors import Conflict, Forbidden, Invalid, NeedsApproval, NotFound
from authz.policy.administration import ADMIN_ROLES
from tests.support import operators
from tests.support.console import administrator, at
from tests.support.databases import until_somebody_waits
from tests.support.harness import RESOURCE

BIND = {"role": "sre", "kind": "user", "holder": "dev@example.com"}


@pytest.fixture
def guarded(harness):
    """A tenant that demands two people."""
    with harness.server.database.write() as tx:
        tenants.set_change_control(
            tx, harness.server.operator(), slug=harness.slug, mode="two_person"
        )
    return harness


def acting(harness, role, user_id="usr_author", **more):
    return operators.acting(harness, role, user_id, needs_second=True, **more)


def do_as(harness, operator, run, /, *args, **named):
    with harness.server.database.write() as tx:
        return run(tx, replace(operator, now=harness.clock()), harness.tenant_id, *args, **named)


def proposed(harness, operator=None, **more):
    given = {"operation": "roles.bind", "arguments": BIND, "reason": "on call", **more}
    return do_as(harness, operator or acting(harness, "policy-author"), changes.propose, **given)


def holders(harness):
    return next(it.users for it in harness.ask(roles.list_) if it.name == "sre")


def test_what_two_have_to_agree_on_is_done_by_no_one_alone(guarded):
    for role in ("policy-author", "owner"):
        with pytest.raises(NeedsApproval, match="approved by a second person"):
            do_as(guarded, acting(guarded, role), roles.bind, **BIND)
    assert holders(guarded) == ["sre@example.com"]


@pytest.mark.parametrize("name", [n for n, it in operations.OPERATIONS.items() if it.is_policy])
def test_every_operation_of_policy_is_held_to_it(guarded, name):
    with pytest.raises(NeedsApproval):
        operations.load(name).admit(acting(guarded, "owner"))


def test_one_asks_and_another_lets_it_happen(guarded):
    asked = proposed(guarded)
    assert (asked.status, holders(guarded)) == ("open", ["sre@example.com"])
    done = do_as(guarded, acting(guarded, "approver", "usr_second"), changes.approve, asked.id)
    assert done.status == "applied"
    assert holders(guarded) == ["dev@example.com", "sre@example.com"]
    told = [
        (it["detail"]["what"], it["actor"])
        for it in guarded.events("admin.changed")
        if it["actor"].startswith("console:")
    ]
    assert told == [
        ("change.propose", "console:usr_author"),
        ("change.approve", "console:usr_second"),
        ("role.bind", "console:usr_author"),
        ("change.apply", "console:usr_second"),
    ]


def test_a_change_that_takes_two_permissions_is_applied_with_both(guarded):
    """V4: and asked for by nobody who holds one of them."""
    arguments = {
        "server": guarded.resource.id,
        "name": "github",
        "reference": "env:AUTHZ_SECRET_GITHUB",
    }
    wanted = {"operation": "credentials.add", "arguments": arguments}
    with pytest.raises(Forbidden, match=r"authz\.connections\.write"):
        proposed(guarded, **wanted)
    references = {"references": ("env:AUTHZ_SECRET_",)}
    stolen = {**arguments, "reference": "file:authz.key"}
    with pytest.raises(Invalid, match="may refer to"):
        proposed(guarded, acting(guarded, "owner", **references), **{**wanted, "arguments": stolen})
    asked = proposed(guarded, acting(guarded, "owner", **references), **wanted)
    assert guarded.ask(credentials.list_) == []
    done = do_as(guarded, acting(guarded, "approver", "usr_second"), changes.approve, asked.id)
    assert done.status == "applied"
    assert [it.name for it in guarded.ask(credentials.list_)] == ["github"]


def test_nobody_approves_what_they_asked_for(guarded):
    """V3: not by another face of the same person either."""
    asked = proposed(guarded, acting(guarded, "owner", "usr_one"))
    elsewhere = replace(acting(guarded, "owner", "usr_one"), name="api:usr_one")
    for operator in (acting(guarded, "owner", "usr_one"), elsewhere):
        with pytest.raises(Forbidden, match="cannot approve it"):
            do_as(guarded, operator, changes.approve, asked.id)
    assert holders(guarded) == ["sre@example.com"]


@pytest.mark.parametrize("role", [r for r in ADMIN_ROLES if r not in ("owner", "approver")])
def test_whoever_may_not_approve_does_not(guarded, role):
    asked = proposed(guarded)
    for decide in (changes.approve, changes.refuse):
        with pytest.raises(Forbidden):
            do_as(guarded, acting(guarded, role, "usr_second"), decide, asked.id)
    assert guarded.ask(changes.show, asked.id).status == "open"


@pytest.mark.parametrize("role", ["auditor", "approver", "help-desk", "key-custodian", "operator"])
def test_whoever_may_not_write_policy_asks_for_nothing(guarded, role):
    with pytest.raises(Forbidden):
        proposed(guarded, acting(guarded, role))


def test_what_could_not_be_done_is_not_asked_for(guarded):
    with pytest.raises(NotFound, match="no role 'king'"):
        proposed(guarded, arguments={**BIND, "role": "king"})
    with pytest.raises(Invalid, match="knows no `surprise`"):
        proposed(guarded, arguments={**BIND, "surprise": 1})
    with pytest.raises(Invalid, match="no change of policy"):
        proposed(guarded, operation="users.disable", arguments={"reference": "dev@example.com"})
    with pytest.raises(Invalid, match="say why"):
        proposed(guarded, reason=" ")
    with pytest.raises(Invalid, match="in the past"):
        proposed(guarded, activate_at=guarded.clock())
    assert guarded.ask(changes.page).rows == []


def test_trying_it_leaves_nothing_behind(guarded):
    before = guarded.ask(roles.export)
    proposed(guarded)
    assert guarded.ask(roles.export) == before
    assert [it["detail"]["what"] for it in guarded.events("admin.changed")][-1] == "change.propose"


def test_it_begins_at_its_moment(guarded):
    at_ = guarded.clock() + timedelta(hours=2)
    asked = proposed(guarded, activate_at=at_)
    second = acting(guarded, "approver", "usr_second")
    assert do_as(guarded, second, changes.approve, asked.id).status == "scheduled"
    house = guarded.server.operator("job")
    assert do_as(guarded, house, changes.apply_due) == []
    assert holders(guarded) == ["sre@example.com"]
    guarded.clock.advance(hours=2)
    [done] = do_as(guarded, house, changes.apply_due)
    assert (done.id, done.status) == (asked.id, "applied")
    assert "dev@example.com" in holders(guarded)
    assert do_as(guarded, house, changes.apply_due) == []


def test_what_is_scheduled_can_be_stopped(guarded):
    asked = proposed(guarded, activate_at=guarded.clock() + timedelta(hours=1))
    second = acting(guarded, "approver", "usr_second")
    do_as(guarded, second, changes.approve, asked.id)
    assert do_as(guarded, second, changes.refuse, asked.id, note="not now").status == "refused"
    guarded.clock.advance(hours=1)
    assert do_as(guarded, guarded.server.operator("job"), changes.apply_due) == []
    assert holders(guarded) == ["sre@example.com"]


def test_what_became_impossible_says_so_and_stops_no_other(guarded):
    at_ = guarded.clock() + timedelta(hours=1)
    second = acting(guarded, "approver", "usr_second")
    gone = proposed(
        guarded,
        operation="roles.unbind",
        arguments={**BIND, "holder": "sre@example.com"},
        activate_at=at_,
    )
    good = proposed(guarded, activate_at=at_)
    for it in (gone, good):
        do_as(guarded, second, changes.approve, it.id)
    guarded.change(roles.unbind, role="sre", kind="user", holder="sre@example.com")
    guarded.clock.advance(hours=1)
    done = do_as(guarded, guarded.server.operator("job"), changes.apply_due)
    assert {it.id: it.status for it in done} == {gone.id: "failed", good.id: "applied"}
    assert "does not hold the role" in guarded.ask(changes.show, gone.id).note
    assert holders(guarded) == ["dev@example.com"]


def test_who_asked_may_take_it_back(guarded):
    asked = proposed(guarded)
    with pytest.raises(Forbidden, match="only whoever asked"):
        do_as(guarded, acting(guarded, "owner", "usr_other"), changes.withdraw, asked.id)
    assert (
        do_as(guarded, acting(guarded, "policy-author"), changes.withdraw, asked.id).status
        == "withdrawn"
    )
    with pytest.raises(Conflict, match="withdrawn already"):
        do_as(guarded, acting(guarded, "approver", "usr_second"), changes.approve, asked.id)


def test_where_nobody_is_demanded_a_reason_and_a_moment_still_are_possible(harness):
    alone = replace(acting(harness, "policy-author"), needs_second=False)
    assert proposed(harness, alone).status == "applied"
    later = proposed(
        harness,
        alone,
        operation="roles.unbind",
        activate_at=harness.clock() + timedelta(hours=1),
    )
    assert later.status == "scheduled"


def test_the_owner_of_a_server_asks_for_theirs(guarded):
    owner = acting(guarded, "server-owner", owned=frozenset({guarded.resource.id}))
    arguments = {"resource_id": guarded.resource.id, "name": "logs.tail", "risk": "read"}
    asked = proposed(guarded, owner, operation="scopes.add", arguments=arguments)
    assert asked.status == "open"
    with pytest.raises(Forbidden):
        proposed(guarded, replace(owner, owned=frozenset()), operation="scopes.add", arguments=arguments)  # fmt: skip


def test_another_tenants_change_is_not_there(guarded, other_harness):
    asked = proposed(guarded)
    for decide in (changes.approve, changes.refuse, changes.withdraw):
        with pytest.raises(NotFound):
            do_as(other_harness, acting(other_harness, "owner", "usr_second"), decide, asked.id)


def test_two_who_decide_at_once_decide_once(guarded):
    asked = proposed(guarded)
    outcomes = []

    def decide(number, what):
        try:
            made = do_as(guarded, acting(guarded, "approver", f"usr_{number}"), what, asked.id)
            outcomes.append(made.status)
        except Conflict:
            outcomes.append("late")

    threads = [
        threading.Thread(target=decide, args=(n, changes.approve if n % 2 else changes.refuse))
        for n in range(6)
    ]
    for it in threads:
        it.start()
    for it in threads:
        it.join()
    assert len(outcomes) == 6
    assert outcomes.count("late") == 5


@pytest.mark.parametrize(
    ("function", "args", "named"),
    [
        (roles.bind, (), BIND),
        (resources.set_status, (RESOURCE, "disabled"), {}),
        (add_scope, ("res_1", NewScope(name="a.read", risk="read", tools=("x", "y"))), {}),
    ],
)
def test_a_call_is_kept_as_what_its_operation_reads(function, args, named):
    name, arguments = operations.name_and_arguments(function, args, named)
    kept = json.loads(json.dumps(arguments))
    operation = operations.load(name)
    read = operation.signature.call_values(operation.reader.read(kept))
    again, whole = operations.name_and_arguments(function, (), read)
    assert again == name
    assert whole.items() >= arguments.items()


def effects_of(found):
    return {
        it.scope: (it.gained.names, it.lost.names)
        for it in found.evidence.effects
        if it.gained.count or it.lost.count
    }


def test_who_gains_and_who_loses_is_kept_with_what_was_asked_for(guarded):
    """Issue 6, part 6: before somebody decides, by the same computation as a plan."""
    asked = guarded.ask(changes.show, proposed(guarded).id)
    assert asked.is_current
    assert effects_of(asked)["incidents.trigger"] == (["dev@example.com"], [])
    guarded.change(roles.bind, **BIND)
    stale = guarded.ask(changes.show, asked.id)
    assert (stale.is_current, effects_of(stale)) == (False, effects_of(asked))
    for role in ("auditor", "help-desk"):
        with pytest.raises(Forbidden):
            do_as(guarded, acting(guarded, role, "usr_look"), changes.foresee, asked.id)
    assert guarded.ask(changes.show, asked.id) == stale
    for role in ("approver", "policy-author"):
        fresh = do_as(guarded, acting(guarded, role, "usr_look"), changes.foresee, asked.id)
        assert (effects_of(fresh), fresh.evidence.moved_from) == ({}, asked.evidence.version)
    guarded.change(roles.unbind, **BIND)
    again = do_as(guarded, acting(guarded, "policy-author"), changes.foresee, asked.id)
    assert (effects_of(again), again.evidence.moved_from) == (effects_of(asked), asked.evidence.version)  # fmt: skip


def test_what_is_approved_is_what_was_seen(guarded):
    asked = guarded.ask(changes.show, proposed(guarded).id)
    second = acting(guarded, "approver", "usr_second")
    guarded.change(roles.bind, **BIND)
    with pytest.raises(Conflict, match="not what you saw"):
        do_as(guarded, second, changes.approve, asked.id, seen=asked.evidence.digest)
    assert guarded.ask(changes.show, asked.id).status == "open"
    guarded.change(roles.unbind, **BIND)
    done = do_as(guarded, second, changes.approve, asked.id, seen=asked.evidence.digest)
    assert done.status == "applied"
    kept = guarded.ask(changes.show, asked.id)
    assert kept.evidence.moved_from == asked.evidence.version, (
        "policy moved, and it came to the same"
    )
    assert effects_of(kept) == effects_of(asked)


def test_who_does_not_say_what_they_saw_approves_what_is_kept(guarded):
    """S17: policy moved, and nobody looked at what the change came to by then."""
    asked = proposed(guarded)
    second = acting(guarded, "approver", "usr_second")
    guarded.change(roles.bind, **BIND)
    with pytest.raises(Conflict, match="not what you saw"):
        do_as(guarded, second, changes.approve, asked.id)
    guarded.change(roles.unbind, **BIND)
    assert do_as(guarded, second, changes.approve, asked.id).status == "applied"


def test_what_was_counted_ahead_is_taken_while_nothing_is_changed(guarded):
    """Counting is slow for very many people, and in the transaction others would wait for it."""
    author, database = acting(guarded, "policy-author"), guarded.server.database
    ahead = partial(changes.try_ahead, database, author, guarded.tenant_id, "roles.bind", BIND)
    found = guarded.ask(changes.show, proposed(guarded, author, trial=ahead()).id)
    assert found.is_current
    assert effects_of(found)["incidents.trigger"] == (["dev@example.com"], [])
    marked = replace(ahead(), effects=[])
    taken = guarded.ask(changes.show, proposed(guarded, author, trial=marked).id)
    assert (taken.is_current, effects_of(taken)) == (True, {})
    left = guarded.ask(changes.show, proposed(guarded, author, trial=marked).id)
    assert (left.is_current, effects_of(left)) == (True, effects_of(found))
    assert changes.try_ahead(database, author, guarded.tenant_id, "users.disable", {}) is None
    again = partial(changes.try_again_ahead, database, author, guarded.tenant_id)
    assert again(left.id, if_stale=True) is None
    assert again(found.id, if_stale=True).effects == found.evidence.effects


@pytest.mark.only("postgresql")
def test_what_is_changed_in_that_moment_does_not_count_as_looked_at(guarded):
    """Whoever asks and whoever approves waits for it; else what they name as of the present would be of before."""
    database, house = guarded.server.database, guarded.server.operator()
    second = acting(guarded, "approver", "usr_second")

    def meanwhile(*call):
        with database.write() as tx:
            roles.bind(tx, house, guarded.tenant_id, **BIND)
            later = pool.submit(*call)
            until_somebody_waits(database)
        return later

    with ThreadPoolExecutor(1) as pool:
        asked = meanwhile(proposed, guarded).result(20)
        found = guarded.ask(changes.show, asked.id)
        assert (found.is_current, effects_of(found)) == (True, {})
        guarded.change(roles.unbind, **BIND)
        do_as(guarded, second, changes.foresee, asked.id)
        late = meanwhile(do_as, guarded, second, changes.approve, asked.id)
        with pytest.raises(Conflict, match="not what you saw"):
            late.result(20)


# -- at the console -----------------------------------------------------------------------------------------


def test_the_console_asks_instead_of_doing_and_a_second_person_approves(guarded):
    author = administrator(guarded, "policy-author")
    form = {"identifier": "https://new.example/mcp", "name": "New", "owner": "dev@example.com"}
    asked = at(author, "servers/add", **form)
    assert asked.status == 200
    assert "a second person approves" in asked.text
    sent = at(
        author,
        "changes/propose",
        operation=asked.field("operation"),
        arguments=asked.field("arguments"),
        reason="a new <b>team</b>",
    )
    assert sent.status == 303
    page = author.get(guarded.server.base + sent.location)
    assert "somebody else approves it" in page.text
    assert "<b>team" not in page.text
    place = sent.location.partition("/console/")[2].partition("?")[0]
    assert at(author, f"{place}/approve", note="me").status == 403
    second = administrator(guarded, "approver", "sre@example.com")
    shown = at(second, place)
    assert "https://new.example/mcp" in shown.text
    assert "No person and no client gains or loses a scope by this" in shown.text
    # Signing in bound an administrator since.
    assert "Something was changed since version" in shown.text
    assert at(second, f"{place}/foresee", sure="yes").status == 303
    shown = at(second, place)
    assert "Something was changed since version" not in shown.text
    assert at(second, f"{place}/approve", note="fine", seen="0" * 64).status == 409
    assert at(second, f"{place}/approve", note="fine", seen=shown.field("seen")).status == 303
    assert len(guarded.ask(resources.list_)) == 2
    assert place in at(second, "changes?status=applied").text


def test_switching_it_off_takes_an_owner(guarded):
    for role in ("operator", "policy-author", "approver"):
        with guarded.server.database.write() as tx, pytest.raises(Forbidden):
            tenants.set_change_control(tx, acting(guarded, role), slug=guarded.slug, mode="off")
    guarded.change(admins.grant, role="owner", kind="user", holder="dev@example.com")
    with guarded.server.database.write() as tx:
        tenants.set_change_control(tx, acting(guarded, "owner"), slug=guarded.slug, mode="off")
    assert guarded.tenant().change_control == "off"
