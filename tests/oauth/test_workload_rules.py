"""Which workload a rule knows, by tables: subjects segment by segment, claims as text, and what is no rule (WIF-02)."""

import re
from dataclasses import replace

import pytest

from authz.errors import Invalid
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_rules import read_rule, read_rules, subject_matches
from authz.oauth.workload_trust import (
    Workloads,
    WorkloadTrust,
    check_issuer,
    check_settings,
    is_workload,
    settings_of,
    warnings_of,
)
from tests.support.client_keys import ClientKey

JWKS = ClientKey().jwks
GITHUB = "https://token.actions.githubusercontent.com"
RULE = {
    "name": "router",
    "subject": "system:serviceaccount:agents:router",
    "resources": ["https://mcp.example/mcp"],
    "roles": ["developer"],
}


def rule(**changed):
    return {**RULE, **changed}


def without(*names, **changed):
    return {k: v for k, v in rule(**changed).items() if k not in names}


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        ("a:b", "a:b", True),
        ("a:b", "a:B", False),
        ("a:b", "a:b ", False),
        ("a:b", "a:bc", False),
        ("a:b", "a", False),
        ("a:b", "a/b", False),
        ("a:*", "a:b", True),
        ("a:*", "a:", False),
        ("a:*", "a", False),
        ("a:*", "a:b:c", False),
        ("a:*", "a:b/c", False),
        ("a:*", "a:*", True),
        ("*:b", "a:b", True),
        ("*:b", ":b", False),
        ("a:*:c", "a:b:c", True),
        ("a:*:c", "a:b/c", False),
        ("repo:acme/*", "repo:acme/tools", True),
        ("repo:acme/*", "repo:acme/tools:ref:refs/heads/main", False),
        ("repo:acme/tools:ref:refs/heads/*", "repo:acme/tools:ref:refs/heads/main", True),
        ("repo:acme/tools:ref:refs/heads/*", "repo:acme/tools:ref:refs/heads/feature/x", False),
        ("repo:acme/tools:*", "repo:acme/tools:pull_request", True),
        ("repo:acme/tools:*", "repo:acme/tools:environment:prod", False),
        ("spiffe://acme/ns/*/sa/router", "spiffe://acme/ns/agents/sa/router", True),
        ("spiffe://acme/ns/*/sa/router", "spiffe://evil/ns/agents/sa/router", False),
        ("spiffe://acme/ns/*", "spiffe://acme/ns/agents/sa/router", False),
        ("spiffe://acme/x", "spiffe:///acme/x", False),
    ],
)
def test_a_subject_matches_segment_by_segment(pattern, subject, matches):
    assert subject_matches(pattern, subject) is matches


NESTED = {"kubernetes.io": {"namespace": "agents", "serviceaccount": {"uid": ["u1", "u2"]}}}


@pytest.mark.parametrize(
    ("wanted", "said", "matches"),
    [
        ({}, {}, True),
        ({"environment": "prod"}, {"environment": "prod"}, True),
        ({"environment": "prod"}, {"environment": "PROD"}, False),
        ({"environment": "prod"}, {"environment": "prod "}, False),
        ({"environment": "prod"}, {}, False),
        ({"environment": "prod"}, {"environment": None}, False),
        ({"environment": "prod"}, {"environment": ["prod"]}, False),
        ({"environment": "prod"}, {"environment": {"prod": "prod"}}, False),
        ({"repository_id": "7"}, {"repository_id": 7}, False),
        ({"protected": "true"}, {"protected": True}, False),
        ({"environment": ["prod", "test"]}, {"environment": "test"}, True),
        ({"environment": ["prod", "test"]}, {"environment": "prod,test"}, False),
        ({"a": {"b": "x", "c": "y"}, "d": "z"}, {"a": {"b": "x", "c": "y"}, "d": "z"}, True),
        ({"a": {"b": "x", "c": "y"}, "d": "z"}, {"a": {"b": "x", "c": "y"}}, False),
        ({"a": {"b": "x", "c": "y"}, "d": "z"}, {"a": {"b": "x"}, "d": "z"}, False),
        (NESTED, {"kubernetes.io": {"namespace": "agents", "serviceaccount": {"uid": "u2"}}}, True),
        (
            NESTED,
            {"kubernetes.io": {"namespace": "agents", "serviceaccount": {"uid": "u3"}}},
            False,
        ),
        (NESTED, {"kubernetes.io": {"namespace": "agents", "serviceaccount": "u1"}}, False),
        (NESTED, {"kubernetes.io": {"namespace": "agents"}}, False),
        (NESTED, {"kubernetes": {"io": {"namespace": "agents"}}}, False),
        (NESTED, {"kubernetes.io": "agents"}, False),
    ],
)
def test_claims_are_text_at_their_place(wanted, said, matches):
    """ATK-28: exact, nested, and nothing else than text."""
    made = read_rule(rule(claims=wanted))
    assert made.matches({"sub": RULE["subject"], **said}) is matches


