"""People, groups, administrators, agents and mappings in the console."""

import pytest

from authz.admin import admins, agents, clients, groups, mappings, roles, users
from tests.flows.test_console_policy import rows
from tests.support.connections import connection
from tests.support.console import EVIL, administrator, at
from tests.support.harness import PASSWORD, RESOURCE


def person(harness, name="dev", act=""):
    return f"people/{harness.users[name]}{act and f'/{act}'}"


# -- people -------------------------------------------------------------------------------------------------


def test_people_are_listed_searched_paged_and_exported(harness):
    for number in range(55):
        harness.add_user(f"p{number:02}@example.com")
    browser = administrator(harness)
    first = at(browser, "people?q=p")
    assert len(rows(first, "People")) == 50
    following = first.text.partition('rel="next" href="')[2].partition('"')[0]
    second = browser.get(harness.server.base + following.replace("&amp;", "&"))
    assert list(rows(second, "People"))[-1] == "sre@example.com"
    assert list(rows(at(browser, "people?q=P07"), "People")) == ["p07@example.com"]
    harness.change(users.disable, "p01@example.com")
    assert list(rows(at(browser, "people?status=disabled"), "People")) == ["p01@example.com"]
    assert "p54@example.com,P54,active,True," in at(browser, "people?format=csv").text
    assert "Nobody matches" in at(browser, "people?q=zzz").text


def test_somebody_is_added_and_signs_in(harness):
    browser = administrator(harness, "help-desk")
    made = at(browser, "people/add", login="New@Example.com", name="New", password=PASSWORD)
    assert made.status == 303
    # They get in, and nothing yet: no role.
    assert harness.browser("new@example.com").authorize().error == "access_denied"
    one = made.location.partition("/console/")[2].partition("?")[0]
    page = at(browser, one)
    assert "Nothing, at any server" in page.text
    refused = at(browser, "people/add", login="new@example.com", name="Typed")
    assert refused.status == 409
    assert 'value="Typed"' in refused.text
    short = at(browser, "people/add", login="x@example.com", password="short")
    assert "too short" in short.text
    assert "short</" not in short.text.partition("<form")[2]


def test_what_somebody_may_do_and_why(harness):
    harness.change(groups.add, name="oncall")
    harness.change(groups.add_member, group="oncall", user="dev@example.com")
    harness.change(roles.bind, role="sre", kind="group", holder="oncall")
    page = at(administrator(harness, "help-desk", login="sre@example.com"), person(harness))
    [line] = rows(page, "Table of what they may do").values()
    assert line == [
        RESOURCE,
        "analytics.query incidents.trigger logs.debug.write logs.read",
        "role developer , role sre through group oncall",
        "0 of 4",
    ]
    assert rows(page, "Table of roles")["sre"][1:] == ["through oncall", "no end"]
    assert rows(page, "Table of groups")["oncall"][1] == "put there here"


def test_an_account_is_disabled_with_what_it_ends_and_enabled_again(harness):
    harness.tokens()
    browser = administrator(harness, "help-desk", login="sre@example.com")
    asked = at(browser, person(harness, act="disable"), x="y")
    assert "Ends 1 grant of dev@example.com" in asked.text
    assert "out of 1 browser" in asked.text
    assert at(browser, person(harness)).text.count(">active<") == 1
    assert at(browser, person(harness, act="disable"), sure="yes").status == 303
    page = at(browser, person(harness))
    assert ">disabled<" in page.text
    assert "Nothing, at any server" in page.text
    assert at(browser, person(harness, act="enable"), x="y").status == 303
    assert harness.ask(users.show, "dev@example.com", harness.clock()).status == "active"


