"""Every list of the console is searched, filtered, paged and exported (L7)."""

import html
import re
from datetime import timedelta
from functools import partial

from sqlalchemy import select

from authz.admin import (
    agents,
    audit_holds,
    changes,
    client_trust,
    credentials,
    groups,
    resources,
    reviews,
    role_changes,
    roles,
    scopes,
    targets,
    versions,
    workload_trust,
)
from authz.admin.scopes import NewScope
from authz.db.models import GroupMember, TokenFamily
from authz.directory import users
from authz.web.console import pages
from tests.support.connections import connection
from tests.support.console import administrator, at
from tests.support.forms import forms_of
from tests.support.harness import RESOURCE

NO_LISTS = {
    *("", "matrix", "simulator", "explain", "cut-off", "offboarding", "story", "readiness"),
    *("settings", "tenants"),
}
"""Of the navigation: what is about one thing. Tenants are a list that the base address alone has."""
LISTS = [it.path for it in pages.PAGES if it.is_listed and it.path not in NO_LISTS]


def names(page, below=""):
    """Of the rows of a list, without what is beside a name; of the first one below something."""
    body = page.text[page.text.index(below) :].partition("<tbody>")[2].partition("</tbody>")[0]
    cells = re.findall(r'<th scope="row">(.*?)</th>', body, re.S)
    return [re.sub(r"<[^>]+>", " ", it).split()[0] for it in cells]


def test_every_list_has_a_search_a_filter_and_an_export(harness):
    browser = administrator(harness)
    assert {"servers", "people", "audit", "targets", "keys", "versions"} <= set(LISTS)
    for path in LISTS:
        page = at(browser, path)
        forms = re.findall(r'<form class="search" role="search" method="get".*?</form>', page.text, re.S)  # fmt: skip
        assert len(forms) == 1, path
        assert "<input" in forms[0], path
        assert "<select" in forms[0], path
        assert 'name="format" value="csv"' in forms[0], path
        sheet = at(browser, f"{path}?format=csv")
        assert sheet.response.headers["content-type"].startswith("text/csv"), path


def test_no_list_takes_a_cursor_that_it_did_not_give(harness):
    """Each goes on behind a place, so each has one that is wrong."""
    browser = administrator(harness)
    for path in LISTS:
        assert at(browser, f"{path}?after=*").status == 400, path


def test_a_list_that_is_read_whole_goes_on_behind_fifty_rows(harness):
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        for number in range(60):
            pattern = f"https://c{number:02}.example/client.json"
            client_trust.set_rule(tx, operator, harness.tenant_id, pattern=pattern, verdict="allow")
    browser = administrator(harness)
    first = at(browser, "client-trust?verdict=allow")
    assert len(names(first)) == 50
    [onward] = re.findall(r'rel="next" href="[^"]*console/([^"]+)"', first.text)
    assert "verdict=allow" in onward
    second = at(browser, onward.replace("&amp;", "&"))
    assert len(names(second)) == 10
    assert not set(names(first)) & set(names(second))
    assert "First page" in second.text
    assert 'rel="next"' not in second.text
    assert len(at(browser, "client-trust?format=csv").text.splitlines()) == 61


def test_a_page_of_a_list_keeps_whatever_else_the_address_says(harness):
    """Names are a stranger's, who may have made the link."""
    browser = administrator(harness)
    for path in LISTS:
        page = at(browser, f"{path}?page=1&self=2&visit=3&of=4&after=")
        assert page.status == 200, path
    with harness.server.database.write() as tx:
        made = tx, harness.server.operator(), harness.tenant_id
        for number in range(51):
            groups.add(*made, name=f"g{number:02}")
    first = at(browser, "groups?page=1&self=2&done=added&q=g")
    [way] = re.findall(r'rel="next" href="[^"]*console/([^"]+)"', first.text)
    assert html.unescape(way).startswith("groups?page=1&self=2&q=g&after=")
    assert len(names(at(browser, html.unescape(way)))) == 1


def test_roles_and_groups_are_filtered_by_whether_anybody_has_them(harness):
    harness.change(role_changes.add, name="spare", description="", includes=(), scopes=())
    team = harness.change(groups.add, name="team")
    harness.change(groups.add_member, group=team.id, user="dev@example.com")
    harness.change(groups.add, name="void")
    browser = administrator(harness)
    assert names(at(browser, "roles?held=no")) == ["spare"]
    assert names(at(browser, "roles?held=yes")) == ["developer", "sre"]
    assert names(at(browser, "groups?people=no")) == ["void"]
    assert names(at(browser, "groups?people=yes&q=t")) == ["team"]
    assert at(browser, "groups?people=no&format=csv").text.splitlines()[1:] == ["void,0"]