@pytest.mark.parametrize(
    ("given", "why", "field"),
    [
        ([], "an object", ""),
        (without("name"), "not a name", "name"),
        (rule(name="Router"), "not a name", "name"),
        (rule(name=7), "not a name", "name"),
        (rule(extra=1), "'extra' is no member", ""),
        ({**RULE, "extra": 1, 7: 1}, "7 is no member", ""),
        (without("subject"), "subject of the rule", "subject"),
        (rule(subject=""), "subject of the rule", "subject"),
        (rule(subject="a\nb"), "subject of the rule", "subject"),
        (rule(subject="x" * 513), "subject of the rule", "subject"),
        (rule(subject="repo:acme*"), "inside a segment", "subject"),
        (rule(subject="repo:acme/**"), "inside a segment", "subject"),
        (rule(subject="*"), "names nobody", "subject"),
        (rule(subject="*:*/*"), "names nobody", "subject"),
        (without("resources"), "no MCP server", "resources"),
        (rule(resources=[]), "no MCP server", "resources"),
        (rule(resources="https://mcp.example"), "list of text", "resources"),
        (rule(resources=["https://a.example", "https://a.example"]), "each once", "resources"),
        (without("roles"), "roles or scopes", "roles"),
        (rule(roles=[]), "roles or scopes", "roles"),
        (rule(scopes=["logs.read"]), "roles or scopes", "roles"),
        (without("roles", scopes=["a b"]), "not a scope", "scopes"),
        (without("roles", scopes=["*"]), "not a scope", "scopes"),
        (without("roles", scopes=["offline_access"]), "not a scope", "scopes"),
        (rule(claims=[]), "an object", "claims"),
        (rule(claims={"sub": "x"}), "cannot say anything", "claims"),
        (rule(claims={"aud": "x"}), "cannot say anything", "claims"),
        (rule(claims={"a": 7}), "a text", "claims"),
        (rule(claims={"a": True}), "a text", "claims"),
        (rule(claims={"a": []}), "a text", "claims"),
        (rule(claims={"a": {}}), "a text", "claims"),
        (rule(claims={"a": ["x", 7]}), "a text", "claims"),
        (rule(claims={"": "x"}), "name of a claim", "claims"),
        (rule(claims={"a": {"b": {"c": {"d": {"e": {"f": "x"}}}}}}), "name of a claim", "claims"),
    ],
    ids=str,
)
def test_what_is_no_rule(given, why, field):
    with pytest.raises(Invalid, match=why) as refused:
        read_rules([given])
    assert refused.value.field == field


def test_rules_name_different_workloads():
    with pytest.raises(Invalid, match="two rules 'router'"):
        read_rules([rule(), rule(subject="a:b")])
    with pytest.raises(Invalid, match="rules 'router' and 'other' match the same workloads"):
        read_rules([rule(), rule(name="other")])
    both = {"a": "x", "b": {"c": "y"}}
    turned = dict(reversed(both.items()))
    with pytest.raises(Invalid, match="match the same workloads"):
        read_rules([rule(claims=both), rule(name="other", claims=turned)])
    assert len(read_rules([rule(), rule(name="other", claims={"a": "b"})])) == 2


def test_a_rule_is_written_as_it_is_read():
    given = rule(claims=NESTED)
    [made] = read_rules([given])
    assert made.as_json() == given
    settings = check_settings({"jwks": JWKS, "rules": [given]}, "https://c.example")
    assert settings_of(settings.as_json()) == settings
    assert settings.as_json() == {"jwks": JWKS, "rules": [given]}


def test_the_name_of_a_workload_comes_from_its_entry_and_rule():
    """decisions.md, Subjects: stable, of its own kind, and never that of an entry of before."""
    settings = settings_of({"jwks": JWKS, "rules": [rule(), rule(name="two", subject="a:b")]})
    first = WorkloadTrust("tru_1", "cluster", "https://c.example", settings)
    again = WorkloadTrust("tru_1", "renamed", "https://c.example", settings)
    other = WorkloadTrust("tru_2", "cluster", "https://c.example", settings)
    ids = [[it.id_of(made) for made in settings.rules] for it in (first, again, other)]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4
    assert all(is_workload(it) for it in ids[0])
    assert set(Workloads.build({first.issuer: first}).by_id) == set(ids[0])


