"""The scenarios at a server that is not ours: right, it passes; with a fault, exactly the right ones tell."""

import re

import pytest

from authz.lab.defects import DEFECTS
from authz.lab.judgement import Outcome
from authz.lab.scenario import Level
from authz.lab.scenarios import GROUPS, every
from tests.lab.world import at_fake, ended, examining, faults_of

pytestmark = pytest.mark.slow

OF_PROOFS = {
    *("bound-other-key", "bound-own-key", "bound-token"),
    *("proof-elsewhere", "proof-method", "proof-twice"),
}
STRANGE_TARGETS = {"target-stranger", "target-other"}
"""Refused with the wrong error there."""
# What each fault makes untrue. Those of one list are at one server together.
FAULTS = {
    "names": {
        "typ": {"typ-absent", "typ-jwt", "typ-at", "typ-logout", "typ-event", "typ-longer"},
        "aud member": {"aud-two", "aud-twice"},
        "aud prefix": {"aud-slash", "aud-endpoint", "aud-longer"},
        "aud_tenant": {"aud-tenant"},
        "sub": {"sub-absent", "sub-empty", "sub-number", "sub-list"},
        "jti": {"jti-absent", "jti-empty", "jti-number", "jti-huge"},
    },
    "issuers": {"iss prefix": {"iss-slash", "iss-path", "iss-longer"}},
    "forgeries": {
        "none": {"alg-none", "alg-none-case", "alg-absent"},
        "algorithm of the key": {"alg-other"},
        "hmac": {"hmac-pem"},
        "own key": {"header-jwk"},
        "json form": {"form-json"},
        "crit": {"header-crit"},
        "fetches keys": {"keys-elsewhere"},
        "fetches issuers": {"issuer-unasked"},
        "oracle": {"no-oracle"},
    },
    "proofs": {
        "cnf of another key": {"bound-other-key"},
        "plain type": {"bound-own-key", "bound-other-key"},
        "unbound": {"bound-token"},
        "htm": {"proof-method"},
        "htu": {"proof-elsewhere"},
        "proof replay": {"proof-twice"},
    },
    "signatures": {
        "signature": {
            *("signature-stranger", "signature-tampered", "signature-absent"),
            *("replay-forged", "no-oracle"),
        }
    },
    "contents": {
        "types of times": {
            *("exp-absent", "exp-infinite", "exp-negative", "exp-text", "exp-true"),
            *("iat-absent", "iat-text"),
        },
        "exp": {"exp-past"},
        "iat": {"iat-future"},
        "nbf": {"nbf-future"},
        "lifetime": {"exp-day"},
        "details": {"details-object", "details-unknown"},
        "types of scopes": {"scope-list", "scope-quote"},
        "cnf": {
            *("cnf-unknown", "cnf-kid", "cnf-text", "cnf-number", "cnf-certificate"),
            *("bound-no-proof", "bound-other-key"),
        },
    },
    "rights": {
        "unknown scopes": {
            *("scope-unknown", "scope-unknown-beside", "scope-withheld", "scope-withheld-all"),
        },
        "scope of the request": {"scope-wider", "scope-other"},
        "resource of the request": {"target-stranger", "target-other"},
        "resource prefix": {
            *("resource-longer", "resource-below", "resource-query", "resource-fragment"),
        },
        "some resource": {"resource-and-stranger"},
        "no resource": {"target-absent"},
    },
    "policy": {"policy": {"scope-withheld", "scope-withheld-all"}},
    "people": {
        "actor": {"act-kept-apart"},
        "email": {"person-address"},
        "aud_sub": {"person-aud-sub"},
        "sub_id": {"person-sub-id", "person-name-id"},
        "makes accounts": {"person-unknown"},
        "tenant": {"tenant", "customer-other", "customer-absent", "customer-list"},
        "bare subjects": {"issuers-apart"},
        "bare jti": {"replay-issuers"},
    },
    "callers": {
        "no secret": {"client-wrong-secret", "client-no-secret"},
        "nobody": {"client-nobody"},
        "two methods": {"client-two-methods"},
        "unregistered": {"client-ungranted"},
        "public": {"client-public"},
        "any grant": {"request-other-grant"},
    },
    "secrets": {"secret": {"client-wrong-secret"}},
    "relays": {
        "relay": {
            *("client-absent", "client-other", "client-longer", "client-list"),
            *("client-relay", "client-relay-unspent"),
        }
    },
    "requests": {
        "get": {"request-get"},
        "query": {"request-query"},
        "json": {"request-json"},
        "duplicates": {
            *("request-two", "request-good-and-bad", "request-two-types", "request-two-scopes"),
        },
    },
    "races": {"race": {"replay-parallel"}, "flood": {"keys-flood"}},
    "memory": {
        "replay": {"replay", "replay-name", "replay-parallel"},
        "keeps keys": {"keys-withdrawn"},
    },
    "burns": {"burns": {"replay-forged", "client-relay-unspent"}},
    "answers": {
        "stored": {"no-store"},
        "refresh": {"no-refresh-token"},
        "long tokens": {"short-life"},
        "untold": {"resource-told", "scope-told"},
        "wrong client": {"token-client"},
        "leak": {"meta-silent"},
        "silent": {"meta-profile", "meta-grant"},
    },
    "audiences": {
        "wrong audience": {
            *("token-audience", "token-verifies", "target-chosen"),
            *("tool-opened", "tool-called", "tool-limits"),
        }
    },
    "spellings": {
        "one spelling": {"typ-prefix", "typ-case", "aud-one", "resource-one"},
        "no leeway": {"clock-ahead"},
        "roles of the assertion": {"claims-unknown"},
        "all that is asserted": {"scope-narrower", "scope-other"},
        "odd answer": {"answer", "short-life"},
        "other acr": {"token-sign-in"},
        "stale keys": {"keys-new", "keys-withdrawn"},
    },
    "parameters": {
        "no resource parameter": {"request-resource", "target-chosen", *STRANGE_TARGETS}
    },
    "accounts": {"one account": {"person-stable", "person-address", "issuers-apart"}},
    "kinds": {
        "kind": {"token-type", "tool-opened", "tool-called", "tool-limits"},
        "issuer spelling": {"meta-issuer", "tool-opened", "tool-called", "tool-limits"},
    },
    "keys": {
        "other key": {"token-verifies", "tool-opened", "tool-called", "tool-limits"},
        "private key": {"meta-keys"},
    },
}