def test_changes_and_versions_are_searched(harness):
    later = harness.clock() + timedelta(days=1)
    for role, reason in (("sre", "on call"), ("developer", "joins us")):
        given = {"role": role, "kind": "user", "holder": "sre@example.com"}
        proposed = {"operation": "roles.bind", "arguments": given, "reason": reason}
        harness.change(partial(changes.propose, **proposed, activate_at=later))
    browser = administrator(harness)
    page = at(browser, "changes?q=ON+Call")
    assert ("on call" in page.text, "joins us" in page.text) == (True, False)
    assert "No change is like that" in at(browser, "changes?q=100%25").text
    first = harness.change(versions.record).version
    harness.clock.advance(seconds=5)
    harness.change(role_changes.add, name="spare", description="", includes=(), scopes=())
    second = harness.change(versions.record).version
    assert names(at(browser, "versions")) == [str(second), str(first)]
    assert names(at(browser, "versions?area=mapping")) == []
    assert str(second) in names(at(browser, "versions?area=role&q=role.add"))
    assert "No version matches" in at(browser, "versions?q=nobody").text


def test_sessions_are_filtered_by_where_they_come_from(harness):
    with harness.server.database.write() as tx:
        tx.add(connection(harness.tenant_id, "okta", harness.clock()))
    browser = administrator(harness)
    assert names(at(browser, "sessions?through=local")) == ["dev@example.com"]
    assert "Nobody came that way" in at(browser, "sessions?through=okta").text
    assert "dev@example.com" not in at(browser, "sessions?through=okta&format=csv").text


def test_what_a_review_is_about_is_filtered_by_the_answer(harness):
    due = harness.clock() + timedelta(days=7)
    review = harness.change(reviews.start, name="Quarter", due_at=due).id
    item = harness.ask(reviews.page, review).rows[0]
    harness.change(reviews.keep, item.id)
    browser = administrator(harness)
    assert item.label in at(browser, f"reviews/{review}?show=kept").text
    assert item.label in at(browser, f"reviews/{review}?show=decided").text
    assert item.label not in at(browser, f"reviews/{review}?show=removed").text
    assert item.label not in at(browser, f"reviews/{review}").text


def test_who_holds_a_role_is_searched_filtered_paged_and_exported(harness):
    role = harness.ask(roles.load, "sre").id
    for number in range(55):
        harness.add_user(f"p{number:02}@example.com")
    with harness.server.database.write() as tx:
        operator = harness.server.operator()
        for number in range(55):
            given = {"role": "sre", "kind": "user", "holder": f"p{number:02}@example.com"}
            roles.bind(tx, operator, harness.tenant_id, **given)
    team = harness.change(groups.add, name="p-team")
    harness.change(roles.bind, role="sre", kind="group", holder=team.id)
    browser = administrator(harness)
    page = f"roles/{role}"

    def held(address):
        return names(at(browser, address), 'id="holders"')

    [onward] = re.findall(r'rel="next" href="[^"]*console/([^"]+)"', at(browser, page).text)
    first, second = held(page), held(onward.replace("&amp;", "&"))
    assert (len(first), first[0]) == (50, "p-team")
    assert not set(first) & set(second)
    assert held(f"{page}?q=P07") == ["p07@example.com"]
    assert held(f"{page}?kind=group") == ["p-team"]
    assert "Nobody matches" in at(browser, f"{page}?kind=client").text
    assert at(browser, f"{page}?q=P07&format=csv").text.splitlines()[1:] == [
        "user,p07@example.com,"
    ]


def test_members_of_a_group_are_filtered_by_why_they_are_in_it(harness):
    team = harness.change(groups.add, name="team")
    harness.change(groups.add_member, group=team.id, user="dev@example.com")
    with harness.server.database.write() as tx:
        told = {"user_id": harness.users["sre"], "tenant_id": harness.tenant_id, "source": "okta"}
        tx.add(GroupMember(group_id=team.id, **told))
    browser, page = administrator(harness), f"groups/{team.id}"
    assert names(at(browser, f"{page}?because=here")) == ["dev@example.com"]
    assert names(at(browser, f"{page}?because=elsewhere")) == ["sre@example.com"]
    assert "Nobody matches" in at(browser, f"{page}?because=here&q=sre").text
    exported = at(browser, f"{page}?because=elsewhere&format=csv").text.splitlines()
    assert exported[1:] == ["sre@example.com,False"]


