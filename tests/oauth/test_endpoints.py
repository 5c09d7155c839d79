"""What endpoints prepare before their turn in the lane, and what comes of it: no server, no database, no network."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from urllib.parse import parse_qsl

import pytest

from authz import entropy
from authz.clients.authentication import Credentials
from authz.errors import (
    InvalidClient,
    InvalidRequest,
    InvalidTarget,
    OAuthError,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from authz.jose import JwtError, read_unverified
from authz.keys import ACCESS_TOKEN, INTROSPECTION, KeyRing
from authz.keys.backends import Surroundings
from authz.keys.custody import Custody, RemoteKey
from authz.oauth import (
    assertions,
    back_channel,
    device_authorization,
    introspection,
    par,
    refresh,
    revocation,
    silent,
    token,
)
from authz.oauth.authorization import Outcome
from authz.oauth.back_channel import BackChannel, Call, Caller
from authz.oauth.devices import user_code_digest
from authz.oauth.facts import Changes, Device, FactKeys, Facts, Pushed, Replay
from authz.oauth.grants import GRANTS
from authz.oauth.issuing import TOKEN_TYP
from authz.oauth.lane import Job
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.params import Params
from authz.oauth.trust import Trust, Trusts, TrustSettings
from authz.policy.snapshot import Connection
from authz.settings import load
from tests.oauth.test_grants import CODE, CONFIDENTIAL, FAMILY, ISSUED, WISH
from tests.support.arrange import REDIRECT, challenge
from tests.support.configured import (
    CLIENT,
    ISSUER,
    NOW,
    RESOURCE,
    TENANT_ID,
    configuration,
    policy,
)

CONFIGURATION = configuration()
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
CLAIMS = {"iss": ISSUER, "sub": "usr_1", "jti": "at_1", "client_id": CLIENT.id, "scope": "a"}


def channel(**server):
    overrides = {
        "server": {"issuer": "https://as.example", **server},
        "database": {"url": "sqlite:///x.db"},
        "keys": {"encryption_key": "env:KEY"},
    }
    settings = load(None, environment={}, overrides=overrides)
    # What asks the database and the lane is not reached: only what is prepared for them.
    return BackChannel(settings, None, None, None, lambda: NOW, None, None)


def caller(fields, *, client=CLIENT, jkt=None, configuration=CONFIGURATION):
    return Caller(configuration, client, Params(fields.items()), jkt, None)


def refused(kind, reason, made):
    with pytest.raises(kind) as refusal:
        made()
    assert refusal.value.reason == reason
    assert refusal.value.description.isascii()
    assert refusal.value.description != "None"


# -- pushed requests ----------------------------------------------------------------------------------------

REQUEST = {
    "response_type": "code",
    "client_id": CLIENT.id,
    "redirect_uri": REDIRECT,
    "state": "s",
    "code_challenge": challenge(),
    "code_challenge_method": "S256",
    "scope": "logs.read",
    "resource": RESOURCE.identifier,
}


def push(fields=REQUEST, **values):
    return par.PushEndpoint(channel())._prepare(caller(fields, **values))


def test_a_pushed_request_is_kept_for_a_while_without_how_its_client_proved_itself():
    """PAR-01, PAR-03, FAPI-02."""
    sent = {**REQUEST, "client_secret": "x", "client_assertion": "y", "client_assertion_type": "z"}
    job = push(sent)
    assert (job.configuration, job.client_id) == (CONFIGURATION, CLIENT.id)
    assert (job.keys, job.is_reading) == (FactKeys(), False)
    outcome = job.decide(Facts(), NOW)
    reference = outcome.answer
    assert reference.startswith("urn:ietf:params:oauth:request_uri:par_")
    [made] = outcome.changes.new_pushed
    assert outcome == Outcome(reference, Changes(new_pushed=(made,)))
    assert made == Pushed(
        digest=entropy.digest(reference),
        tenant_id=TENANT_ID,
        client_id=CLIENT.id,
        query=made.query,
        created_at=NOW,
        expires_at=NOW + timedelta(minutes=9),
    )
    assert dict(parse_qsl(made.query)) == REQUEST
    assert push(sent).decide(Facts(), NOW).answer != reference
    assert par.Reference(reference, None).expires_in == 540
    assert repr(par.Reference(reference, None)) == "Reference(***)"


def test_a_client_that_has_to_push_does_so_here():
    """PAR-04, RFC 9126 §6."""
    client = replace(CLIENT, metadata={"require_pushed_authorization_requests": True})
    assert push(client=client).decide(Facts(), NOW).answer
    assert par.Reference("x", None).expires_in == 540


def test_the_client_of_a_pushed_request_is_the_one_that_proved_it():
    """PAR-02: also where it only named itself in a header."""
    fields = {name: it for name, it in REQUEST.items() if name != "client_id"}
    query = push(fields).decide(Facts(), NOW).changes.new_pushed[0].query
    assert dict(parse_qsl(query))["client_id"] == CLIENT.id


THUMBPRINT = "k" * 43


def test_a_proof_binds_the_code_to_its_key():
    """DPOP-03, RFC 9449 §10.1: said or not, but never said otherwise."""
    for fields in (REQUEST, {**REQUEST, "dpop_jkt": THUMBPRINT}):
        [made] = push(fields, jkt=THUMBPRINT).decide(Facts(), NOW).changes.new_pushed
        assert dict(parse_qsl(made.query))["dpop_jkt"] == THUMBPRINT
    refused(
        InvalidRequest,
        "dpop_jkt_mismatch",
        lambda: push({**REQUEST, "dpop_jkt": "l" * 43}, jkt=THUMBPRINT),
    )
    [alone] = push({**REQUEST, "dpop_jkt": "l" * 43}).decide(Facts(), NOW).changes.new_pushed
    assert dict(parse_qsl(alone.query))["dpop_jkt"] == "l" * 43
    [free] = push().decide(Facts(), NOW).changes.new_pushed
    assert "dpop_jkt" not in free.query


def test_what_a_public_client_may_have_stored_is_bounded():
    """ATK-63."""
    bare = len(push().decide(Facts(), NOW).changes.new_pushed[0].query) + len("&a=&b=")
    fields = {**REQUEST, "a": "x" * 8000}
    assert push({**fields, "b": "x" * (par.MAX_REQUEST_CHARS - 8000 - bare)})
    refused(
        InvalidRequest,
        "request_too_long",
        lambda: push({**fields, "b": "x" * (par.MAX_REQUEST_CHARS - 8000 - bare + 1)}),
    )


def test_a_pushed_request_is_checked_when_it_is_pushed():
    """PAR-02, O21-05: where to return to, and all the rest."""
    for broken in ({"redirect_uri": "https://evil.example"}, {"code_challenge_method": "plain"}):
        with pytest.raises(OAuthError):
            push({**REQUEST, **broken})


# -- devices ------------------------------------------------------------------------------------------------

DEVICE_CLIENT = replace(CLIENT, grant_types=frozenset({DEVICE_GRANT, "refresh_token"}))
CODES = device_authorization._Codes("azd_1", "BCDF-GHJK")
USER_CODE = user_code_digest("BCDF-GHJK")


def ask(fields=None, client=DEVICE_CLIENT):
    asking = caller(fields or {"resource": RESOURCE.identifier}, client=client)
    return device_authorization._prepare(asking, codes=CODES, asked_from="192.0.2.1")


def test_a_device_waits_for_a_person():
    """DEV-01, DEV-02."""
    job = ask({"resource": RESOURCE.identifier, "scope": "logs.read offline_access"})
    assert (job.configuration, job.client_id) == (CONFIGURATION, CLIENT.id)
    assert job.keys == FactKeys(user_codes=frozenset({USER_CODE}))
    assert USER_CODE is not None
    made = Device(
        digest=entropy.digest("azd_1"),
        tenant_id=TENANT_ID,
        user_code=USER_CODE,
        client_id=CLIENT.id,
        resource_id=RESOURCE.id,
        requested=frozenset({"logs.read"}),
        offline_access=True,
        status="pending",
        poll_interval=5,
        polled_at=None,
        asked_from="192.0.2.1",
        created_at=NOW,
        expires_at=NOW + device_authorization.LIFETIME,
    )
    assert job.decide(Facts(), NOW) == Outcome(answer=True, changes=Changes(new_devices=(made,)))


def test_a_user_code_that_is_in_use_is_drawn_again():
    """DEV-03: in this tenant; another's are its own."""
    job = ask()
    taken = Facts(user_codes={(TENANT_ID, USER_CODE)})
    assert job.decide(taken, NOW) == Outcome(answer=False)
    assert job.decide(Facts(user_codes={("ten_2", USER_CODE)}), NOW).answer is True


