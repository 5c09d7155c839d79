"""A directory made true: whole or not at all, and nobody gains unseen (L10, L4, L6, V3)."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from authz.admin import (
    admins,
    agents,
    clients,
    connections,
    delegations,
    domains,
    groups,
    mappings,
    resources,
    roles,
    rollouts,
    scopes,
    targets,
    tenants,
    trust,
    users,
    workload_trust,
)
from authz.admin.code import plans
from authz.admin.code.kind import NOTHING_WRITTEN, Site, Surroundings
from authz.admin.code.plans import Unapproved
from authz.admin.operator import Operator
from authz.admin.scopes import ScopeChange
from authz.db.models import (
    AuditEvent,
    Client,
    Connection,
    Group,
    GroupMember,
    Identity,
    IssuedToken,
    RevocationEntry,
    Tenant,
)
from authz.errors import Conflict, Forbidden, Invalid, NotFound
from authz.federation.connector import Tools
from authz.federation.registry import Connectors
from authz.policy.administration import ADMIN_ROLES
from authz.policy.code.approval import Approval
from authz.policy.code.reading import read
from tests.support.connections import connection

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
DIRECTORY = """
connections:
  okta:
    preset: okta
    name: Okta
    provision: true
    settings: {issuer: https://corp.okta.com, client_id: abc, client_secret: "env:OKTA"}
  entra:
    preset: generic
    settings: {issuer: https://entra.example, client_id: abc, client_secret: "env:ENTRA"}
clients:
  web: {name: Web, redirect_uris: [https://web.example/cb], groups: [Pilots, Operations], ceiling: [b.write, b.read]}
  job: {name: Nightly, auth_method: client_secret_basic, grant_types: [client_credentials, EXCHANGE]}
resources:
  https://b.example/mcp:
    name: B
    owner: team-b
    default: true
    scopes:
      b.read: {description: Read b, risk: read, default: true, tools: [read_b]}
      b.write: {}
  https://c.example/mcp:
    identity: user_required
    client: job
    scopes:
      c.read: {}
  https://d.example/mcp: {owner: team-d, scopes: {d.read: {}}}
client_rules: {https://editor.example/client.json: allow, "*.bad.example": deny}
mappings:
  - {connection: okta, claim: groups, value: dev, role: developer}
  - {connection: okta, claim: groups, value: ops, group: Operations}
trust:
  okta: {issuer: https://corp.okta.com, connection: okta, settings: {jwks_uri: https://corp.okta.com/keys}}
  desk:
    issuer: https://desk.example
    provision: true
    settings: {jwks_uri: https://desk.example/keys, resources: [https://b.example/mcp], scope_ceiling: [b.read]}
settings: {name: Corp, registration: token}
domains:
  corp.example: {connection: okta}
targets:
  partner: {issuer: https://partner.example, settings: {clients: {web: web-there}}}
groups: [Operations, Support, Pilots]
rollouts:
  https://d.example/mcp: {state: canary, groups: [Pilots], percent: 10}
workload_trust:
  cluster:
    issuer: https://cluster.example
    settings:
      preset: kubernetes
      jwks_uri: https://cluster.example/keys
      rules:
        - name: router
          subject: system:serviceaccount:agents:router
          resources: [https://b.example/mcp]
          scopes: [b.read]
agents:
  triage:
    purpose: Sorts tickets
    owner: ada@corp.example
    servers: [https://b.example/mcp]
    clients: [cluster/router]
    ceiling: [b.read]
    until: 2026-11-30T00:00:00Z
delegations:
  - client: job
    from_server: https://b.example/mcp
    to_server: https://c.example/mcp
    carries: {c.read: [b.read]}
roles:
  developer: [b.read, c.read]
  lead: {includes: [developer], scopes: [b.write], requires: {max_age: 3600, connection: local}}
bindings:
  - {role: developer, groups: [Operations], clients: [job]}
  - {role: lead, users: [ada@corp.example]}
  - {role: lead, users: [bob@corp.example], until: 2026-12-31T00:00:00Z}
""".replace("EXCHANGE", f'"{EXCHANGE}"')


def around(desk):
    services = desk.services
    tools = Tools(services.network, services.documents, services.secrets.resolve)
    return Surroundings(Connectors(tools), desk.issuer)


def directory(text):
    return read({"policy.yaml": text})


def site(desk, tx, written, operator=None):
    return Site(tx, operator or desk.operator, desk.tenant_id, around(desk), written)


def rehearse(desk, text, written=None):
    with desk.services.database.rehearse() as tx:
        at = site(desk, tx, written or directory(text))
        rehearsed = plans.rehearse(at, base=desk.services.settings.server.issuer)
    return rehearsed.effect(desk.now)


def apply(desk, text, *, operator=None, **given):
    with desk.services.database.write() as tx:
        at = site(desk, tx, directory(text), operator)
        return plans.apply(at, base=desk.services.settings.server.issuer, **given)


def approved(desk, text):
    """Apply it, with whatever approval it takes."""
    return apply(
        desk, text, approval=Approval(rehearse(desk, text).digest, "bob@corp.example", desk.now)
    )


def drift(desk, text):
    with desk.services.database.read() as tx:
        return plans.drift(site(desk, tx, directory(text)))


def export(desk):
    with desk.services.database.read() as tx:
        return plans.export(site(desk, tx, NOTHING_WRITTEN))


def version(desk):
    return desk.sql(lambda tx: tx.get_one(Tenant, desk.tenant_id).config_version)


def events(desk):
    with desk.services.database.read() as tx:
        bodies = tx.scalars(
            select(AuditEvent.body)
            .where(AuditEvent.tenant_id == desk.tenant_id, AuditEvent.kind == "admin.changed")
            .order_by(AuditEvent.position)
        )
        return [json.loads(body)["detail"] for body in bodies]


def named(changes):
    return [f"{it.verb} {it.kind} {it.name}" for it in changes]


def gains(effect):
    """Who gains what, by scope."""
    return {
        it.scope: [*effect.crowd.names(it.gained, None), *it.clients_gained]
        for it in effect.reached
        if it.gained or it.clients_gained
    }


def losses(effect):
    return {
        it.scope: [*effect.crowd.names(it.lost, None), *it.clients_lost]
        for it in effect.reached
        if it.lost or it.clients_lost
    }


@pytest.fixture(autouse=True)
def people(desk):
    for login in ("ada", "bob", "cyd"):
        desk.do(users.add, login=f"{login}@corp.example", name=login, password_hash=None)
    for name in ("Operations", "Support"):
        desk.do(groups.add, name=name)
    desk.do(groups.add_member, group="Operations", user="cyd@corp.example")


@pytest.fixture
def filled(desk):
    approved(desk, DIRECTORY)
    return desk


def test_an_empty_tenant_becomes_what_the_directory_says(desk):
    before = version(desk)
    effect = rehearse(desk, DIRECTORY)
    assert {it.verb for it in effect.changes if it.kind != "settings"} == {"add"}
    assert len(effect.changes) == 27
    assert version(desk) == before, "a rehearsal leaves nothing"
    assert drift(desk, DIRECTORY) == effect.changes
    done = approved(desk, DIRECTORY)
    assert done.digest == effect.digest
    assert drift(desk, DIRECTORY) == ()
    policy = desk.configuration().policy
    assert policy.default_resource.identifier == "https://b.example/mcp"
    assert {it.name for it in policy.roles.values()} >= {"developer", "lead"}
    assert {it.slug for it in policy.connections.values()} == {"okta", "entra", "desk"}
    with desk.services.database.read() as tx:
        job = tx.get_one(Client, (desk.tenant_id, "job"))
    assert len(job.secrets) == 1, "nobody has seen it; rotate-secret makes one that is shown"


def test_what_is_exported_is_applied_as_nothing(filled):
    files = export(filled)
    written = read(files)
    effect = rehearse(filled, "", written)
    assert (effect.changes, effect.grows, effect.reached) == ((), False, ())
    assert export(filled) == files
    assert "env:OKTA" in files["connections.yaml"]
    assert "digest" not in "".join(files.values())


def test_a_directory_says_nothing_of_a_kind_it_does_not_name(filled):
    before = export(filled)
    effect = approved(filled, "roles: {developer: [b.read]}")
    assert named(effect.changes) == [
        *("change roles developer", "remove roles lead"),
        "remove roles lead for the user ada@corp.example",
        "remove roles lead for the user bob@corp.example",
    ]
    after = export(filled)
    kept = ("connections", "clients", "resources", "client_rules", "mappings", "trust")
    assert [after[f"{kind}.yaml"] for kind in kept] == [before[f"{kind}.yaml"] for kind in kept]


def swapped(*pairs):
    text = DIRECTORY
    for old, new in pairs:
        assert text.count(old) >= 1, old
        text = text.replace(old, new)
    return text


EDITS = {
    "a scope is gone and another comes": (
        [("      b.write: {}\n", "      b.delete: {risk: destructive, requires: {max_age: 60}}\n")],
        ["change resources https://b.example/mcp"],
    ),
    "a server is described anew": (
        [
            ("    name: B\n    owner: team-b\n    default: true\n", "    name: Bee\n"),
            ("    identity: user_required\n    client: job\n", "    status_list: true\n"),
        ],
        ["change resources https://b.example/mcp", "change resources https://c.example/mcp"],
    ),
    "another server is the default": (
        [
            ("    default: true\n    scopes:\n", "    scopes:\n"),
            ("    client: job\n", "    client: job\n    default: true\n"),
        ],
        ["change resources https://b.example/mcp", "change resources https://c.example/mcp"],
    ),
    "a server is switched off": (
        [("    owner: team-b\n", "    enabled: false\n")],
        ["change resources https://b.example/mcp"],
    ),
    "a server goes": (
        [
            (DIRECTORY[DIRECTORY.index("  https://c.") : DIRECTORY.index("  https://d.")], ""),
        ],
        ["remove resources https://c.example/mcp"],
    ),
    "a client is described anew": (
        [
            ("name: Web, redirect", "name: Portal, dpop_bound: true, blocked: true, redirect"),
            (
                "groups: [Pilots, Operations], ceiling: [b.write, b.read]",
                "groups: [], ceiling: [b.read]",
            ),
            ("auth_method: client_secret_basic", "auth_method: client_secret_post"),
        ],
        ["change clients job", "change clients web"],
    ),
    "a client goes": (
        [
            (
                DIRECTORY[DIRECTORY.index("  web: ") : DIRECTORY.index("  job: ")],
                "",
            )
        ],
        ["remove clients web"],
    ),
    "rules of documents": (
        [("https://editor.example/client.json: allow", "https://editor.example/client.json: deny")],
        ["change client_rules https://editor.example/client.json"],
    ),
    "a connection is described anew": (
        [
            ("    name: Okta\n    provision: true\n", "    button: false\n    enabled: false\n"),
            (
                'client_id: abc, client_secret: "env:OKTA"',
                'client_id: xyz, client_secret: "env:NEW", email_claim: mail',
            ),
        ],
        ["change connections okta"],
    ),
    "a connection goes, with all that hangs on it": (
        [
            (DIRECTORY[DIRECTORY.index("  okta:\n    preset") : DIRECTORY.index("  entra:")], ""),
            ("  - {connection: okta, claim: groups, value: dev, role: developer}\n", ""),
            ("  - {connection: okta, claim: groups, value: ops, group: Operations}\n", "  []\n"),
            (DIRECTORY[DIRECTORY.index("  okta: {issuer") : DIRECTORY.index("  desk:")], ""),
            ("domains:\n  corp.example: {connection: okta}", "domains: {}"),
        ],
        [
            "remove connections okta",
            "remove domains corp.example",
            "remove mappings okta groups=dev -> role developer",
            "remove mappings okta groups=ops -> group Operations",
            "remove trust okta",
        ],
    ),
    "a value leads to another role, and one to two": (
        [
            ("value: dev, role: developer}", "value: dev, role: lead}"),
            (
                "value: ops, group: Operations}",
                "value: ops, role: lead}\n  - {connection: okta, claim: groups, value: ops, role: developer}",
            ),
        ],
        [
            "remove mappings okta groups=dev -> role developer",
            "add mappings okta groups=dev -> role lead",
            "remove mappings okta groups=ops -> group Operations",
            "add mappings okta groups=ops -> role developer",
            "add mappings okta groups=ops -> role lead",
        ],
    ),
    "an issuer is believed further": (
        [
            ("scope_ceiling: [b.read]}", "strict_subset: true}\n    enabled: false"),
            ("    provision: true\n    settings: {jwks", "    settings: {jwks"),
        ],
        ["change trust desk"],
    ),
    "an issuer is another one, and about other people": (
        [
            (
                "https://desk.example\n    provision: true",
                "https://desk2.example\n    connection: entra",
            ),
            (
                "issuer: https://corp.okta.com, connection: okta, settings",
                "issuer: https://corp.okta.com, settings",
            ),
            ("connection: entra\n", "connection: entra\n"),
        ],
        ["change trust desk"],
    ),
    "an agent is bounded otherwise, and a workload gets something else": (
        [
            ("purpose: Sorts tickets", "purpose: Sorts mail"),
            ("    ceiling: [b.read]\n    until: 2026-11-30T00:00:00Z\n", "    ceiling: []\n"),
            ("clients: [cluster/router]", "clients: [job]"),
            ("          scopes: [b.read]\n", "          roles: [developer]\n"),
        ],
        ["change workload_trust cluster", "change agents triage"],
    ),
    "what is claimed, set, rolled out and delegated": (
        [
            ("  corp.example: {connection: okta}", "  else.example: {connection: okta}"),
            ("settings: {clients: {web: web-there}}}", "enabled: false}"),
            ("[Operations, Support, Pilots]", "[Operations, Support, Pilots, Night]"),
            ("state: canary, groups: [Pilots], percent: 10", "state: read_only"),
            ("registration: token", "registration: open, client_trust: open"),
            ("carries: {c.read: [b.read]}", "carries: {c.read: [b.write, b.read]}"),
        ],
        [
            *("remove domains corp.example", "add domains else.example"),
            *("add groups Night", "change targets partner"),
            "change rollouts https://d.example/mcp",
            "change settings tenant",
            "change delegations job: https://b.example/mcp -> https://c.example/mcp",
        ],
    ),
    "roles and who holds them": (
        [
            ("developer: [b.read, c.read]", "developer: {description: Writes, scopes: [b.read]}"),
            (
                "users: [bob@corp.example], until: 2026-12-31",
                "users: [bob@corp.example], until: 2027-06-30",
            ),
            ("groups: [Operations], clients: [job]", "groups: [Support]"),
        ],
        [
            "change roles developer",
            "remove roles developer for the client job",
            "remove roles developer for the group Operations",
            "add roles developer for the group Support",
            "change roles lead for the user bob@corp.example",
        ],
    ),
}
EDITS.pop("an issuer is another one, and about other people")


@pytest.mark.parametrize(("pairs", "expected"), EDITS.values(), ids=EDITS.keys())
def test_what_is_edited_is_what_changes_and_then_nothing_does(filled, pairs, expected):
    text = swapped(*pairs)
    assert named(drift(filled, text)) == expected
    effect = approved(filled, text)
    assert named(effect.changes) == expected
    assert drift(filled, text) == ()
    assert rehearse(filled, "", read(export(filled))).changes == ()
    back = approved(filled, DIRECTORY)
    assert len(back.changes) == len(expected)
    assert drift(filled, DIRECTORY) == ()


def test_an_issuer_may_become_another_one_and_about_other_people(filled):
    text = swapped(
        (
            "https://desk.example\n    provision: true",
            "https://desk2.example\n    connection: entra",
        ),
        ("https://desk.example/keys", "https://desk2.example/keys"),
    )
    assert named(approved(filled, text).changes) == ["change trust desk"]
    line = filled.ask(trust.show, "desk")
    assert (line.issuer, line.connection) == ("https://desk2.example", "entra")
    approved(filled, DIRECTORY)
    assert filled.ask(trust.show, "desk").connection == "desk", "its own, which had stayed"


# What is changed elsewhere shows.


def everything_else(desk):
    (domain,) = desk.ask(domains.list_)
    desk.do(domains.verify, domain.name, [domain.record_value])
    desk.do(domains.set_mandatory, domain.name, mandatory=True)
    desk.do(targets.change, "partner", {"tells_email": True})
    desk.do(groups.add, name="Night")
    desk.do(rollouts.set_rollout, "https://b.example/mcp", state="read_only")
    with desk.services.database.write() as tx:
        tenants.set_registration(tx, desk.operator, slug=desk.slug, mode="off")
    desk.do(workload_trust.change, "cluster", {"max_lifetime_seconds": 600})
    desk.do(agents.change, "triage", dormant_after_days=7)
    (rule,) = desk.ask(delegations.list_)
    desk.do(delegations.remove, rule.id)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        (
            lambda desk: desk.do(roles.bind, role="lead", kind="user", holder="cyd@corp.example"),
            ["remove roles lead for the user cyd@corp.example"],
        ),
        (
            lambda desk: desk.do(
                scopes.edit_scope,
                desk.ask(resources.load, "https://b.example/mcp").id,
                "b.read",
                ScopeChange(risk="write"),
            ),
            ["change resources https://b.example/mcp"],
        ),
        (
            lambda desk: desk.do(resources.add, identifier="https://new.example/mcp", name=""),
            ["remove resources https://new.example/mcp"],
        ),
        (
            lambda desk: desk.do(clients.set_ceiling, "web", None),
            ["change clients web"],
        ),
        (
            lambda desk: desk.do(connections.set_status, "okta", "disabled"),
            ["change connections okta"],
        ),
        (
            lambda desk: desk.do(
                mappings.add, connection="okta", claim="groups", value="x", role="lead"
            ),
            ["remove mappings okta groups=x -> role lead"],
        ),
        (lambda desk: desk.do(trust.set_status, "desk", "disabled"), ["change trust desk"]),
        (
            lambda desk: everything_else(desk),
            [
                "change domains corp.example",
                *("remove groups Night", "change targets partner"),
                "remove rollouts https://b.example/mcp",
                "change settings tenant",
                "change workload_trust cluster",
                "change agents triage",
                "add delegations job: https://b.example/mcp -> https://c.example/mcp",
            ],
        ),
    ],
    ids=["binding", "scope", "server", "ceiling", "connection", "mapping", "trust", "the rest"],
)
def test_what_a_console_changes_shows_as_drift_and_is_put_back(filled, change, shown):
    change(filled)
    assert named(drift(filled, DIRECTORY)) == shown
    assert named(approved(filled, DIRECTORY).changes) == shown
    assert drift(filled, DIRECTORY) == ()


# Who gains and who loses.


def test_a_plan_names_who_gains_and_who_loses_which_scope(filled):
    effect = rehearse(
        filled, swapped(("developer: [b.read, c.read]", "developer: [b.read, b.write]"))
    )
    assert gains(effect) == {
        # Whose role asks for a fresh sign-in had b.write that way; now it is there without.
        "b.write": ["cyd@corp.example", "whoever has groups=dev at okta", *SAME_OPS, "job"],
    }
    eased = {it.scope: effect.crowd.names(it.eased, None) for it in effect.reached if it.eased}
    assert eased == {}
    assert losses(effect) == {
        "c.read": [
            *("ada@corp.example", "bob@corp.example", "cyd@corp.example"),
            *("whoever has groups=dev at okta", *SAME_OPS),
        ]
    }
    assert effect.grows


SAME_OPS = ("whoever has groups=ops at okta",)


def test_a_requirement_that_goes_makes_it_easier_and_one_that_comes_harder(filled):
    text = swapped((", requires: {max_age: 3600, connection: local}", ""))
    effect = rehearse(filled, text)
    eased = {it.scope: effect.crowd.names(it.eased, None) for it in effect.reached}
    assert eased == {
        scope: ["ada@corp.example", "bob@corp.example"] for scope in ("b.read", "b.write", "c.read")
    }
    assert effect.grows
    approved(filled, text)
    back = rehearse(filled, DIRECTORY)
    assert not back.grows
    assert all(it.tightened and not it.eased for it in back.reached)


def test_what_only_takes_away_needs_no_approval(filled):
    text = swapped(("developer: [b.read, c.read]", "developer: [b.read]"))
    effect = apply(filled, text)
    assert not effect.grows
    assert drift(filled, text) == ()


def test_a_mapping_that_goes_takes_it_from_those_it_put_there(filled):
    group = filled.sql(
        lambda tx: tx.scalars(
            select(Group).where(
                Group.tenant_id == filled.tenant_id, Group.name == "okta: groups=dev"
            )
        ).one()
    )
    okta = filled.ask(connections.load, "okta")
    bob = filled.ask(users.show, "bob@corp.example", filled.now)
    filled.sql(
        lambda tx: tx.add(
            GroupMember(
                group_id=group.id, user_id=bob.id, source=okta.id, tenant_id=filled.tenant_id
            )
        )
    )
    text = swapped(
        ("  - {connection: okta, claim: groups, value: dev, role: developer}\n", ""),
        ("  - {role: lead, users: [bob@corp.example], until: 2026-12-31T00:00:00Z}\n", ""),
    )
    assert losses(rehearse(filled, text)) == {
        "b.read": ["bob@corp.example", "whoever has groups=dev at okta"],
        "b.write": ["bob@corp.example"],
        "c.read": ["bob@corp.example", "whoever has groups=dev at okta"],
    }
    approved(filled, text)
    assert filled.ask(users.show, "bob@corp.example", filled.now).groups == []


def test_people_whose_account_is_closed_gain_nothing(filled):
    filled.do(users.disable, "cyd@corp.example")
    effect = rehearse(
        filled, swapped(("developer: [b.read, c.read]", "developer: [b.read, c.read, b.write]"))
    )
    assert "cyd@corp.example" not in gains(effect)["b.write"]


def test_a_client_is_no_person_where_one_has_to_be(filled):
    """M11: c asks for a person, so the job gets nothing there, whatever its roles say."""
    effect = rehearse(filled, swapped(("    identity: user_required\n", "")))
    assert gains(effect) == {"c.read": ["job"]}


# Approvals, digests, and all or nothing.

GROWING = [("developer: [b.read, c.read]", "developer: [b.read, c.read, b.write]")]


def test_access_that_grows_is_refused_without_an_approval_of_just_that(filled):
    text, before = swapped(*GROWING), (export(filled), version(filled), events(filled))
    with pytest.raises(plans.Unapproved, match="access grows, and nobody approved it"):
        apply(filled, text)
    digest = rehearse(filled, text).digest
    for other in (f"sha256:{'0' * 64}", rehearse(filled, swapped(("team-b", "team-c"))).digest):
        with pytest.raises(plans.Unapproved, match=f"this plan is {digest}"):
            apply(filled, text, approval=Approval(other, "bob@corp.example", filled.now))
    assert (export(filled), version(filled), events(filled)) == before
    apply(filled, text, approval=Approval(digest, "bob@corp.example", filled.now))
    assert drift(filled, text) == ()


@pytest.mark.parametrize(
    "pairs",
    [
        [("ceiling: [b.write, b.read]", "ceiling: [b.write, b.read, c.read]")],
        [('"*.bad.example": deny', '"*.bad.example": allow')],
        [
            (
                "    settings: {issuer: https://entra.example",
                "    link_by_email: true\n    settings: {issuer: https://entra.example",
            )
        ],
        [("scope_ceiling: [b.read]}", "scope_ceiling: [b.read, b.write]}")],
        [("until: 2026-12-31T00:00:00Z", "until: 2027-12-31T00:00:00Z")],
        [("groups: [Pilots, Operations], ceiling", "groups: [Pilots, Support], ceiling")],
        [("groups: [Pilots, Operations], ceiling", "ceiling")],
    ],
    ids=["ceiling", "rule", "connection", "trust", "end of a binding", "another group", "no limit"],
)
def test_a_door_that_opens_for_whoever_comes_needs_an_approval_too(filled, pairs):
    text = swapped(*pairs)
    assert len(rehearse(filled, text).widening) == 1
    with pytest.raises(plans.Unapproved):
        apply(filled, text)


def test_a_plan_that_is_another_one_by_now_is_refused(filled):
    text = swapped(("team-b", "team-c"))
    digest = rehearse(filled, text).digest
    assert rehearse(filled, text).digest == digest
    filled.do(resources.set_name, "https://b.example/mcp", "Other")
    with pytest.raises(Conflict, match="something changed since"):
        apply(filled, text, expected=digest)
    assert filled.ask(resources.load, "https://b.example/mcp").owner == "team-b"
    apply(filled, text, expected=rehearse(filled, text).digest)


def test_whoever_comes_and_goes_does_not_make_it_another_plan_but_a_value_does(filled):
    text = swapped(*GROWING)
    digest = rehearse(filled, text).digest
    filled.do(users.add, login="new@corp.example", name="", password_hash=None)
    filled.do(groups.add_member, group="Operations", user="new@corp.example")
    assert "new@corp.example" in gains(rehearse(filled, text))["b.write"]
    assert rehearse(filled, text).digest == digest
    filled.do(mappings.add, connection="okta", claim="groups", value="x", group="Operations")
    assert (
        rehearse(
            filled,
            text.replace(
                "mappings:\n",
                "mappings:\n  - {connection: okta, claim: groups, value: x, group: Operations}\n",
            ),
        ).digest
        != digest
    )


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (
            swapped(("users: [ada@corp.example]", "users: [nobody@corp.example]"), ("team-b", "x")),
            NotFound,
            "the bindings name users that do not exist: nobody@corp.example",
        ),
        (
            swapped(
                ("value: ops, group: Operations", "value: ops, group: Nowhere"), ("team-b", "x")
            ),
            NotFound,
            "policy.yaml:31:5: okta groups=ops -> group Nowhere: there is no group 'Nowhere'",
        ),
        (
            swapped(("client: job\n", "client: web\n"), ("team-b", "x")),
            Invalid,
            "policy.yaml:22:3: https://c.example/mcp: the client 'web' does not authenticate",
        ),
        (
            swapped(("https://b.example/mcp:\n    name", "https://B.example/mcp:\n    name")),
            Invalid,
            "policy.yaml:15:3: https://B.example/mcp: it is registered as https://b.example/mcp",
        ),
        (
            swapped(("    client: job\n", "    client: job\n    default: true\n")),
            Invalid,
            "several servers are the default: https://b.example/mcp, https://c.example/mcp",
        ),
        (
            swapped(("preset: okta", "preset: entra")),
            Invalid,
            "policy.yaml:3:3: okta: issuer 'https://corp.okta.com' is not one of",
        ),
        (
            swapped(("preset: okta", "preset: generic")),
            Conflict,
            "policy.yaml:3:3: okta: its preset is okta and stays so",
        ),
        (
            swapped(("jwks_uri: https://desk.example/keys, ", "")),
            Invalid,
            "policy.yaml:34:3: desk: a trusted issuer has pinned keys (jwks) or a jwks_uri",
        ),
        (
            swapped(("redirect_uris: [https://web.example/cb]", "redirect_uris: [javascript:x]")),
            Invalid,
            "policy.yaml:12:3: web: ",
        ),
    ],
    ids=["user", "group", "client", "spelling", "defaults", "issuer", "preset", "keys", "redirect"],
)
def test_what_cannot_be_done_is_told_by_its_place_and_leaves_nothing_half_done(
    filled, text, error, said
):
    before = export(filled), version(filled), events(filled)
    with pytest.raises(error) as caught:
        rehearse(filled, text)
    assert str(caught.value).startswith(said)
    with pytest.raises(error):
        apply(filled, text)
    assert (export(filled), version(filled), events(filled)) == before


def test_one_event_tells_of_the_whole_besides_those_of_the_operations(filled):
    bob = filled.ask(users.show, "bob@corp.example", filled.now)
    text = swapped(*GROWING, ("team-b", "team-c"))
    effect = approved(filled, text)
    what = [(it["what"], it["target"]) for it in events(filled)][-3:]
    assert [it[0] for it in what] == ["resource.owner", "roles.import", "policy.apply"]
    last = events(filled)[-1]
    assert last["target"] == effect.digest
    assert last["values"] == {
        "changes": 2,
        "cut": [],
        "gained": 1,
        "lost": 0,
        "approved_by": bob.id,
        "approved_at": filled.now.isoformat(),
    }


@pytest.mark.parametrize(("who", "kept"), [("board", "board"), ("eve@else.example", None)])
def test_the_trail_holds_no_address_of_a_stranger(filled, who, kept):
    text = swapped(*GROWING)
    apply(filled, text, approval=Approval(rehearse(filled, text).digest, who, filled.now))
    assert events(filled)[-1]["values"]["approved_by"] == kept


@pytest.mark.parametrize("cut_now", [False, True])
def test_who_loses_has_it_until_the_next_refresh_or_no_longer(filled, cut_now):
    """L6: at the servers where somebody loses, and nowhere else."""
    ids = [filled.ask(resources.load, f"https://{it}.example/mcp").id for it in ("b", "c")]
    filled.sql(lambda tx: tx.add_all([token(filled, id_) for id_ in ids]))
    text = swapped(("developer: [b.read, c.read]", "developer: [b.read]"))
    effect = apply(filled, text, cut_now=cut_now)
    assert effect.narrowed == ("https://c.example/mcp",)
    with filled.services.database.read() as tx:
        ended = {id_: tx.get_one(IssuedToken, f"at_{id_}").revoked_at for id_ in ids}
        told = tx.scalars(
            select(RevocationEntry.value).where(RevocationEntry.tenant_id == filled.tenant_id)
        ).all()
    assert ended == {ids[0]: None, ids[1]: filled.now if cut_now else None}
    assert told == (["https://c.example/mcp"] if cut_now else [])
    assert events(filled)[-1]["values"]["cut"] == told


def token(desk, resource_id):
    return IssuedToken(
        jti=f"at_{resource_id}",
        tenant_id=desk.tenant_id,
        family_id="grt_x",
        client_id="web",
        subject="usr_x",
        resource_id=resource_id,
        scopes=frozenset({"b.read"}),
        decision="{}",
        issued_at=desk.now,
        expires_at=desk.now + timedelta(minutes=10),
    )


def test_nothing_to_do_is_nothing_done(filled):
    before = version(filled), events(filled)
    assert apply(filled, DIRECTORY).changes == ()
    assert (version(filled), events(filled)) == before


@pytest.mark.parametrize("name", ["approver", "auditor", "help-desk", "key-custodian"])
def test_applying_takes_the_permissions_of_what_changes(filled, name):
    """V3: who approves or reads applies nothing; the operations say so, whatever the directory holds."""
    text = swapped(("developer: [b.read, c.read]", "developer: [b.read]"))
    operator = Operator(
        "somebody", filled.now, filled.services.envelope, ADMIN_ROLES[name].permissions
    )
    with pytest.raises(Forbidden):
        apply(filled, text, operator=operator)
    author = replace(operator, permissions=ADMIN_ROLES["policy-author"].permissions)
    with pytest.raises(Forbidden):
        apply(
            filled, swapped(('"*.bad.example": deny', '"*.worse.example": deny')), operator=author
        )
    apply(filled, text, operator=author)
    assert drift(filled, text) == ()


# What belongs to whom.


def test_what_a_mapping_binds_is_the_mappings_and_no_bindings(filled):
    held = filled.ask(roles.export)
    assert {"okta: groups=dev"} <= set().union(*(it.groups for it in held.bindings))
    files = export(filled)
    assert "okta: groups=dev" not in files["bindings.yaml"]
    text = "roles: {developer: [b.read]}\nbindings: []"
    approved(filled, text)
    assert drift(filled, text) == ()
    after = filled.ask(roles.export)
    assert [it.groups for it in after.bindings] == [frozenset({"okta: groups=dev"})]
    assert "value: dev, role: developer" in export(filled)["mappings.yaml"]
    with pytest.raises(Invalid, match="belongs to a mapping; say the role under `mappings`"):
        rehearse(
            filled,
            "roles: {developer: [b.read]}\nbindings: [{role: developer, groups: ['okta: groups=dev']}]",
        )


def test_a_connection_that_only_asserts_is_its_trust_entrys(filled):
    assert "desk" not in yaml.safe_load(export(filled)["connections.yaml"])["connections"]
    filled.do(trust.remove, "desk")
    assert named(drift(filled, DIRECTORY)) == ["add trust desk"]
    approved(filled, DIRECTORY)
    assert drift(filled, DIRECTORY) == ()


def test_clients_that_came_by_themselves_are_bounded_and_never_removed(filled):
    filled.sql(
        lambda tx: [
            tx.add(
                Client(
                    tenant_id=filled.tenant_id,
                    id=id_,
                    kind=kind,
                    status="known",
                    name=id_,
                    metadata_={"redirect_uris": ["https://e.example/cb"]},
                    secrets=[],
                    created_at=filled.now,
                    updated_at=filled.now,
                )
            )
            for id_, kind in (("https://e.example/c.json", "cimd"), ("cli_dyn", "dynamic"))
        ]
    )
    assert drift(filled, DIRECTORY) == ()
    text = DIRECTORY.replace(
        "clients:\n  web",
        "clients:\n  https://e.example/c.json: {ceiling: [b.read], blocked: true}\n"
        "  cli_dyn: {approved: true}\n  web",
        1,
    )
    effect = approved(filled, text)
    assert named(effect.changes) == [
        "add clients cli_dyn",
        "add clients https://e.example/c.json",
    ]
    assert drift(filled, text) == ()
    shown = filled.ask(clients.show, "https://e.example/c.json")
    assert (shown.status, shown.scope_ceiling) == ("blocked", frozenset({"b.read"}))
    assert filled.ask(clients.show, "cli_dyn").status == "active"
    assert drift(filled, DIRECTORY) == (), "what it does not name it leaves alone"
    assert rehearse(filled, "", read(export(filled))).changes == ()
    open_ = text.replace("{ceiling: [b.read], blocked: true}", "{}").replace("approved: true", "")
    approved(filled, open_)
    assert filled.ask(clients.show, "https://e.example/c.json").scope_ceiling is None
    assert filled.ask(clients.show, "cli_dyn").status == "active", "blocking takes an approval back"
    assert drift(filled, open_) == ()


def test_a_server_that_others_issue_tokens_for_keeps_its_issuer(filled):
    text = DIRECTORY.replace(
        "client_rules:",
        "  https://p.example/mcp: {issued_by: partner, scopes: {p.read: {}}}\nclient_rules:",
    )
    approved(filled, text)
    assert drift(filled, text) == ()
    with pytest.raises(Conflict, match="who issues its tokens stays as it is"):
        rehearse(filled, text.replace("issued_by: partner, ", ""))


def test_a_saml_connection_and_what_hangs_on_others_is_left_alone(filled):
    """People, links and domains are no policy: they stay when a connection is described anew."""
    okta = filled.ask(connections.load, "okta")
    bob = filled.ask(users.show, "bob@corp.example", filled.now)
    filled.sql(
        lambda tx: tx.add(
            Identity(
                tenant_id=filled.tenant_id,
                connection_id=okta.id,
                subject="s",
                user_id=bob.id,
                linked_by="operator",
                linked_at=filled.now,
            )
        )
    )
    approved(filled, swapped(("name: Okta", "name: Corp")))
    line = filled.ask(connections.show, "okta", filled.issuer)
    assert (line.name, line.people, line.domains) == ("Corp", 1, ["corp.example"])


def test_another_tenants_things_are_neither_seen_nor_touched(filled, services):
    filled.sql(lambda tx: tx.add(connection("ten_other", "theirs", filled.now)))
    try:
        assert drift(filled, DIRECTORY) == ()
        assert "theirs" not in "".join(export(filled).values())
    finally:
        filled.sql(
            lambda tx: tx.delete(
                tx.scalars(select(Connection).where(Connection.tenant_id == "ten_other")).one()
            )
        )


def test_a_thousand_mappings_take_as_many_statements_as_ten(filled):
    """Issue 6, "Speed": what a plan of mappings costs the database does not grow with them."""

    def statements(count):
        added = "".join(
            f"  - {{connection: okta, claim: groups, value: v{n}, role: lead}}\n"
            for n in range(count)
        )
        text = swapped(("mappings:\n", f"mappings:\n{added}"))
        said = []
        engine = filled.services.database.engine
        note = lambda _c, _cursor, statement, *_: said.append(statement)  # noqa: E731
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
        try:
            assert len(rehearse(filled, text).changes) == count
        finally:
            sqlalchemy.event.remove(engine, "before_cursor_execute", note)
        return len(said)

    assert statements(200) == statements(10)


def test_many_mappings_come_and_go_at_once_and_each_is_told(filled):
    added = "".join(
        f"  - {{connection: okta, claim: groups, value: v{n}, role: {role}}}\n"
        for n in range(3)
        for role in ("lead", "developer")
    )
    text = swapped(("mappings:\n", f"mappings:\n{added}"))
    approved(filled, text)
    told = [it["what"] for it in events(filled)]
    assert [told.count(it) for it in ("mapping.add", "role.bind")] == [8, 7]
    approved(filled, DIRECTORY)
    told = [it["what"] for it in events(filled)]
    assert [told.count(it) for it in ("mapping.remove", "role.unbind")] == [3, 6]
    assert drift(filled, DIRECTORY) == ()


def test_a_group_that_something_names_is_not_forgotten(filled):
    named_by = {
        "Pilots": "https://d.example/mcp is rolled out to the group 'Pilots'",
        "Operations": "a mapping leads to the group 'Operations'",
        "Night": "the group 'Night' administers",
    }
    filled.do(groups.add, name="Night")
    filled.do(admins.grant, role="auditor", kind="group", holder="Night")
    for name, said in named_by.items():
        with pytest.raises(Conflict, match=said):
            filled.do(groups.remove, group=name)
    filled.do(roles.bind, role="developer", kind="group", holder="Support")
    filled.do(groups.remove, group="Support")
    assert "Support" not in str(filled.ask(roles.export))
    helper = replace(filled.operator, permissions=ADMIN_ROLES["help-desk"].permissions)
    with filled.services.database.write() as tx, pytest.raises(Forbidden):
        groups.remove(tx, helper, filled.tenant_id, group="Night")


@pytest.mark.parametrize(
    ("pairs", "widened"),
    [
        ([("ceiling: [b.read]\n    until", "ceiling: [b.read, b.write]\n    until")], "agents"),
        ([("    clients: [cluster/router]\n", "")], "agents"),
        ([("    until: 2026-11-30T00:00:00Z\n", "")], "agents"),
        ([("          scopes: [b.read]\n", "          scopes: [b.write]\n")], "workload_trust"),
        ([("carries: {c.read: [b.read]}", "carries: {c.read: [b.write]}")], "delegations"),
        ([("registration: token", "registration: open")], "settings"),
        (
            [("clients: {web: web-there}", "clients: {web: web-there}, tells_email: true")],
            "targets",
        ),
    ],
    ids=["ceiling", "client", "until", "rule", "delegation", "registration", "target"],
)
def test_the_other_doors_need_an_approval_as_well(filled, pairs, widened):
    effect = rehearse(filled, swapped(*pairs))
    assert [it.kind for it in effect.widening] == [widened]
    with pytest.raises(Unapproved):
        apply(filled, swapped(*pairs))


# Any directory.

_scopes = st.dictionaries(
    st.sampled_from(["b.read", "b.write", "c.read"]),
    st.fixed_dictionaries(
        {},
        optional={
            "risk": st.sampled_from(["read", "destructive"]),
            "default": st.booleans(),
            "tools": st.lists(st.sampled_from(["t1", "t2"]), unique=True, max_size=2),
            "requires": st.sampled_from([{"max_age": 60}, {"acr": "x", "connection": ["local"]}]),
        },
    ),
    max_size=3,
)
_servers = st.dictionaries(
    st.sampled_from(["https://b.example/mcp", "https://c.example/mcp"]),
    st.fixed_dictionaries(
        {"scopes": _scopes, "owner": st.just("yes: no")},
        optional={
            "name": st.sampled_from(["B", "Ünïcode"]),
            "enabled": st.booleans(),
            "identity": st.just("user_required"),
            "status_list": st.booleans(),
        },
    ),
    max_size=2,
)
_clients = st.dictionaries(
    st.sampled_from(["web", "app"]),
    st.fixed_dictionaries(
        {"name": st.just("1.0"), "redirect_uris": st.just(["https://web.example/cb"])},
        optional={
            "ceiling": st.lists(st.sampled_from(["b.read", "b.write"]), unique=True),
            "blocked": st.booleans(),
            "push_only": st.booleans(),
        },
    ),
    max_size=2,
)
_roles = st.fixed_dictionaries(
    {"developer": st.lists(st.sampled_from(["b.read", "b.write", "c.read"]), unique=True)},
    optional={
        "lead": st.fixed_dictionaries(
            {},
            optional={
                "includes": st.just(["developer"]),
                "scopes": st.just(["b.write"]),
                "requires": st.just({"max_age": 3600}),
            },
        )
    },
)
_mappings = st.lists(
    st.fixed_dictionaries(
        {
            "connection": st.just("okta"),
            "claim": st.just("groups"),
            "value": st.sampled_from(["dev", "ops", "a: b"]),
        }
    ).flatmap(
        lambda it: st.sampled_from([{**it, "group": "Operations"}, {**it, "role": "developer"}])
    ),
    unique_by=lambda it: (it["value"], it.get("role")),
    max_size=4,
)
_bindings = st.lists(
    st.fixed_dictionaries(
        {"role": st.just("developer")},
    ).flatmap(
        lambda it: st.sampled_from(
            [
                {**it, "users": ["ada@corp.example"]},
                {**it, "groups": ["Support"], "until": "2026-12-31T00:00:00Z"},
            ]
        )
    ),
    unique_by=str,
    max_size=2,
)


_workloads = st.fixed_dictionaries(
    {
        "issuer": st.just("https://cluster.example"),
        "settings": st.fixed_dictionaries(
            {
                "jwks_uri": st.just("https://cluster.example/keys"),
                "rules": st.sampled_from([["b.read"], ["b.write", "b.read"]]).map(
                    lambda scopes: [
                        {
                            "name": "router",
                            "subject": "system:serviceaccount:agents:router",
                            "resources": ["https://B.example/mcp"],
                            "scopes": scopes,
                        }
                    ]
                ),
            },
            optional={"preset": st.just("kubernetes"), "assertion_reuse": st.just("until_exp")},
        ),
    },
    optional={"enabled": st.booleans()},
)
_agent = st.fixed_dictionaries(
    {"purpose": st.sampled_from(["Sorts", "on: off"]), "owner": st.just("ADA@corp.example")},
    optional={
        "servers": st.just(["https://B.example/mcp"]),
        "clients": st.sampled_from([["job"], ["job", "cluster/router"], []]),
        "ceiling": st.lists(st.sampled_from(["b.read", "b.write"]), unique=True),
        "until": st.sampled_from(["2026-11-30T00:00:00Z", "2026-11-30T01:00:00+01:00"]),
        "dormant_after_days": st.integers(1, 60),
    },
)
_more = st.fixed_dictionaries(
    {
        "groups": st.sampled_from([[], ["Pilots"], ["Night: 1", "Pilots"]]).map(
            lambda it: ["Operations", "Support", *it]
        ),
        "domains": st.dictionaries(
            st.sampled_from(["corp.example", "else.example"]), st.just({"connection": "okta"})
        ),
        "targets": st.fixed_dictionaries(
            {"issuer": st.just("https://partner.example")},
            optional={"enabled": st.booleans(), "settings": st.just({"tells_email": True})},
        ).map(lambda it: {"partner": it}),
        "rollouts": st.dictionaries(
            st.sampled_from(["https://b.example/mcp", "https://D.example/mcp"]),
            st.sampled_from(
                [{"state": "read_only"}, {"state": "canary", "percent": 50}, {"state": "full"}, {}]
            ),
        ),
        "settings": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["Corp", "no"]),
                "client_trust": st.sampled_from(["open", "deny_list"]),
                "registration": st.sampled_from(["off", "open"]),
                "change_control": st.sampled_from(["off", "two_person"]),
            },
        ),
        "workload_trust": _workloads.map(lambda it: {"cluster": it}),
        "agents": _agent.map(lambda it: {"triage": it}),
        "delegations": st.lists(
            st.fixed_dictionaries(
                {
                    "client": st.just("job"),
                    "from_server": st.just("https://d.example/mcp"),
                    "to_server": st.just("https://D.example/mcp"),
                    "carries": st.just({"d.read": ["d.read"]}),
                },
                optional={"max_depth": st.integers(1, 5)},
            ),
            max_size=1,
        ),
    }
)
JOB = {
    "name": "Nightly",
    "auth_method": "client_secret_basic",
    "grant_types": ["client_credentials", EXCHANGE],
}


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(_servers, _clients, _roles, _bindings, _mappings, _more)
def test_any_directory_is_made_true_and_exported_as_nothing_to_do(
    filled, servers, people_clients, held, bound, mapped, more
):
    """One tenant goes through all of them, so each is applied over what the one before left."""
    document = {
        **more,
        "resources": servers | {"https://d.example/mcp": {"owner": "d", "scopes": {"d.read": {}}}},
        "clients": people_clients | {"job": JOB},
        "roles": held,
        "bindings": bound,
        "mappings": mapped,
    }
    # Through JSON, so that nothing in it is the same object twice: YAML would write an alias.
    text = yaml.safe_dump(json.loads(json.dumps(document)), allow_unicode=True)
    text = text.replace("'2026-12-31T00:00:00Z'", "2026-12-31T00:00:00Z")
    expected = rehearse(filled, text)
    effect = approved(filled, text)
    assert (effect.digest, effect.changes) == (expected.digest, expected.changes)
    assert drift(filled, text) == ()
    files = export(filled)
    assert rehearse(filled, "", read(files)).changes == ()
    assert export(filled) == files


def test_a_binding_that_ends_some_day_is_no_mappings(filled):
    filled.do(
        roles.bind,
        role="lead",
        kind="group",
        holder="okta: groups=dev",
        until=filled.now + timedelta(days=1),
    )
    assert "okta: groups=dev" in export(filled)["bindings.yaml"]
    assert "role: lead" not in export(filled)["mappings.yaml"]
    assert rehearse(filled, "", read(export(filled))).changes == ()