@pytest.mark.parametrize(
    ("issuer", "is_good"),
    [
        ("https://cluster.example", True),
        ("https://gitlab.example/path/", True),
        ("spiffe://prod.acme.example", True),
        ("spiffe://prod.acme.example/", False),
        ("spiffe://Prod.example", False),
        ("spiffe://", False),
        ("spiffe://a.example/ns/x", False),
        ("spiffe://a.example:8443", False),
        ("spiffe://user@a.example", False),
        ("http://cluster.example", False),
        ("kubernetes/serviceaccount", False),
        ("", False),
    ],
)
def test_an_issuer_is_a_url_or_a_trust_domain(issuer, is_good):
    if is_good:
        check_issuer(issuer)
        return
    with pytest.raises(Invalid, match=rf"^issuer\b.*{re.escape(repr(issuer))}") as refused:
        check_issuer(issuer)
    assert refused.value.field == "issuer"


@pytest.mark.parametrize("name", PRESETS)
def test_the_example_of_a_preset_is_good(name):
    """Its settings and its example are an entry, without a warning."""
    preset = PRESETS[name]
    given = {**preset.settings, "preset": name, "rules": [preset.example]}
    if "jwks_uri" not in given:
        given["jwks"] = JWKS
    settings = check_settings(given, preset.issuer or "https://cluster.example")
    assert warnings_of(settings) == ()


PINNED = {"repository_id": "123"}


@pytest.mark.parametrize(
    ("preset", "issuer", "changed", "why", "field"),
    [
        (
            "github-actions",
            GITHUB,
            {"subject": "repo:acme/tools:ref:refs/heads/main"},
            "take over",
            "claims",
        ),
        (
            "github-actions",
            GITHUB,
            {"subject": "repo:acme/*:pull_request", "claims": {"actor": "x"}},
            "take over",
            "claims",
        ),
        (
            "github-actions",
            GITHUB,
            {"subject": "repo:acme@x/tools:ref:refs/heads/main"},
            "take over",
            "claims",
        ),
        (
            "github-actions",
            GITHUB,
            {"subject": "repo:acme@1x/a:pull_request"},
            "take over",
            "claims",
        ),
        (
            "github-actions",
            GITHUB,
            {"subject": "repo:acme/tools@2:pull_request"},
            "take over",
            "claims",
        ),
        ("github-actions", GITHUB, {"subject": "actor:somebody@1:x"}, "take over", "claims"),
        (
            "github-actions",
            GITHUB,
            {"subject": "x:repo:acme@1/a:pull_request"},
            "take over",
            "claims",
        ),
        ("github-actions", GITHUB, {"subject": "repo"}, "take over", "claims"),
        (
            "spiffe",
            "spiffe://a.example",
            {"subject": "x:spiffe://a.example/a"},
            "TRUST-DOMAIN",
            "subject",
        ),
        (
            "kubernetes",
            "https://c.example",
            {"subject": "system:serviceaccount:agents"},
            "NAMESPACE",
            "subject",
        ),
        (
            "kubernetes",
            "https://c.example",
            {"subject": "system:node:agents:router"},
            "NAMESPACE",
            "subject",
        ),
        (
            "kubernetes",
            "https://c.example",
            {"subject": "*:serviceaccount:agents:router"},
            "NAMESPACE",
            "subject",
        ),
        (
            "spiffe",
            "spiffe://a.example",
            {"subject": "system:serviceaccount:a:b"},
            "TRUST-DOMAIN",
            "subject",
        ),
        ("spiffe", "spiffe://a.example", {"subject": "spiffe://*/ns/a"}, "TRUST-DOMAIN", "subject"),
        (
            "spiffe",
            "spiffe://a.example",
            {"subject": "spiffe://a.example/"},
            "TRUST-DOMAIN",
            "subject",
        ),
        (
            "spiffe",
            "spiffe://a.example",
            {"subject": "spiffe://b.example/ns/a"},
            "trust domains",
            "",
        ),
    ],
    ids=lambda it: it["subject"] if isinstance(it, dict) else None,
)
def test_a_preset_knows_what_cannot_be_meant(preset, issuer, changed, why, field):
    """ATK-39: names that change hands, and subjects that the keys do not speak for."""
    given = {"jwks": JWKS, "preset": preset, "rules": [rule(**changed)]}
    with pytest.raises(Invalid, match=why) as refused:
        check_settings(given, issuer)
    assert refused.value.field == field


