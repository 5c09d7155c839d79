"""Redeeming an ID-JAG (IDJAG-01 to -85, EMA-01 to -35): who is believed, about whom, for what, how often."""

import base64
import hmac
import json
import threading

import pytest

from authz.admin import client_trust, clients, connections, mappings, resources, roles, trust, users
from authz.admin.scopes import NewScope
from authz.db.models import Identity, ReplayKey, Scope, TokenFamily, User
from authz.db.versions import bump
from authz.errors import Conflict, Invalid
from tests.support.client_keys import ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.harness import LOG, RESOURCE
from tests.support.id_jags import ISSUER, JWT_BEARER, AssertingIdp, present
from tests.support.web import Reply

PUBLIC = "the assertion is not valid"
OTHER = "https://other.example/mcp"


@pytest.fixture
def idp():
    return AssertingIdp()


@pytest.fixture
def agent(harness):
    """A confidential client that redeems assertions."""
    return harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )


@pytest.fixture
def corp(harness, idp):
    """The issuer is trusted, makes accounts, and its group `dev` means the role developer."""
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    return idp


def jag(harness, idp, agent, **changed):
    return idp.assertion(harness, agent.client.id, groups=["dev"], **changed)


def redeem(harness, idp, agent, fields=None, **changed):
    return present(harness, agent, jag(harness, idp, agent, **changed), **(fields or {}))


def test_an_assertion_becomes_a_token_for_one_server(harness, corp, agent):
    """EMA-01, EMA-14, EMA-17, EMA-18, EMA-32, IDJAG-15, -59, -60, -63, -64: nobody was asked anything."""
    at = int(harness.clock().timestamp())
    answer = redeem(harness, corp, agent, auth_time=at - 60, acr="urn:corp:mfa", amr=["pwd", "mfa"])
    assert answer.ok, answer.reason
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert answer.json["resource"] == RESOURCE
    assert "refresh_token" not in answer.json
    assert answer.json["expires_in"] <= 900
    claims = harness.claims(answer.access_token)
    assert (claims["aud"], claims["client_id"]) == (RESOURCE, agent.client.id)
    assert (claims["auth_time"], claims["acr"], claims["amr"]) == (
        at - 60,
        "urn:corp:mfa",
        ["pwd", "mfa"],
    )
    assert claims["connection"] == "corp"
    [event] = harness.events("token.issued")
    assert (event["subject"], event["client"]) == (claims["sub"], agent.client.id)
    assert event["detail"]["grant_type"] == JWT_BEARER
    assert not harness.events("consent.granted")


def test_the_trail_says_whose_word_it_was_and_who_lets_it_count(harness, corp, agent):
    """EMA-32, IDJAG-79, E3, E8: the provider finds it by its own `jti`; who approved the entry is found by its name."""
    said = {"trust": "corp", "issuer": ISSUER, "jti": "jag-told"}
    assert redeem(harness, corp, agent, jti="jag-told").ok
    [event] = harness.events("token.issued")
    assert event["detail"]["assertion"] == said
    assert (event["detail"]["resource"], event["detail"]["scopes"]) == (
        RESOURCE,
        ["analytics.query", "logs.read"],
    )
    assert event["tenant"] == harness.tenant_id
    [approval] = [
        it for it in harness.events("admin.changed") if it["detail"]["what"] == "trust.add"
    ]
    assert (approval["detail"]["target"], approval["actor"]) == ("corp", "test")
    assert redeem(harness, corp, agent, {"scope": "foo:bar"}, jti="jag-told-2").error
    [event] = harness.events("token.refused")
    assert event["detail"]["assertion"] == {**said, "jti": "jag-told-2"}
    assert event["detail"]["reason"] == "scope_not_asserted"
    harness.change(trust.change, "corp", {"tenants": ["t1"]})
    assert redeem(harness, corp, agent, jti="jag-told-3", tenant="t1").ok
    told = harness.events("token.issued")[-1]["detail"]["assertion"]
    assert told == {**said, "jti": "jag-told-3", "tenant": "t1"}
    code = harness.code()
    assert harness.redeem(code).ok
    assert harness.events("token.issued")[-1]["detail"]["assertion"] is None


