"""A workload's token for an access token (WIF-01 to -05, SEP-1933): who is believed, gets in, for what, how often."""

import base64
import json
import threading

import pytest
from joserfc import jws
from joserfc.jwk import ECKey

from authz.admin import explain, resources, roles, trust, workload_trust
from authz.admin.scopes import NewScope
from authz.db.models import IssuedToken, ReplayKey, TrustedIssuer
from authz.errors import Conflict, Invalid, NotFound
from authz.oauth.devices import DEVICE_GRANT
from authz.policy.requirements import Requirement
from tests.support.basic import basic
from tests.support.client_keys import TYPE, ClientKey
from tests.support.dpop_keys import DpopKey
from tests.support.exchanges import TICKETS, Chain
from tests.support.harness import LOG, RESOURCE
from tests.support.id_jags import JWT_BEARER, AssertingIdp
from tests.support.web import Reply
from tests.support.workloads import CLUSTER, RULE, SUBJECT, Platform, ask

PUBLIC = "the assertion is not valid"
OTHER = "https://other.example/mcp"


@pytest.fixture
def platform():
    return Platform()


@pytest.fixture
def cluster(harness, platform):
    """The platform is trusted, and its router is a developer here."""
    platform.trust_at(harness)
    return platform


def get(harness, platform, fields=None, **changed):
    return ask(harness, platform.assertion(harness, **changed), **(fields or {}))


def rules(harness, *given):
    """Other rules in the place of the one there is."""
    harness.change(workload_trust.change, "cluster", {"rules": list(given)})


def test_a_workload_gets_a_token_of_its_own(harness, cluster):
    """WIF-01, WIF-04, decisions.md (Subjects): nobody registered, nobody was asked, and it is nobody's."""
    answer = get(harness, cluster, {"scope": "logs.read analytics.query"})
    assert answer.ok, answer.reason
    assert answer.scopes == {"logs.read", "analytics.query"}
    assert "refresh_token" not in answer.json
    assert answer.json["token_type"] == "Bearer"
    assert answer.json["expires_in"] <= 900
    claims = harness.claims(answer.access_token)
    assert claims["sub"] == claims["client_id"]
    assert claims["sub"].startswith("wkl_")
    assert claims["aud"] == RESOURCE
    assert not {"auth_time", "acr", "connection", "kubernetes.io"} & claims.keys()
    [event] = harness.events("token.issued")
    assert (event["subject"], event["client"], event["agent"]) == (
        claims["sub"],
        claims["sub"],
        None,
    )
    assert event["detail"]["grant_type"] == JWT_BEARER
    assert event["detail"]["workload"] == {
        "trust": "cluster",
        "rule": "router",
        "asserted": SUBJECT,
    }


def test_explain_says_which_workload_it_was(harness, cluster):
    """L4: by entry, rule and the name its platform has for it."""
    answer = get(harness, cluster, {"scope": "logs.read incidents.trigger"})
    with harness.server.database.read() as tx:
        jti = harness.claims(answer.access_token)["jti"]
        found = explain.explain(tx, harness.tenant_id, jti, harness.clock())
    assert found.granted == {"logs.read": "role developer"}
    assert set(found.removed) == {"incidents.trigger"}
    assert found.recorded.workload["rule"] == "router"
    assert found.valid


# -- what is refused ----------------------------------------------------------------------------------------