def test_groups_password_and_break_glass(harness):
    harness.change(groups.add, name="oncall")
    browser = administrator(harness, "help-desk", login="sre@example.com")
    assert at(browser, person(harness, act="join"), group="oncall").status == 303
    [group] = [it for it in harness.ask(groups.list_) if it.name == "oncall"]
    assert group.members == 1
    assert "Take dev@example.com out of oncall?" in (
        at(browser, person(harness, act="leave"), group=group.id).text
    )
    assert harness.ask(groups.head, group.id).members == 1
    sure = {"group": group.id, "sure": "yes"}
    assert at(browser, person(harness, act="leave"), **sure).status == 303
    assert at(browser, person(harness, act="leave"), **sure).status == 404
    assert "The password is empty" in at(browser, person(harness, act="password"), password="").text
    other = harness.browser()
    other.authorize()
    assert at(browser, person(harness, act="password"), password="another long one").status == 303
    assert other.start(prompt="none").error == "login_required"
    assert at(browser, person(harness, act="break-glass"), allowed="yes").status == 303
    assert "break glass" in at(browser, person(harness)).text
    assert at(browser, person(harness, act="break-glass"), allowed="no").status == 303
    assert "break glass" not in at(browser, person(harness)).text


def test_the_help_desk_cannot_become_an_owner(harness):
    """ATK-38 and V3: neither by a password nor by a group."""
    harness.change(admins.grant, role="owner", kind="user", holder="sre@example.com")
    harness.change(groups.add, name="owners")
    harness.change(admins.grant, role="owner", kind="group", holder="owners")
    browser = administrator(harness, "help-desk")
    for act, fields in (
        ("password", {"password": "another long one"}),
        ("disable", {"sure": "yes"}),
        ("break-glass", {"allowed": "yes"}),
    ):
        answer = at(browser, person(harness, "sre", act), **fields)
        assert answer.status == 403, act
        assert "authz.admins.write" in answer.text
    assert at(browser, person(harness, act="join"), group="owners").status == 403


# -- groups -------------------------------------------------------------------------------------------------


def test_a_group_is_made_and_filled(harness):
    browser = administrator(harness, "help-desk")
    made = at(browser, "groups/add", name="On call")
    one = made.location.partition("/console/")[2].partition("?")[0]
    assert "Nobody is in it" in at(browser, one).text
    assert at(browser, f"{one}/put", user="sre@example.com").status == 303
    assert "there is no user" in at(browser, f"{one}/put", user="nobody").text
    assert list(rows(at(browser, one), "Table of people")) == ["sre@example.com"]
    assert rows(at(browser, f"{one}?q=zzz"), "Table of people") == {}
    assert "sre@example.com,True" in at(browser, f"{one}?format=csv").text
    assert "On call,1" in at(browser, "groups?format=csv&q=On").text
    asked = at(browser, f"{one}/take", user=harness.users["sre"])
    assert "The account stays" in asked.text
    assert "sre@example.com" in at(browser, one).text
    assert at(browser, f"{one}/take", user=harness.users["sre"], sure="yes").status == 303
    assert "Nobody is in it" in at(browser, one).text


# -- administrators -----------------------------------------------------------------------------------------


def test_an_admin_role_is_given_and_taken(harness):
    browser = administrator(harness, login="sre@example.com")
    fields = {"role": "auditor", "kind": "user", "holder": "dev@example.com"}
    assert at(browser, "administrators/grant", **fields, until="2030-12-31").status == 303
    page = at(browser, "administrators?role=auditor")
    assert rows(page, "Administrators")["dev@example.com"][1:4] == [
        "person",
        "Auditor",
        "2031-01-01 00:00",
    ]
    fields["holder"] = harness.users["dev"]
    asked = at(browser, "administrators/revoke", **fields)
    assert "dev@example.com does nothing more as Auditor" in asked.text
    assert at(browser, "administrators/revoke", **fields, sure="yes").status == 303
    assert [it.role for it in harness.ask(admins.list_)] == ["owner"]
    last = {"role": "owner", "kind": "user", "holder": harness.users["sre"], "sure": "yes"}
    kept = at(browser, "administrators/revoke", **last)
    assert kept.status == 409
    assert "the last owner" in kept.text
    assert "sre@example.com,user,owner," in at(browser, "administrators?format=csv").text


