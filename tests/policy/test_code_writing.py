"""Policy as files: their texts, and how much of it one file holds."""

import json
from dataclasses import replace

import pytest

from authz.policy.code import KINDS, writing
from authz.policy.code.reading import read
from authz.policy.code.roles import entries_of
from authz.policy.roles_file import BindingEntry, RoleEntry, RolesFile

NOTHING = {kind: {} for kind in KINDS}
ROLE = {"a": RoleEntry(scopes=frozenset({"x"}))}


def people(count):
    return frozenset(f"p{n:04}@corp.example" for n in range(count))


def written(*bindings, roles=ROLE):
    """How many bindings each file has."""
    files = writing.write(NOTHING, RolesFile(roles, bindings))
    assert entries_of(read(files).roles) == entries_of(RolesFile(roles, bindings))
    return [text.count("role: ") for name, text in files.items() if name.startswith("bindings")]


def test_a_file_is_written_as_people_write_it():
    """In their letters, and what a thing is called before what it may do."""
    entries = {
        "agents": {
            "triage": {
                "purpose": "Sortiert für alle",
                "owner": "ada@corp.example",
                "servers": [],
                "clients": ["job"],
                "ceiling": None,
                "until": None,
                "dormant_after_days": 30,
            }
        }
    }
    files = writing.write(entries, RolesFile(ROLE))
    assert files == {
        "agents.yaml": """\
agents:
  triage:
    purpose: Sortiert für alle
    owner: ada@corp.example
    clients: [job]
""",
        "roles.yaml": "roles:\n  a: [x]\n",
        "bindings.yaml": "bindings: []\n",
    }


def test_what_is_written_of_a_kind_is_plain_json():
    """Whatever writes it down."""
    text = """
connections: {okta: {settings: {scopes: [openid]}}}
clients: {web: {name: Web, redirect_uris: [https://web.example/cb], ceiling: [x]}}
resources: {https://b.example/mcp: {scopes: {x: {tools: [b, a]}}}}
mappings: [{connection: okta, claim: groups, value: dev, role: a}]
groups: [Support]
settings: {name: Corp}
client_rules: {https://editor.example/client.json: allow}
"""
    for kind, entries in read({"all.yaml": text}).entries.items():
        value = KINDS[kind].written(entries)
        assert json.loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("bindings", "users", "files"),
    [
        (1000, 1, [1000]),
        (1001, 1, [1000, 1]),
        (51, 25, [51]),
        (50, 26, [50]),
        (51, 26, [50, 1]),
    ],
)
def test_so_many_bindings_are_in_one_file(bindings, users, files):
    """Fewer where one of them, which may be any, is long."""
    roles = {f"r{n}": ROLE["a"] for n in range(bindings)}
    short = [BindingEntry(name, users=people(1)) for name in roles]
    short[bindings // 2] = replace(short[bindings // 2], users=people(users))
    assert written(*short, roles=roles) == files


@pytest.mark.parametrize(
    ("users", "others", "pieces"),
    [
        (500, {"groups": frozenset({"g"}), "clients": frozenset({"c"})}, 1),
        (501, {}, 2),
        (501, {"groups": frozenset({"g"})}, 3),
        (501, {"clients": frozenset({"c"})}, 3),
        (1500, {}, 3),
    ],
)
def test_one_binding_names_so_many_people(users, others, pieces):
    assert written(BindingEntry("a", users=people(users), **others)) == [pieces]


def test_a_list_of_any_length_is_written_in_files_that_are_read_as_one():
    mapped = {
        f"okta groups=v{n} -> role a": {
            "connection": "okta",
            "claim": "groups",
            "value": f"v{n}",
            "group": None,
            "role": "a",
        }
        for n in range(2500)
    }
    files = writing.write({**NOTHING, "mappings": mapped}, RolesFile(ROLE))
    assert [name for name in files if name.startswith("mappings")] == [
        *("mappings.yaml", "mappings-2.yaml", "mappings-3.yaml"),
    ]
    assert dict(read(files).entries["mappings"]) == mapped