DEFECTS = {
    # name: claims or header changed, and the private reason
    "key in the header": ({"header": {"jwk": {"kty": "EC"}}}, "jwt_header_forbidden"),
    "keys elsewhere": ({"header": {"jku": "https://evil.example"}}, "jwt_header_forbidden"),
    "unknown key": ({"header": {"kid": "k-unknown"}}, "jwt_key_unknown"),
    "issuer with a slash": ({"iss": f"{CLUSTER}/"}, "issuer_unknown"),
    "issuer in capitals": ({"iss": "https://CLUSTER.example"}, "issuer_unknown"),
    "issuer with a port": ({"iss": f"{CLUSTER}:443"}, "issuer_unknown"),
    "no issuer": ({"iss": None}, "issuer_unknown"),
    "issuer no text": ({"iss": [CLUSTER]}, "issuer_unknown"),
    "no subject": ({"sub": None}, "jwt_sub"),
    "empty subject": ({"sub": ""}, "jwt_sub"),
    "subject no text": ({"sub": 7}, "jwt_sub"),
    "long subject": ({"sub": "x" * 513}, "jwt_sub"),
    "hidden letters": ({"sub": f"{SUBJECT}\u202e"}, "jwt_sub"),
    "no jti": ({"jti": None}, "jwt_jti"),
    "jti no text": ({"jti": 7}, "jwt_jti"),
    "long jti": ({"jti": "x" * 257}, "jwt_jti"),
    "no exp": ({"exp": None}, "jwt_exp"),
    "exp text": ({"exp": "1"}, "jwt_exp"),
    "exp true": ({"exp": True}, "jwt_exp"),
    "exp huge": ({"exp": 1e300}, "jwt_exp"),
    "no iat": ({"iat": None}, "jwt_iat"),
    "iat text": ({"iat": "now"}, "jwt_iat"),
    "an event": ({"events": {}}, "workload_other_kind"),
    "an ID token": ({"nonce": "n"}, "workload_other_kind"),
    "other subject": ({"sub": "system:serviceaccount:agents:other"}, "workload_unknown"),
    "subject in capitals": ({"sub": SUBJECT.upper()}, "workload_unknown"),
    "a segment more": ({"sub": f"{SUBJECT}:x"}, "workload_unknown"),
    "claim missing": ({"kubernetes.io": None}, "workload_unknown"),
    "claim another": ({"kubernetes.io": {"namespace": "other"}}, "workload_unknown"),
    "claim a list": ({"kubernetes.io": {"namespace": ["agents"]}}, "workload_unknown"),
    "claim flat": (
        {"kubernetes.io": None, "kubernetes.io.namespace": "agents"},
        "workload_unknown",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_token_with_one_defect_is_refused(harness, cluster, defect):
    """WIF-02, WIF-03, ATK-28, ATK-39: one public sentence, whatever is wrong, and nothing is written."""
    changed, reason = DEFECTS[defect]
    answer = get(harness, cluster, **changed)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", reason)
    assert answer.json["error_description"] == PUBLIC
    assert harness.count(IssuedToken) == harness.count(ReplayKey) == 0
    assert not harness.events("token.refused")


@pytest.mark.parametrize(
    ("audience", "accepted", "is_good"),
    [
        (lambda h: h.issuer, lambda h: [], True),
        (lambda h: [h.issuer], lambda h: [], True),
        (lambda h: [h.issuer, "https://other.example"], lambda h: [], False),
        (lambda h: f"{h.issuer}/token", lambda h: [], False),
        (lambda h: f"{h.issuer}/", lambda h: [], False),
        (lambda h: h.server.base, lambda h: [], False),
        (lambda h: [], lambda h: [], False),
        (lambda h: None, lambda h: [], False),
        (lambda h: f"{h.issuer}/token", lambda h: [f"{h.issuer}/token"], True),
        (lambda h: h.issuer, lambda h: [f"{h.issuer}/token"], False),
        (lambda h: f"{h.issuer}/", lambda h: [h.issuer, f"{h.issuer}/"], True),
        (lambda h: "https://kubernetes.default.svc", lambda h: [], False),
    ],
    ids=[
        *("text", "one", "two", "token endpoint", "slash", "base", "empty", "none"),
        *("named token endpoint", "no longer the issuer", "named with slash", "the cluster"),
    ],
)
def test_the_audience_is_ours_or_one_that_was_named(harness, platform, audience, accepted, is_good):
    """WIF-03, CONF-04."""
    platform.trust_at(harness, audiences=accepted(harness))
    answer = get(harness, platform, aud=audience(harness))
    assert (answer.ok, is_good or answer.reason) == (is_good, is_good or "jwt_aud")


@pytest.mark.parametrize(
    ("iat", "exp", "nbf", "reason"),
    [
        (0, 60, 0, None),
        (0, 901, 0, None),
        (59, 300, 59, None),
        (-300, -61, 0, "jwt_expired"),
        (61, 300, 0, "jwt_from_the_future"),
        (0, 300, 61, "jwt_from_the_future"),
        (0, 3600, 0, "jwt_lifetime"),
        (-86_400, 60, 0, "jwt_lifetime"),
    ],
)
def test_the_times_have_bounds(harness, cluster, iat, exp, nbf, reason):
    """ATK-53: one leeway both ways, and a lifetime an operator set."""
    at = int(harness.clock().timestamp())
    answer = get(harness, cluster, iat=at + iat, exp=at + exp, nbf=at + nbf)
    assert (answer.ok, answer.reason if reason else None) == (reason is None, reason)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_entry_names_its_algorithms(harness, algorithm):
    platform = Platform(algorithm=algorithm)
    uri = platform.publish(harness, f"keys.{harness.host}")
    platform.trust_at(harness, algorithms=["RS256"], jwks_uri=uri)
    answer = get(harness, platform)
    assert (answer.ok, answer.reason) == (
        (True, None) if algorithm == "RS256" else (False, "jwt_alg")
    )


def test_a_stranger_and_a_forger_read_the_same(harness, cluster):
    """IDJAG-82: whom a tenant trusts is not told."""
    forged = ask(harness, cluster.assertion(harness, key=ClientKey("ES256").key))
    stranger = get(harness, Platform("https://stranger.example"))
    assert (forged.reason, stranger.reason) == ("jwt_signature", "issuer_unknown")
    assert (forged.status, forged.json) == (stranger.status, stranger.json)


def refused_text(harness, platform, refusal):
    """A token that is refused early, or late."""
    match refusal:
        case "jwt_signature":
            return platform.assertion(harness, key=ClientKey("ES256").key)
        case "issuer_unknown":
            return platform.assertion(harness, iss="https://stranger.example")
        case "workload_own_issuer":
            return platform.assertion(harness, iss=harness.issuer)
        case "jwt_key_unknown":
            return platform.assertion(harness, header={"kid": "k9"})
        case "jwt_header_forbidden":
            return platform.assertion(harness, header={"jku": "https://evil.example"})
        case "jwt_aud":
            return platform.assertion(harness, aud="https://other.example")
    return platform.assertion(harness, sub="system:serviceaccount:agents:other")


@pytest.mark.parametrize(
    "refusal",
    [
        *("jwt_signature", "issuer_unknown", "workload_own_issuer", "jwt_key_unknown"),
        *("jwt_header_forbidden", "jwt_aud", "workload_unknown"),
    ],
)
def test_every_refusal_costs_one_check_of_a_signature(harness, cluster, monkeypatch, refusal):
    """IDJAG-82: neither the words nor the work say how far a token came."""
    checked, algorithm = [], jws.JWSRegistry.algorithms["ES256"]
    verify = algorithm.verify
    monkeypatch.setattr(
        algorithm, "verify", lambda *given: checked.append("ES256") or verify(*given)
    )
    text = refused_text(harness, cluster, refusal)
    checked.clear()
    answer = ask(harness, text)
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", refusal)
    assert answer.json["error_description"] == PUBLIC
    assert checked == ["ES256"]


def test_our_own_word_is_not_redeemed_here(harness, cluster):
    """IDJAG-43: not even if somebody trusted us."""
    assert get(harness, cluster, iss=harness.issuer).reason == "workload_own_issuer"


# -- one kind at each door ----------------------------------------------------------------------------------


@pytest.mark.parametrize("typ", [None, "JWT", "jwt", "JOSE", "application/jwt"])
def test_workloads_have_tokens_of_no_particular_type(harness, cluster, typ):
    """WIF-05, CONF-05."""
    assert get(harness, cluster, header={"typ": typ}).ok


OTHER_TYPS = [
    *("at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-id-jag+jwt", "JWT "),
    *("client-authentication+jwt", "token-introspection+jwt", "wit+jwt", "", "application/"),
]


@pytest.mark.parametrize("typ", OTHER_TYPS)
def test_a_token_of_another_type_is_no_workloads(harness, cluster, typ):
    """WIF-05, CONF-05: it goes the way of clients, who have to say who they are."""
    answer = get(harness, cluster, header={"typ": typ})
    assert (answer.status, answer.error, answer.reason) == (401, "invalid_client", "client_missing")


@pytest.mark.parametrize("typ", ["at+jwt", "oauth-id-jag+jwt", "JWT", None])
@pytest.mark.parametrize("method", ["client_secret_post", "client_secret_basic", "private_key_jwt"])
def test_a_client_that_proves_itself_brings_no_workload(harness, cluster, method, typ):
    """CONF-05: the two readings of one grant type never meet, whichever entry the issuer has."""
    key = ClientKey()
    made = harness.add_client(
        auth_method=method,
        jwks=key.jwks if method == "private_key_jwt" else None,
        grant_types=(JWT_BEARER,),
        redirect_uris=(),
    )
    text, headers = cluster.assertion(harness, header={"typ": typ}), {}
    fields = {"client_id": made.client.id, "client_secret": made.secret}
    if method == "private_key_jwt":
        fields = key.fields(made.client.id, harness.issuer, harness.clock())
    elif method == "client_secret_basic":
        fields, headers = {}, basic(made)
    answer = ask(harness, text, headers, **fields)
    expected = "issuer_unknown" if typ == "oauth-id-jag+jwt" else "jwt_typ"
    assert (answer.error, answer.reason) == ("invalid_grant", expected)


def test_no_other_grant_passes_without_a_client(harness, cluster):
    """O21-13: a good workload's token opens one door."""
    code = harness.code()
    refresh_token = harness.redeem(harness.code()).refresh_token
    service = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(roles.bind, role="developer", kind="client", holder=service.client.id)
    tries = [
        {"grant_type": "authorization_code", "code": code},
        {"grant_type": "refresh_token", "refresh_token": refresh_token},
        {"grant_type": "client_credentials"},
        {"grant_type": "client_credentials", "client_id": service.client.id},
        {"grant_type": DEVICE_GRANT, "device_code": "x"},
        {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": "x"},
        {"grant_type": JWT_BEARER.upper()},
        {"grant_type": f"{JWT_BEARER} "},
        {"grant_type": None},
    ]
    for fields in tries:
        answer = ask(harness, cluster.assertion(harness), **fields)
        assert (answer.status, answer.error) == (401, "invalid_client"), fields
    pairs = [("grant_type", JWT_BEARER), ("grant_type", "client_credentials")]
    pairs += [("assertion", cluster.assertion(harness)), ("resource", RESOURCE)]
    assert harness.token(pairs).reason == "parameter_repeated"
    assert harness.token(pairs[::-1]).status in (400, 401)


@pytest.mark.parametrize("path", ["/introspect", "/revoke", "/par", "/device_authorization"])
def test_no_other_endpoint_takes_a_workload(harness, cluster, path):
    text = cluster.assertion(harness)
    fields = {"grant_type": JWT_BEARER, "assertion": text, "token": "x", "resource": RESOURCE}
    assert harness.post(path, fields).status == 401
    fields |= {"client_assertion_type": TYPE, "client_assertion": text}
    assert harness.post(path, fields).status == 401


def test_an_issuer_is_trusted_for_one_kind(harness, cluster):
    """CONF-05: at the door, and where trust is written."""
    idp = AssertingIdp(CLUSTER)
    with pytest.raises(Conflict, match="about workloads"):
        idp.trust_at(harness)
    people = AssertingIdp("https://people.example")
    people.trust_at(harness)
    with pytest.raises(Conflict, match="speaks for"):
        Platform("https://people.example").trust_at(harness, "other")
    with pytest.raises(Conflict, match="speaks for"):
        Platform().trust_at(harness, "again")
    text = Platform("https://people.example").assertion(harness, key=people.key.key)
    assert ask(harness, text).reason == "issuer_unknown"


def test_an_entry_is_changed_as_what_it_is(harness, cluster):
    AssertingIdp("https://people.example").trust_at(harness, "people")
    for operation, slug in ((trust.change, "cluster"), (workload_trust.change, "people")):
        with pytest.raises(Conflict, match="is trusted about"):
            harness.change(operation, slug, {"max_lifetime_seconds": 60})


def test_a_name_that_libraries_send_selects_nothing(harness, cluster):
    """WIF-01: `client_id` may repeat who it is; it is never whom the token is for."""
    sub = harness.claims(get(harness, cluster).access_token)["sub"]
    assert get(harness, cluster, {"client_id": "router"}).ok
    assert get(harness, cluster, {"client_id": sub}).ok
    service = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    for name in (service.client.id, harness.client_id, "Router", SUBJECT):
        answer = get(harness, cluster, {"client_id": name})
        assert (answer.error, answer.reason) == ("invalid_grant", "workload_client_id")
        assert answer.json["error_description"] == PUBLIC


def test_nobody_else_can_be_called_like_a_workload(harness):
    """decisions.md (Subjects)."""
    with pytest.raises(Invalid, match="wkl_"):
        harness.add_client(client_id="wkl_me")


# -- once, or until it expires ------------------------------------------------------------------------------


def test_it_is_good_once(harness, cluster):
    """WIF-03: `jti`."""
    text = cluster.assertion(harness)
    assert ask(harness, text).ok
    again = ask(harness, text)
    assert (again.error, again.reason) == ("invalid_grant", "workload_replayed")
    assert again.json["error_description"] == PUBLIC
    [event] = harness.events("token.refused")
    assert event["detail"]["reason"] == "workload_replayed"
    assert event["detail"]["workload"]["rule"] == "router"
    assert get(harness, cluster).ok


def test_twenty_at_once_are_one(harness, cluster):
    text, answers = cluster.assertion(harness), []
    barrier = threading.Barrier(20)

    def work():
        barrier.wait()
        answers.append(ask(harness, text))

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [answer.ok for answer in answers].count(True) == 1
    assert {answer.error for answer in answers if not answer.ok} == {"invalid_grant"}


def test_a_forgery_spends_nothing(harness, cluster):
    forged = cluster.assertion(harness, key=ClientKey("ES256").key, jti="fixed")
    assert ask(harness, forged).reason == "jwt_signature"
    assert get(harness, cluster, jti="fixed").ok


def test_equal_names_of_two_issuers_are_two(harness, cluster):
    other = Platform("https://second.example")
    other.trust_at(harness, "second")
    people = AssertingIdp("https://people.example")
    people.trust_at(harness, "people")
    made = harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )
    assert get(harness, cluster, jti="same").ok
    assert get(harness, other, jti="same").ok
    jag = people.assertion(harness, made.client.id, jti="same")
    fields = {"client_id": made.client.id, "client_secret": made.secret}
    assert ask(harness, jag, **fields).reason != "id_jag_replayed"


def test_reuse_is_a_switch_and_told(harness, platform):
    """CONF-01: for platforms that hand out the same token until it is old; every time is an event."""
    platform.trust_at(harness, assertion_reuse="until_exp")
    text = platform.assertion(harness)
    assert ask(harness, text).ok
    assert not harness.events("assertion.reused")
    assert ask(harness, text).ok
    [event] = harness.events("assertion.reused")
    assert event["detail"] == {"trust": "cluster"}
    assert event["subject"].startswith("wkl_")
    harness.clock.advance(minutes=7)
    assert ask(harness, text).reason == "jwt_expired"


def test_a_token_without_a_name_is_known_by_what_was_signed(harness, platform):
    """JWT-SVIDs have no `jti`; another signature under the same words is no other token (ECDSA has two)."""
    platform.trust_at(harness, assertion_reuse="until_exp")
    text = platform.assertion(harness, jti=None)
    head, _, signature = text.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    flipped = raw[:32] + (order - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    twin = f"{head}.{base64.urlsafe_b64encode(flipped).rstrip(b'=').decode()}"
    assert twin != text
    assert ask(harness, text).ok
    assert not harness.events("assertion.reused")
    assert ask(harness, twin).ok
    assert len(harness.events("assertion.reused")) == 1
    assert get(harness, platform, jti=None, extra="another").ok
    assert len(harness.events("assertion.reused")) == 1


# -- which workload -----------------------------------------------------------------------------------------


def test_a_rule_is_one_workload_and_two_are_two(harness, cluster):
    """M6: whoever is to be told apart has a rule of their own."""
    everybody = {**RULE, "subject": "system:serviceaccount:agents:*"}
    rules(harness, everybody)
    names = ("router", "writer")
    subs = {
        harness.claims(
            get(harness, cluster, sub=f"system:serviceaccount:agents:{name}").access_token
        )["sub"]
        for name in names
    }
    assert len(subs) == 1
    told = [event["detail"]["workload"]["asserted"] for event in harness.events("token.issued")]
    assert [text.rpartition(":")[2] for text in told] == list(names)
    rules(harness, *({**RULE, "name": it, "subject": f"a:{it}"} for it in names))
    subs |= {
        harness.claims(get(harness, cluster, sub=f"a:{name}").access_token)["sub"] for name in names
    }
    assert len(subs) == 2


def test_whom_two_rules_match_gets_nothing(harness, cluster):
    """WIF-02: the order of a list decides nothing."""
    wide = {**RULE, "name": "wide", "subject": "system:serviceaccount:agents:*"}
    for given in ([RULE, wide], [wide, RULE]):
        rules(harness, *given)
        answer = get(harness, cluster)
        assert (answer.error, answer.reason) == ("invalid_grant", "workload_ambiguous")
        assert get(harness, cluster, sub="system:serviceaccount:agents:other").ok


def test_an_entry_without_rules_lets_nobody_in(harness, cluster):
    """Whoever has to write the rule finds in the log what it is called."""
    rules(harness)
    mark = len(LOG.events)
    assert get(harness, cluster).reason == "workload_unknown"
    [told] = [event for event in LOG.events[mark:] if event["event"] == "workload.refused"]
    assert (told["trust"], told["asserted"]) == ("cluster", SUBJECT)


# -- for what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gives", "asked", "granted"),
    [
        ({"roles": ["developer"]}, None, {"logs.read"}),
        ({"roles": ["developer"]}, "analytics.query", {"analytics.query"}),
        ({"roles": ["developer"]}, "logs.read incidents.trigger", {"logs.read"}),
        ({"roles": ["developer"]}, "logs.read offline_access openid", {"logs.read"}),
        ({"roles": ["developer", "sre"]}, "incidents.trigger", {"incidents.trigger"}),
        ({"scopes": ["analytics.query"]}, "logs.read analytics.query", {"analytics.query"}),
        ({"scopes": ["logs.read", "not.declared"]}, "logs.read not.declared", {"logs.read"}),
        ({"scopes": ["logs.read"]}, None, {"logs.read"}),
    ],
    ids=str,
)
def test_scopes_are_what_all_agree_on(harness, cluster, gives, asked, granted):
    """WIF-02: the rule's, the server's and the request's; never more than was asked for."""
    rules(harness, {**{k: v for k, v in RULE.items() if k != "roles"}, **gives})
    answer = get(harness, cluster, {"scope": asked})
    assert answer.scopes == granted, answer.reason


@pytest.mark.parametrize(
    ("gives", "asked", "error", "reason"),
    [
        ({"roles": ["developer"]}, "incidents.trigger", "invalid_scope", "scope_not_held"),
        ({"roles": ["developer"]}, "no.such", "invalid_scope", "scope_unknown"),
        ({"roles": ["developer"]}, 'a"b', "invalid_scope", "scope_malformed"),
        ({"scopes": ["analytics.query"]}, "logs.read", "invalid_scope", "scope_not_held"),
        ({"scopes": ["analytics.query"]}, None, "access_denied", "nothing_granted"),
    ],
    ids=str,
)
def test_nothing_left_is_an_error(harness, cluster, gives, asked, error, reason):
    """WIF-04, CONF-03: told from a bad token, in the trail with the workload's name."""
    rules(harness, {**{k: v for k, v in RULE.items() if k != "roles"}, **gives})
    answer = get(harness, cluster, {"scope": asked})
    assert (answer.status, answer.error, answer.reason) == (400, error, reason)
    [event] = harness.events("token.refused")
    assert event["subject"] == event["client"]
    assert event["detail"]["workload"] == {
        "trust": "cluster",
        "rule": "router",
        "asserted": SUBJECT,
    }


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (None, "resource_missing"),
        ("", "resource_missing"),
        ("/mcp", "resource_malformed"),
        ("https://stranger.example/mcp", "resource_unknown"),
        (OTHER, "workload_resource"),
    ],
)
def test_a_token_is_for_one_server_of_the_rule(harness, cluster, asked, reason):
    """WIF-01: `resource` is required, and what else is registered here is not told."""
    if asked == OTHER:
        harness.add_resource(OTHER)
    answer = get(harness, cluster, {"resource": asked})
    assert (answer.error, answer.reason) == ("invalid_target", reason)
    if asked == OTHER:
        unknown = get(harness, cluster, {"resource": "https://stranger.example/mcp"})
        assert unknown.json == answer.json


