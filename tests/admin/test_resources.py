from dataclasses import replace

import pytest

from authz.admin import resources, rollouts, scopes, users
from authz.admin.conditions import ANY_SIGN_IN
from authz.admin.discovery import discover
from authz.admin.resources import metadata_url
from authz.admin.scopes import NewScope, ScopeChange
from authz.errors import Conflict, Invalid, NotFound
from authz.net import Documents, NetworkError
from authz.policy.contracts import digest_of
from authz.policy.requirements import Requirement
from tests.support.connections import connection
from tests.support.web import FakeWeb, Reply

URL = "https://mcp.example/mcp"
READ = NewScope(name="logs.read", risk="read", is_default=True, tools=("read_logs", "read_logs"))


def add(desk, identifier=URL, **given):
    return desk.do(resources.add, identifier=identifier, **{"name": "Logs", **given})


def row_id(desk, reference=URL):
    return desk.ask(resources.load, reference).id


def test_a_server_is_issued_as_it_is_spelled(desk):
    line = add(desk, "https://MCP.example/mcp", scopes=[READ])
    assert line.id.startswith("res_")
    policy = desk.configuration().policy
    found = policy.find_resource(URL)
    assert found.identifier == "https://MCP.example/mcp"
    assert found.scopes["logs.read"].tools == ("read_logs",)
    with pytest.raises(Conflict, match="registered already"):
        add(desk, URL)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"identifier": "http://mcp.example"}, "off loopback"),
        ({"identifier": "https://mcp.example/#x"}, "fragment"),
        ({"identifier": "mcp"}, "not absolute"),
        ({"scopes": [NewScope(name="offline_access")]}, "cannot name a scope"),
        ({"scopes": [NewScope(name="logs.*")]}, "no wildcard"),
        ({"scopes": [NewScope(name="a", risk="none")]}, "risk 'none'"),
        ({"scopes": [NewScope(name="a", description="x" * 501)]}, "description of a"),
        ({"scopes": [NewScope(name="a", tools=("",))]}, "is not a tool"),
        ({"scopes": [NewScope(name="a"), NewScope(name="a")]}, "named twice"),
        ({"name": "a\nb"}, "the name of a server"),
        ({"owner": "x" * 201}, "the owner of a server"),
    ],
)
def test_a_server_that_cannot_work_is_refused_whole(desk, given, why):
    with pytest.raises(Invalid, match=why):
        add(desk, **{"identifier": URL, **given})
    assert desk.ask(resources.list_) == []


def test_a_scope_of_unknown_risk_counts_as_write(desk):
    add(desk, scopes=[NewScope(name="a")])
    assert desk.configuration().policy.find_resource(URL).scopes["a"].risk == "write"


def test_one_server_is_the_default(desk):
    first = add(desk, is_default=True)
    second = add(desk, "https://other.example/mcp", is_default=True)
    assert desk.configuration().policy.default_resource.id == second.id
    desk.do(resources.set_default, first.id)
    assert [r.is_default for r in desk.ask(resources.list_)] == [True, False]
    desk.do(resources.set_status, second.id, "disabled")
    with pytest.raises(Conflict, match="is disabled"):
        desk.do(resources.set_default, second.id)
    assert desk.do(resources.set_status, second.id, "active").status == "active"


def test_a_server_without_an_owner_does_not_go_live(desk):
    """S17: whoever registers one answers for it; without anybody it is not switched on, nor rolled out further."""
    shell = add(desk).owner
    assert shell == "test:operator (registered it)"
    # Whoever is called like an owner administers its servers: nobody can be called like a shell or a program.
    with pytest.raises(Invalid, match="space"):
        desk.do(users.add, login=shell, name="", password_hash=None)
    with desk.services.database.write() as tx:
        ada = replace(desk.operator, login="ada@corp.example")
        other = "https://other.example.com/mcp"
        made = resources.add(tx, ada, desk.tenant_id, identifier=other, name="")
        long = replace(ada, name="console:usr_1", login="a" * 201)
        third = resources.add(tx, long, desk.tenant_id, identifier=f"{other}/3", name="")
    assert (made.owner, third.owner) == ("ada@corp.example", "console:usr_1 (registered it)")
    desk.do(rollouts.set_rollout, URL, state="read_only")
    desk.do(resources.set_owner, URL, "")
    desk.do(resources.set_status, URL, "disabled")
    for operation, told in (
        (lambda: desk.do(resources.set_status, URL, "active"), "status"),
        (lambda: desk.do(rollouts.set_rollout, URL, state="full"), "rollout"),
    ):
        with pytest.raises(Conflict, match="nobody is recorded to own"):
            operation()
        assert desk.ask(resources.load, URL).status == "disabled", told
    desk.do(resources.set_owner, URL, "team@example.com")
    assert desk.do(resources.set_status, URL, "active").status == "active"
    assert desk.do(rollouts.set_rollout, URL, state="full").state == "full"