def test_legal_holds_are_searched_filtered_paged_and_exported(harness):
    held = [harness.change(audit_holds.place, reason=f"case {n}") for n in range(51)]
    harness.change(audit_holds.release, held[7].id)
    browser = administrator(harness)
    assert len(names(at(browser, "legal-holds"))) == 50
    assert len(names(at(browser, "legal-holds?after=50"))) == 1
    assert "case 12" in at(browser, "legal-holds?q=CASE+12").text
    released = at(browser, "legal-holds?status=released&format=csv").text.splitlines()
    assert len(released) == 2
    assert "case 7" in released[1]


def rows_of(page, region):
    """The names in the table of this region."""
    return names(page, f'aria-label="{region}"') if f'aria-label="{region}"' in page.text else []


def onward(page, of):
    """Where the list of this name goes on, as a link of the page says it."""
    found = re.findall(rf'rel="next" href="[^"]*console/([^"]+)#{of}"', page.text)
    return html.unescape(found[0]) if found else None


def test_what_a_person_may_do_is_searched_filtered_and_exported(harness):
    named = {"identifier": "https://wiki.example/mcp", "name": "Wiki", "owner": ""}
    wiki = NewScope(name="wiki.read", risk="read", tools=("read_page",))
    harness.change(resources.add, **named, scopes=[wiki])
    given = {"role": "developer", "scopes": frozenset({"logs.read", "wiki.read"})}
    harness.change(role_changes.set_scopes, **given)
    browser, page = administrator(harness), f"people/{harness.users['dev']}"
    table = "Table of what they may do"
    assert len(rows_of(at(browser, page), table)) == 2
    assert rows_of(at(browser, f"{page}?effective-q=WIKI"), table) == [named["identifier"]]
    assert rows_of(at(browser, f"{page}?effective-most=read&effective-q=wiki.read"), table)
    assert "No server matches" in at(browser, f"{page}?effective-most=destructive").text
    exported = at(browser, f"{page}?effective-q=wiki&effective-format=csv").text.splitlines()
    assert exported[1:] == ["https://wiki.example/mcp,wiki.read,role developer,"]


def test_roles_and_groups_of_a_person_are_searched_filtered_paged_and_exported(harness):
    harness.change(groups.add, name="told")
    with harness.server.database.write() as tx:
        made = tx, harness.server.operator(), harness.tenant_id
        for number in range(55):
            team, name = groups.add(*made, name=f"t{number:02}"), f"r{number:02}"
            groups.add_member(*made, group=team.id, user="dev@example.com")
            role_changes.add(*made, name=name, description="", includes=(), scopes=())
            roles.bind(*made, role=name, kind="group", holder=team.id)
        told = {"user_id": harness.users["dev"], "tenant_id": harness.tenant_id, "source": "scim"}
        for name in ("t07", "told"):
            tx.add(GroupMember(group_id=groups.head(tx, harness.tenant_id, name).id, **told))
    browser, page = administrator(harness), f"people/{harness.users['dev']}"
    first = at(browser, page)
    assert len(rows_of(first, "Table of groups")) == len(rows_of(first, "Table of roles")) == 50
    # Each list goes on by itself, and the other stays where it was.
    second = at(browser, onward(first, "groups"))
    assert len(rows_of(second, "Table of groups")) == 6
    assert rows_of(second, "Table of roles") == rows_of(first, "Table of roles")
    third = at(browser, onward(second, "roles"))
    assert len(rows_of(third, "Table of roles")) == 6
    assert rows_of(third, "Table of groups") == rows_of(second, "Table of groups")
    hidden = {it.name: it.value for it in forms_of(third.text)[1].controls if it.kind == "hidden"}
    assert hidden.keys() == {"groups-after", "roles-after"}
    assert rows_of(at(browser, f"{page}?roles-q=R07"), "Table of roles") == ["r07"]
    assert rows_of(at(browser, f"{page}?roles-q=t07"), "Table of roles") == ["r07"]
    assert rows_of(at(browser, f"{page}?roles-held=directly"), "Table of roles") == ["developer"]
    assert "No role matches" in at(browser, f"{page}?roles-held=directly&roles-q=r0").text
    assert rows_of(at(browser, f"{page}?groups-because=elsewhere"), "Table of groups") == ["told"]
    assert "No group matches" in at(browser, f"{page}?groups-q=nothing").text
    exported = at(browser, f"{page}?roles-held=through&roles-format=csv").text.splitlines()
    assert (len(exported), exported[1]) == (56, "r00,t00,")
    exported = at(browser, f"{page}?groups-q=t07&groups-format=csv").text.splitlines()
    assert exported[1:] == ['t07,"put there here, provisioned"']
    for name in ("effective", "roles", "groups"):
        assert at(browser, f"{page}?{name}-after=*").status == 400