def test_a_server_may_want_a_person_behind_every_token(harness, cluster):
    """M11, WIF-04."""
    harness.change(resources.set_identity, RESOURCE, "user_required")
    answer = get(harness, cluster)
    assert (answer.status, answer.error) == (400, "unauthorized_client")
    assert answer.reason == "user_required"
    [event] = harness.events("token.refused")
    assert event["detail"]["workload"]["rule"] == "router"


def test_nobody_goes_on_in_the_name_of_a_workload(harness, cluster):
    """TX-07: there is no grant of a person to carry to the next server, whatever the rules of exchanges say."""
    chain = Chain(harness)
    chain.allow_all()
    token = get(harness, cluster).access_token
    answer = chain.exchange(chain.ops, token, TICKETS)
    assert (answer.status, answer.error) == (400, "invalid_request")


def test_two_servers_at_once_are_refused(harness, cluster):
    """RI-03."""
    pairs = [("grant_type", JWT_BEARER), ("assertion", cluster.assertion(harness))]
    answer = harness.token([*pairs, ("resource", RESOURCE), ("resource", RESOURCE)])
    assert (answer.error, answer.reason) == ("invalid_target", "resource_repeated")


def test_a_rule_may_name_several_servers(harness, cluster):
    harness.add_resource(OTHER)
    rules(harness, {**RULE, "resources": [RESOURCE, OTHER]})
    for one in (RESOURCE, OTHER):
        answer = get(harness, cluster, {"resource": one})
        assert harness.claims(answer.access_token)["aud"] == one


