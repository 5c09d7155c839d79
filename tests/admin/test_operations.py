"""Everything administrators change, by name: that nothing is missing, and that arguments are read strictly (V3)."""

import ast
import inspect
import json
import textwrap
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.admin import client_trust, clients, keys, roles, scopes, tenants, users
from authz.admin import resources as servers
from authz.admin.operations import OPERATIONS, load, perform, supply
from authz.admin.operator import Operator
from authz.admin.supplies import Surroundings
from authz.errors import Forbidden, Invalid, NotFound, StaleSignIn
from authz.federation.connector import Tools
from authz.federation.registry import Connectors
from authz.policy.administration import Permission
from authz.policy.roles_file import dump
from tests.test_architecture import WITHOUT_PERMISSION, operations

URL = "https://logs.example.com/mcp"
NAMES = sorted(OPERATIONS)


def around(desk):
    services = desk.services
    tools = Tools(services.network, services.documents, lambda _: b"")
    return Surroundings(
        desk.tenant_id,
        desk.issuer,
        services.settings,
        services.database,
        Connectors(tools),
        services.custody,
        desk.now,
        desk.operator,
    )


def performed(desk, name, arguments, operator=None):
    acting = operator or replace(desk.operator, home=desk.slug)
    supplied = supply(acting, name, arguments, around(desk))
    with desk.services.database.write() as tx:
        return perform(tx, acting, desk.tenant_id, name, arguments, supplied)


def powerless(desk, *permissions, **more):
    return Operator(
        "api:somebody",
        desk.now,
        desk.services.envelope,
        frozenset(permissions),
        user_id="usr_somebody",
        home=desk.slug,
        authenticated_at=desk.now,
        **more,
    )