def test_the_owner_is_kept_but_not_in_the_trail(desk):
    add(desk)
    assert desk.do(resources.set_owner, URL, "team@example.com").owner == "team@example.com"


def test_what_a_server_has_to_publish(desk):
    add(desk, scopes=[READ, NewScope(name="a.b")])
    found = desk.ask(resources.show, URL, issuer=desk.issuer)
    assert found.metadata_url == "https://mcp.example/.well-known/oauth-protected-resource/mcp"
    assert found.metadata == {
        "resource": URL,
        "authorization_servers": [desk.issuer],
        "scopes_supported": ["a.b", "logs.read"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Logs",
    }


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        ("https://a.example", "https://a.example/.well-known/oauth-protected-resource"),
        ("https://a.example/", "https://a.example/.well-known/oauth-protected-resource"),
        (
            "https://a.example:8443/x",
            "https://a.example:8443/.well-known/oauth-protected-resource/x",
        ),
        ("https://a.example/x?t=1", "https://a.example/.well-known/oauth-protected-resource/x?t=1"),
    ],
)
def test_the_well_known_name_goes_before_the_path(identifier, expected):
    assert metadata_url(identifier) == expected


def test_scopes_are_added_edited_and_removed(desk):
    add(desk)
    server = row_id(desk)
    desk.do(scopes.add_scope, server, READ)
    with pytest.raises(Conflict, match=r"declares 'logs\.read' already"):
        desk.do(scopes.add_scope, server, READ)
    change = ScopeChange(description="Read logs", is_default=False, tools=())
    line = desk.do(scopes.edit_scope, server, "logs.read", change)
    assert line == scopes.ScopeLine(
        "logs.read", "Read logs", "read", False, [], [], digest_of(()), None
    )
    with pytest.raises(Invalid, match="risk 'x'"):
        desk.do(scopes.edit_scope, server, "logs.read", ScopeChange(risk="x"))
    with pytest.raises(NotFound, match=r"it declares: logs\.read"):
        desk.do(scopes.remove_scope, server, "logs.write")
    assert desk.do(scopes.remove_scope, server, "logs.read") == []
    assert desk.configuration().policy.find_resource(URL).scopes == {}


def test_a_scope_may_require_something_of_the_sign_in(desk):
    """S15: it is in the policy from then on, stays when something else is edited, and goes when that is said."""
    add(desk, scopes=[replace(READ, requires=Requirement(max_age=60))])
    server = row_id(desk)
    assert scopes_at(desk)["logs.read"].requires == Requirement(max_age=60)
    required = Requirement(frozenset({"phr"}), 300, frozenset({"local", "okta"}))
    new = NewScope(name="logs.write", requires=required)
    with pytest.raises(NotFound, match=r"no connection 'okta' to require; there are: local$"):
        desk.do(scopes.add_scope, server, new)
    desk.sql(lambda tx: tx.add(connection(desk.tenant_id, "okta", desk.now)))
    assert desk.do(scopes.add_scope, server, new).requires == required
    assert scopes_at(desk)["logs.write"].requires == required
    desk.do(scopes.edit_scope, server, "logs.write", ScopeChange(risk="read"))
    assert scopes_at(desk)["logs.write"].requires == required
    change = ScopeChange(requires=Requirement(connection=frozenset({"entra"})))
    with pytest.raises(
        NotFound, match=r"no connection 'entra' to require; there are: local, okta$"
    ):
        desk.do(scopes.edit_scope, server, "logs.write", change)
    assert scopes_at(desk)["logs.write"].requires == required
    line = desk.do(scopes.edit_scope, server, "logs.write", ScopeChange(requires=ANY_SIGN_IN))
    assert line.requires is None
    assert scopes_at(desk)["logs.write"].requires is None
    listed = desk.ask(resources.show, URL, issuer=desk.issuer).scopes
    assert [it.requires for it in listed] == [Requirement(max_age=60), None]


def test_a_server_whose_scopes_require_a_connection_that_is_not_there_is_refused_whole(desk):
    with pytest.raises(NotFound, match="no connection 'okta' to require"):
        add(desk, scopes=[replace(READ, requires=Requirement(connection=frozenset({"okta"})))])
    assert desk.ask(resources.list_) == []