def test_what_asks_for_a_sign_in_is_not_for_workloads(harness, cluster):
    """L9: a condition on a role or a scope is met by people alone."""
    harness.change(roles.require, role="developer", required=Requirement(max_age=60))
    answer = get(harness, cluster, {"scope": "logs.read"})
    assert (answer.error, answer.reason) == ("invalid_scope", "scope_not_held")
    named = NewScope(name="logs.read", requires=Requirement(acr=frozenset({"mfa"})))
    harness.add_resource(OTHER, scopes=(named, NewScope(name="logs.list")))
    given = {"resources": [OTHER], "scopes": ["logs.read", "logs.list"]}
    rules(harness, {**{k: v for k, v in RULE.items() if k != "roles"}, **given})
    fields = {"resource": OTHER, "scope": "logs.read logs.list"}
    assert get(harness, cluster, fields).scopes == {"logs.list"}


def test_limits_on_single_tools_hold(harness, cluster):
    """RAR-01: less than the scope, when it is asked for."""
    scope = NewScope(name="logs.read", is_default=True, tools=("search_logs", "tail_logs"))
    harness.add_resource(OTHER, scopes=(scope,))
    rules(harness, {**RULE, "resources": [OTHER]})
    limit = {"type": "mcp_tool", "locations": [OTHER], "tool": "search_logs"}
    fields = {"resource": OTHER, "authorization_details": json.dumps([limit])}
    answer = get(harness, cluster, fields)
    assert harness.claims(answer.access_token)["authorization_details"] == [limit]
    fields["authorization_details"] = json.dumps([{**limit, "tool": "drop_logs"}])
    assert get(harness, cluster, fields).error == "invalid_authorization_details"