def test_the_keys_of_a_trust_domain_speak_for_it_alone():
    """Its own name is one of the domains, and a URL names none."""
    rules = [rule(name=it, subject=f"spiffe://{it}.example/ns/x") for it in ("a", "b")]
    given = {"jwks": JWKS, "preset": "spiffe"}
    for issuer in ("spiffe://a.example", "https://c.example"):
        check_settings({**given, "rules": rules[:1]}, issuer)
        with pytest.raises(Invalid, match=r"trust domains a\.example, b\.example;"):
            check_settings({**given, "rules": rules}, issuer)


@pytest.mark.parametrize(
    ("preset", "subject", "claims", "warned"),
    [
        ("github-actions", "repo:acme/tools:ref:refs/heads/main", PINNED, []),
        ("github-actions", "repo:acme@1/tools@2:ref:refs/heads/main", {}, []),
        ("github-actions", "repo:acme/tools:environment:prod", PINNED, []),
        ("github-actions", "repo:acme/tools:environment:*", PINNED, []),
        ("github-actions", "repo:acme/tools:pull_request", PINNED, ["pull requests"]),
        ("github-actions", "repo:acme/tools:*", PINNED, ["pull requests"]),
        ("github-actions", "repo:acme/tools:ref:refs/pull/*/merge", PINNED, ["pull requests"]),
        ("github-actions", "repo:acme/tools:ref:refs/*/*/merge", PINNED, ["pull requests"]),
        ("github-actions", "repo:acme/tools:*", {**PINNED, "event_name": "push"}, []),
        ("github-actions", "repo:acme/tools:ref:refs/heads/*", PINNED, ["every branch"]),
        (
            "github-actions",
            "repo:acme/*:ref:refs/heads/main",
            {"repository_owner_id": "9"},
            ["every repository"],
        ),
        (
            "github-actions",
            "repo:acme/*:pull_request",
            {"repository_owner_id": "9"},
            ["every repository", "pull requests"],
        ),
        ("github-actions", "repo:acme/*:ref:refs/heads/main", PINNED, []),
        ("github-actions", "repo:acme/*", {"repository_owner_id": "9"}, ["every repository"]),
        ("github-actions", "repo:*", {"repository_owner_id": "9"}, []),
        ("github-actions", "environment:*:x", PINNED, []),
        ("kubernetes", "system:serviceaccount:agents:*", {}, []),
        ("kubernetes", "system:serviceaccount:*:router", {}, ["every namespace"]),
        (
            "kubernetes",
            "system:serviceaccount:*:router",
            {"kubernetes.io": {"namespace": ["a", "b"]}},
            [],
        ),
    ],
)
def test_a_preset_warns_of_whom_a_rule_lets_in(preset, subject, claims, warned):
    given = {"jwks": JWKS, "preset": preset, "rules": [rule(subject=subject, claims=claims)]}
    found = warnings_of(check_settings(given, "https://c.example"))
    assert len(found) == len(warned)
    for text, part in zip(found, warned, strict=True):
        assert text.startswith(f"rule router: {part}")


@pytest.mark.parametrize(
    ("settings", "why", "field"),
    [
        ({}, "pinned keys", "jwks_uri"),
        ({"jwks": JWKS, "jwks_uri": "https://c.example/keys"}, "one of them", "jwks_uri"),
        ({"jwks": {"keys": []}}, "no set of public keys", "jwks"),
        ({"jwks_uri": "http://c.example/keys"}, "not an https URL", "jwks_uri"),
        ({"jwks": JWKS, "clients": ["x"]}, "no setting", ""),
        ({"jwks": JWKS, "preset": "gitlab"}, "preset", "preset"),
        ({"jwks": JWKS, "algorithms": ["HS256"]}, "algorithms", "algorithms"),
        ({"jwks": JWKS, "algorithms": "ES256"}, "algorithms .* list of text", "algorithms"),
        (
            {"jwks": JWKS, "audiences": "https://as.example"},
            "audiences .* list of text",
            "audiences",
        ),
        ({"jwks": JWKS, "max_lifetime_seconds": 3601}, "1 to 3600", "max_lifetime_seconds"),
        ({"jwks": JWKS, "max_lifetime_seconds": True}, "1 to 3600", "max_lifetime_seconds"),
        ({"jwks": JWKS, "assertion_reuse": "always"}, "one of", "assertion_reuse"),
        ({"jwks": JWKS, "rules": {}}, "list of objects", "rules"),
        ({"jwks": JWKS, "rules": [RULE] * 201}, "at most 200", "rules"),
    ],
    ids=lambda it: None if isinstance(it, dict) else it,
)
def test_an_entry_that_says_nothing_clear_is_refused(settings, why, field):
    with pytest.raises(Invalid, match=why) as refused:
        check_settings(settings, "https://c.example")
    assert refused.value.field == field