def test_only_who_decides_who_administers_gives_admin_roles(harness):
    browser = administrator(harness, "policy-author")
    fields = {"role": "owner", "kind": "user", "holder": "dev@example.com", "sure": "yes"}
    for act in ("grant", "revoke"):
        assert at(browser, f"administrators/{act}", **fields).status == 403
    assert [it.role for it in harness.ask(admins.list_)] == ["policy-author"]


# -- agents -------------------------------------------------------------------------------------------------


@pytest.fixture
def robot(harness):
    made = harness.add_client(
        client_id="robot",
        auth_method="client_secret_post",
        grant_types=("authorization_code", "client_credentials"),
    )
    harness.change(roles.bind, role="sre", kind="client", holder="robot")
    return made


def test_an_agent_is_added_bounded_and_killed(harness, robot):
    browser = administrator(harness, "operator")
    made = at(
        browser,
        "agents/add",
        slug="night-watch",
        purpose="Looks at night",
        owner="dev@example.com",
        servers=harness.resource.id,
        clients="robot",
        scopes="logs.read",
        dormant_after="30",
    )
    assert made.status == 303
    one = made.location.partition("/console/")[2].partition("?")[0]
    asked = {
        "grant_type": "client_credentials",
        "client_id": "robot",
        "client_secret": robot.secret,
        "resource": RESOURCE,
        "scope": "logs.read incidents.trigger",
    }
    assert harness.token(asked).scopes == {"logs.read"}
    shown = at(browser, one)
    wider = {"owner": "dev@example.com", "servers": harness.resource.id, "dormant_after": "30"}
    assert at(browser, f"{one}/change", **wider, scopes="").status == 303
    assert harness.token(asked).scopes == {"logs.read", "incidents.trigger"}
    stale = at(browser, f"{one}/change", **wider, scopes="x", was_scopes=shown.field("was_scopes"))
    assert stale.status == 409
    killing = at(browser, f"{one}/kill", x="y")
    assert "never acts again" in killing.text
    assert at(browser, f"{one}/kill", sure="yes").status == 303
    assert harness.token(asked).error is not None
    assert ">killed<" in at(browser, one).text
    assert list(rows(at(browser, "agents?status=killed"), "Agents")) == ["night-watch"]
    assert "night-watch,Looks at night," in at(browser, "agents?format=csv").text


def test_clients_of_an_agent_come_and_go(harness, robot):
    added = {"slug": "robot", "purpose": "x", "owner": "dev@example.com", "servers": [RESOURCE]}
    one = f"agents/{harness.change(agents.add, **added).id}"
    browser = administrator(harness, "operator")
    assert at(browser, f"{one}/give-client", client="robot").status == 303
    public = at(browser, f"{one}/give-client", client=harness.client_id)
    assert "does not authenticate" in public.text
    assert "ends at once" in at(browser, f"{one}/take-client", client="robot").text
    assert at(browser, f"{one}/take-client", client="robot", sure="yes").status == 303
    assert "It has no client" in at(browser, one).text
    assert "is active, not dormant" in at(browser, f"{one}/wake", x="y").text
    wrong = at(
        browser, "agents/add", slug="A b", purpose="x", owner="dev@example.com", dormant_after="x"
    )
    assert "whole number of days" in wrong.text


# -- mappings -----------------------------------------------------------------------------------------------


@pytest.fixture
def okta(harness):
    with harness.server.database.write() as tx:
        made = connection(harness.tenant_id, "okta", harness.clock())
        tx.add(made)
    return made


