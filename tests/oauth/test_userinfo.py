"""The userinfo endpoint by table: which token may ask, and what it is told (OIDC-03, ATK-59)."""

from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from authz.errors import (
    InsufficientScope,
    InvalidDpopProof,
    InvalidRequest,
    InvalidToken,
    UseDpopNonce,
)
from authz.keys import ACCESS_TOKEN
from authz.oauth.back_channel import BackChannel
from authz.oauth.facts import FactKeys, Facts, IssuedToken, Person
from authz.oauth.own_tokens import OwnTokens
from authz.oauth.token_types import TOKEN_TYP
from authz.oauth.userinfo import REFUSED, Presented, UserInfo
from authz.policy.openid import userinfo_resource
from authz.settings import load
from tests.support.configured import CLIENT, ISSUER, NOW, TENANT_ID, configuration, policy
from tests.support.dpop_keys import DpopKey

OWN = userinfo_resource(ISSUER)
CONFIGURATION = configuration(policy=policy(builtin=[OWN]))
URI = f"{ISSUER}/userinfo"
KEY = DpopKey()
CLAIMS = {
    "iss": ISSUER,
    "sub": "usr_1",
    "aud": URI,
    "client_id": CLIENT.id,
    "jti": "at_1",
    "scope": "openid profile email",
    "exp": int(NOW.timestamp()) + 300,
}
TOKEN = IssuedToken(
    jti="at_1",
    tenant_id=TENANT_ID,
    client_id=CLIENT.id,
    subject="usr_1",
    resource_id=OWN.id,
    expires_at=NOW + timedelta(minutes=5),
    revoked_at=None,
    family_id="grt_1",
    family_revoked_at=None,
    connection_id=None,
    subject_enabled=True,
    client_kind="registered",
    client_status="active",
    client_ceiling=None,
)
PERSON = Person("usr_1", TENANT_ID, "dev@example.com", "Dev")


def endpoint(*, nonce=False):
    settings = load(
        None,
        environment={},
        overrides={
            "server": {"issuer": "https://as.example"},
            "database": {"url": "sqlite:///x.db"},
            "keys": {"encryption_key": "env:KEY"},
            "tokens": {"dpop_nonce": nonce},
        },
    )
    # What asks the database and the lane is not reached: only what is prepared for them.
    channel = BackChannel(settings, None, None, None, lambda: NOW, None, None)
    return UserInfo(channel, OwnTokens(), lambda: NOW)


def signed(**changed):
    claims = {name: it for name, it in {**CLAIMS, **changed}.items() if it is not None}
    return CONFIGURATION.keys.sign(ACCESS_TOKEN, "ES256", TOKEN_TYP, claims, NOW)


def prepared(*headers, dpop=(), nonce=False, method="GET"):
    presented, asked = Presented("acme", method, headers, dpop), endpoint(nonce=nonce)
    made = asked._prepare(presented, CONFIGURATION)
    assert {tenant for tenant, _ in asked._bearer._tokens._seen} == {TENANT_ID}
    return made


def told(token=TOKEN, person=PERSON, *, now=NOW, **changed):
    job, _ = prepared(f"Bearer {signed(**changed)}")
    facts = Facts(
        tokens={} if token is None else {token.jti: token},
        people={} if person is None else {person.id: person},
    )
    return job.decide(facts, now)