def test_an_entry_without_rules_or_with_audiences_is_told():
    found = warnings_of(check_settings({"jwks": JWKS, "audiences": ["x"]}, "https://c.example"))
    assert [it.partition(" ")[0] for it in found] == ["there", "audiences"]


LONG = "x" * 512


@pytest.mark.parametrize(
    ("most", "more", "why"),
    [
        (rule(subject=LONG), rule(subject=LONG + "x"), "subject of the rule 'router'"),
        (rule(claims={LONG[:256]: "v"}), rule(claims={LONG[:257]: "v"}), "in the rule 'router'"),
        (rule(claims={"a": LONG}), rule(claims={"a": LONG + "x"}), "a of the rule 'router'"),
        (
            rule(claims={"a": [str(n) for n in range(50)]}),
            rule(claims={"a": [str(n) for n in range(51)]}),
            "a of the rule 'router'",
        ),
        (
            rule(claims={f"c{n}": "v" for n in range(50)}),
            rule(claims={f"c{n}": "v" for n in range(51)}),
            "'router' has more than 50",
        ),
        (
            rule(claims={"a": {"b": {"c": {"d": {"e": "v"}}}}}),
            rule(claims={"a": {"b": {"c": {"d": {"e": {"f": "v"}}}}}}),
            "a.b.c.d.e.f in the rule 'router'",
        ),
        (rule(roles=[LONG * 4]), rule(roles=[LONG * 4 + "x"]), "roles of the rule 'router'"),
        (
            rule(resources=[str(n) for n in range(50)]),
            rule(resources=[str(n) for n in range(51)]),
            "resources of the rule 'router'",
        ),
        (rule(resources=["a"]), rule(resources=["a", 7]), "resources of the rule 'router'"),
        (rule(claims={"a": {"b": "v"}}), rule(claims={"a": {"b": 7}}), "a.b of the rule 'router'"),
    ],
    ids=[
        *("subject", "name", "value", "values", "claims", "depth", "role", "servers"),
        *("no text", "inner value"),
    ],
)
def test_a_rule_has_bounds_and_its_faults_have_a_name(most, more, why):
    read_rules([most])
    with pytest.raises(Invalid, match=why) as refused:
        read_rules([more])
    [changed] = [it for it in more if more[it] != RULE.get(it)]
    assert refused.value.field == changed


def test_an_entry_has_two_hundred_rules_at_most():
    many = [rule(name=f"r{n}", subject=f"a:{n}") for n in range(201)]
    assert len(read_rules(many[:200])) == 200
    with pytest.raises(Invalid, match="at most 200"):
        read_rules(many)


def test_of_several_names_the_doubled_one_is_told():
    with pytest.raises(Invalid, match="two rules 'b'"):
        read_rules([rule(name=it, subject=f"a:{n}") for n, it in enumerate("abb")])


def test_a_rule_of_scopes_is_written_as_it_is_read():
    given = without("roles", scopes=["logs.read"])
    assert read_rule(given).as_json() == given


def test_entries_are_found_by_issuer_as_text():
    """ATK-39."""
    made = WorkloadTrust("tru_1", "cluster", "https://c.example", settings_of({"jwks": JWKS}))
    known = Workloads.build({made.issuer: made})
    assert known.of("https://c.example") is made
    for other in ("https://c.example/", "https://C.example", None, 7, ["https://c.example"]):
        assert known.of(other) is None


def test_pinned_keys_are_read_once_and_published_ones_never():
    pinned = WorkloadTrust("tru_1", "cluster", "https://c.example", settings_of({"jwks": JWKS}))
    [key] = pinned.pinned_keys
    assert key.kid == JWKS["keys"][0]["kid"]
    assert pinned.pinned_keys is pinned.pinned_keys
    published = settings_of({"jwks_uri": "https://c.example/keys"})
    assert replace(pinned, settings=published).pinned_keys is None
