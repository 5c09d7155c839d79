"""The files of policy as code: read strictly, told where they are wrong, written the same, and described to editors."""

import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from authz.admin.client_metadata import DEFAULT_GRANT_TYPES
from authz.admin.scopes import DEFAULT_RISK, MAX_DESCRIPTION_CHARS, RISKS
from authz.errors import Invalid
from authz.policy.code import KINDS, writing
from authz.policy.code.clients import ClientEntry
from authz.policy.code.entries import Change, differences
from authz.policy.code.reading import read
from authz.policy.code.resources import ScopeEntry
from authz.policy.code.roles import entries_of
from authz.policy.code.schema import schema
from authz.policy.roles_file import RoleEntry, RolesFile, parse

ALL = """
connections:
  okta:
    preset: okta
    settings: {issuer: https://corp.okta.com, client_id: abc, client_secret: "env:OKTA"}
clients:
  web: {name: Web, redirect_uris: [https://web.example/cb], ceiling: [b.write, b.read]}
  https://editor.example/client.json: {blocked: true}
resources:
  https://b.example/mcp:
    name: B
    owner: team-b
    default: true
    scopes:
      b.read: {description: Read b, risk: read, default: true, tools: [read_b]}
      b.write: {requires: {acr: urn:authz:acr:mfa, max_age: 300}}
client_rules: {https://editor.example/client.json: allow, "*.bad.example": deny}
mappings:
  - {connection: okta, claim: groups, value: dev, role: developer}
  - {connection: okta, claim: groups, value: ops, group: Operations}
trust:
  okta: {issuer: https://corp.okta.com, connection: okta, settings: {jwks_uri: https://corp.okta.com/keys}}
settings: {name: Corp, client_trust: allow_list, registration: "off"}
domains:
  corp.example: {connection: okta, mandatory: true}
targets:
  partner: {issuer: https://partner.example, settings: {clients: {web: web-there}}}
groups: [Support, Operations]
rollouts:
  https://b.example/mcp: {state: canary, groups: [Operations], percent: 10}
workload_trust:
  cluster:
    issuer: https://cluster.example
    settings:
      jwks_uri: https://cluster.example/keys
      rules:
        - name: router
          subject: system:serviceaccount:agents:router
          claims: {kubernetes.io: {namespace: agents}}
          resources: [https://b.example/mcp]
          roles: [developer]
agents:
  triage:
    purpose: Sorts tickets
    owner: ada@corp.example
    servers: [https://b.example/mcp]
    clients: [job, cluster/router]
    until: 2026-12-31T01:00:00+01:00
delegations:
  - client: job
    from_server: https://b.example/mcp
    to_server: https://c.example/mcp
    carries: {c.read: [b.write, b.read]}
roles:
  developer: [b.read]
  lead: {includes: [developer], at: {https://b.example/mcp: [b.write]}, requires: {max_age: 3600}}
bindings:
  - {role: developer, groups: [Operations], users: [Ada@Corp.example]}
  - {role: lead, clients: [web], until: 2026-12-31T00:00:00Z}
"""
SCHEMA = Draft202012Validator(schema())


def fails(text, **others):
    with pytest.raises(Invalid) as caught:
        read({"a.yaml": text, **others})
    return str(caught.value).split("\n")


def test_every_kind_is_read_with_its_defaults_filled_in():
    written = read({"all.yaml": ALL})
    assert written.entries.keys() == KINDS.keys()
    assert written.entries["clients"]["web"]["ceiling"] == ["b.read", "b.write"]
    assert written.entries["clients"]["web"]["auth_method"] == "none"
    scopes = written.entries["resources"]["https://b.example/mcp"]["scopes"]
    assert scopes["b.write"] == {
        "description": "",
        "risk": DEFAULT_RISK,
        "default": False,
        "tools": [],
        "requires": {"acr": ["urn:authz:acr:mfa"], "max_age": 300},
    }
    assert list(written.entries["mappings"]) == [
        "okta groups=dev -> role developer",
        "okta groups=ops -> group Operations",
    ]
    assert written.entries["settings"] == {
        "tenant": {
            "name": "Corp",
            "client_trust": "allow_list",
            "registration": "off",
            "change_control": None,
            "scope_changes": None,
        }
    }
    assert written.entries["groups"] == {"Support": {}, "Operations": {}}
    triage = written.entries["agents"]["triage"]
    assert triage["clients"] == ["cluster/router", "job"]
    assert triage["until"] == "2026-12-31T00:00:00.000000+00:00"
    carried = written.entries["delegations"]
    assert carried["job: https://b.example/mcp -> https://c.example/mcp"]["carries"] == {
        "c.read": ["b.read", "b.write"]
    }
    assert written.places["groups", "Operations"] == "all.yaml:28:19"
    assert written.places["clients", "web"] == "all.yaml:7:3"
    assert written.places["mappings", "okta groups=ops -> group Operations"] == "all.yaml:20:5"
    assert written.roles == parse(ALL[ALL.index("roles:\n") :])


