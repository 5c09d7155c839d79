"""Roles and the matrix in the console."""

import re

import pytest

from authz.admin import role_changes, roles, tenants
from authz.errors import NotFound
from tests.flows.test_console_policy import rows
from tests.support.console import EVIL, administrator, at
from tests.support.harness import RESOURCE


def role(harness, name):
    return next(it for it in harness.ask(roles.list_) if it.name == name)


def entry(harness, name):
    return harness.ask(roles.export).roles[name]


def test_a_role_is_defined_bound_and_counts(harness):
    """From nothing to a token, in the console alone."""
    browser = administrator(harness, login="sre@example.com")
    made = at(browser, "roles/add", name="analyst", description="Looks", scopes="logs.read")
    assert made.status == 303
    one = made.location.partition("/console/")[2].partition("?")[0]
    given = at(browser, f"{one}/bind", kind="user", holder="dev@example.com", until="2030-01-31")
    assert given.status == 303
    page = at(browser, one)
    [line] = rows(page, "Table of holders").values()
    assert line[:3] == ["dev@example.com", "person", "2030-02-01 00:00"]
    assert "Looks" in page.text
    holder = {"kind": "user", "holder": harness.users["dev"]}
    asked = at(browser, f"{one}/unbind", **holder)
    assert "Take analyst away from dev@example.com?" in asked.text
    assert "Nobody holds it" not in at(browser, one).text
    assert at(browser, f"{one}/unbind", **holder, sure="yes").status == 303
    assert "Nobody holds it" in at(browser, one).text
    asked = at(browser, f"{one}/remove", x="y")
    assert "0 people lose it" in asked.text
    assert at(browser, f"{one}/remove", sure="yes").status == 303
    assert [it.name for it in harness.ask(roles.list_)] == ["developer", "sre"]


def test_a_role_is_changed_and_requires_a_sign_in(harness):
    browser = administrator(harness)
    one = f"roles/{role(harness, 'sre').id}"
    at(browser, f"{one}/describe", name="oncall", description="On call", includes="developer")
    at(browser, f"{one}/scopes", scopes="logs.read\nincidents.trigger")
    at(browser, f"{one}/require", acr="mfa pwd", max_age="5", connection="local")
    found = entry(harness, "oncall")
    assert found.description == "On call"
    assert found.includes == {"developer"}
    assert found.scopes == {"logs.read", "incidents.trigger"}
    assert str(found.requires) == "acr mfa or pwd, signed in 300 seconds ago at most, through local"
    at(browser, f"{one}/require", acr="", max_age="", connection="", was_acr="mfa pwd")
    assert entry(harness, "oncall").requires is None


@pytest.mark.parametrize(
    ("act", "fields", "sentence"),
    [
        ("bind", {"kind": "user", "holder": ""}, "Who gets the role is empty"),
        ("bind", {"kind": "user", "holder": "nobody"}, "there is no user"),
        ("bind", {"kind": "group", "holder": "x", "until": "soon"}, "This is not a day"),
        ("describe", {"name": ""}, "The name is empty"),
        ("describe", {"name": "a b"}, "cannot name a role"),
        ("describe", {"name": "sre", "includes": "sre"}, "circle"),
        ("require", {"max_age": "x"}, "whole number of minutes"),
        ("require", {"acr": '"'}, "is not an acr"),
        ("require", {"connection": "nowhere"}, "there is no connection"),
        ("scopes", {"scopes": "openid"}, "not the name of a scope"),
    ],
    ids=range(10),
)
def test_a_mistake_changes_nothing(harness, act, fields, sentence):
    before = harness.ask(roles.export)
    answer = at(administrator(harness), f"roles/{role(harness, 'sre').id}/{act}", **fields)
    assert answer.status >= 400
    assert sentence in answer.text.replace("&#39;", "'")
    assert harness.ask(roles.export) == before


def test_two_people_change_a_role_at_once(harness):
    """Neither is written over: a page shows what it was, what it is, and what one typed."""
    browser = administrator(harness)
    one = f"roles/{role(harness, 'sre').id}"
    shown = at(browser, one)
    assert shown.field("was_scopes") == "incidents.trigger logs.debug.write logs.read"
    harness.change(role_changes.set_scopes, "sre", scopes=frozenset({"logs.read"}))
    fields = {"was_scopes": shown.field("was_scopes"), "scopes": "logs.read files.read"}
    clash = at(browser, f"{one}/scopes", **fields)
    assert clash.status == 409
    for text in ("incidents.trigger logs.debug.write logs.read", "logs.read files.read"):
        assert text in clash.text
    assert entry(harness, "sre").scopes == {"logs.read"}
    fields["was_scopes"] = clash.field("was_scopes")
    assert at(browser, f"{one}/scopes", **fields).status == 303
    assert entry(harness, "sre").scopes == {"logs.read", "files.read"}