def test_what_no_device_can_be_granted_is_refused_at_once():
    """DEV-01, RFC 9396 §5."""
    refused(UnauthorizedClient, "device_grant_not_allowed", lambda: ask(client=CLIENT))
    details = {"resource": RESOURCE.identifier, "authorization_details": "[]"}
    refused(InvalidRequest, "details_not_supported", lambda: ask(details))
    refused(InvalidTarget, "resource_unknown", lambda: ask({"resource": "https://x.example"}))
    with pytest.raises(OAuthError):
        ask({"resource": RESOURCE.identifier, "scope": "unheard.of"})
    assert "azd_1" not in repr(CODES)
    assert "BCDF" not in repr(CODES)


# -- introspection and revocation ---------------------------------------------------------------------------

REFRESH = refresh.spell(CONFIGURATION.refresh_key, FAMILY)
ACCESS = CONFIGURATION.keys.sign(ACCESS_TOKEN, "ES256", TOKEN_TYP, CLAIMS, NOW)


def look(text, client=CONFIDENTIAL):
    endpoint = introspection.Introspection(channel(), OwnTokens(), lambda: NOW)
    return endpoint._prepare(caller({"token": text}, client=client))


def give_back(text, client=CLIENT):
    endpoint = revocation.Revocation(channel(), OwnTokens(), lambda: NOW)
    return endpoint._prepare(caller({"token": text}, client=client))


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        (REFRESH, FactKeys(families=frozenset({"grt_1"}))),
        (ACCESS, FactKeys(tokens=frozenset({"at_1"}))),
        ("unheard of", FactKeys()),
    ],
    ids=["refresh", "access", "unknown"],
)
def test_a_token_is_looked_up_for_what_it_is(text, keys):
    """INT-03, INT-04, REV-01: and asking changes nothing."""
    job = look(text)
    assert (job.configuration, job.client_id) == (CONFIGURATION, CLIENT.id)
    assert (job.keys, job.is_reading) == (keys, True)
    job = give_back(text)
    assert (job.configuration, job.client_id) == (CONFIGURATION, CLIENT.id)
    assert (job.keys, job.is_reading) == (keys, keys == FactKeys())