def scopes_at(desk):
    return desk.configuration().policy.find_resource(URL).scopes


@pytest.fixture
def web():
    with FakeWeb() as made:
        yield made


PATHS = "/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"


def serve(web, host="mcp.example", *, at=PATHS[0], raw=None, **members):
    """Publish metadata at one path; the resource and the issuer fit unless said otherwise."""
    document = {
        "resource": web.url(host, "/mcp"),
        "authorization_servers": ["https://as.example", "https://authz.example"],
        "scopes_supported": ["logs.read", "offline_access", "openid", "logs.read"],
        "resource_name": "The logs",
        **members,
    }
    answer = raw or Reply.json(document)
    web.serve(host, lambda seen: answer if seen.target == at else Reply(404))
    return web.url(host, "/mcp")


def find(desk, web, url):
    network = web.network()
    try:
        documents = Documents(network, lambda: desk.now)
        return discover(network, documents, url, issuer="https://authz.example")
    finally:
        network.close()


@pytest.mark.parametrize("path", PATHS)
def test_a_server_is_read_where_it_publishes(desk, web, path):
    found = find(desk, web, serve(web, at=path))
    assert found.identifier == web.url("mcp.example", "/mcp")
    assert (found.name, found.document_url) == ("The logs", web.url("mcp.example", path))
    assert found.scopes == (NewScope(name="logs.read", risk="write"),)


def test_the_spelling_of_the_server_is_kept(desk, web):
    url = serve(web, resource=web.url("MCP.example", "/mcp"))
    assert find(desk, web, url).identifier == web.url("MCP.example", "/mcp")


@pytest.mark.parametrize(
    ("members", "why"),
    [
        ({"resource": "https://evil.example/mcp"}, "is of the resource 'https://evil.example/mcp'"),
        ({"resource": None}, "is of the resource None"),
        ({"authorization_servers": ["https://as.example"]}, r"names .*\['https://as.example'\]"),
        ({"authorization_servers": ["https://authz.example/"]}, "without the slash at the end"),
        ({"authorization_servers": "https://authz.example"}, "add exactly this string"),
        ({"scopes_supported": ["logs.*"]}, r"cannot be registered: \['logs.\*'\]"),
        ({"scopes_supported": "logs.read"}, "is not a list of strings"),
    ],
)
def test_metadata_that_does_not_fit_is_refused_with_what_it_says(desk, web, members, why):
    with pytest.raises(Invalid, match=why):
        find(desk, web, serve(web, **members))


def test_a_server_without_scopes_declares_none(desk, web):
    assert find(desk, web, serve(web, scopes_supported=None)).scopes == ()


def test_a_server_that_publishes_nothing_names_both_places(desk, web):
    web.serve("mcp.example", Reply(404))
    with pytest.raises(Invalid, match="publishes no metadata") as refused:
        find(desk, web, web.url("mcp.example", "/mcp"))
    assert all(web.url("mcp.example", path) in str(refused.value) for path in PATHS)
    assert "--scope" in str(refused.value)


def test_an_answer_that_is_not_json_is_no_metadata(desk, web):
    url = serve(web, raw=Reply(200, b"<html>", {"Content-Type": "text/html"}))
    with pytest.raises(Invalid, match="not served as JSON"):
        find(desk, web, url)


@pytest.mark.parametrize("url", ["http://mcp.example/mcp", "mcp", "https://mcp.example/#x"])
def test_nothing_is_asked_for_a_url_that_cannot_be_a_server(desk, web, url):
    with pytest.raises(Invalid):
        find(desk, web, url)
    assert web.requests == []


def test_the_operator_may_not_be_led_to_the_machine_itself(desk):
    from authz.net import Network, NetworkConfig

    network = Network(NetworkConfig())
    try:
        documents = Documents(network, lambda: desk.now)
        with pytest.raises((Invalid, NetworkError), match="loopback"):
            discover(network, documents, "https://127.0.0.1/mcp", issuer="https://authz.example")
    finally:
        network.close()


def test_a_server_has_another_name_and_is_the_default_no_longer(desk):
    add(desk, is_default=True)
    add(desk, "https://other.example/mcp")
    assert desk.do(resources.set_name, URL, "Log lines").name == "Log lines"
    assert desk.do(resources.set_name, URL, "").name == URL, "without one, its URL"
    with pytest.raises(Invalid, match="name of a server"):
        desk.do(resources.set_name, URL, "x" * 201)
    assert desk.configuration().policy.default_resource.identifier == URL
    assert not desk.do(resources.unset_default, URL).is_default
    assert desk.configuration().policy.default_resource is None