DEFECTS = {
    # name: claims or header changed, and the private reason
    "typ absent": ({"header": {"typ": None}}, "jwt_typ"),
    "typ JWT": ({"header": {"typ": "JWT"}}, "jwt_typ"),
    "typ at+jwt": ({"header": {"typ": "at+jwt"}}, "jwt_typ"),
    "typ logout+jwt": ({"header": {"typ": "logout+jwt"}}, "jwt_typ"),
    "key in the header": ({"header": {"jwk": {"kty": "EC"}}}, "jwt_header_forbidden"),
    "keys elsewhere": ({"header": {"jku": "https://evil.example"}}, "jwt_header_forbidden"),
    "unknown key": ({"header": {"kid": "k-unknown"}}, "jwt_key_unknown"),
    "issuer with a slash": ({"iss": f"{ISSUER}/"}, "issuer_unknown"),
    "issuer in capitals": ({"iss": "https://IDP.corp.example"}, "issuer_unknown"),
    "no issuer": ({"iss": None}, "issuer_unknown"),
    "issuer no text": ({"iss": [ISSUER]}, "issuer_unknown"),
    "no subject": ({"sub": None}, "jwt_sub"),
    "empty subject": ({"sub": ""}, "jwt_sub"),
    "subject no text": ({"sub": 7}, "jwt_sub"),
    "no audience": ({"aud": None}, "jwt_aud"),
    "no audience at all": ({"aud": []}, "jwt_aud"),
    "no client": ({"client_id": None}, "jwt_client_id"),
    "other client": ({"client_id": "cli_other"}, "id_jag_client_id"),
    "no jti": ({"jti": None}, "jwt_jti"),
    "jti no text": ({"jti": 7}, "jwt_jti"),
    "long jti": ({"jti": "x" * 257}, "jwt_jti"),
    "no exp": ({"exp": None}, "jwt_exp"),
    "exp text": ({"exp": "1"}, "jwt_exp"),
    "exp true": ({"exp": True}, "jwt_exp"),
    "exp huge": ({"exp": 1e300}, "jwt_exp"),
    "exp negative": ({"exp": -1}, "jwt_exp"),
    "no iat": ({"iat": None}, "jwt_iat"),
    "scope a list": ({"scope": ["logs.read"]}, "id_jag_scope"),
    "scope malformed": ({"scope": 'a"b'}, "id_jag_scope"),
    "resource relative": ({"resource": "/mcp"}, "id_jag_resource"),
    "resource with fragment": ({"resource": f"{RESOURCE}#a"}, "id_jag_resource"),
    "resource twice": ({"resource": [RESOURCE, RESOURCE]}, "id_jag_resource"),
    "resource empty": ({"resource": []}, "id_jag_resource"),
    "resource no text": ({"resource": [7]}, "id_jag_resource"),
    "details no list": ({"authorization_details": {}}, "id_jag_authorization_details"),
    "confirmation unknown": ({"cnf": {"kid": "x"}}, "id_jag_cnf"),
    "confirmation twofold": ({"cnf": {"jkt": "x", "kid": "x"}}, "id_jag_cnf"),
    "confirmation no object": ({"cnf": "x"}, "id_jag_cnf"),
    "our tenant is another": ({"aud_tenant": "other"}, "id_jag_aud_tenant"),
    "a subject like a list": ({"sub": '["","","","alice"]'}, "jwt_sub"),
    "long subject": ({"sub": "x" * 513}, "jwt_sub"),
    "a tenant nobody pinned": ({"tenant": "t1"}, "id_jag_tenant"),
    "acr no text": ({"acr": 1}, "id_jag_acr"),
    "amr no list": ({"amr": "mfa"}, "id_jag_amr"),
    "auth_time no time": ({"auth_time": "now"}, "jwt_auth_time"),
    "hidden letters": ({"email": "a@corp.example\u202e"}, "id_jag_email"),
}


def test_the_tenant_may_be_named(harness, corp, agent):
    """An issuer that serves many of our tenants says which of them it means."""
    assert redeem(harness, corp, agent, aud_tenant=harness.slug).ok


@pytest.mark.parametrize("defect", DEFECTS)
def test_an_assertion_with_one_defect_is_refused(harness, corp, agent, defect):
    """IDJAG-01 to -17, -51 to -57, -82: one public sentence, whatever is wrong."""
    changed, reason = DEFECTS[defect]
    answer = redeem(harness, corp, agent, **changed)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", reason)
    assert answer.json["error_description"] == PUBLIC
    assert harness.count(TokenFamily) == harness.count(ReplayKey) == 0


@pytest.mark.parametrize(
    ("audience", "ok"),
    [
        (lambda h: h.issuer, True),
        (lambda h: [h.issuer], True),
        (lambda h: [h.issuer, "https://other.example"], False),
        (lambda h: [h.issuer, h.issuer], False),
        (lambda h: f"{h.issuer}/token", False),
        (lambda h: f"{h.issuer}/", False),
        (lambda h: h.server.base, False),
        (lambda h: f"{h.issuer}x", False),
    ],
    ids=["text", "one", "two", "twice", "token endpoint", "slash", "base", "prefix"],
)
def test_the_audience_is_this_issuer_alone(harness, corp, agent, audience, ok):
    """IDJAG-04, EMA-08, ATK-24."""
    answer = redeem(harness, corp, agent, aud=audience(harness))
    assert answer.ok is ok
    assert ok or (answer.error, answer.reason) == ("invalid_grant", "jwt_aud")


@pytest.mark.parametrize(
    ("iat", "exp", "nbf", "reason"),
    [
        (0, 60, None, None),
        (-60, 1, None, None),
        (0, 901, None, None),
        (59, 300, None, None),
        (0, 300, 59, None),
        (-300, -61, None, "jwt_expired"),
        (61, 300, None, "jwt_from_the_future"),
        (0, 300, 61, "jwt_from_the_future"),
        (0, 86_400, None, "jwt_lifetime"),
        (-86_400, 60, None, "jwt_lifetime"),
    ],
)
def test_the_times_have_bounds(harness, corp, agent, iat, exp, nbf, reason):
    """IDJAG-07 to -09, ATK-53: one leeway both ways, and a lifetime an operator set."""
    at = int(harness.clock().timestamp())
    answer = redeem(
        harness, corp, agent, iat=at + iat, exp=at + exp, nbf=None if nbf is None else at + nbf
    )
    assert answer.ok is (reason is None)
    assert answer.ok or (answer.error, answer.reason) == ("invalid_grant", reason)