@pytest.mark.parametrize("kind", [introspection.Introspection, revocation.Revocation])
def test_what_one_tenant_was_told_is_not_asked_for_another(kind):
    """M1."""
    tokens = OwnTokens()
    kind(channel(), tokens, lambda: NOW)._prepare(caller({"token": ACCESS}, client=CONFIDENTIAL))
    assert list(tokens._seen) == [(TENANT_ID, entropy.digest(ACCESS))]


FACTS = Facts(families={"grt_1": FAMILY}, tokens={"at_1": ISSUED})


def test_who_asks_is_told_and_who_gives_back_is_heard():
    """INT-01, REV-02, REV-03."""
    for text, active in [(REFRESH, True), (ACCESS, True), ("unheard of", False)]:
        body, asking = look(text).decide(FACTS, NOW).answer
        assert (body["active"], asking) == (active, CLIENT.id)
        outcome = give_back(text).decide(FACTS, NOW)
        assert outcome.answer is None
        assert bool(outcome.events) is active
    assert give_back("unheard of").decide(FACTS, NOW) == Outcome(None)


def test_a_name_is_no_authentication():
    """INT-01."""
    refused(InvalidClient, "client_is_public", lambda: look(ACCESS, client=CLIENT))
    for made in (look, give_back):
        refused(InvalidRequest, "token_missing", lambda made=made: made(""))


def test_a_signed_answer_is_no_access_token():
    """INT-06, RFC 9701 §5."""
    [known] = CONFIGURATION.keys.keys
    own = replace(known, life=replace(known.life, key_id="int", purpose=INTROSPECTION))
    signing = replace(CONFIGURATION, keys=KeyRing((known, own)))
    endpoint = introspection.Introspection(channel(), OwnTokens(), lambda: NOW)
    answer = introspection.Introspected({"active": True}, "cli_server", signing)
    header, claims = read_unverified(asyncio.run(endpoint.sign(answer)))
    assert header == {"alg": "ES256", "kid": "int", "typ": "token-introspection+jwt"}
    assert claims == {
        "iss": ISSUER,
        "aud": "cli_server",
        "iat": int(NOW.timestamp()),
        "token_introspection": {"active": True},
    }