# -- matrix -------------------------------------------------------------------------------------------------


def ticked(harness, **ticks):
    """The form of the matrix with these ticks: a browser sends those that are ticked, and every row."""
    fields = [("server", harness.resource.id)]
    for name, scopes in ticks.items():
        id_ = role(harness, name).id
        was = entry(harness, name).at.get(RESOURCE, frozenset())
        fields += [("row", id_), (f"was_{id_}", " ".join(sorted(was)))]
        fields += [(id_, scope) for scope in scopes]
    return fields


def test_the_matrix_is_saved_as_one_change(harness):
    browser = administrator(harness)
    page = at(browser, f"matrix?server={harness.resource.id}")
    assert (
        rows(page, "Roles and scopes")["developer"][1]
        == "developer holds analytics.query here everywhere"
    )
    before = harness.tenant().config_version
    form = ticked(harness, developer=["incidents.trigger"], sre=[])
    url = f"{harness.issuer}/console/matrix/save"
    saved = browser.post(url, form)
    assert saved.status == 303
    assert entry(harness, "developer").at == {RESOURCE: frozenset({"incidents.trigger"})}
    assert harness.tenant().config_version == before + 1
    code = harness.code(requested=["incidents.trigger"], scopes=["incidents.trigger"])
    assert harness.redeem(code).scopes == {"incidents.trigger"}
    assert browser.post(url, ticked(harness, developer=["incidents.trigger"])).status == 303
    assert harness.tenant().config_version == before + 1


def test_what_somebody_else_ticked_meanwhile_is_not_unticked(harness):
    browser = administrator(harness)
    form = ticked(harness, developer=["incidents.trigger"], sre=[])
    harness.change(
        role_changes.set_matrix,
        server=harness.resource.id,
        roles={"developer": frozenset({"logs.debug.write"}), "sre": frozenset({"logs.read"})},
    )
    url = f"{harness.issuer}/console/matrix/save"
    clash = browser.post(url, form)
    assert clash.status == 409
    assert "The role developer" in clash.text
    assert "The role sre" not in clash.text
    # A row that one did not touch stays as somebody else made it.
    assert entry(harness, "sre").at == {RESOURCE: frozenset({"logs.read"})}
    id_ = role(harness, "developer").id
    again = [it for it in form if it[0] not in (id_, f"was_{id_}")]
    again += [
        (f"was_{id_}", clash.field(f"was_{id_}")),
        (id_, "incidents.trigger logs.debug.write"),
    ]
    assert browser.post(url, again).status == 303
    assert entry(harness, "developer").at == {
        RESOURCE: frozenset({"incidents.trigger", "logs.debug.write"})
    }
    assert entry(harness, "sre").at == {RESOURCE: frozenset({"logs.read"})}


def test_the_matrix_is_exported(harness):
    sheet = at(administrator(harness), f"matrix?server={harness.resource.id}&format=csv")
    assert "developer,everywhere,,,everywhere" in sheet.text
    listed = at(administrator(harness), "roles?format=csv&q=sre").text
    assert "sre,,,3,,1,0,0" in listed


def test_who_may_not_write_policy_sees_no_form_and_changes_nothing(harness):
    browser = administrator(harness, "auditor")
    one = f"roles/{role(harness, 'sre').id}"
    for address in ("roles", one, f"matrix?server={harness.resource.id}"):
        page = at(browser, address)
        assert page.status == 200
        assert page.text.count('<form method="post"') == 1  # to sign out
    before = harness.ask(roles.export)
    for address in ("roles/add", f"{one}/bind", f"{one}/remove", f"{one}/scopes", "matrix/save"):
        answer = at(
            browser,
            address,
            name="x",
            sure="yes",
            holder="dev@example.com",
            kind="user",
            server="x",
        )
        assert answer.status == 403, address
    assert harness.ask(roles.export) == before


def test_another_tenants_role_is_not_there(harness, other_harness):
    """M1, ATK-68."""
    browser = administrator(harness)
    foreign = role(other_harness, "sre").id
    for address in (f"roles/{foreign}", f"matrix?server={other_harness.resource.id}"):
        assert at(browser, address).status == 404
    for act in ("describe", "bind", "unbind", "remove", "scopes", "require"):
        answer = at(browser, f"roles/{foreign}/{act}", name="x", holder="x", sure="yes")
        assert answer.status == 404, act
    form = [("server", harness.resource.id), ("row", foreign), (foreign, "logs.read")]
    assert browser.post(f"{harness.issuer}/console/matrix/save", form).status == 404
    assert entry(other_harness, "sre").scopes