def test_a_proof_binds_the_token(harness, cluster):
    """DPOP-01: what was stolen on the way is good for nobody else."""
    key = DpopKey()
    headers = {"DPoP": key.proof(f"{harness.issuer}/token", harness.clock())}
    answer = ask(harness, cluster.assertion(harness), headers)
    assert answer.json["token_type"] == "DPoP"
    assert harness.claims(answer.access_token)["cnf"] == {"jkt": key.jkt}
    again = ask(harness, cluster.assertion(harness), headers)
    assert again.error == "invalid_dpop_proof"


# -- what stands at its use ---------------------------------------------------------------------------------


def switch_off(harness, what):
    operation, arguments, values = {
        "entry": (trust.set_status, ("cluster", "disabled"), {}),
        "entry removed": (trust.remove, ("cluster",), {}),
        "rule": (workload_trust.disallow, ("cluster", "router"), {}),
        "server of the rule": (
            workload_trust.allow,
            ("cluster", {**RULE, "resources": [OTHER]}),
            {},
        ),
        "subject of the rule": (
            workload_trust.allow,
            ("cluster", {**RULE, "subject": "system:serviceaccount:agents:heir"}),
            {},
        ),
        "claims of the rule": (
            workload_trust.allow,
            ("cluster", {**RULE, "claims": {"kubernetes.io": {"namespace": "heirs"}}}),
            {},
        ),
        "server": (resources.set_status, (RESOURCE, "disabled"), {}),
    }[what]
    harness.change(operation, *arguments, **values)