@pytest.mark.parametrize("typ", ["OAUTH-ID-JAG+JWT", "application/oauth-id-jag+jwt"])
def test_a_media_type_has_two_spellings(harness, corp, agent, typ):
    """IDJAG-01."""
    assert redeem(harness, corp, agent, header={"typ": typ}).ok


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_a_key_signs_with_its_own_algorithm(harness, corp, agent, algorithm):
    """IDJAG-52, ATK-41: nothing, and the public key as a secret."""
    _, payload, _ = jag(harness, corp, agent).split(".")
    header = {"alg": algorithm, "typ": "oauth-id-jag+jwt", "kid": corp.key.kid}
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    mac = hmac.digest(corp.key.key.as_pem(private=False), f"{head}.{payload}".encode(), "sha256")
    signature = b"" if algorithm == "none" else base64.urlsafe_b64encode(mac).rstrip(b"=")
    text = f"{head}.{payload}.{signature.decode()}"
    answer = present(harness, agent, text)
    assert (answer.error, answer.reason) == ("invalid_grant", "jwt_alg")


def test_another_key_of_the_same_name_is_a_wrong_signature(harness, corp, agent):
    """IDJAG-82: and a stranger's issuer reads the same."""
    forged = jag(harness, corp, agent, key=ClientKey("ES256").key)
    unknown = AssertingIdp("https://stranger.example").assertion(harness, agent.client.id)
    wrong, stranger = present(harness, agent, forged), present(harness, agent, unknown)
    assert (wrong.reason, stranger.reason) == ("jwt_signature", "issuer_unknown")
    assert wrong.json == stranger.json
    assert wrong.status == stranger.status


# -- once ---------------------------------------------------------------------------------------------------


def test_it_is_good_once(harness, corp, agent):
    """IDJAG-66, EMA-19, features 1."""
    text = jag(harness, corp, agent)
    assert present(harness, agent, text).ok
    again = present(harness, agent, text)
    assert (again.error, again.reason) == ("invalid_grant", "id_jag_replayed")
    harness.clock.advance(minutes=6)
    assert present(harness, agent, text).reason == "jwt_expired"


def test_twenty_at_once_are_one(harness, corp, agent):
    """IDJAG-66."""
    text, answers = jag(harness, corp, agent), []
    present(harness, agent, jag(harness, corp, agent))  # the account is made before
    barrier = threading.Barrier(20)

    def work():
        barrier.wait()
        answers.append(present(harness, agent, text))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.ok for answer in answers].count(True) == 1
    assert {
        (answer.error, answer.json["error_description"]) for answer in answers if not answer.ok
    } == {("invalid_grant", PUBLIC)}


def test_a_forgery_spends_nothing(harness, corp, agent):
    """A good `jti` is not burnt by whoever guesses it."""
    forged = jag(harness, corp, agent, key=ClientKey("ES256").key, jti="jag-fixed")
    assert present(harness, agent, forged).reason == "jwt_signature"
    assert redeem(harness, corp, agent, jti="jag-fixed").ok


@pytest.mark.parametrize("reuse", ["deny", "until_exp"])
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "nothing_granted"),
        ({"scope": "foo:bar"}, "scope_not_asserted"),
        ({"resource": OTHER}, "id_jag_resource_not_granted"),
    ],
    ids=["no role", "other scope", "other server"],
)
def test_what_is_denied_is_not_spent(harness, idp, agent, fields, reason, reuse):
    """IDJAG-66: recorded after all checks and before issuing."""
    idp.trust_at(harness, assertion_reuse=reuse)
    text = jag(harness, idp, agent)
    for _ in range(2):
        assert present(harness, agent, text, **fields).reason == reason
    assert harness.count(ReplayKey) == 0
    assert len(harness.events("token.refused")) == 2
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    assert present(harness, agent, text).ok
    assert harness.count(ReplayKey) == 1
    # Where an assertion is good again, only what became a token counts as the first time.
    assert not harness.events("assertion.reused")
    assert present(harness, agent, text).ok is (reuse == "until_exp")


def test_without_its_proof_a_copy_spoils_nothing(harness, corp, agent):
    """IDJAG-66, -72: who has the assertion and the client's secret, and not the key, cannot even use it up."""
    key, url = DpopKey(), f"{harness.issuer}/token"
    text = jag(harness, corp, agent, cnf={"jkt": key.jkt})
    assert present_with_proof(harness, agent, text, None).reason == "binding_proof_missing"
    other = DpopKey().proof(url, harness.clock())
    assert present_with_proof(harness, agent, text, other).reason == "binding_other_key"
    # A proof is spent whatever comes of it; the assertion is not.
    again = present_with_proof(harness, agent, text, other)
    assert (again.error, again.reason) == ("invalid_dpop_proof", "dpop_replayed")
    assert present_with_proof(harness, agent, text, key.proof(url, harness.clock())).ok