def test_a_server_that_is_right_passes(tmp_path):
    report = at_fake(tmp_path, examining())
    assert faults_of(report) == set()
    assert set(ended(report, Outcome.NOT_OFFERED)) == {"meta-tls"}
    assert report.is_well
    assert report.count(Outcome.PASSED) > 150


@pytest.mark.parametrize("server", FAULTS)
def test_a_fault_is_found_and_nothing_else(tmp_path, server):
    """The scenarios are tests, so they are tested: each fault fails exactly what it makes untrue."""
    faults = FAULTS[server]
    report = at_fake(tmp_path, examining(), tuple(faults))
    assert faults_of(report) == set().union(*faults.values())


def test_a_server_that_grants_everything_is_refused_by_every_refusal(tmp_path):
    """So each row of the defects can fail."""
    report = at_fake(tmp_path, examining(), ["grants everything"])
    faults = faults_of(report)
    assert {defect.name for defect in DEFECTS} <= faults
    assert {it.name for it in GROUPS["Who presents it"]} <= faults
    unread = {it.name for it in GROUPS["How it is presented"]} - faults
    assert unread == {"request-get", "request-json", *FAULTS["requests"]["duplicates"]}
    # Together with the servers above nothing is left that cannot fail here, and would show nothing.
    told = {name for server in FAULTS.values() for names in server.values() for name in names}
    assert {it.name for it in every()} - told - faults == {"good", "meta-tls", "tool-locked"}


def test_a_server_that_refuses_everything_passes_nothing(tmp_path):
    report = at_fake(tmp_path, examining(), ["refuses everything"])
    passed = set(ended(report, Outcome.PASSED))
    assert passed == {"meta-issuer", "meta-profile", "meta-grant", "meta-keys", "tool-locked"}
    assert not report.is_well
    why = ended(report, Outcome.FAILED)["aud-two"]
    assert why == (
        "a good assertion is refused as well (400 invalid_grant), so nothing can be told"
    )


def test_a_server_with_opaque_tokens_is_judged_by_the_rest(tmp_path):
    report = at_fake(tmp_path, examining(), ["opaque"])
    assert faults_of(report) == set()
    missing = set(ended(report, Outcome.NOT_OFFERED))
    assert {"token-audience", "tool-opened", "person-stable"} <= missing
    assert "aud-two" not in missing


def test_a_server_without_proofs_still_refuses_what_is_bound(tmp_path):
    report = at_fake(tmp_path, examining(), ["no dpop"])
    assert faults_of(report) == set()
    assert set(ended(report, Outcome.NOT_OFFERED)) == {"meta-tls", *OF_PROOFS}
    assert "bound-no-proof" in ended(report, Outcome.PASSED)


def test_what_nobody_told_is_not_offered(tmp_path):
    """And says what to say."""
    report = at_fake(
        tmp_path,
        examining(),
        patience=0,
        scopes=("lab.read",),
        withheld=None,
        other_resource=None,
        other_client=None,
        ungranted_client=None,
        public_client=None,
    )
    assert faults_of(report) == set()
    why = ended(report, Outcome.NOT_OFFERED)
    for name, option in {
        "scope-narrower": "--scope",
        "scope-withheld": "--withheld",
        "target-other": "other_resource",
        "client-relay": "other_client",
        "client-ungranted": "ungranted_client",
        "client-public": "public_client",
        "keys-new": "--patience 60s",
        "keys-withdrawn": "--patience 70m",
    }.items():
        assert option in why[name], name


def test_scenarios_have_names_clauses_and_rows():
    names = [scenario.name for scenario in every()]
    assert len(names) == len(set(names))
    for scenario in every():
        assert re.fullmatch(r"[a-z][a-z0-9-]{1,22}", scenario.name)
        assert re.fullmatch(r"((IDJAG|EMA)-\d\d ?)+", scenario.rows), scenario.name
        assert scenario.clause, scenario.name
    assert len(DEFECTS) > 40
    assert {scenario.level for scenario in every()} == {Level.MUST, Level.SHOULD}