OFF = [
    *("entry", "entry removed", "rule", "server", "server of the rule"),
    *("subject of the rule", "claims of the rule"),
]


@pytest.mark.parametrize("what", OFF)
def test_what_is_switched_off_is_asked_at_use(harness, cluster, what):
    """ATK-59: for the next token, and for the ones there are where a server asks."""
    harness.add_resource(OTHER)
    asking = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(resources.set_client, RESOURCE, asking.client.id)

    def is_active(token):
        fields = {"client_id": asking.client.id, "client_secret": asking.secret, "token": token}
        return harness.post("/introspect", fields).json["active"]

    token = get(harness, cluster).access_token
    assert is_active(token)
    switch_off(harness, what)
    assert not is_active(token)
    answer = get(harness, cluster)
    assert not answer.ok
    assert answer.error in ("invalid_grant", "invalid_target")


def test_what_ended_stays_ended(harness, cluster):
    """L8: also when the entry is believed again; and a rule that gets more ends nothing."""
    asking = harness.add_client(
        auth_method="client_secret_post", grant_types=("client_credentials",), redirect_uris=()
    )
    harness.change(resources.set_client, RESOURCE, asking.client.id)

    def is_active(token):
        fields = {"client_id": asking.client.id, "client_secret": asking.secret, "token": token}
        return harness.post("/introspect", fields).json["active"]

    token = get(harness, cluster).access_token
    harness.add_resource(OTHER)
    harness.change(workload_trust.allow, "cluster", {**RULE, "resources": [RESOURCE, OTHER]})
    assert is_active(token)
    for status in ("disabled", "active"):
        harness.change(trust.set_status, "cluster", status)
    assert not is_active(token)
    assert is_active(get(harness, cluster).access_token)