def test_what_is_written_is_read_the_same_and_written_the_same_again():
    written = read({"all.yaml": ALL})
    files = writing.write(written.entries, written.roles)
    again = read(files)
    assert (again.entries, entries_of(again.roles)) == (written.entries, entries_of(written.roles))
    assert writing.write(again.entries, again.roles) == files
    assert list(files) == [f"{key}.yaml" for key in (*KINDS, "roles", "bindings")]


def test_a_file_may_have_any_of_the_keys_and_a_key_may_be_in_several_files():
    whole = yaml.safe_load(ALL)
    parts = {f"{key}.yaml": yaml.safe_dump({key: value}) for key, value in whole.items()}
    resources = whole["resources"] | {"https://c.example/mcp": {}}
    parts["more.yaml"] = yaml.safe_dump(
        {
            "resources": {"https://c.example/mcp": resources["https://c.example/mcp"]},
            "roles": {"guest": ["c.read"]},
            "bindings": [{"role": "guest", "groups": ["Everybody"]}],
        }
    )
    written, one = read(parts), read({"all.yaml": ALL})
    assert set(written.entries["resources"]) == set(resources)
    assert written.entries["clients"] == one.entries["clients"]
    assert set(written.roles.roles) == {"developer", "lead", "guest"}
    assert len(written.roles.bindings) == 3


@pytest.mark.parametrize("text", ["developer: [logs.read]", "roles: {developer: [logs.read]}"])
def test_the_short_roles_file_stays_valid_by_itself(text):
    written = read({"roles.yaml": text})
    assert written.roles == RolesFile({"developer": RoleEntry(scopes=frozenset({"logs.read"}))})
    assert written.entries == {}