def test_scopes_of_a_role_are_searched_filtered_and_exported(harness):
    harness.change(role_changes.set_scopes, "sre", scopes=frozenset({"logs.read"}))
    given = {"server": harness.resource.id, "roles": {"sre": frozenset({"incidents.trigger"})}}
    harness.change(role_changes.set_matrix, **given)
    browser, page = administrator(harness), f"roles/{harness.ask(roles.load, 'sre').id}"
    table = "Table of scopes"
    assert rows_of(at(browser, page), table) == ["Every", RESOURCE]
    assert rows_of(at(browser, f"{page}?scopes-q=INCIDENTS"), table) == [RESOURCE]
    assert rows_of(at(browser, f"{page}?scopes-where=anywhere"), table) == ["Every"]
    assert "No scope matches" in at(browser, f"{page}?scopes-q=nothing").text
    exported = at(browser, f"{page}?scopes-where=server&scopes-format=csv").text.splitlines()
    assert exported[1:] == [f"{RESOURCE},incidents.trigger"]
    # The list of holders is searched for itself.
    assert rows_of(at(browser, f"{page}?q=nobody"), table) == ["Every", RESOURCE]


def test_credentials_of_a_server_are_searched_filtered_paged_and_exported(harness):
    with harness.server.database.write() as tx:
        made = tx, harness.server.operator(), harness.tenant_id, harness.resource.id
        for number in range(52):
            named = {"name": f"c{number:02}", "reference": f"vault:authz/c{number:02}#token"}
            credentials.add(*made, **named, scopes=["logs.read"])
    given = {"name": "github", "reference": "env:AUTHZ_SECRET_GITHUB", "scopes": []}
    harness.change(credentials.add, harness.resource.id, **given)
    browser, page = administrator(harness), f"servers/{harness.resource.id}"
    first = at(browser, page)
    assert len(rows_of(first, "Credentials")) == 50
    assert len(rows_of(at(browser, onward(first, "credentials")), "Credentials")) == 3
    assert rows_of(at(browser, f"{page}?credentials-q=C07"), "Credentials") == ["c07"]
    assert rows_of(at(browser, f"{page}?credentials-store=env"), "Credentials") == ["github"]
    assert "No credential matches" in at(browser, f"{page}?credentials-q=nothing").text
    exported = at(browser, f"{page}?credentials-store=env&credentials-format=csv").text
    assert exported.splitlines()[1:] == ["github,env:AUTHZ_SECRET_GITHUB,"]


def test_clients_of_an_agent_are_searched_filtered_and_exported(harness):
    added = {"slug": "bot", "purpose": "Looks", "owner": "sre@example.com"}
    one = harness.change(agents.add, **added, servers=[RESOURCE]).id
    named = [
        harness.add_client(client_id=it, auth_method="client_secret_basic").client.id
        for it in ("alpha", "beta")
    ]
    for client in named:
        harness.change(agents.give_client, one, client)
    browser, page = administrator(harness), f"agents/{one}"
    assert names(at(browser, page)) == named
    assert names(at(browser, f"{page}?q=BET")) == ["beta"]
    assert "No client matches" in at(browser, f"{page}?kind=workload").text
    assert at(browser, f"{page}?kind=client&q=alp&format=csv").text.splitlines()[1:] == [
        "alpha,client"
    ]