def test_introspection_is_for_the_server_it_is_for(harness, cluster):
    """INT-03: nobody authenticates as a workload, so nobody but its server can ask."""
    token = get(harness, cluster).access_token
    other = harness.add_client(auth_method="client_secret_post")
    fields = {"client_id": other.client.id, "client_secret": other.secret, "token": token}
    assert harness.post("/introspect", fields).json == {"active": False}
    sub = harness.claims(token)["sub"]
    assert harness.post("/introspect", {"client_id": sub, "token": token}).status == 401
    assert harness.post("/revoke", {"client_id": sub, "token": token}).status == 401


def test_a_role_that_is_gone_gives_nothing(harness, cluster):
    harness.import_roles("roles: {sre: [logs.read]}")
    answer = get(harness, cluster)
    assert (answer.error, answer.reason) == ("access_denied", "nothing_granted")


def test_trust_is_a_tenants_own(harness, server, cluster):
    """ATK-24."""
    text = cluster.assertion(harness)
    other = type(harness)(server)
    try:
        assert ask(other, text).reason == "issuer_unknown"
        cluster.trust_at(other)
        assert ask(other, text).reason == "jwt_aud"
        mine = harness.claims(get(harness, cluster).access_token)["sub"]
        assert other.claims(get(other, cluster).access_token)["sub"] != mine
    finally:
        other.close()


def test_what_is_no_setting_is_not_stored(harness, platform):
    with pytest.raises(NotFound, match="no role"):
        platform.trust_at(harness, rules=[{**RULE, "roles": ["nobody"]}])
    with pytest.raises(NotFound, match="no MCP server"):
        platform.trust_at(harness, rules=[{**RULE, "resources": [OTHER]}])
    with pytest.raises(Invalid, match="preset"):
        platform.trust_at(harness, preset="gitlab")
    assert harness.count(TrustedIssuer) == 0


# -- keys that are published --------------------------------------------------------------------------------