def test_somebody_new_is_decided_about_once(harness, corp, agent):
    """Their account is made on the way, and neither assertion, proof nor trail counts the turn before it."""
    key, url = DpopKey(), f"{harness.issuer}/token"
    text = jag(harness, corp, agent, sub="newcomer", cnf={"jkt": key.jkt})
    assert present_with_proof(harness, agent, text, key.proof(url, harness.clock())).ok
    kinds = [event["kind"] for event in harness.events()]
    for kind in ("user.provisioned", "identity.linked", "token.issued"):
        assert kinds.count(kind) == 1
    assert "token.refused" not in kinds
    again = present_with_proof(harness, agent, text, key.proof(url, harness.clock()))
    assert again.reason == "id_jag_replayed"


def test_equal_names_of_two_issuers_are_two(harness, corp, agent):
    other = AssertingIdp("https://idp.other.example")
    other.trust_at(harness, "other")
    harness.change(mappings.add, connection="other", claim="groups", value="dev", role="developer")
    assert redeem(harness, corp, agent, jti="same").ok
    assert redeem(harness, other, agent, jti="same").ok


def test_reuse_is_a_switch_and_told(harness, idp, agent):
    """CONF-01: the same client, every time an event."""
    idp.trust_at(harness, assertion_reuse="until_exp")
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    text = jag(harness, idp, agent)
    assert present(harness, agent, text).ok
    assert not harness.events("assertion.reused")
    assert present(harness, agent, text).ok
    [event] = harness.events("assertion.reused")
    assert (event["client"], event["detail"]) == (agent.client.id, {"trust": "corp"})


# -- whom ---------------------------------------------------------------------------------------------------


def test_the_subject_is_the_key_at_its_connection(harness, corp, agent):
    """IDJAG-03, E11: the same person signs in and is asserted; another issuer's namesake is somebody else."""
    first = harness.claims(redeem(harness, corp, agent).access_token)["sub"]
    assert harness.claims(redeem(harness, corp, agent).access_token)["sub"] == first
    assert harness.claims(redeem(harness, corp, agent, sub="bob").access_token)["sub"] != first
    other = AssertingIdp("https://idp.other.example")
    other.trust_at(harness, "other")
    harness.change(mappings.add, connection="other", claim="groups", value="dev", role="developer")
    assert harness.claims(redeem(harness, other, agent).access_token)["sub"] != first


def test_an_address_selects_nobody(harness, corp, agent):
    """IDJAG-70, ATK-26, ATK-27."""
    said = {"email": "dev@example.com", "email_verified": True, "name": "Somebody else"}
    token = redeem(harness, corp, agent, **said)
    new = harness.claims(token.access_token)["sub"]
    assert new != harness.users["dev"]
    with harness.server.database.read() as tx:
        user = tx.get(User, new)  # who it is said to be, all the same
        assert (user.email, user.name) == ("dev@example.com", "Somebody else")


def test_nobody_is_made_who_was_not_wanted(harness, idp, agent):
    """IDJAG-69."""
    idp.trust_at(harness, provisions=False)
    answer = redeem(harness, idp, agent)
    assert (answer.error, answer.reason) == ("invalid_grant", "not_provisioned")
    assert harness.count(Identity) == 0
    assert harness.count(ReplayKey) == 0


def test_access_that_ended_does_not_come_back_with_an_older_assertion(harness, corp, agent):
    """SSF-06, ATK-29: what was asserted before the cut is void, what is asserted after it counts."""
    text = jag(harness, corp, agent)
    sub = harness.claims(redeem(harness, corp, agent).access_token)["sub"]
    harness.clock.advance(seconds=1)
    with harness.server.database.write() as tx:
        tx.get_one(User, sub).cut_at = harness.clock()
    assert present(harness, agent, text).reason == "subject_disabled"
    harness.clock.advance(seconds=1)
    assert redeem(harness, corp, agent).ok
    harness.change(users.disable, sub)
    harness.clock.advance(seconds=1)
    assert redeem(harness, corp, agent).reason == "subject_disabled"


def test_one_issuer_of_many_customers_needs_a_pin(harness, idp, agent):
    """IDJAG-81, EMA-22, ATK-25: same issuer, same keys, another customer."""
    idp.trust_at(harness, tenants=["t1"])
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    assert redeem(harness, idp, agent, tenant="t1").ok
    for tenant in ("t2", None, "T1", ["t1"]):
        answer = redeem(harness, idp, agent, tenant=tenant)
        assert (answer.error, answer.reason) == ("invalid_grant", "id_jag_tenant")
    # The same subject of two customers is two people (IDJAG-03).
    idp.trust_at(harness, "second", tenants=["t2"], connection="corp")
    subs = {
        harness.claims(redeem(harness, idp, agent, tenant=it).access_token)["sub"]
        for it in ("t1", "t2")
    }
    assert len(subs) == 2


@pytest.mark.parametrize("act", [{"sub": "admin", "act": {"sub": "root"}}, "admin", []])
def test_an_actor_changes_neither_subject_nor_client(harness, corp, agent, act):
    """IDJAG-13, EMA-24: what is said of one is not proven, and nobody acts for anybody here yet."""
    plain = harness.claims(redeem(harness, corp, agent).access_token)
    acted = harness.claims(redeem(harness, corp, agent, act=act, sub_profile="user").access_token)
    assert {it: acted[it] for it in ("sub", "client_id", "scope", "aud")} == {
        it: plain[it] for it in ("sub", "client_id", "scope", "aud")
    }
    assert "act" not in acted