def test_whoever_signed_in_is_told_to_who_holds_the_token():
    """OIDC-03: nothing is recorded, and nothing changes."""
    job, replays = prepared(f"Bearer {signed()}")
    assert job.keys == FactKeys(tokens=frozenset({"at_1"}), people=frozenset({"usr_1"}))
    assert (job.client_id, job.is_reading, replays) == (CLIENT.id, True, ())
    assert job.configuration is CONFIGURATION
    outcome = told()
    assert outcome.answer == {
        "sub": "usr_1",
        "name": "Dev",
        "preferred_username": "dev@example.com",
        "email": "dev@example.com",
        "email_verified": False,
    }
    assert not outcome.events
    assert told(scope="openid").answer == {"sub": "usr_1"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_scheme_is_one_in_any_case(scheme):
    assert prepared(f"{scheme} {signed()}")[0].client_id == CLIENT.id


def refusal(kind, reason, made):
    with pytest.raises(kind) as refused:
        made()
    assert refused.value.reason == reason
    assert refused.value.description.isascii()
    return refused.value


@pytest.mark.parametrize("headers", [(), ("Bearer",), ("Bearer ",), ("Basic x",), ("bearer\tx",)])
def test_without_a_token(headers):
    made = refusal(InvalidToken, "token_missing", lambda: prepared(*headers))
    assert made.description == "an access token is needed"


def test_two_headers_are_one_too_many():
    refusal(InvalidRequest, "authorization_twice", lambda: prepared("Bearer a", "Bearer b"))


BOUND = signed(cnf={"jkt": KEY.jkt})
ATH = urlsafe_b64encode(sha256(BOUND.encode()).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("reason", "header"),
    [
        ("token_unknown", "Bearer x"),
        ("token_unknown", "Bearer x y"),
        ("token_audience", f"Bearer {signed(aud='https://mcp.example/mcp')}"),
        ("token_scheme", f"DPoP {signed()}"),
        ("token_scheme", f"Bearer {BOUND}"),
        ("token_bound_to_certificate", "Bearer " + signed(cnf={"x5t#S256": "c"})),
        ("dpop_proof_missing", f"DPoP {BOUND}"),
    ],
    ids=["unknown", "two", "other audience", "not bound", "bound", "certificate", "no proof"],
)
def test_a_token_that_is_not_for_this(reason, header):
    """OIDC-03, DPOP-05: one sentence for every defect of a token."""
    made = refusal(InvalidToken, reason, lambda: prepared(header))
    assert made.description == REFUSED


def proof(key=KEY, **changed):
    return key.proof(URI, NOW, **{"method": "GET", "ath": ATH, **changed})


def test_a_bound_token_comes_with_a_proof_of_its_key():
    """DPOP-01, DPOP-05."""
    _, [replay] = prepared(f"DPoP {BOUND}", dpop=(proof(),))
    assert isinstance(replay.refusal, InvalidDpopProof)
    other = DpopKey()
    refusal(
        InvalidToken, "binding_other_key", lambda: prepared(f"DPoP {BOUND}", dpop=(proof(other),))
    )
    for reason, changed in [
        ("dpop_htm", {"method": "POST"}),
        ("dpop_htu", {"htu": f"{ISSUER}/token"}),
        ("dpop_ath", {"ath": "x"}),
        ("dpop_iat", {"iat": int(NOW.timestamp()) - 121}),
    ]:
        refusal(
            InvalidDpopProof,
            reason,
            lambda c=changed: prepared(f"DPoP {BOUND}", dpop=(proof(**c),)),
        )


def test_a_nonce_is_demanded_where_it_is_configured():
    """DPOP-04."""
    refusal(
        UseDpopNonce,
        "dpop_nonce",
        lambda: prepared(f"DPoP {BOUND}", dpop=(proof(),), nonce=True),
    )


@pytest.mark.parametrize(
    ("reason", "changed"),
    [
        ("token_not_of_userinfo", {"token": None}),
        ("token_not_of_userinfo", {"person": None}),
        ("token_not_of_userinfo", {"token": replace(TOKEN, tenant_id="ten_2")}),
        ("token_not_of_userinfo", {"person": replace(PERSON, tenant_id="ten_2")}),
        ("token_not_of_userinfo", {"token": replace(TOKEN, resource_id="res_1")}),
        ("token_not_standing", {"token": replace(TOKEN, revoked_at=NOW)}),
        ("token_not_standing", {"token": replace(TOKEN, subject_enabled=False)}),
        ("token_not_standing", {"now": TOKEN.expires_at}),
    ],
)
def test_everything_the_token_stands_on_is_asked(reason, changed):
    """ATK-59."""
    made = refusal(InvalidToken, reason, lambda: told(**changed))
    assert made.description == REFUSED


def test_who_did_not_ask_for_it_is_not_told():
    refusal(InsufficientScope, "openid_missing", lambda: told(scope="profile openidx"))


def test_nothing_of_the_request_is_printed():
    assert repr(Presented("acme", "GET", ("Bearer secret",), ("proof",))) == "Presented('acme')"
