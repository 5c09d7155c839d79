"""The simulator over a running server: what it says before is what the token endpoint mints and stores (item 4)."""

import json
from random import Random

import pytest

from authz.admin import agents, clients, groups, roles, scopes, users
from authz.admin.rendering import as_json_value
from authz.admin.scopes import ScopeChange
from authz.admin.simulate import Question, simulate, subject_at
from authz.db.models import IssuedToken
from authz.directory.assurance import PASSWORD
from authz.errors import Invalid, NotFound
from authz.policy.requirements import Requirement
from tests.support.harness import RESOURCE, SCOPES

EVERYTHING = [it.name for it in SCOPES]
NAMES = ("one", "two", "three")
ROUNDS, TOKENS_OF_EACH = 25, 6


def simulated(harness, **asked):
    asked.setdefault("server", RESOURCE)
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
        return simulate(tx, configuration, Question(**asked), harness.clock())


def stored(harness, answer):
    with harness.server.database.read() as tx:
        return json.loads(
            tx.get_one(IssuedToken, harness.claims(answer.access_token)["jti"]).decision
        )


def random_roles(random):
    lines = ["roles:"]
    for number, name in enumerate(NAMES):
        held = [it for it in EVERYTHING if random.random() < 0.4]
        included = [it for it in NAMES[:number] if random.random() < 0.3]
        here = [it for it in EVERYTHING if random.random() < 0.2]
        parts = [f"scopes: [{', '.join(held)}]", f"includes: [{', '.join(included)}]"]
        if here:
            parts.append(f"at: {{'{RESOURCE}': [{', '.join(here)}]}}")
        if random.random() < 0.3:
            parts.append(f"requires: {{acr: [{random.choice(('mfa', PASSWORD))}]}}")
        lines.append(f"  {name}: {{{', '.join(parts)}}}")
    lines.append("bindings:")
    for name in NAMES:
        whom = random.choice(("users: [dev@example.com]", "groups: [oncall]", None))
        if whom is not None:
            lines.append(f"  - {{role: {name}, {whom}}}")
    return "\n".join(lines if len(lines) > len(NAMES) + 2 else lines[:-1])


def test_what_is_simulated_is_minted_and_stored(harness):
    """The whole way through HTTP, rows and the batch, while roles, members, ceilings and requirements change."""
    random = Random(7)
    harness.change(groups.add, name="oncall")
    inside = False
    minted = refused = 0
    for _ in range(ROUNDS):
        harness.import_roles(random_roles(random))
        if random.random() < 0.5:
            change = groups.remove_member if inside else groups.add_member
            harness.change(change, group="oncall", user="dev@example.com")
            inside = not inside
        ceiling = frozenset(it for it in EVERYTHING if random.random() < 0.7)
        harness.change(
            clients.set_ceiling, harness.client_id, ceiling if random.random() < 0.4 else None
        )
        required = Requirement(acr=frozenset({"mfa"})) if random.random() < 0.5 else Requirement()
        harness.change(
            scopes.edit_scope, harness.resource.id, "logs.read", ScopeChange(requires=required)
        )
        for _ in range(TOKENS_OF_EACH):
            asked = frozenset(it for it in [*EVERYTHING, "no.such"] if random.random() < 0.6)
            acr = random.choice(("mfa", PASSWORD))
            foreseen = simulated(
                harness,
                user="dev@example.com",
                client=harness.client_id,
                scopes=asked or None,
                asks_nothing=not asked,
                acr=acr,
            )
            granted = frozenset(it.scope for it in foreseen.granted)
            code = harness.code(requested=asked or None, scopes=granted, acr=acr)
            answer = harness.redeem(code)
            if not granted:
                assert (answer.error, answer.reason) == ("access_denied", "nothing_granted")
                refused += 1
                continue
            minted += 1
            assert answer.scopes == granted
            assert as_json_value(foreseen.record) == stored(harness, answer)
            claims = harness.claims(answer.access_token)
            assert {name: claims.get(name) for name in foreseen.claims} == foreseen.claims
    assert min(minted, refused) > 20