def test_an_answer_is_signed_here_unless_the_key_of_answers_is_elsewhere():
    """V8: other keys in a store, and one that no longer signs, send nobody off the event loop."""
    [known] = CONFIGURATION.keys.keys
    there = replace(known, remote=RemoteKey("vault-transit", "k:1", "ES256", known.key))
    before = replace(known.life, key_id="old", purpose=INTROSPECTION, retire_at=NOW - timedelta(1))
    own = replace(known, life=replace(known.life, key_id="int", purpose=INTROSPECTION))
    custody = Custody(Surroundings(channel().settings, str.encode))
    ring = KeyRing((there, replace(there, life=before), own), custody)
    endpoint = introspection.Introspection(channel(), OwnTokens(), lambda: NOW)
    answer = introspection.Introspected(
        {"active": False}, "cli_server", replace(CONFIGURATION, keys=ring)
    )
    header, _ = read_unverified(asyncio.run(endpoint.sign(answer)))
    assert header["kid"] == "int"
    assert not ring.is_remote((INTROSPECTION,), NOW)
    custody.close()


# -- the token endpoint -------------------------------------------------------------------------------------


def test_a_grant_is_one_of_ours_and_of_the_clients():
    """O21-26."""
    grant = token._grant(Params([("grant_type", "refresh_token")]), CLIENT)
    assert grant is GRANTS["refresh_token"]
    refused(InvalidRequest, "grant_type_missing", lambda: token._grant(Params([]), CLIENT))
    refused(
        UnsupportedGrantType,
        "grant_type_unsupported",
        lambda: token._grant(Params([("grant_type", "password")]), CLIENT),
    )
    refused(
        UnauthorizedClient,
        "grant_type_not_allowed",
        lambda: token._grant(Params([("grant_type", "client_credentials")]), CLIENT),
    )


# -- what all of them have in common ------------------------------------------------------------------------


def test_a_resource_that_comes_twice_is_told_apart():
    """RI-03, ATK-10."""
    back_channel._refuse_repeated(Params([("a", "1"), ("resource", "x")]))
    twice = [("resource", "x"), ("resource", "y")]
    refused(
        InvalidTarget,
        "resource_repeated",
        lambda: back_channel._refuse_repeated(Params(twice)),
    )
    for pairs in ([("a", "1"), ("a", "2")], [*twice, ("a", "1"), ("a", "2")]):
        refused(
            InvalidRequest,
            "parameter_repeated",
            lambda pairs=pairs: back_channel._refuse_repeated(Params(pairs)),
        )


class Published:
    def __init__(self, kid):
        self.kid = kid


def test_only_the_keys_that_a_request_needs_are_fetched():
    """JB-24, MTLS-02: by name where the assertion has one; none for a secret."""
    named = CONFIGURATION.keys.sign(ACCESS_TOKEN, "ES256", "JWT", {"sub": "c"}, NOW)
    [key] = CONFIGURATION.keys.keys
    sought = back_channel._sought(CLIENT, Credentials("c", assertion=named), None)
    assert sought is not None
    assert sought(Published(key.life.key_id))
    assert not sought(Published("other"))
    assert not sought(object())
    assert back_channel._is_called(None, Published("other"))
    assert back_channel._is_called(7, object())
    assert back_channel._sought(CLIENT, Credentials("c", ("s",)), None) is None
    certificate = object()
    carrying = replace(CLIENT, auth_methods=frozenset({"self_signed_tls_client_auth"}))
    issued = replace(CLIENT, auth_methods=frozenset({"tls_client_auth"}))
    made = back_channel._sought(carrying, Credentials("c"), certificate)
    assert made is not None
    assert made.keywords == {"certificate": certificate}
    assert back_channel._sought(carrying, Credentials("c"), None) is None
    assert back_channel._sought(issued, Credentials("c"), certificate) is None


def test_an_endpoint_has_one_address_or_another_for_certificates():
    """DPOP-01, RFC 8705 §5."""
    assert channel()._addresses(CONFIGURATION, "/token") == (f"{ISSUER}/token",)
    aside = channel(
        client_certificate_header="Client-Cert",
        trusted_proxies=("127.0.0.1",),
        mtls_base="https://mtls.example",
    )
    expected = (f"{ISSUER}/token", "https://mtls.example/t/acme/token")
    assert aside._addresses(CONFIGURATION, "/token") == expected


def test_a_certificate_that_cannot_be_read_is_a_client_that_is_not_known():
    """MTLS-04."""
    refused(InvalidClient, "certificate_malformed", lambda: channel()._read("x"))


def test_a_call_prints_its_path_alone():
    """ATK-66."""
    call = Call("acme", "/token", Params([("client_secret", "x")]), None, "Basic secret")
    assert repr(call) == "Call('/token')"
    assert repr(CODES) == "_Codes(***)"
    assert repr(CONFIGURATION) == "TenantConfiguration('acme', version=7)"