def asked_for(function):
    """What stands in the function's `operator.must(...)`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    call = next(
        it
        for it in ast.walk(tree)
        if isinstance(it, ast.Call)
        and ast.unparse(it.func) in ("operator.must", "operator.must_narrow")
    )
    return ast.unparse(call.args[0]), any(it.arg == "resource_id" for it in call.keywords)


def test_every_function_that_an_administrator_may_call_has_a_name():
    known = {
        f"{it.function.__module__.rpartition('.')[2]}.{it.function.__name__}"
        for it in OPERATIONS.values()
    }
    deciding = {"changes.approve", "changes.refuse"}  # about operations, and none themselves
    # What policy as code calls for very many at once; each is an operation of one as well.
    many = {"group_roles.bind", "group_roles.unbind", "mappings.add_all", "mappings.remove_all"}
    # Of the configuration file and of the keys of the machine: nobody reaches them by a name.
    of_the_machine = {"configured_clients.follow_secret", "sealing.rewrap", "sealing.rewrap_all"}
    named = {name for name, _ in operations()} - WITHOUT_PERMISSION - deciding - many
    assert known == named - of_the_machine
    assert len(known) == len(OPERATIONS)


@pytest.mark.parametrize("name", NAMES)
def test_the_permission_of_a_name_is_what_its_function_asks_for(name):
    operation = OPERATIONS[name]
    text, by_owner = asked_for(operation.function)
    settings = "_settings_of(operator, slug)"
    expected = f"Permission.{operation.permission.name}"
    assert text == (settings if operation.permission is Permission.SETTINGS_WRITE else expected)
    assert by_owner is operation.by_owner


def test_what_two_people_have_to_agree_on_is_policy_and_can_be_kept_as_json():
    for name, operation in OPERATIONS.items():
        assert operation.is_policy is (
            operation.permission is Permission.POLICY_WRITE and not operation.narrows
        ), name
        if operation.is_policy:
            assert operation.supply is None, name
            assert not operation.shows_secret, name


@pytest.mark.parametrize("name", NAMES)
def test_what_an_operation_does_not_know_is_refused_by_name(name):
    with pytest.raises(Invalid, match=rf"{name} knows no `surprise`; it takes: "):
        load(name).reader.read({**dict.fromkeys(_required(name), "x"), "surprise": 1})


def _required(name):
    return load(name).reader.schema.get("required", [])


@pytest.mark.parametrize("name", [it for it in NAMES if it != "keys.rotate"])
def test_what_is_missing_is_named(name):
    with pytest.raises(Invalid, match=rf"`{_required(name)[0]}` is missing; {name} takes: "):
        load(name).reader.read({})


@pytest.mark.parametrize("name", NAMES)
def test_arguments_have_a_schema_that_says_what_is_refused(name):
    schema = load(name).reader.schema
    assert schema["additionalProperties"] is False
    json.dumps(schema)


@pytest.mark.parametrize("name", NAMES)
def test_whoever_holds_no_permission_is_told_which(name, desk):
    with pytest.raises(Forbidden) as refused:
        performed(desk, name, {"surprise": "not read"}, powerless(desk))
    assert refused.value.permission == OPERATIONS[name].permission


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("roles.bind", {"role": 3, "kind": "user", "holder": "x"}, "`role` is 3: "),
        (
            "roles.bind",
            {"role": "a", "kind": "user", "holder": "x", "until": "2026-12-31T00:00:00"},
            "`until` is '2026-12-31T00:00:00': ",
        ),
        (
            "roles.bind",
            {"role": "a", "kind": "user", "holder": "x", "until": "9999-12-31T23:59:59-23:00"},
            "it is too far from now",
        ),
        ("clients.rotate_secret", {"client_id": "x", "overlap": "60"}, "whole seconds, 0 to"),
        ("clients.rotate_secret", {"client_id": "x", "overlap": True}, "whole seconds, 0 to"),
        ("clients.rotate_secret", {"client_id": "x", "overlap": 10**30}, "whole seconds, 0 to"),
        ("clients.set_ceiling", {"client_id": "x", "scopes": "logs.read"}, "`scopes` is 'logs"),
        ("roles.require", {"role": "a", "required": {"acr": []}}, "holds 1 to 20 values"),
        ("roles.import", {"file": "roles: [1"}, "line 1"),
        ("roles.import", {"file": 7}, "roles are an object, or the text of a roles file"),
        ("groups.add", {"name": "a\x00b"}, "NUL"),
        ("groups.add", {"name": "a\ud800b"}, "not Unicode"),
        ("users.disable", {"reference": ["x"]}, "`reference` is ['x']: "),
        (
            "resources.add",
            {"identifier": URL, "name": "", "scopes": [{"name": "logs.read", "level": 1}]},
            "knows no `scopes.0.level`",
        ),
    ],
)
def test_a_refusal_names_the_member_its_value_and_the_way_out(name, arguments, sentence):
    with pytest.raises(Invalid) as refused:
        load(name).reader.read(arguments)
    assert sentence in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
@settings(max_examples=25)
def test_whatever_is_given_is_read_or_refused(name, data):
    """No argument of whoever administers is an error of ours."""
    members = sorted(load(name).reader.schema["properties"])
    given_ = data.draw(st.dictionaries(st.sampled_from(members), JSON, max_size=6))
    try:
        read = load(name).reader.read(given_).keys()
    except Invalid:
        read = load(name).reader.members.keys()
    assert read == load(name).reader.members.keys()


def test_a_password_is_never_repeated():
    with pytest.raises(Invalid) as refused:
        load("users.add").reader.read({"login": "a", "name": "", "password": ["hunter2"]})
    assert "`password` is refused: " in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_change_can_be_kept_as_json_and_performed_later(desk):
    changes = [
        ("resources.add", {"identifier": URL, "name": "Logs", "scopes": [{"name": "logs.read"}]}),
        ("roles.import", {"file": {"roles": {"developer": ["logs.read"]}}}),
        ("roles.require", {"role": "developer", "required": {"max_age": 300}}),
        ("groups.add", {"name": "Engineering"}),
        (
            "roles.bind",
            {
                "role": "developer",
                "kind": "group",
                "holder": "Engineering",
                "until": "2027-01-01T01:00:00+01:00",
            },
        ),
    ]
    kept = json.dumps(changes)
    for name, arguments in json.loads(kept):
        performed(desk, name, arguments)
    told = dump(desk.ask(roles.export))
    assert "max_age: 300" in told
    assert "until: '2027-01-01T00:00:00Z'" in told
    performed(desk, "roles.require", {"role": "developer", "required": {}})
    assert "max_age" not in dump(desk.ask(roles.export))
    [server] = desk.ask(servers.list_)
    performed(
        desk,
        "scopes.edit",
        {"resource_id": server.id, "name": "logs.read", "risk": "read", "tools": ["tail"]},
    )
    with desk.services.database.read() as tx:
        assert [(it.risk, it.tools) for it in scopes.scopes_of(tx, server.id)] == [
            ("read", ["tail"])
        ]


def test_the_text_of_a_roles_file_does_as_well_as_the_object(desk):
    performed(desk, "resources.add", {"identifier": URL, "name": ""})
    performed(desk, "roles.import", {"file": "developer: [logs.read]\n"})
    assert [it.name for it in desk.ask(roles.list_)] == ["developer"]


def test_what_is_no_json_is_made_before_the_transaction(desk):
    made = performed(
        desk, "users.add", {"login": "ann@corp.example", "name": "", "password": "long enough"}
    )
    assert made.has_password
    life = performed(desk, "keys.rotate", {"at_once": True})
    found = desk.ask(keys.list_, desk.now)
    assert life.key_id in {it.id for it in found if it.state == "active"}
    client = performed(
        desk,
        "clients.add",
        {
            "name": "CI",
            "auth_method": "client_secret_basic",
            "grant_types": ["client_credentials"],
            "scope_ceiling": ["logs.read"],
        },
    )
    assert client.secret is not None
    shown = desk.ask(clients.show, client.client.id)
    assert shown.scope_ceiling == frozenset({"logs.read"})
    assert shown.metadata["grant_types"] == ["client_credentials"]


def test_an_operation_with_a_supply_is_not_performed_without(desk):
    with (
        desk.services.database.write() as tx,
        pytest.raises(ValueError, match="needs what `supply` makes"),
    ):
        perform(tx, desk.operator, desk.tenant_id, "keys.rotate", {})


def test_nothing_is_made_for_whoever_may_not(desk):
    with pytest.raises(Forbidden):
        supply(powerless(desk), "users.add", {"login": "a", "name": "", "password": "x"}, None)


def test_owners_change_their_servers_and_no_others(desk):
    [mine, other] = [
        performed(desk, "resources.add", {"identifier": f"{URL}/{n}", "name": ""}) for n in (1, 2)
    ]
    owner = powerless(desk, Permission.SERVERS_OWN, owned=frozenset({mine.id}))
    wanted = {"reference": mine.id, "status": "disabled"}
    assert performed(desk, "resources.set_status", wanted, owner).status == "disabled"
    with pytest.raises(Forbidden):
        performed(desk, "resources.set_status", {**wanted, "reference": other.id}, owner)
    with pytest.raises(Forbidden):
        performed(desk, "resources.set_default", {"reference": mine.id}, owner)


def test_a_stale_sign_in_changes_no_policy(desk):
    stale = replace(
        powerless(desk, Permission.POLICY_WRITE), authenticated_at=desk.now - timedelta(hours=1)
    )
    with pytest.raises(StaleSignIn):
        performed(desk, "roles.import", {"file": {"roles": {}}}, stale)


def test_settings_are_those_of_the_tenant_one_administers(desk, make_desk):
    other = make_desk()
    mine = powerless(desk, Permission.SETTINGS_WRITE)
    performed(desk, "tenants.rename", {"slug": desk.slug, "name": "Ours"}, mine)
    with pytest.raises(Forbidden) as refused:
        performed(desk, "tenants.rename", {"slug": other.slug, "name": "Theirs"}, mine)
    assert refused.value.permission == Permission.TENANTS_WRITE
    with desk.services.database.read() as tx:
        names = {it.slug: it.name for it in tenants.list_(tx, "https://authz.example")}
    assert names[desk.slug] == "Ours"
    assert names[other.slug] == other.slug


def test_trust_rules_and_people_by_name(desk):
    performed(desk, "client_trust.set_rule", {"pattern": "app.example", "verdict": "allow"})
    assert [it.pattern for it in desk.ask(client_trust.rules)] == ["app.example"]
    performed(desk, "users.add", {"login": "ann@corp.example", "name": "Ann"})
    performed(desk, "users.end_access", {"reference": "ann@corp.example", "disable": True})
    assert desk.ask(users.show, "ann@corp.example", desk.now).status == "disabled"


def test_a_name_that_is_none_is_not_found():
    with pytest.raises(NotFound):
        load("users.__init__")