def test_live_grants_of_a_client_are_searched_filtered_paged_and_exported(harness):
    for number in range(52):
        harness.add_user(f"p{number:02}@example.com")
    assert harness.redeem(harness.code()).ok
    with harness.server.database.write() as tx:
        [row] = tx.scalars(select(TokenFamily).where(TokenFamily.tenant_id == harness.tenant_id))
        members = {it.name: getattr(row, it.name) for it in TokenFamily.__table__.columns}
        for number in range(52):
            person = users.load(tx, harness.tenant_id, f"p{number:02}@example.com")
            members |= {"id": f"grt_{harness.slug}_{number:02}", "user_id": person.id}
            tx.add(TokenFamily(**members))
    browser, page = administrator(harness), f"clients/one?id={harness.client_id}"
    first = at(browser, page)
    assert len(rows_of(first, "Live grants")) == 50
    [way] = re.findall(r'rel="next" href="[^"]*console/([^"]+)"', first.text)
    second = at(browser, html.unescape(way))
    assert len(rows_of(second, "Live grants")) == 3
    assert rows_of(at(browser, f"{page}&q=P07"), "Live grants") == ["p07@example.com"]
    assert len(rows_of(at(browser, f"{page}&server={harness.resource.id}"), "Live grants")) == 50
    assert "No grant matches" in at(browser, f"{page}&server=res_other").text
    [exported] = at(browser, f"{page}&q=p07&format=csv").text.splitlines()[1:]
    assert exported.startswith(f"p07@example.com,{RESOURCE},analytics.query logs.read,")
    # The form searches on the same page.
    [form] = [it for it in forms_of(first.text) if "q" in it.values]
    assert form.values["id"] == [harness.client_id]


def test_a_glimpse_of_a_list_leads_to_all_of_it(harness):
    harness.redeem(harness.code())
    with harness.server.database.write() as tx:
        tx.add(connection(harness.tenant_id, "okta", harness.clock()))
    browser = administrator(harness)
    assert "grants?person=dev%40example.com" in at(browser, "cut-off?person=dev@example.com").text
    assert "mappings?connection=okta" in at(browser, "connections/okta").text


def test_scopes_of_a_server_are_searched_filtered_paged_and_exported(harness):
    for number in range(55):
        scope = NewScope(name=f"x.{number:02}", risk="read", tools=(f"tool_{number:02}",))
        harness.change(scopes.add_scope, harness.resource.id, scope)
    browser, page = administrator(harness), f"servers/{harness.resource.id}"
    assert len(names(at(browser, page))) == 50
    assert names(at(browser, f"{page}?q=TOOL_07")) == ["x.07"]
    assert "x.07" not in names(at(browser, f"{page}?risk=write"))
    assert "No scope matches" in at(browser, f"{page}?q=x.07&risk=write").text
    assert at(browser, f"{page}?q=x.07&format=csv").text.splitlines()[1:] == [
        "x.07,,read,False,tool_07"
    ]


def test_rules_for_workloads_are_searched_filtered_and_exported(harness):
    keys = {"jwks_uri": "https://platform.example/keys"}
    harness.change(workload_trust.add, slug="w", issuer="https://platform.example", settings=keys)
    for name, given in (("reader", {"scopes": ["logs.read"]}), ("helper", {"roles": ["sre"]})):
        rule = {"name": name, "subject": f"service:{name}", "resources": [RESOURCE], **given}
        harness.change(workload_trust.allow, "w", rule)
    browser = administrator(harness)
    assert names(at(browser, "workload-trust/w?q=SERVICE:read")) == ["reader"]
    assert names(at(browser, "workload-trust/w?gives=roles")) == ["helper"]
    assert "No rule matches" in at(browser, "workload-trust/w?q=nobody").text
    exported = at(browser, "workload-trust/w?gives=scopes&format=csv").text.splitlines()
    assert exported[1:] == [f"reader,service:reader,{RESOURCE},,logs.read"]


def test_clients_of_a_target_are_searched_filtered_and_exported(harness):
    made = {"slug": "v", "issuer": "https://v.example", "own_issuer": harness.issuer}
    harness.change(targets.add, **made, settings={})
    harness.change(targets.map_client, "v", harness.client_id, "theirs")
    browser = administrator(harness)
    assert "theirs" in at(browser, "targets/v?q=THEIR").text.partition("<tbody>")[2]
    assert "No client matches" in at(browser, "targets/v?called=the-same").text
    exported = at(browser, "targets/v?called=otherwise&format=csv").text.splitlines()
    assert exported[1:] == [f"{harness.client_id},theirs"]