# -- through whom -------------------------------------------------------------------------------------------


def test_a_client_has_to_be_registered_for_it(harness, corp):
    """IDJAG-55."""
    made = harness.add_client(auth_method="client_secret_post")
    answer = redeem(harness, corp, made)
    assert (answer.error, answer.reason) == ("unauthorized_client", "grant_type_not_allowed")


def test_a_wrong_secret_is_no_matter_of_assertions(harness, corp, agent):
    """IDJAG-54."""
    answer = present(harness, agent, jag(harness, corp, agent), client_secret="wrong")
    assert (answer.status, answer.error, answer.reason) == (
        401,
        "invalid_client",
        "secret_wrong",
    )


def test_a_relayed_assertion_is_of_no_use(harness, corp, agent):
    """IDJAG-85: the attacker has credentials of their own."""
    thief = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    answer = present(harness, thief, jag(harness, corp, agent))
    assert (answer.error, answer.reason) == ("invalid_grant", "id_jag_client_id")


def test_a_public_client_is_refused_unless_its_document_may(harness, idp):
    """CONF-06, C-3, E5, EMA-04: Claude's own document describes one."""
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    url = harness.serve_document(grant_types=["authorization_code", JWT_BEARER])
    harness.change(client_trust.set_rule, pattern=url, verdict="allow")
    fields = {"grant_type": JWT_BEARER, "client_id": url}
    assertion = idp.assertion(harness, url, groups=["dev"])
    refused = harness.token({**fields, "assertion": assertion})
    assert (refused.error, refused.reason) == ("unauthorized_client", "id_jag_public_client")
    harness.change(trust.change, "corp", {"allow_public_cimd_clients": True})
    text = idp.assertion(harness, url, groups=["dev"])
    assert harness.token({**fields, "assertion": text}).ok
    assert harness.token({**fields, "assertion": text}).reason == "id_jag_replayed"
    harness.change(client_trust.set_rule, pattern=url, verdict="deny")
    text = idp.assertion(harness, url, groups=["dev"])
    denied = harness.token({**fields, "assertion": text})
    assert (denied.error, denied.reason) == ("invalid_client", "client_denied")


def test_an_entry_may_name_its_clients(harness, idp, agent):
    """IDJAG-80."""
    idp.trust_at(harness, clients=["cli_other"])
    answer = redeem(harness, idp, agent)
    assert (answer.error, answer.reason) == ("invalid_grant", "id_jag_client_not_allowed")


@pytest.mark.parametrize(
    ("switched", "error", "reason"),
    [
        ("entry", "invalid_grant", "issuer_unknown"),
        ("connection", "invalid_grant", "connection_disabled"),
        ("client", "invalid_client", "client_blocked"),
        ("resource", "invalid_target", "resource_unknown"),
    ],
)
def test_what_is_switched_off_is_asked_at_use(harness, corp, agent, switched, error, reason):
    """CVE-2026-1486, CVE-2026-1609 and their class."""
    assert redeem(harness, corp, agent).ok
    operation, arguments = {
        "entry": (trust.set_status, ("corp", "disabled")),
        "connection": (connections.set_status, ("corp", "disabled")),
        "client": (clients.block, (agent.client.id,)),
        "resource": (resources.set_status, (RESOURCE, "disabled")),
    }[switched]
    harness.change(operation, *arguments)
    answer = redeem(harness, corp, agent)
    assert (answer.error, answer.reason) == (error, reason)


# -- for what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asserted", "asked", "granted"),
    [
        ("logs.read analytics.query", None, {"logs.read", "analytics.query"}),
        ("logs.read analytics.query", "logs.read", {"logs.read"}),
        ("logs.read", "logs.read analytics.query", {"logs.read"}),
        ("logs.read foo:bar", None, {"logs.read"}),
        ("logs.read incidents.trigger", None, {"logs.read"}),
        (None, None, {"logs.read"}),
        (None, "analytics.query", {"analytics.query"}),
        ("logs.read offline_access openid", None, {"logs.read"}),
    ],
)
def test_scopes_are_what_all_agree_on(harness, corp, agent, asserted, asked, granted):
    """IDJAG-60, -61, EMA-16, C-8, E2: assertion, request, role and server."""
    answer = redeem(harness, corp, agent, {"scope": asked}, scope=asserted)
    assert answer.scopes == granted, answer.reason


@pytest.mark.parametrize(
    ("asserted", "asked", "error", "reason"),
    [
        ("logs.read", "analytics.query", "invalid_scope", "scope_not_asserted"),
        ("foo:bar", None, "invalid_scope", "scope_not_asserted"),
        ("incidents.trigger", None, "access_denied", "nothing_granted"),
    ],
)
def test_nothing_left_is_an_error(harness, corp, agent, asserted, asked, error, reason):
    """CONF-03: refused by scope, or by policy; never mistaken for a bad assertion."""
    answer = redeem(harness, corp, agent, {"scope": asked}, scope=asserted)
    assert (answer.error, answer.reason) == (error, reason)