def test_a_group_of_a_provider_is_mapped_to_a_role(harness, okta):
    browser = administrator(harness, "policy-author")
    assert "No mapping yet" in at(browser, "mappings").text
    fields = {"connection": "okta", "claim": "groups", "value": "Devs <b>"}
    neither = at(browser, "mappings/add", **fields)
    assert "Choose a role or name a group" in neither.text
    assert at(browser, "mappings/add", **fields, role="developer").status == 303
    harness.change(groups.add, name="oncall")
    assert at(browser, "mappings/add", **fields, group="oncall").status == 303
    page = at(browser, "mappings?q=devs&connection=okta")
    assert page.text.count("<b>") == 0
    lines = [it.partition("</tr>")[0] for it in page.text.split("<tr>")[2:]]
    assert len(lines) == 2
    [first, _] = harness.ask(mappings.list_)
    asked = at(browser, "mappings/remove", id=first.id)
    assert "0 people leave the group" in asked.text
    assert at(browser, "mappings/remove", id=first.id, sure="yes").status == 303
    assert len(harness.ask(mappings.list_)) == 1
    assert "okta,groups,Devs <b>," in at(browser, "mappings?format=csv").text


# -- everybody's ids ----------------------------------------------------------------------------------------


def test_nobody_of_another_tenant_is_there(harness, other_harness, okta):
    """M1, ATK-68: on every page and form that names somebody."""
    group = other_harness.change(groups.add, name="theirs")
    added = {"slug": "theirs", "purpose": "x", "owner": "dev@example.com", "servers": [RESOURCE]}
    agent = other_harness.change(agents.add, **added)
    with other_harness.server.database.write() as tx:
        tx.add(connection(other_harness.tenant_id, "okta", other_harness.clock()))
    mapping = other_harness.change(
        mappings.add, connection="okta", claim="c", value="v", group=group.id
    )
    browser = administrator(harness)
    pages = {
        f"people/{other_harness.users['dev']}": (
            ["join", "leave", "password", "break-glass", "disable", "enable"]
        ),
        f"groups/{group.id}": ["put", "take"],
        f"agents/{agent.id}": ["change", "give-client", "take-client", "wake", "kill"],
    }
    fields = {
        "group": group.id,
        "user": other_harness.users["dev"],
        "password": "long enough",
        "client": "x",
        "owner": "dev@example.com",
        "dormant_after": "3",
        "sure": "yes",
    }
    for address, acts in pages.items():
        assert at(browser, address).status == 404
        for act in acts:
            assert at(browser, f"{address}/{act}", **fields).status == 404, (address, act)
    assert at(browser, "mappings/remove", id=mapping.id, sure="yes").status == 404
    foreign = {"role": "owner", "kind": "user", "holder": other_harness.users["dev"]}
    assert at(browser, "administrators/grant", **foreign).status == 404
    assert other_harness.ask(users.show, "dev@example.com", harness.clock()).status == "active"


def test_what_strangers_wrote_of_themselves_is_text(harness, robot, okta):
    """Stored XSS: what a directory, a provider or a client may fill."""
    evil = EVIL.replace("'", "")
    harness.change(users.add, login="x@example.com", name=evil, password_hash=None)
    user = harness.ask(users.show, "x@example.com", harness.clock()).id
    group = harness.change(groups.add, name=evil)
    harness.change(groups.add_member, group=group.id, user=user)
    harness.change(mappings.add, connection="okta", claim=evil, value=evil, group=group.id)
    harness.change(admins.grant, role="auditor", kind="group", holder=group.id)
    added = {"slug": "a", "purpose": evil, "owner": "x@example.com", "servers": [RESOURCE]}
    agent = harness.change(agents.add, **added)
    harness.change(clients.set_ceiling, "robot", frozenset({"logs.read"}))
    browser = administrator(harness)
    for address in (
        *("people?q=x@", f"people/{user}", "groups", f"groups/{group.id}", "administrators"),
        *("agents", f"agents/{agent.id}", "mappings"),
    ):
        page = at(browser, address)
        assert page.status == 200
        assert "<script>alert" not in page.text, address
        assert "&lt;script&gt;alert" in page.text, address