def test_beside_another_file_a_role_without_its_key_is_an_unknown_key():
    (said,) = fails("developer: [logs.read]", **{"b.yaml": "client_rules: {}"})
    assert said.startswith(
        "a.yaml:1:1: the file has the unknown key 'developer'; known: agents, bindings,"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; remove it, or write `roles: {}`"),
        (" " * 1_000_001, "1:1: a.yaml has 1000001 characters"),
        ("- a", "1:1: the file: names with values are expected"),
        ("roles: {a: [x]", "1:15: not valid YAML: "),
        (
            "junk: 1",
            "1:1: the file has the unknown key 'junk'; known: agents, bindings, client_rules,",
        ),
        ("clients: &a {}", "1:10: anchors and aliases (& and *) are not read; write it out"),
        ("clients: {a: {name: A}, a: {name: B}}", "1:25: clients has 'a' twice"),
        ("clients: {a: {name: yes}}", "1:21: clients.a.name: true or false is expected here"),
        (
            "clients: {a: {name: true}}",
            "1:15: clients.a.name is True; text is expected here; a number or a word such as true goes",
        ),
        (
            "clients: {a: {name: A, dpop_bound: 1}}",
            "1:24: clients.a.dpop_bound is 1; true or false",
        ),
        ("clients: {a: {name: 1.0}}", "1:21: clients.a.name: YAML reads '1.0' as float; put it in"),
        ("clients: {a: }", "1:14: clients.a: nothing stands here; leave the line out, or write {}"),
        ("clients: {a: {naem: A}}", "1:15: clients.a has the unknown key 'naem'; known: approved,"),
        (
            "clients: {a: {redirect_uris: [x]}}",
            "1:11: clients.a: `redirect_uris` is for registered clients, which have a `name`; of others",
        ),
        (
            "clients: {a: {name: A, approved: true}}",
            "1:11: clients.a: `approved` is for clients that registered themselves",
        ),
        (
            "clients:\n  a:\n    name: A\n    ceiling: [x, x]",
            "4:5: clients.a.ceiling: 'x' is named twice",
        ),
        (
            "resources:\n  https://a.example/mcp:\n    scopes:\n      a: {risk: bad}",
            "4:11: resources.https://a.example/mcp.scopes.a.risk is 'bad'; it should be 'read', 'write' or",
        ),
        (
            "resources: {u: {scopes: {a: {requires: {acr: x, age: 3}}}}}",
            "1:30: resources.u.scopes.a.requires: `requires` has the unknown member 'age'; known:",
        ),
        (
            "resources: {u: {scopes: [a]}}",
            "1:17: resources.u.scopes is a list; names with values are expected here",
        ),
        (
            "resources:\n  u:\n    scopes:\n      a: {tool: [x]}",
            "4:11: resources.u.scopes.a has the unknown key 'tool'; known: default, description,",
        ),
        ("settings: {tenant: {}}", "1:12: settings has the unknown key 'tenant'; known: change_"),
        (
            "clients: {a: {name: A, redirect_uris: !other [x]}}",
            "1:39: clients.a.redirect_uris: a list is expected here",
        ),
        (
            "mappings:\n- {connection: okta, claim: g, value: a, rule: r, role: r}",
            "2:42: mappings.0 has the unknown key 'rule'; known: claim, connection, group, role,",
        ),
        ("mappings: {}", "1:11: mappings is a mapping; a list is expected here"),
        (
            "mappings:\n- {connection: okta, claim: groups}",
            "2:3: mappings.0.value is missing",
        ),
        (
            "mappings:\n- {connection: okta, claim: groups, value: a}",
            "2:3: mappings.0: a mapping leads to a `group` or to a `role`, to one of them",
        ),
        (
            "mappings:" + 2 * "\n- {connection: okta, claim: g, value: a, role: r}",
            "3:3: `mappings` has 'okta g=a -> role r' already, at a.yaml:2:3",
        ),
        ("client_rules: {x: maybe}", "1:16: client_rules.x is 'maybe'; it should be 'allow' or"),
        ("connections: {Okta: {settings: {}}}", "1:15: connections.Okta"),
        ("connections: {okta: {}}", "1:15: connections.okta.settings is missing"),
        (
            "trust: {t: {issuer: https://i.example, connection: c, provision: true, settings: {}}}",
            "1:9: trust.t: `provision` is said of the connection, where there is one",
        ),
        ("bindings: [{role: r, users: [u]}]", "1:11: there are `bindings` and no `roles`; both go"),
        ("groups: [a, a]", "1:13: `groups` has 'a' already, at a.yaml:1:10"),
        ("groups: {a: {}}", "1:9: groups is a mapping; a list is expected here"),
        ("settings: {registration: off}", "1:26: settings.registration: true or false is expected"),
        ("settings: {registration: never}", "1:12: settings.registration is 'never'; it should be"),
        ("rollouts: {u: {state: some}}", "1:16: rollouts.u.state is 'some'; it should be"),
        ("rollouts: {u: {percent: 101}}", "1:16: rollouts.u.percent is 101; it should be"),
        ("domains: {d: {}}", "1:11: domains.d.connection is missing"),
        ("targets: {t: {settings: {}}}", "1:11: targets.t.issuer is missing"),
        ("workload_trust: {t: {issuer: x}}", "1:18: workload_trust.t.settings is missing"),
        (
            "agents: {a: {purpose: p, owner: o, until: 2026-12-31}}",
            "1:36: agents.a.until: '2026-12-31' is no moment; write date, time and zone",
        ),
        (
            "agents: {a: {purpose: p, owner: o, until: noon}}",
            "1:36: agents.a.until: 'noon' is no moment; write date, time and zone",
        ),
        (
            "agents: {a: {purpose: p, owner: o, until: 0001-01-01T00:00:00+01:00}}",
            "1:36: agents.a.until: '0001-01-01T00:00:00+01:00' is no moment; write date, time",
        ),
        (
            "agents: {a: {purpose: 2026-12-31, owner: o}}",
            "1:23: agents.a.purpose: YAML reads '2026-12-31' as timestamp; put it in quotes",
        ),
        (
            "delegations: [{client: c, from_server: u, to_server: v, carries: {s: []}}]",
            "1:67: delegations.0.carries.s",
        ),
        ("roles: {a: {scope: [x]}}", "1:13: the role 'a' has the unknown key 'scope'; known:"),
        (
            "roles: {a: [x]}\nbindings:\n- {role: b, users: [u]}",
            "3:10: the binding is for 'b', which is not in `roles`",
        ),
        ("roles: {a: {includes: [b]}}", "1:1: the role 'a' includes 'b', which the file does not"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_column(text, said):
    (line,) = fails(text, **{"b.yaml": "client_rules: {}"})
    assert line.startswith(f"a.yaml:{said}")


def test_a_directory_without_files_says_nothing_at_all():
    with pytest.raises(Invalid, match="there is no"):
        read({})


def test_all_that_is_wrong_is_told_at_once_and_a_secret_in_the_wrong_place_is_not():
    lines = fails(
        "clients: {a: {name: A, dpop_bound: 1, fapi: 2}}\n"
        "connections:\n  okta: {client_secret: hunter2, settings: {}}\njunk: 1",
        **{"b.yaml": "roles: {a: [x], b: [y]}", "c.yaml": "roles: {a: [x]}"},
    )
    assert [line.rpartition(": ")[0].partition(": ")[0] for line in lines] == [
        "a.yaml:4:1",
        "a.yaml:1:24",
        "a.yaml:1:39",
        "a.yaml:3:10",
        "c.yaml:1:9",
    ]
    assert "hunter2" not in "\n".join(lines)
    assert lines[-1] == "c.yaml:1:9: `roles` has 'a' already, at b.yaml:1:9"


def test_what_comes_after_something_that_is_there_twice_is_read_on():
    lines = fails("groups: [a, a, b, b]")
    assert [line.partition(", at")[0] for line in lines] == [
        "a.yaml:1:13: `groups` has 'a' already",
        "a.yaml:1:19: `groups` has 'b' already",
    ]


@pytest.mark.parametrize(
    ("wrong", "told", "last"),
    [(20, 20, None), (21, 21, "and 1 more"), (50, 21, "and 30 more")],
)
def test_a_file_that_is_wrong_everywhere_is_told_as_far_as_anybody_reads(wrong, told, last):
    clients = ", ".join(f"c{n}: {{name: 1}}" for n in range(wrong))
    lines = fails(f"clients: {{{clients}}}")
    assert len(lines) == told
    assert lines[20:] == ([] if last is None else [last])


def test_moments_are_equal_wherever_the_server_stands(elsewhere):
    written = read({"all.yaml": ALL})
    assert written.entries["agents"]["triage"]["until"] == "2026-12-31T00:00:00.000000+00:00"


# What editors are told.

BAD = [
    "- clients",
    "junk: 1",
    "clients: {a: {naem: A}}",
    "clients: {a: {name: 3}}",
    "clients: {a: {name: A, dpop_bound: 1}}",
    "resources: {u: {scopes: [a]}}",
    "resources: {u: {scopes: {a: {risk: bad}}}}",
    "resources: {u: {scopes: {a: {requires: {age: 3}}}}}",
    "resources: {u: {scopes: {a: {requires: {max_age: 3}}}}}",
    "resources: {u: {scopes: {a: {requires: {}}}}}",
    "mappings: {}",
    "mappings: [{connection: okta, claim: groups}]",
    "mappings: [{connection: Okta, claim: groups, value: v, role: r}]",
    "client_rules: {x: maybe}",
    "connections: {Okta: {settings: {}}}",
    "connections: {okta: {kind: ldap, settings: {}}}",
    "connections: {okta: {}}",
    "trust: {t: {settings: {}}}",
    "groups: {}",
    "groups: [1]",
    "settings: {registration: never}",
    "settings: [a]",
    "rollouts: {u: {percent: 101}}",
    "domains: {d: {mandatory: true}}",
    "targets: {T: {issuer: https://t.example}}",
    "workload_trust: {t: {}}",
    "agents: {a: {purpose: p}}",
    "agents: {a: {purpose: p, owner: o, dormant_after_days: 0}}",
    "delegations: [{client: c, from_server: u, to_server: v, carries: {}}]",
    "roles: [a]",
    "roles: {a: {scope: [x]}}",
    "roles: {'*': [x]}",
    "roles: {a: {requires: {max_age: 1}}}",
    "roles: {a: x}",
    "roles: {a: [x]}\nbindings: [{users: [u]}]",
    "roles: {a: [x]}\nbindings: [{role: a, user: [u]}]",
    "roles: {a: [x]}\nbindings: {role: a}",
]


def as_json(text):
    """What an editor sees; moments are text to it."""
    return json.loads(json.dumps(yaml.load(text, Loader=yaml.BaseLoader)))


def test_the_schema_is_one():
    Draft202012Validator.check_schema(schema())
    assert schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    assert json.loads(json.dumps(schema())) == schema()


@pytest.mark.parametrize(
    "text", [ALL, "roles: {developer: [logs.read]}", "clients: {}", "mappings: []"]
)
def test_what_is_read_fits_the_schema(text):
    read({"a.yaml": text})
    value = yaml.safe_load(re.sub(r"until: (\S+?)(}?)$", r"until: '\1'\2", text, flags=re.M))
    assert list(SCHEMA.iter_errors(value)) == []


@pytest.mark.parametrize("text", BAD)
def test_what_does_not_fit_the_schema_is_not_read(text):
    assert list(SCHEMA.iter_errors(yaml.safe_load(text)))
    assert fails(text)


def test_every_member_says_what_it_is_for():
    for name, definition in schema()["$defs"].items():
        for member, shape in definition["properties"].items():
            described = "description" in shape or "$ref" in shape
            assert described or member == "requires", (name, member)


def test_lists_that_are_said_twice_are_said_equally():
    assert ScopeEntry.model_fields["risk"].annotation.__args__ == RISKS
    assert ScopeEntry().risk == DEFAULT_RISK
    assert ScopeEntry.model_fields["description"].metadata[0].max_length == MAX_DESCRIPTION_CHARS
    assert ClientEntry().grant_types == DEFAULT_GRANT_TYPES


names = st.text("ab", min_size=1, max_size=3)
lists = st.lists(names, max_size=3, unique=True)
written_roles = st.dictionaries(
    names,
    lists
    | st.fixed_dictionaries(
        {},
        optional={
            "description": st.text("ab ", max_size=5),
            "scopes": lists,
            "includes": st.just([]),
            "requires": st.sampled_from([{"max_age": 60}, {"acr": "x"}, {"acr": ["x", "y"]}, {}]),
            "scope": lists,
        },
    ),
    max_size=3,
)


@settings(max_examples=60)
@given(written_roles)
def test_the_schema_and_the_roles_file_agree(roles):
    # As JSON, which is YAML: two members that are one list would be written with an anchor, which is refused.
    text = json.dumps({"roles": roles})
    try:
        parse(text)
    except Invalid:
        assert list(SCHEMA.iter_errors(yaml.safe_load(text)))
    else:
        assert list(SCHEMA.iter_errors(yaml.safe_load(text))) == []


# What differs.


def test_differences_are_told_by_name():
    before, after = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1}}, {"b": {"x": 2}, "c": {"x": 1}}
    found = list(differences("clients", before, {**after, "d": {"x": 1}}))
    assert [(it.verb, it.kind, it.name) for it in found] == [
        ("remove", "clients", "a"),
        ("change", "clients", "b"),
        ("add", "clients", "d"),
    ]


def test_a_change_is_told_whole_for_the_digest_of_a_plan():
    assert Change("groups", "Support", None, {}).as_json() == {
        "kind": "groups",
        "name": "Support",
        "before": None,
        "after": {},
    }
    assert Change("groups", "Support", {}, None).as_json()["before"] == {}


@pytest.mark.parametrize(
    ("members", "differs"),
    [(("x",), True), (("y",), False), (("x", "y"), True), (("y", "x"), True), ((), False)],
)
def test_a_change_differs_where_one_of_the_members_does(members, differs):
    change = Change("clients", "a", {"x": 1, "y": 1}, {"x": 2, "y": 1})
    assert change.differs(*members) is differs


# The guide.


def test_the_directory_of_the_guide_is_one():
    guide = Path("docs/policy-as-code.md").read_text()
    example = next(
        it for it in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL) if "roles:" in it
    )
    written = read({"policy.yaml": example})
    assert written.entries.keys() == KINDS.keys()
    value = yaml.safe_load(example.replace("2026-12-31T00:00:00Z", "'2026-12-31T00:00:00Z'"))
    assert list(SCHEMA.iter_errors(value)) == []