def test_claims_no_mapping_names_count_for_nothing(harness, corp, agent):
    """IDJAG-17, ATK-28."""
    answer = present(
        harness,
        agent,
        corp.assertion(harness, agent.client.id, groups=["*", "DEV"], roles=["developer"]),
    )
    assert (answer.error, answer.reason) == ("access_denied", "nothing_granted")


def test_an_entry_has_a_ceiling(harness, corp, agent):
    harness.change(trust.change, "corp", {"scope_ceiling": ["logs.read"]})
    assert redeem(harness, corp, agent).scopes == {"logs.read"}


def test_a_client_has_one_too(harness, corp):
    made = harness.add_client(
        auth_method="client_secret_post",
        grant_types=(JWT_BEARER,),
        redirect_uris=(),
        scope_ceiling=frozenset({"analytics.query"}),
    )
    assert redeem(harness, corp, made).scopes == {"analytics.query"}


def test_strict_subset_is_a_switch(harness, corp, agent):
    """C-8, Appendix C."""
    harness.change(trust.change, "corp", {"strict_subset": True})
    answer = redeem(harness, corp, agent, {"scope": "logs.read"})
    assert (answer.error, answer.reason) == ("invalid_grant", "id_jag_scope_not_subset")
    assert redeem(harness, corp, agent, {"scope": "logs.read analytics.query"}).ok


@pytest.mark.parametrize(
    ("claim", "asked", "entry", "outcome"),
    [
        (RESOURCE, None, [], RESOURCE),
        (RESOURCE, RESOURCE, [], RESOURCE),
        ([RESOURCE, OTHER], OTHER, [], OTHER),
        (None, None, [RESOURCE], RESOURCE),
        (None, OTHER, [RESOURCE, OTHER], OTHER),
        (RESOURCE, OTHER, [], "id_jag_resource_not_granted"),
        ([RESOURCE, OTHER], None, [], "id_jag_resource_ambiguous"),
        ([RESOURCE, "https://stranger.example"], RESOURCE, [], "resource_unknown"),
        ("https://stranger.example", None, [], "resource_unknown"),
        (None, None, [], "id_jag_resource_missing"),
        (None, RESOURCE, [], "id_jag_resource_missing"),
        (None, None, [RESOURCE, OTHER], "id_jag_resource_ambiguous"),
        (None, OTHER, [RESOURCE], "id_jag_resource_not_granted"),
        (OTHER, None, [RESOURCE], "id_jag_resource_of_other"),
    ],
)
def test_a_token_has_exactly_one_audience(harness, corp, agent, claim, asked, entry, outcome):
    """IDJAG-57 to -59, EMA-13 to -15, CONF-07, C-2, C-4."""
    harness.add_resource(OTHER)
    harness.change(trust.change, "corp", {"resources": entry or None})
    answer = redeem(harness, corp, agent, {"resource": asked}, resource=claim)
    if outcome.startswith("https://"):
        assert harness.claims(answer.access_token)["aud"] == outcome
    else:
        assert (answer.error, answer.reason) == ("invalid_target", outcome)


def present_with_proof(harness, agent, text, proof):
    fields = {
        "grant_type": JWT_BEARER,
        "client_id": agent.client.id,
        "client_secret": agent.secret,
        "assertion": text,
    }
    return harness.token(fields, **({} if proof is None else {"DPoP": proof}))


@pytest.mark.parametrize(
    ("proof", "error", "reason"),
    [
        ("none", "invalid_grant", "binding_proof_missing"),
        ("another key", "invalid_grant", "binding_other_key"),
        ("another place", "invalid_dpop_proof", "dpop_htu"),
        ("garbage", "invalid_dpop_proof", "dpop_jwt_not_compact"),
    ],
)
def test_a_grant_bound_to_a_key_takes_that_key(harness, corp, agent, proof, error, reason):
    """IDJAG-72, EMA-23."""
    key, url = DpopKey(), f"{harness.issuer}/token"
    proofs = {
        "none": lambda: None,
        "another key": lambda: DpopKey().proof(url, harness.clock()),
        "another place": lambda: key.proof(f"{harness.issuer}/par", harness.clock()),
        "garbage": lambda: "proof",
    }
    text = jag(harness, corp, agent, cnf={"jkt": key.jkt})
    refused = present_with_proof(harness, agent, text, proofs[proof]())
    assert (refused.status, refused.error, refused.reason) == (400, error, reason)
    text = jag(harness, corp, agent, cnf={"jkt": key.jkt})
    bound = present_with_proof(harness, agent, text, key.proof(url, harness.clock()))
    assert bound.json["token_type"] == "DPoP"
    assert harness.claims(bound.access_token)["cnf"] == {"jkt": key.jkt}


def test_a_proof_binds_what_no_grant_bound(harness, corp, agent):
    """IDJAG-73: checked like every proof, and the token is bound to it."""
    key, text = DpopKey(), jag(harness, corp, agent)
    elsewhere = key.proof(f"{harness.issuer}/par", harness.clock())
    bad = present_with_proof(harness, agent, text, elsewhere)
    assert (bad.error, bad.reason) == ("invalid_dpop_proof", "dpop_htu")
    proof = key.proof(f"{harness.issuer}/token", harness.clock())
    bound = present_with_proof(harness, agent, text, proof)
    assert bound.json["token_type"] == "DPoP"
    assert harness.claims(bound.access_token)["cnf"] == {"jkt": key.jkt}
    assert redeem(harness, corp, agent).json["token_type"] == "Bearer"