FIRST = Replay("k1", NOW, None)
SECOND = Replay("k2", NOW, None)


def test_what_is_claimed_is_written():
    """ATK-49: reading alone is cheaper, but a replay key has to stay."""
    job = Job(CONFIGURATION, FactKeys(replays=(FIRST,)), lambda *_: None, "c", is_reading=True)
    assert job.with_replays((FIRST,)) is job
    more = job.with_replays((FIRST, SECOND))
    assert (more.keys.replays, more.is_reading) == ((FIRST, SECOND), False)
    none = job.with_replays(())
    assert (none.keys.replays, none.is_reading) == ((), True)
    assert replace(none, is_reading=False).with_replays((FIRST,)).is_reading is False
    assert (more.client_id, more.configuration) == ("c", CONFIGURATION)


def test_what_one_decision_changes_the_next_one_sees():
    """O21-07: within a batch."""
    spent = replace(FAMILY, generation=9)
    facts = Facts(families={"grt_1": FAMILY}, tokens={"at_1": ISSUED})
    device = ask().decide(Facts(), NOW).changes.new_devices[0]
    facts.apply(
        Changes(
            families=(spent,),
            new_families=(replace(FAMILY, id="grt_2"),),
            devices=(device,),
            new_devices=(device,),
            revoked_tokens=(replace(ISSUED, revoked_at=NOW),),
        )
    )
    assert facts.families == {"grt_1": spent, "grt_2": replace(FAMILY, id="grt_2")}
    assert facts.tokens == {"at_1": replace(ISSUED, revoked_at=NOW)}
    assert facts.devices == {device.digest: device}
    facts.apply(Changes(codes=(replace(CODE, spent_at=NOW),)))
    assert facts.codes == {CODE.digest: replace(CODE, spent_at=NOW)}
    assert facts.user_codes == {(TENANT_ID, device.user_code)}


def test_a_silent_request_asks_for_its_session_and_its_consent():
    asked = silent.SilentRequest(
        configuration=CONFIGURATION,
        client=CLIENT,
        request=WISH,
        address=None,
        session_digest="d1",
        code_lifetime=timedelta(seconds=60),
    )
    job = silent.job_of(asked)
    assert job.keys == FactKeys(
        sessions=frozenset({"d1"}), consents=frozenset({(CLIENT.id, RESOURCE.id)})
    )
    assert (job.configuration, job.client_id) == (CONFIGURATION, CLIENT.id)
    assert job.decide(Facts(), NOW) == Outcome(None)


# -- whose assertion it is ----------------------------------------------------------------------------------

TRUST = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", TrustSettings())
OTHER = replace(TRUST, id="trs_2", kind="another")
TRUSTING = configuration(
    trusts=Trusts({TRUST.issuer: (OTHER, TRUST), "https://b.example": (OTHER,)}),
    policy=policy(connections=[Connection("con_1", "okta", True)]),
)
HEADER = {"typ": "oauth-id-jag+jwt"}


def entry(header=HEADER, configured=TRUSTING, **claims):
    return assertions._entry(configured, header, {"iss": TRUST.issuer, **claims})


@pytest.mark.parametrize("typ", ["oauth-id-jag+jwt", "application/OAUTH-id-jag+jwt"])
def test_an_assertion_is_judged_by_the_entry_of_its_issuer(typ):
    """CONF-05, IDJAG-01, IDJAG-80."""
    assert entry({"typ": typ}) is TRUST


@pytest.mark.parametrize("typ", [None, 1, "JWT", "at+jwt", "application/at+jwt"])
def test_what_is_not_said_to_be_one_is_none(typ):
    """CONF-05: no second reading is ever tried."""
    with pytest.raises(JwtError) as refusal:
        entry({"typ": typ})
    assert refusal.value.reason == "jwt_typ"


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("id_jag_own_issuer", {"iss": ISSUER}),
        ("issuer_unknown", {"iss": "https://x.example"}),
        ("issuer_unknown", {"iss": "https://b.example"}),
        ("issuer_unknown", {"iss": None}),
        ("id_jag_tenant", {"tenant": "t1"}),
        (
            "connection_disabled",
            {
                "configured": replace(
                    TRUSTING, policy=policy(connections=[Connection("con_1", "okta", False)])
                )
            },
        ),
    ],
)
def test_an_issuer_nobody_trusts_now(reason, changed):
    """IDJAG-43, IDJAG-80, IDJAG-82, ATK-29."""
    with pytest.raises(assertions._Refused) as refusal:
        entry(**changed)
    assert refusal.value.reason == reason