def test_what_was_written_into_a_role_is_text(harness):
    made = harness.change(role_changes.add, name="x", description=EVIL)
    browser = administrator(harness)
    for address in ("roles", f"roles/{made.id}"):
        page = at(browser, address)
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text
    with pytest.raises(NotFound):
        harness.change(role_changes.remove, EVIL)


# -- before it is saved -------------------------------------------------------------------------------------


def test_who_gains_and_who_loses_is_shown_before_anything_is_saved(harness):
    """Item 4: of the matrix, a binding and what a role holds; with names, and by everybody there is."""
    browser = administrator(harness, "policy-author")
    before = harness.tenant().config_version
    form = ticked(harness, developer=["incidents.trigger"])
    url = f"{harness.issuer}/console/matrix/save"
    shown = browser.post(url, [*form, ("effect", "yes")])
    assert rows(shown, "Effect")["incidents.trigger"] == [
        "incidents.trigger",
        RESOURCE,
        "1: dev@example.com",
        "",
        "",
    ]
    one = f"roles/{role(harness, 'sre').id}"
    given = at(browser, f"{one}/bind", kind="user", holder="dev@example.com", effect="yes")
    assert set(rows(given, "Effect")) == {"incidents.trigger", "logs.debug.write"}
    less = at(browser, f"{one}/scopes", scopes="logs.read", effect="yes")
    assert rows(less, "Effect")["incidents.trigger"][2:4] == ["", "1: sre@example.com"]
    harder = at(browser, f"{one}/require", acr="mfa", effect="yes")
    assert rows(harder, "Effect")["logs.read"][4] == "harder for 1: sre@example.com"
    nobody = at(browser, f"{one}/describe", name="sre", description="x", effect="yes")
    assert "No person and no client gains or loses" in nobody.text
    assert harness.tenant().config_version == before
    assert shown.field("server") == harness.resource.id
    assert shown.field(role(harness, "developer").id) == "incidents.trigger"
    assert browser.post(url, form).status == 303
    assert harness.tenant().config_version == before + 1


def test_what_would_be_refused_is_refused_when_it_is_looked_at(harness):
    one = f"roles/{role(harness, 'sre').id}"
    browser = administrator(harness, "policy-author")
    answer = at(browser, f"{one}/bind", kind="user", holder="nobody", effect="yes")
    assert "there is no user" in answer.text
    auditor = administrator(harness, "auditor", login="sre@example.com")
    fields = {"kind": "user", "holder": "dev@example.com", "effect": "yes"}
    assert at(auditor, f"{one}/bind", **fields).status == 403


def test_a_change_of_the_matrix_is_asked_for_where_two_people_are_demanded(harness):
    """S17, V3: nobody goes round it by ticking."""
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        tenants.set_change_control(tx, operator, slug=harness.slug, mode="two_person")
    browser = administrator(harness, "policy-author")
    form = ticked(harness, developer=["incidents.trigger"])
    url = f"{harness.issuer}/console/matrix/save"
    assert "1: dev@example.com" in browser.post(url, [*form, ("effect", "yes")]).text.replace(
        "<bdi>", ""
    )
    asked = browser.post(url, form)
    assert "roles.set_matrix" in asked.text
    proposed = at(
        browser,
        "changes/propose",
        operation=asked.field("operation"),
        arguments=asked.field("arguments"),
        reason="They are on call",
    )
    assert proposed.status == 303
    assert entry(harness, "developer").at == {}


def told(page):
    """The arguments of a change, as a page says them."""
    said = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.text, re.S)
    return {name: " ".join(re.sub(r"<[^>]+>", " ", text).split()) for name, text in said}


def test_what_is_asked_for_is_said_in_words(harness):
    """What was not given has a meaning of its own, or is left as it is and not said."""
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        tenants.set_change_control(tx, operator, slug=harness.slug, mode="two_person")
    browser = administrator(harness, "policy-author")
    one = f"roles/{role(harness, 'developer').id}"
    bound = at(browser, f"{one}/bind", kind="user", holder="sre@example.com")
    assert told(bound) == {
        "role": "developer",
        "kind": "user",
        "holder": "sre@example.com",
        "until": "no end",
    }
    held = told(at(browser, f"{one}/scopes", scopes="logs.read logs.write"))
    assert held["scopes"] == "logs.read logs.write"
    added = told(at(browser, "roles/add", name="new"))
    assert added == {"name": "new", "description": "empty", "includes": "none", "scopes": "none"}
    matrix = browser.post(
        f"{harness.issuer}/console/matrix/save", ticked(harness, developer=["logs.read"])
    )
    assert '"developer"' in matrix.text.replace("&#34;", '"')
    server = {"identifier": "https://new.example/mcp", "name": "", "owner": ""}
    assert told(at(browser, "servers/add", **server))["owner"] == "empty"