def test_a_client_of_bound_tokens_gets_no_others(harness, corp):
    """IDJAG-73, ATK-72: where a key is demanded an assertion is no way round it."""
    made = harness.add_client(
        auth_method="client_secret_post",
        grant_types=(JWT_BEARER,),
        redirect_uris=(),
        dpop_bound=True,
    )
    text = jag(harness, corp, made)
    refused = present_with_proof(harness, made, text, None)
    assert (refused.error, refused.reason) == ("invalid_dpop_proof", "dpop_proof_missing")
    proof = DpopKey().proof(f"{harness.issuer}/token", harness.clock())
    assert present_with_proof(harness, made, text, proof).json["token_type"] == "DPoP"


# -- what is said of it -------------------------------------------------------------------------------------


def test_metadata_says_that_and_not_whom(harness, idp):
    """IDJAG-76, -77, EMA-02 to -04."""
    url = f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    before = harness.http.get(url).json()
    assert before["authorization_grant_profiles_supported"] == [
        "urn:ietf:params:oauth:grant-profile:id-jag"
    ]
    assert JWT_BEARER in before["grant_types_supported"]
    idp.trust_at(harness)
    assert harness.http.get(url).json() == before


def test_our_own_word_is_not_redeemed_here(harness, corp, agent):
    """IDJAG-43, EMA-26."""
    answer = redeem(harness, corp, agent, iss=harness.issuer)
    assert (answer.error, answer.reason) == ("invalid_grant", "id_jag_own_issuer")


def test_nothing_of_an_assertion_is_kept(harness, corp, agent):
    """IDJAG-79, EMA-29: neither in the log nor in the trail."""
    mark, text = len(LOG.events), jag(harness, corp, agent, email="alice@corp.example")
    present(harness, agent, text)
    kept = str(LOG.events[mark:]) + str(harness.events())
    assert text.rsplit(".")[2] not in kept
    assert "alice@corp.example" not in kept


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "pinned keys"),
        ({"jwks": {"keys": []}}, "no set of public keys"),
        ({"jwks_uri": "ftp://idp.example/jwks"}, "jwks_uri"),
        ({"jwks_uri": 7}, "jwks_uri"),
        ({"unknown": 1}, "no setting"),
        ({"tenants": "t1"}, "list of text"),
        ({"strict_subset": "yes"}, "true or false"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"max_lifetime_seconds": 3601}, "1 to 3600"),
        ({"max_lifetime_seconds": True}, "1 to 3600"),
        ({"assertion_reuse": "always"}, "one of"),
        ({"subject": "email"}, "one of"),
        ({"saml_issuer": ""}, "entity id"),
        ({"saml_issuer": "https://idp.example"}, "goes with subject"),
        ({"subject": "saml_nameid"}, "needs saml_issuer"),
        ({"scope_ceiling": ["a b"]}, "not a scope"),
        (
            {"allow_public_cimd_clients": True, "assertion_reuse": "until_exp"},
            "goes with single use",
        ),
    ],
    ids=lambda it: None if isinstance(it, dict) else it,
)
def test_an_entry_that_says_nothing_clear_is_refused(harness, idp, settings, why):
    given = settings if settings == {} or "jwks" in settings or "jwks_uri" in settings else None
    with pytest.raises(Invalid, match=why):
        harness.change(
            trust.add,
            slug="corp",
            issuer=ISSUER,
            settings={"jwks": idp.key.jwks, **settings} if given is None else given,
        )


def test_two_entries_for_one_issuer_speak_of_different_customers(harness, corp):
    with pytest.raises(Conflict, match="different `tenants`"):
        corp.trust_at(harness, "second", tenants=["t1"])


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("corp", "other"), ("other", "corp")],
)
def test_trust_is_a_tenants_own(harness, agent, mine, theirs):
    """ATK-24: an assertion of the issuer of one tenant is nothing at another."""
    idps = {"corp": AssertingIdp("https://a.example"), "other": AssertingIdp("https://b.example")}
    idps[mine].trust_at(harness, mine)
    harness.change(mappings.add, connection=mine, claim="groups", value="dev", role="developer")
    assert redeem(harness, idps[mine], agent).ok
    assert redeem(harness, idps[theirs], agent).reason == "issuer_unknown"


def test_roles_by_connection_need_no_mapping(harness, corp, agent):
    """Whoever was linked once may hold roles directly."""
    sub = harness.claims(redeem(harness, corp, agent).access_token)["sub"]
    harness.change(roles.bind, role="sre", kind="user", holder=sub)
    answer = redeem(harness, corp, agent, scope="incidents.trigger")
    assert answer.scopes == {"incidents.trigger"}


def test_what_asks_for_more_than_a_token_gets_a_token(harness, corp, agent):
    """IDJAG-64, EMA-18: no refresh token, however it is asked for."""
    asked = {"scope": "logs.read offline_access"}
    answer = redeem(harness, corp, agent, asked, scope="logs.read offline_access")
    assert answer.scopes == {"logs.read"}
    assert "refresh_token" not in answer.json