def test_keys_come_from_the_entry_and_follow_it(harness, platform):
    """WIF-02, ATK-49, ATK-50: one fetch, one more for an unknown name, and a withdrawn key ends."""
    host = f"keys.{harness.host}"
    platform.trust_at(harness, jwks_uri=platform.publish(harness, host))
    assert get(harness, platform).ok
    assert get(harness, platform).ok
    assert harness.web.count(host) == 1
    harness.clock.advance(minutes=2)
    for _ in range(3):
        assert get(harness, platform, header={"kid": "unknown"}).reason == "jwt_key_unknown"
    assert harness.web.count(host) == 2
    successor = Platform()
    harness.web.serve(host, Reply.json(successor.key.jwks))
    harness.clock.advance(hours=1, seconds=1)
    assert get(harness, platform).reason == "jwt_key_unknown"
    assert get(harness, successor).ok


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(500), "jwks_"),
        (Reply.json({"keys": []}), "jwks_"),
        (Reply.json({"keys": [ECKey.generate_key("P-256").as_dict(private=True)]}), "jwk_"),
        (Reply(200, b"x" * 300_000), "jwks_"),
        (Reply(302, headers={"Location": "https://elsewhere.example"}), "jwks_"),
    ],
    ids=["error", "none", "private", "huge", "elsewhere"],
)
def test_keys_that_are_no_keys_are_our_trouble_and_nobodys_news(harness, platform, reply, reason):
    host = f"bad.{harness.host}"
    uri = platform.publish(harness, host)
    harness.web.serve(host, reply)
    platform.trust_at(harness, jwks_uri=uri)
    answer = get(harness, platform)
    assert (answer.error, answer.json["error_description"]) == ("invalid_grant", PUBLIC)
    assert answer.reason.startswith(reason)


# -- platforms ----------------------------------------------------------------------------------------------

GITHUB_CLAIMS = {
    "sub": "repo:acme/tools:ref:refs/heads/main",
    "repository": "acme/tools",
    "repository_id": "123456789",
    "repository_owner_id": "9876543",
    "ref": "refs/heads/main",
    "event_name": "push",
    "kubernetes.io": None,
}
PLATFORMS = {
    "github-actions": (
        "https://token.actions.githubusercontent.com",
        "RS256",
        {
            **{k: v for k, v in RULE.items() if k != "claims"},
            "subject": "repo:acme/tools:ref:refs/heads/*",
            "claims": {"repository_id": "123456789", "event_name": "push"},
        },
        {**GITHUB_CLAIMS, "header": {"typ": "JWT"}},
        [
            {"repository_id": "123456780"},
            {"repository_id": 123456789},
            {"sub": "repo:acme/tools:pull_request", "event_name": "pull_request"},
            {"sub": "repo:forker/tools:ref:refs/heads/main"},
            {"event_name": "pull_request_target"},
        ],
    ),
    "kubernetes": (
        "https://kubernetes.default.svc.cluster.local",
        "RS256",
        RULE,
        {},
        [
            {"kubernetes.io": {"namespace": "other"}},
            {"sub": "system:serviceaccount:other:router"},
        ],
    ),
    "spiffe": (
        "spiffe://prod.acme.example",
        "ES256",
        {
            **{k: v for k, v in RULE.items() if k != "claims"},
            "subject": "spiffe://prod.acme.example/ns/agents/sa/router",
        },
        {
            "sub": "spiffe://prod.acme.example/ns/agents/sa/router",
            "jti": None,
            "nbf": None,
            "kubernetes.io": None,
            "header": {"typ": "JWT"},
        },
        [
            {"sub": "spiffe://test.acme.example/ns/agents/sa/router"},
            {"sub": "spiffe://prod.acme.example/ns/agents/sa/router/x"},
        ],
    ),
}


@pytest.mark.parametrize("preset", PLATFORMS)
def test_each_platform_by_its_preset(harness, preset):
    """Issue 5, part 5: as their tokens look, from keys that are published, and what each keeps out."""
    issuer, algorithm, rule, claims, others = PLATFORMS[preset]
    platform = Platform(issuer, algorithm)
    uri = platform.publish(harness, f"{preset}.{harness.host}")
    platform.trust_at(harness, preset=preset, jwks_uri=uri, rules=[rule])
    text = platform.assertion(harness, **claims)
    assert ask(harness, text).scopes == {"logs.read"}
    again = ask(harness, text)
    assert again.ok is (preset != "github-actions")
    for changed in others:
        answer = get(harness, platform, **{**claims, **changed})
        assert (answer.error, answer.reason) == ("invalid_grant", "workload_unknown"), changed


def test_nothing_of_a_token_is_kept(harness, cluster):
    """IDJAG-79: neither in the log nor in the trail."""
    mark, text = len(LOG.events), cluster.assertion(harness)
    ask(harness, text)
    ask(harness, text)
    kept = str(LOG.events[mark:]) + str(harness.events())
    assert text.rsplit(".")[2] not in kept


def test_metadata_says_that_and_not_whom(harness, platform):
    """IDJAG-77."""
    url = f"{harness.server.base}/.well-known/oauth-authorization-server/t/{harness.slug}"
    before = harness.http.get(url).json()
    assert JWT_BEARER in before["grant_types_supported"]
    platform.trust_at(harness)
    assert harness.http.get(url).json() == before