def test_a_client_for_itself_and_an_agent_for_a_person(harness):
    made = harness.add_client(
        auth_method="client_secret_post",
        grant_types=("authorization_code", "client_credentials"),
    )
    own = made.client.id
    harness.change(roles.bind, role="sre", kind="client", holder=own)
    secret = {"client_id": own, "client_secret": made.secret}

    def itself():
        return harness.token(
            {
                "grant_type": "client_credentials",
                "resource": RESOURCE,
                "scope": " ".join(EVERYTHING),
                **secret,
            }
        )

    foreseen, answer = simulated(harness, client=own), itself()
    assert foreseen.way == "itself"
    assert answer.scopes == {it.scope for it in foreseen.granted} != set(EVERYTHING)
    assert as_json_value(foreseen.record) == stored(harness, answer)
    harness.change(
        agents.add,
        slug="robot",
        purpose="Reads logs",
        owner="sre@example.com",
        servers=[RESOURCE],
        clients_=[own],
        scopes=frozenset({"logs.read"}),
    )
    foreseen, answer = simulated(harness, client=own), itself()
    assert foreseen.agent == "robot"
    assert answer.scopes == {it.scope for it in foreseen.granted} == {"logs.read"}
    for_person = simulated(harness, client=own, user="dev@example.com")
    code = harness.code(client_id=own, requested=EVERYTHING, scopes=EVERYTHING)
    answer = harness.redeem(code, **secret)
    assert answer.scopes == {"logs.read"} == {it.scope for it in for_person.granted}
    assert for_person.claims["act"] == harness.claims(answer.access_token)["act"]
    reasons = {it.scope: it.reason for it in for_person.refused}
    assert reasons["analytics.query"] == "agent_ceiling"


def test_the_sign_in_is_that_of_the_latest_session(harness):
    """S15: by default as they are signed in now; an older sign-in, or another, as one asks."""
    required = Requirement(max_age=300)
    harness.change(
        scopes.edit_scope, harness.resource.id, "logs.read", ScopeChange(requires=required)
    )
    assert simulated(harness, user="dev@example.com").signed_in.startswith("as if they had just")
    harness.browser().authorize()
    at_once = simulated(harness, user="dev@example.com")
    assert at_once.signed_in.startswith("as in their session: ")
    assert "logs.read" in {it.scope for it in at_once.granted}
    harness.clock.advance(minutes=6)
    later = simulated(harness, user="dev@example.com")
    reasons = {it.scope: (it.reason, it.requires) for it in later.refused}
    assert reasons["logs.read"] == (
        "authentication_too_old",
        "signed in 300 seconds ago at most",
    )
    harness.change(users.disable, "dev@example.com")
    gone = simulated(harness, user="dev@example.com")
    assert {it.reason for it in gone.refused} == {"subject_disabled"}
    assert not gone.is_token


def test_what_somebody_gets_at_every_server(harness):
    with harness.server.database.read() as tx:
        configuration = harness.server.services.configurations.find(tx, harness.slug)
        found = subject_at(tx, configuration, "sre@example.com", harness.clock())
    assert [(it.server, sorted(s.scope for s in it.granted)) for it in found] == [
        (RESOURCE, ["incidents.trigger", "logs.debug.write", "logs.read"])
    ]


def test_a_client_nobody_has_used_is_judged_beforehand(harness):
    url = "https://editor.example/client.json"
    assert simulated(harness, user="dev@example.com", client=url).is_token
    harness.set_trust("allow_list")
    stopped = simulated(harness, user="dev@example.com", client=url)
    assert [it.reason for it in stopped.obstacles] == ["client_blocked"]
    assert not stopped.is_token


@pytest.mark.parametrize(
    ("asked", "error", "sentence"),
    [
        ({}, Invalid, "name the person"),
        ({"user": "nobody"}, NotFound, "there is no user 'nobody'"),
        ({"user": "dev@example.com", "client": "none"}, NotFound, "there is no client 'none'"),
        ({"user": "dev@example.com", "server": "https://x.example"}, NotFound, "no MCP server"),
        ({"user": "dev@example.com", "server": "admin"}, NotFound, "no MCP server"),
        ({"user": "dev@example.com", "connection": "x"}, NotFound, "there is no connection 'x'"),
        ({"user": "dev@example.com", "acr": "a b"}, Invalid, "cannot be an acr"),
        ({"user": "dev@example.com", "scopes": frozenset({"a b"})}, Invalid, "not the name of a"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(harness, asked, error, sentence):
    with pytest.raises(error, match=sentence):
        simulated(harness, **asked)


def test_nothing_of_another_tenant_is_found(harness, other_harness):
    """M1, ATK-68."""
    for asked in (
        {"user": other_harness.users["dev"]},
        {"user": "dev@example.com", "client": other_harness.client_id},
        {"user": "dev@example.com", "server": other_harness.resource.id},
    ):
        with pytest.raises(NotFound):
            simulated(harness, **asked)