# -- the rest of the request --------------------------------------------------------------------------------


def test_one_assertion_in_a_form(harness, corp, agent):
    """IDJAG-50, EMA-06: not none, not two, not in the URL."""
    text = jag(harness, corp, agent)
    missing = present(harness, agent, None)
    assert (missing.error, missing.reason) == ("invalid_request", "assertion_missing")
    credentials = [("client_id", agent.client.id), ("client_secret", agent.secret)]
    pairs = [("grant_type", JWT_BEARER), *credentials, ("assertion", text), ("assertion", text)]
    repeated = harness.token(pairs)
    assert (repeated.error, repeated.reason) == ("invalid_request", "parameter_repeated")
    body = json.dumps({"grant_type": JWT_BEARER, "assertion": text, **dict(credentials)})
    sent = {"content": body, "headers": {"Content-Type": "application/json"}}
    assert harness.http.post(f"{harness.issuer}/token", **sent).json()["error"] == "invalid_request"
    assert harness.http.get(f"{harness.issuer}/token").status_code == 405
    url = f"/token?assertion={text}"
    fields = {"grant_type": JWT_BEARER, **dict(credentials)}
    assert harness.post(url, fields).reason == "assertion_missing"


def test_a_synonym_of_the_grant_type_is_none(harness, corp, agent):
    """IDJAG-74: a proof goes with the grant type that there is."""
    synonym = "urn:ietf:params:oauth:grant-type:jwt-dpop"
    answer = redeem(harness, corp, agent, {"grant_type": synonym})
    assert (answer.error, answer.reason) == ("unsupported_grant_type", "grant_type_unsupported")


def test_keys_come_from_the_entry_and_rotate(harness, idp, agent):
    """IDJAG-53, ATK-49, ATK-50: an unknown name asks at most once per interval, and a removed key stops."""
    host = harness.host
    url = harness.web.url(host, "/keys")
    harness.web.serve(host, Reply.json(idp.key.jwks))
    idp.trust_at(harness, jwks_uri=url)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    assert redeem(harness, idp, agent).ok
    before = harness.web.count(host)
    for number in range(10):
        assert redeem(harness, idp, agent, header={"kid": f"k{number}"}).reason == "jwt_key_unknown"
    assert harness.web.count(host) - before <= 1
    old, new = idp.key, ClientKey("ES256", kid="next")
    harness.web.serve(host, Reply.json(new.jwks))
    harness.clock.advance(seconds=31)
    assert redeem(harness, idp, agent, key=new.key, header={"kid": "next"}).ok
    assert redeem(harness, idp, agent, key=old.key).reason == "jwt_key_unknown"


def test_limits_of_an_assertion_are_limits_of_the_token(harness, corp, agent):
    """IDJAG-12, IDJAG-62, EMA-17: never dropped, never widened."""
    server = "https://tools.example/mcp"
    scopes = (NewScope(name="logs.read", is_default=True, tools=("read_logs",)),)
    harness.add_resource(server, scopes=scopes)
    limit = {
        "type": "mcp_tool",
        "locations": [server],
        "tool": "read_logs",
        "arguments": {"stream": ["web"]},
    }
    wider = {**limit, "arguments": {"stream": ["web", "db"]}}
    answer = redeem(harness, corp, agent, resource=server, authorization_details=[limit])
    assert answer.json["authorization_details"] == [limit]
    assert harness.claims(answer.access_token)["authorization_details"] == [limit]
    more = redeem(
        harness,
        corp,
        agent,
        {"authorization_details": json.dumps([wider])},
        resource=server,
        authorization_details=[limit],
    )
    assert (more.error, more.reason) == ("invalid_authorization_details", "details_widened")
    unknown = redeem(
        harness, corp, agent, resource=server, authorization_details=[{"type": "payment"}]
    )
    assert (unknown.error, unknown.reason) == (
        "invalid_authorization_details",
        "details_type",
    )


def test_a_weak_sign_in_is_told_apart_from_a_missing_role(harness, corp, agent):
    """IDJAG-83, EMA-25, EMA-07: what a fresh login could mend is said to be that."""
    with harness.server.database.write() as tx:
        scope = tx.get_one(Scope, (harness.resource.id, "analytics.query"))
        scope.requires = {"acr": ["urn:corp:mfa"], "max_age": 300}
        bump(tx, harness.tenant_id)
    at = int(harness.clock().timestamp())
    weak = redeem(harness, corp, agent, scope="analytics.query", acr="urn:corp:pwd", auth_time=at)
    assert (weak.error, weak.reason) == ("insufficient_user_authentication", "sign_in_insufficient")
    old = redeem(
        harness, corp, agent, scope="analytics.query", acr="urn:corp:mfa", auth_time=at - 301
    )
    assert (old.error, old.reason) == ("insufficient_user_authentication", "sign_in_insufficient")
    unsaid = redeem(harness, corp, agent, scope="analytics.query", acr="urn:corp:mfa")
    assert (unsaid.error, unsaid.reason) == (weak.error, weak.reason)
    assert redeem(
        harness, corp, agent, scope="analytics.query", acr="urn:corp:mfa", auth_time=at
    ).ok
