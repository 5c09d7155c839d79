"""The decisions of the token lane by table: hand-made facts in, an outcome out; no server and no database.

Each table begins with one good case, and each line breaks one thing of it. The flows show the same over sockets; these
say exactly what changes, what is recorded and what is not, at the edge of each comparison.
"""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from authz import entropy
from authz.audit.events import CodeIssued, FamilyRevoked, TokenIssued, TokenRefused, TokenRevoked
from authz.clients.trust import TrustPolicy
from authz.errors import InvalidDpopProof, InvalidGrant, InvalidRequest, OAuthError
from authz.jose import read_unverified
from authz.oauth import (
    authorization_details,
    bindings,
    introspection,
    issuing,
    refresh,
    revocation,
    silent,
)
from authz.oauth.asking import Asking
from authz.oauth.authorization import FreshNames, IdTokenRequest, TokenRequest
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.authorize import FAPI_CODE_LIFETIME, new_code
from authz.oauth.back_channel import Caller
from authz.oauth.facts import (
    BrowserSession,
    Changes,
    Code,
    FactKeys,
    Facts,
    Family,
    IssuedToken,
    StoredConsent,
)
from authz.oauth.grants import GRANTS, authorization_code, refresh_token
from authz.oauth.params import Params
from authz.policy.agents import Agent, Agents
from authz.policy.requirements import Requirement
from authz.policy.signals import ssf_resource
from authz.policy.snapshot import Connection, HeldRole, Scope
from authz.settings import Tokens
from tests.support.arrange import REDIRECT, VERIFIER, challenge
from tests.support.configured import CLIENT, ISSUER, NOW, RESOURCE, TENANT_ID, configuration, policy
from tests.support.signed_in import signed_in

TICK = timedelta(microseconds=1)
CONFIGURATION = configuration()
CONFIDENTIAL = replace(CLIENT, auth_methods=frozenset({"client_secret_basic"}))
FRESH = FreshNames(jti="at_new", family_id="grt_new", salt="salt")
LIFETIMES = Tokens()
DEVELOPER = {"usr_1": (HeldRole("rol_dev"),)}
BOTH = frozenset({"logs.read", "logs.write"})
CODE = Code(
    digest=entropy.digest("azc_1"),
    tenant_id=TENANT_ID,
    client_id=CLIENT.id,
    user_id="usr_1",
    resource_id=RESOURCE.id,
    redirect_uri=REDIRECT,
    code_challenge=challenge(),
    scopes=BOTH,
    requested=BOTH | {"admin"},
    offline_access=False,
    openid=None,
    nonce=None,
    authorization_details=None,
    dpop_jkt=None,
    auth_time=NOW - timedelta(minutes=5),
    acr="1",
    amr=("pwd",),
    connection_id=None,
    session_digest="d1",
    signed_in_at=NOW - timedelta(minutes=5),
    upstream_expires_at=None,
    created_at=NOW,
    expires_at=NOW + timedelta(seconds=60),
)
FAMILY = Family(
    id="grt_1",
    tenant_id=TENANT_ID,
    client_id=CLIENT.id,
    user_id="usr_1",
    resource_id=RESOURCE.id,
    scopes=BOTH,
    refreshable=True,
    salt="s",
    generation=3,
    rotated_at=NOW - timedelta(hours=1),
    auth_time=NOW - timedelta(days=1),
    acr=None,
    amr=("pwd",),
    connection_id=None,
    session_digest="d1",
    signed_in_at=NOW - timedelta(days=1),
    confirmation=None,
    authorization_details=None,
    created_at=NOW - timedelta(days=1),
    idle_expires_at=NOW + timedelta(days=1),
    expires_at=NOW + timedelta(days=30),
    revoked_at=None,
    revoked_because=None,
    consent_scopes=BOTH,
)
ISSUED = IssuedToken(
    jti="at_1",
    tenant_id=TENANT_ID,
    client_id=CLIENT.id,
    subject="usr_1",
    resource_id=RESOURCE.id,
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


def request(grant_type, fields, *, client=CLIENT, confirmation=None, configuration=CONFIGURATION):
    return TokenRequest(
        configuration=configuration,
        client=client,
        params=Params((n, v) for n, v in fields.items() if v is not None).only(
            GRANTS[grant_type].parameters
        ),
        lifetimes=LIFETIMES,
        confirmation=confirmation,
        fresh=FRESH,
    )


def decided(asked, facts, grant_type, now=NOW):
    """The outcome; a refusal that changes nothing is raised by some and returned by others, and read the same here."""
    GRANTS[grant_type].prepare(asked)
    try:
        return GRANTS[grant_type].decide(asked, facts, now)
    except OAuthError as error:
        return silent.Outcome(error)


SENTENCES = (authorization_code.REFUSED, refresh_token.REFUSED)


def reason(outcome):
    """Why it was refused; in public one sentence for every defect of what was presented."""
    if not isinstance(outcome.answer, OAuthError):
        return None
    assert outcome.answer.description.isascii()
    if isinstance(outcome.answer, InvalidGrant):
        assert outcome.answer.description in SENTENCES
    return outcome.answer.reason


# -- authorization_code -------------------------------------------------------------------------------------


def redeem(code=CODE, *, now=NOW, families=(), roles=DEVELOPER, fields=None, **values):
    sent = {"code": "azc_1", "code_verifier": VERIFIER, "redirect_uri": REDIRECT, **(fields or {})}
    facts = Facts(
        codes={code.digest: code}, families={family.id: family for family in families}, roles=roles
    )
    return decided(request("authorization_code", sent, **values), facts, "authorization_code", now)


def test_a_code_becomes_a_family_and_a_token():
    """O21-07, ATJ-02: everything that is stored, recorded and answered."""
    asked = request("authorization_code", {"code": "azc_1", "code_verifier": VERIFIER})
    assert GRANTS["authorization_code"].prepare(asked) == FactKeys(codes=frozenset({CODE.digest}))
    outcome = redeem()
    [family], [token], [spent] = (
        outcome.changes.new_families,
        outcome.changes.tokens,
        outcome.changes.codes,
    )
    assert spent == replace(CODE, spent_at=NOW, family_id="grt_new")
    assert not outcome.changes.families
    assert family == replace(
        FAMILY,
        id="grt_new",
        salt="salt",
        generation=1,
        rotated_at=NOW,
        auth_time=CODE.auth_time,
        signed_in_at=CODE.signed_in_at,
        acr="1",
        created_at=NOW,
        idle_expires_at=NOW + LIFETIMES.refresh_idle,
        expires_at=NOW + LIFETIMES.refresh_absolute,
        consent_scopes=None,
    )
    answer = outcome.answer
    assert answer.scopes == token.scopes == BOTH
    assert (answer.jti, answer.grant_id, token.family_id) == ("at_new", "grt_new", "grt_new")
    assert (answer.subject, answer.audience) == ("usr_1", RESOURCE.identifier)
    assert answer.expires_at == token.expires_at == NOW + LIFETIMES.access_token
    assert (answer.auth_time, answer.acr, answer.amr) == (CODE.auth_time, "1", ("pwd",))
    assert answer.refresh_token == refresh.spell(CONFIGURATION.refresh_key, family)
    assert answer.id_token is None
    [event] = outcome.events
    assert event == TokenIssued(
        subject="usr_1",
        client=CLIENT.id,
        grant_type="authorization_code",
        jti="at_new",
        grant_id="grt_new",
        resource=RESOURCE.identifier,
        scopes=["logs.read", "logs.write"],
        removed={"admin": "role_missing"},
        policy_version=7,
        refresh_token=True,
        retry=False,
        bound=None,
    )


BROKEN_CODES = [
    ("code_unknown", {"code": replace(CODE, digest="0" * 64)}),
    ("code_unknown", {"code": replace(CODE, tenant_id="ten_2")}),
    ("code_of_other_client", {"code": replace(CODE, client_id="cli_2")}),
    ("pkce_mismatch", {"fields": {"code_verifier": "b" * 43}}),
    ("binding_proof_missing", {"code": replace(CODE, dpop_jkt="k")}),
    ("binding_other_key", {"code": replace(CODE, dpop_jkt="k"), "confirmation": {"jkt": "l"}}),
    ("redirect_uri_mismatch", {"fields": {"redirect_uri": REDIRECT + "/"}}),
    ("code_spent", {"code": replace(CODE, spent_at=NOW)}),
    ("code_expired", {"now": CODE.expires_at}),
    ("resource_gone", {"code": replace(CODE, resource_id="res_2")}),
    ("resource_malformed", {"fields": {"resource": "x"}}),
    ("resource_not_authorized", {"fields": {"resource": "https://mcp.example/other"}}),
    ("subject_disabled", {"code": replace(CODE, subject_enabled=False)}),
    ("consent_revoked", {"code": replace(CODE, consent_stands=False)}),
    ("nothing_granted", {"roles": {}}),
    ("nothing_granted", {"client": replace(CLIENT, scope_ceiling=frozenset())}),
    ("nothing_granted", {"code": replace(CODE, scopes=frozenset({"admin"}))}),
]
BEFORE_THE_CODE_IS_PROVED = 6


@pytest.mark.parametrize(("expected", "broken"), BROKEN_CODES)
def test_a_code_with_one_defect_is_refused(expected, broken):
    """O21-07, CONF-14, MCP-AS-65: the reason, nothing issued, and who is known is recorded."""
    outcome = redeem(**broken)
    assert reason(outcome) == expected
    assert not outcome.changes.tokens
    assert not outcome.changes.new_families
    assert not outcome.changes.families
    position = BROKEN_CODES.index((expected, broken))
    if position < BEFORE_THE_CODE_IS_PROVED:
        assert not outcome.events
        assert not outcome.changes.codes
    else:
        code = broken.get("code", CODE)
        [event] = outcome.events
        assert event == TokenRefused(
            subject="usr_1",
            client=code.client_id,
            grant_type="authorization_code",
            error=outcome.answer.code,
            reason=expected,
            grant_id=None,
        )
        # The person's answer was used up; anything else leaves the code to its rightful use.
        spent = (replace(code, spent_at=NOW),) if expected == "nothing_granted" else ()
        assert outcome.changes.codes == spent


@pytest.mark.parametrize(
    ("good", "scopes"),
    [
        ({"now": CODE.expires_at - TICK}, BOTH),
        ({"fields": {"redirect_uri": None}}, BOTH),
        ({"fields": {"resource": "https://MCP.example:443/mcp"}}, BOTH),
        ({"code": replace(CODE, dpop_jkt="k"), "confirmation": {"jkt": "k"}}, BOTH),
        ({"code": replace(CODE, scopes=frozenset({"logs.write"}))}, {"logs.write"}),
        ({"code": replace(CODE, requested=None)}, {"logs.read"}),
        ({"client": replace(CLIENT, scope_ceiling=frozenset({"logs.read"}))}, {"logs.read"}),
    ],
)
def test_a_code_that_is_just_good_enough(good, scopes):
    outcome = redeem(**good)
    assert reason(outcome) is None
    assert outcome.answer.scopes == scopes


def test_a_replay_with_everything_right_ends_the_family():
    """O21-08: once, and only the family this code made."""
    spent = replace(CODE, spent_at=NOW - TICK, family_id="grt_1")
    outcome = redeem(spent, families=[FAMILY, replace(FAMILY, id="grt_2")])
    assert reason(outcome) == "code_spent"
    ended = replace(FAMILY, revoked_at=NOW, revoked_because="code_replayed")
    assert outcome.changes == Changes(families=(ended,))
    refusal, revoked = outcome.events
    assert isinstance(refusal, TokenRefused)
    assert refusal.grant_id == "grt_1"
    assert revoked == FamilyRevoked(
        subject="usr_1", client=CLIENT.id, grant_id="grt_1", reason="code_replayed"
    )
    again = redeem(spent, families=[ended])
    assert reason(again) == "code_spent"
    assert again.changes == Changes()
    wrong = redeem(spent, families=[FAMILY], fields={"code_verifier": "b" * 43})
    assert (reason(wrong), wrong.changes) == ("pkce_mismatch", Changes())


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"code": None}, "code_missing"),
        ({"code_verifier": None}, "code_verifier_missing"),
        ({"code_verifier": "short"}, "verifier_malformed"),
    ],
)
def test_a_request_that_cannot_be_about_a_code(fields, expected):
    sent = {"code": "azc_1", "code_verifier": VERIFIER, **fields}
    with pytest.raises(InvalidRequest) as refusal:
        GRANTS["authorization_code"].prepare(request("authorization_code", sent))
    assert refusal.value.reason == expected
    assert refusal.value.description.isascii()


@pytest.mark.parametrize(
    ("client", "offline_access", "given"),
    [
        (CLIENT, False, True),
        (replace(CLIENT, grant_types=frozenset({"authorization_code"})), False, False),
        (replace(CLIENT, grant_types=frozenset({"authorization_code"})), True, True),
    ],
)
def test_who_gets_a_refresh_token(client, offline_access, given):
    """MCP-AS-80."""
    outcome = redeem(replace(CODE, offline_access=offline_access), client=client)
    assert (outcome.answer.refresh_token is not None) is given
    assert outcome.changes.new_families[0].refreshable is given
    assert outcome.events[0].refresh_token is given


def test_what_a_code_carries_reaches_the_token():
    """RAR-01, OIDC-02, DPOP-02."""
    details = [{"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "undeclared"}]
    carrying = replace(
        CODE,
        openid=frozenset({"openid", "profile"}),
        nonce="n",
        authorization_details=details,
        name="Dev",
    )
    outcome = redeem(carrying, confirmation={"jkt": "k"})
    assert outcome.answer.id_token == IdTokenRequest(
        "ES256", "n", {"name": "Dev", "preferred_username": ""}
    )
    assert outcome.answer.authorization_details == details
    assert outcome.answer.confirmation == {"jkt": "k"}
    assert outcome.changes.new_families[0].confirmation == {"jkt": "k"}
    assert outcome.events[0].bound == "dpop"


def test_no_lifetime_outlives_the_authorization():
    """O21-18: idle and access token end with the family at the latest."""
    short = replace_lifetimes(refresh_absolute=timedelta(seconds=30))
    asked = replace(
        request("authorization_code", {"code": "azc_1", "code_verifier": VERIFIER}), lifetimes=short
    )
    outcome = decided(
        asked, Facts(codes={CODE.digest: CODE}, roles=DEVELOPER), "authorization_code"
    )
    [family] = outcome.changes.new_families
    end = NOW + timedelta(seconds=30)
    assert family.expires_at == family.idle_expires_at == outcome.answer.expires_at == end


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        (None, NOW + LIFETIMES.refresh_absolute),
        (NOW + timedelta(minutes=1), NOW + timedelta(minutes=1)),
        (NOW + LIFETIMES.refresh_absolute + TICK, NOW + LIFETIMES.refresh_absolute),
    ],
    ids=["no end", "soon", "later"],
)
def test_nothing_outlives_the_session_at_the_identity_provider(upstream, expected):
    """OIDC-08."""
    [family] = redeem(replace(CODE, upstream_expires_at=upstream)).changes.new_families
    assert family.expires_at == expected
    assert family.idle_expires_at == min(expected, NOW + LIFETIMES.refresh_idle)


def replace_lifetimes(**changes):
    return LIFETIMES.model_copy(update=changes)


# -- refresh_token ------------------------------------------------------------------------------------------

TOKEN = refresh.spell(CONFIGURATION.refresh_key, FAMILY)
EARLIER = refresh.spell(CONFIGURATION.refresh_key, replace(FAMILY, generation=2))
LATER = refresh.spell(CONFIGURATION.refresh_key, replace(FAMILY, generation=4))


def renew(family=FAMILY, *, token=TOKEN, now=NOW, roles=DEVELOPER, fields=None, **values):
    sent = {"refresh_token": token, **(fields or {})}
    facts = Facts(families={"grt_1": family}, roles=roles)
    return decided(request("refresh_token", sent, **values), facts, "refresh_token", now)


def test_a_refresh_token_is_spent_for_its_successor():
    """O21-16: rotation, and a token for what the grant holds."""
    asked = request("refresh_token", {"refresh_token": TOKEN})
    assert GRANTS["refresh_token"].prepare(asked) == FactKeys(families=frozenset({"grt_1"}))
    outcome = renew()
    rotated = replace(
        FAMILY, generation=4, rotated_at=NOW, idle_expires_at=NOW + LIFETIMES.refresh_idle
    )
    assert outcome.changes.families == (rotated,)
    assert not outcome.changes.new_families
    assert not outcome.changes.codes
    assert outcome.answer.refresh_token == LATER
    assert outcome.answer.scopes == BOTH
    assert outcome.answer.id_token is None
    [event] = outcome.events
    assert (event.grant_type, event.retry, event.removed) == ("refresh_token", False, {})
    [token] = outcome.changes.tokens
    assert (token.family_id, token.issued_at) == ("grt_1", NOW)
    assert (token.jti, token.tenant_id) == ("at_new", TENANT_ID)


def test_idleness_is_bounded_by_the_authorization():
    last = replace(FAMILY, expires_at=NOW + timedelta(minutes=5))
    outcome = renew(last)
    assert outcome.changes.families[0].idle_expires_at == last.expires_at
    assert outcome.answer.expires_at == last.expires_at


KEY = {"jkt": "k"}
CERTIFICATE = {"x5t#S256": "c"}
BROKEN_FAMILIES = [
    ("refresh_unknown", {"family": replace(FAMILY, tenant_id="ten_2")}),
    ("refresh_unknown", {"token": TOKEN.replace("grt_1", "grt_2")}),
    ("refresh_forged", {"token": TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B")}),
    ("refresh_forged", {"token": LATER}),
    ("refresh_forged", {"family": replace(FAMILY, salt="other")}),
    ("refresh_of_other_client", {"family": replace(FAMILY, client_id="cli_2")}),
    (
        "family_revoked:logout",
        {"family": replace(FAMILY, revoked_at=NOW, revoked_because="logout")},
    ),
    ("refresh_not_granted", {"family": replace(FAMILY, refreshable=False)}),
    ("refresh_expired", {"now": FAMILY.idle_expires_at}),
    (
        "refresh_expired",
        {"family": replace(FAMILY, expires_at=NOW, idle_expires_at=NOW + timedelta(1))},
    ),
    ("binding_proof_missing", {"family": replace(FAMILY, confirmation=KEY)}),
    (
        "binding_other_key",
        {"family": replace(FAMILY, confirmation=KEY), "confirmation": {"jkt": "l"}},
    ),
    ("binding_certificate_missing", {"family": replace(FAMILY, confirmation=CERTIFICATE)}),
    ("refresh_reused", {"token": EARLIER}),
    ("subject_disabled", {"family": replace(FAMILY, subject_enabled=False)}),
    ("consent_revoked", {"family": replace(FAMILY, consent_scopes=None)}),
    ("resource_gone", {"family": replace(FAMILY, resource_id="res_2")}),
    ("resource_not_authorized", {"fields": {"resource": "https://mcp.example/"}}),
    ("scope_malformed", {"fields": {"scope": "a  b"}}),
    ("scope_widened", {"fields": {"scope": "logs.read admin"}}),
    ("nothing_granted", {"roles": {}}),
    ("nothing_granted", {"family": replace(FAMILY, consent_scopes=frozenset())}),
    ("nothing_granted", {"client": replace(CLIENT, scope_ceiling=frozenset({"admin"}))}),
]


@pytest.mark.parametrize(("expected", "broken"), BROKEN_FAMILIES)
def test_a_refresh_with_one_defect_is_refused(expected, broken):
    """O21-16, O21-17, ATK-73: nothing rotates; only genuine reuse ends a family."""
    outcome = renew(**broken)
    assert reason(outcome) == expected
    assert not outcome.changes.tokens
    family = broken.get("family", FAMILY)
    if expected == "refresh_reused":
        ended = replace(family, revoked_at=NOW, revoked_because="refresh_reused")
        assert outcome.changes == Changes(families=(ended,))
        assert outcome.events[1:] == (
            FamilyRevoked(
                subject="usr_1", client=CLIENT.id, grant_id="grt_1", reason="refresh_reused"
            ),
        )
    else:
        assert outcome.changes == Changes()
    is_genuine = not expected.startswith(
        ("refresh_unknown", "refresh_forged", "refresh_of_other_client")
    )
    if is_genuine:
        assert outcome.events[0] == TokenRefused(
            subject="usr_1",
            client=CLIENT.id,
            grant_type="refresh_token",
            error=outcome.answer.code,
            reason=expected,
            grant_id="grt_1",
        )
    else:
        assert not outcome.events


@pytest.mark.parametrize(
    ("good", "scopes"),
    [
        ({"now": FAMILY.idle_expires_at - TICK}, BOTH),
        ({"fields": {"scope": "logs.read"}}, {"logs.read"}),
        ({"fields": {"scope": "logs.read openid"}}, {"logs.read"}),
        ({"fields": {"scope": "offline_access"}}, BOTH),
        ({"fields": {"resource": RESOURCE.identifier}}, BOTH),
        ({"family": replace(FAMILY, consent_scopes=frozenset({"logs.read"}))}, {"logs.read"}),
        ({"family": replace(FAMILY, confirmation=KEY), "confirmation": KEY}, BOTH),
        (
            {
                "family": replace(FAMILY, confirmation=KEY),
                "confirmation": {"jkt": "l"},
                "client": CONFIDENTIAL,
            },
            BOTH,
        ),
    ],
)
def test_a_refresh_that_is_just_good_enough(good, scopes):
    outcome = renew(**good)
    assert reason(outcome) is None
    assert outcome.answer.scopes == scopes
    assert outcome.changes.families[0].scopes == BOTH, "a narrower token narrows no grant"


@pytest.mark.parametrize(
    ("ago", "token", "expected"),
    [
        (timedelta(0), EARLIER, None),
        (LIFETIMES.retry_window, EARLIER, None),
        (LIFETIMES.retry_window + TICK, EARLIER, "refresh_reused"),
        (
            timedelta(0),
            refresh.spell(CONFIGURATION.refresh_key, replace(FAMILY, generation=1)),
            "refresh_reused",
        ),
    ],
)
def test_a_retry_gets_the_same_successor_for_a_while(ago, token, expected):
    """CONF-09: the family stays as it is, and the event says that it was a retry."""
    family = replace(FAMILY, rotated_at=NOW - ago)
    outcome = renew(family, token=token)
    assert reason(outcome) == expected
    if expected is None:
        assert outcome.changes.families == (family,)
        assert outcome.answer.refresh_token == TOKEN
        assert outcome.events[0].retry


def test_under_fapi_a_token_stays():
    """CONF-09, FAPI 2.0 §5.3.2.1."""
    fapi = replace(CONFIDENTIAL, metadata={"fapi": True})
    outcome = renew(client=fapi)
    idle = NOW + LIFETIMES.refresh_idle
    assert outcome.changes.families == (replace(FAMILY, idle_expires_at=idle),)
    assert outcome.answer.refresh_token == TOKEN


def test_a_text_that_is_no_refresh_token():
    with pytest.raises(InvalidGrant) as refusal:
        GRANTS["refresh_token"].prepare(request("refresh_token", {"refresh_token": "azr_x"}))
    assert refusal.value.reason == "refresh_malformed"
    assert refusal.value.description == refresh_token.REFUSED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "azr_",
        "azr_a.1.",
        "azr_.1.m",
        "azr_a.0.m",
        "azr_a.01.m",
        "azr_a.+1.m",
        "azr_a.1.m.n",
        "azr_a.١.m",
        "azr_a.1000000001.m",
        "azr_a.11111111111.m",
        "azr_a.00000000001.m",
        f"azr_{'a' * 65}.1.m",
        "x.1.m",
    ],
)
def test_what_cannot_be_a_refresh_token(text):
    assert refresh.parse(text) is None


def test_what_can_be_a_refresh_token():
    assert refresh.parse(f"azr_{'a' * 64}.1000000000.m") == refresh.Presented("a" * 64, 10**9, "m")


# -- what is recorded, and what the sign-in has to be -------------------------------------------------------

DEMANDING = replace(
    RESOURCE,
    scopes={
        **RESOURCE.scopes,
        "logs.write": Scope(
            "logs.write",
            requires=Requirement(acr=frozenset({"1"}), max_age=7 * 24 * 3600),
            tools=("rotate",),
        ),
    },
)
MINDING = replace(CONFIGURATION, policy=policy(resources=[DEMANDING]))
STRONG = replace(FAMILY, acr="1")


@pytest.mark.parametrize(
    "outcome",
    [lambda: redeem(configuration=MINDING), lambda: renew(STRONG, configuration=MINDING)],
    ids=["code", "refresh"],
)
def test_the_stored_decision_names_everybody(outcome):
    """Item 4, S15: whose, through which client, and how they signed in."""
    outcome = outcome()
    [token] = outcome.changes.tokens
    record = json.loads(token.decision)
    assert (record["subject"], record["client"]) == ("usr_1", CLIENT.id)
    assert (record["resource"], token.resource_id) == (RESOURCE.identifier, RESOURCE.id)
    assert record["granted"].keys() == BOTH
    assert (record["signed_in"]["acr"], record["signed_in"]["connection"]) == ("1", "local")
    assert outcome.answer.tells_resource is outcome.answer.is_exchanged is False
    body = issuing.response(outcome.answer, MINDING, algorithm="ES256")
    assert body.keys() == {"access_token", "token_type", "expires_in", "scope", "refresh_token"}
    assert outcome.events[0].retry is False


@pytest.mark.parametrize(
    "outcome",
    [
        lambda: redeem(replace(CODE, acr="2"), configuration=MINDING),
        lambda: renew(replace(FAMILY, acr="2"), configuration=MINDING),
        lambda: renew(
            replace(STRONG, auth_time=NOW - timedelta(days=7, seconds=1)), configuration=MINDING
        ),
    ],
    ids=["code", "refresh", "old refresh"],
)
def test_a_sign_in_that_does_not_do_for_a_scope_takes_it_away(outcome):
    """S15, M7."""
    outcome = outcome()
    assert outcome.answer.scopes == {"logs.read"}
    assert outcome.events[0].removed["logs.write"] in ("acr_insufficient", "authentication_too_old")


@pytest.mark.parametrize(("enabled", "expected"), [(True, None), (False, "nothing_granted")])
def test_whose_word_a_grant_stands_on_still_counts_or_nothing_does(enabled, expected):
    """ATK-29: of the connection they signed in with, whatever the grant."""
    there = replace(
        CONFIGURATION, policy=policy(connections=[Connection("con_1", "okta", enabled)])
    )
    code, family = replace(CODE, connection_id="con_1"), replace(FAMILY, connection_id="con_1")
    assert reason(redeem(code, configuration=there)) == expected
    assert reason(renew(family, configuration=there)) == expected


def test_a_group_gives_what_its_role_gives():
    """L3."""
    grouped = replace(
        CONFIGURATION.policy,
        group_roles={"g1": (HeldRole("rol_dev"),)},
        groups={"g1": "ops"},
    )
    facts = Facts(codes={CODE.digest: CODE}, groups={"usr_1": frozenset({"g1"})})
    sent = {"code": "azc_1", "code_verifier": VERIFIER}
    asked = request(
        "authorization_code", sent, configuration=replace(CONFIGURATION, policy=grouped)
    )
    assert decided(asked, facts, "authorization_code").answer.scopes == BOTH
    stranger = Facts(codes={CODE.digest: CODE}, groups={"usr_2": frozenset({"g1"})})
    assert reason(decided(asked, stranger, "authorization_code")) == "nothing_granted"


AGENT = Agent(
    "agt_1", "bot", "usr_9", True, frozenset({RESOURCE.id}), frozenset({"logs.read"}), NOW + TICK
)


@pytest.mark.parametrize(
    ("agent", "scopes"),
    [
        (AGENT, {"logs.read"}),
        (replace(AGENT, scope_ceiling=None), BOTH),
        (replace(AGENT, expires_at=NOW), None),
        (replace(AGENT, enabled=False), None),
        (replace(AGENT, resources=frozenset()), None),
    ],
    ids=["ceiling", "free", "over", "stopped", "elsewhere"],
)
def test_an_agent_bounds_what_its_client_gets(agent, scopes):
    """M6: by code and at each refresh; and its end is the token's."""
    bounded = replace(CONFIGURATION, agents=Agents({CLIENT.id: agent}))
    for made in (redeem(configuration=bounded), renew(configuration=bounded)):
        if scopes is None:
            assert reason(made) == "nothing_granted"
            continue
        assert made.answer.scopes == scopes
        assert made.answer.expires_at == NOW + TICK
        assert made.events[0].agent == "agt_1"
    others = replace(CONFIGURATION, agents=Agents({"cli_other": replace(agent, enabled=False)}))
    assert redeem(configuration=others).answer.scopes == BOTH
    standing = look(configuration=bounded)["active"]
    assert standing is agent.is_live(NOW)


ROTATE = {"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "rotate"}
NARROW = {**ROTATE, "arguments": {"service": ["a"]}}


@pytest.mark.parametrize(
    ("held", "sent", "expected"),
    [
        ([ROTATE], {}, [ROTATE]),
        ([NARROW], {}, [NARROW]),
        ([ROTATE], {"authorization_details": json.dumps([NARROW])}, [NARROW]),
        ([ROTATE], {"scope": "logs.read"}, None),
        ([NARROW], {"authorization_details": json.dumps([ROTATE])}, "details_widened"),
        ([ROTATE], {"authorization_details": "[]"}, "details_count"),
    ],
)
def test_a_refresh_carries_what_was_held_or_less(held, sent, expected):
    """RAR-03: details fall with their scope, and the grant keeps what it holds."""
    outcome = renew(replace(STRONG, authorization_details=held), fields=sent, configuration=MINDING)
    if isinstance(expected, str):
        assert reason(outcome) == expected
        return
    assert outcome.answer.authorization_details == expected
    assert outcome.changes.families[0].authorization_details == held


def test_a_code_leaves_limits_of_scopes_that_are_not_granted():
    """RAR-03."""
    limited = replace(CODE, authorization_details=[ROTATE], scopes=frozenset({"logs.read"}))
    assert redeem(limited, configuration=MINDING).answer.authorization_details is None
    kept = replace(CODE, authorization_details=[ROTATE])
    assert redeem(kept, configuration=MINDING).answer.authorization_details == [ROTATE]


def test_more_than_the_grant_holds_is_told_as_such():
    """O21-16: also where policy would give it now; exactly what it holds is not more."""
    assert renew(fields={"scope": "logs.read logs.write"}).answer.scopes == BOTH
    held = replace(FAMILY, scopes=frozenset({"logs.read"}), consent_scopes=BOTH)
    assert renew(held).answer.scopes == {"logs.read"}
    assert reason(renew(held, fields={"scope": "logs.write"})) == "scope_widened"


# -- client_credentials -------------------------------------------------------------------------------------

SERVICE = replace(CONFIDENTIAL, grant_types=frozenset({"client_credentials"}))
WORKING = replace(
    CONFIGURATION, policy=policy(client_roles=[(SERVICE.id, "rol_dev", NOW + timedelta(1))])
)


def act(fields=None, *, client=SERVICE, configuration=WORKING, now=NOW, **values):
    asked = request(
        "client_credentials", fields or {}, client=client, configuration=configuration, **values
    )
    return decided(asked, Facts(), "client_credentials", now)


def test_a_client_acts_for_itself():
    """O21-28, O21-29."""
    outcome = act({"scope": "logs.write admin"}, confirmation=KEY)
    answer = outcome.answer
    assert (answer.subject, answer.client_id) == (SERVICE.id, SERVICE.id)
    assert answer.scopes == {"logs.write"}
    assert answer.refresh_token is answer.auth_time is answer.id_token is None
    assert answer.expires_at == NOW + LIFETIMES.access_token
    [token] = outcome.changes.tokens
    assert outcome.changes == Changes(tokens=(token,))
    assert token.family_id == "grt_new"
    [event] = outcome.events
    assert (event.removed, event.bound) == ({"admin": "role_missing"}, "dpop")
    assert not event.refresh_token
    record = json.loads(token.decision)
    assert (record["subject"], record["client"]) == (SERVICE.id, SERVICE.id)
    assert (token.resource_id, event.grant_type) == (RESOURCE.id, "client_credentials")
    prepared = GRANTS["client_credentials"].prepare(
        request("client_credentials", {}, client=SERVICE, configuration=WORKING)
    )
    assert prepared == FactKeys()
    assert act().answer.scopes == {"logs.read"}, "the resource's defaults"


@pytest.mark.parametrize(("ends_at", "expected"), [(NOW + TICK, None), (NOW, "nothing_granted")])
def test_an_agent_that_has_ended_gets_nothing_by_itself_or_silently(ends_at, expected):
    """M6."""
    agent = replace(AGENT, expires_at=ends_at)
    assert (
        reason(act(configuration=replace(WORKING, agents=Agents({SERVICE.id: agent})))) == expected
    )
    bounded = replace(CONFIGURATION, agents=Agents({CLIENT.id: agent}))
    wish = replace(WISH, requested=frozenset({"logs.read"}))
    assert (pass_silently(wish, configuration=bounded).answer is None) is (expected is not None)


SSF = ssf_resource(ISSUER)
TRANSMITTING = policy(
    resources=[replace(RESOURCE, client_id=SERVICE.id)],
    client_roles=[(SERVICE.id, "rol_dev", None)],
    builtin=[SSF],
)


@pytest.mark.parametrize(
    ("client_id", "resource", "expected"),
    [
        (SERVICE.id, SSF.identifier, {"ssf.read", "ssf.manage"}),
        (SERVICE.id, RESOURCE.identifier, {"logs.read"}),
        (SERVICE.id, None, {"logs.read"}),
        (SERVICE.id, f"{SSF.identifier}/", "resource_unknown"),
        ("cli_2", SSF.identifier, "resource_unknown"),
        (SERVICE.id, ISSUER, "resource_unknown"),
    ],
)
def test_streams_are_managed_by_clients_of_servers_alone(client_id, resource, expected):
    """SSF-05: to everybody else there is no such resource."""
    client = replace(SERVICE, id=client_id)
    configuration = replace(CONFIGURATION, policy=TRANSMITTING)
    outcome = act({"resource": resource}, client=client, configuration=configuration)
    if isinstance(expected, str):
        assert reason(outcome) == expected
    else:
        assert outcome.answer.scopes == expected
        assert outcome.answer.audience == (resource or RESOURCE.identifier)


def test_a_client_is_limited_by_its_details():
    """RAR-04: the scopes of the tools it names, within the limits it names."""
    rotating = replace(
        RESOURCE, scopes={**RESOURCE.scopes, "logs.write": Scope("logs.write", tools=("rotate",))}
    )
    working = replace(
        CONFIGURATION,
        policy=policy(resources=[rotating], client_roles=[(SERVICE.id, "rol_dev", None)]),
    )
    detail = {"type": "mcp_tool", "locations": [RESOURCE.identifier], "tool": "rotate"}
    sent = {"authorization_details": json.dumps([detail])}
    answer = act(sent, configuration=working).answer
    assert answer.scopes == {"logs.write"}
    assert answer.authorization_details == [detail]
    reading = act({**sent, "scope": "logs.read"}, configuration=working).answer
    assert (reading.scopes, reading.authorization_details) == ({"logs.read"}, None)


@pytest.mark.parametrize(
    ("expected", "broken"),
    [
        ("client_is_public", {"client": replace(SERVICE, auth_methods=frozenset({"none"}))}),
        ("nothing_granted", {"configuration": CONFIGURATION}),
        ("nothing_granted", {"now": NOW + timedelta(1)}),
        ("nothing_granted", {"client": replace(SERVICE, scope_ceiling=frozenset({"admin"}))}),
        ("scope_unknown", {"fields": {"scope": "unheard.of"}}),
        ("scope_malformed", {"fields": {"scope": '"'}}),
        ("resource_unknown", {"fields": {"resource": "https://mcp.example/other"}}),
        ("resource_malformed", {"fields": {"resource": "mcp.example"}}),
        (
            "resource_disabled",
            {
                "fields": {"resource": RESOURCE.identifier},
                "configuration": replace(
                    WORKING, policy=policy(resources=[replace(RESOURCE, enabled=False)])
                ),
            },
        ),
        (
            "resource_missing",
            {"configuration": replace(WORKING, policy=policy(resources=[]))},
        ),
        (
            "user_required",
            {
                "configuration": replace(
                    WORKING,
                    policy=policy(
                        resources=[replace(RESOURCE, is_user_required=True)],
                        client_roles=[(SERVICE.id, "rol_dev", None)],
                    ),
                )
            },
        ),
    ],
)
def test_a_client_that_may_not_act(expected, broken):
    """O21-27, RI-04."""
    try:
        outcome = act(**broken)
    except OAuthError as error:  # refused before there is anything to decide
        outcome = silent.Outcome(error)
    assert reason(outcome) == expected
    assert outcome.changes == Changes()


# -- bindings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("confirmation", "token_type", "kind"),
    [(None, "Bearer", None), (KEY, "DPoP", "dpop"), (CERTIFICATE, "Bearer", "certificate")],
)
def test_what_a_binding_is_called(confirmation, token_type, kind):
    """RFC 9449 §5, MTLS-02."""
    assert bindings.token_type(confirmation) == token_type
    assert bindings.kind_of(confirmation) == kind


def bound(**metadata):
    return replace(CONFIDENTIAL, metadata=metadata)


MUST_DPOP = bound(dpop_bound_access_tokens=True)
MUST_CERTIFICATE = bound(tls_client_certificate_bound_access_tokens=True)
FAPI = bound(fapi=True)


@pytest.mark.parametrize(
    ("client", "jkt", "certificate", "expected"),
    [
        (CLIENT, None, None, None),
        (CLIENT, "k", None, {"jkt": "k"}),
        (CLIENT, None, "c", None),
        (MUST_DPOP, "k", "c", {"jkt": "k"}),
        (MUST_DPOP, None, "c", "dpop_proof_missing"),
        (MUST_CERTIFICATE, None, "c", {"x5t#S256": "c"}),
        (MUST_CERTIFICATE, None, None, "certificate_missing"),
        (MUST_CERTIFICATE, "k", "c", "two_bindings"),
        (FAPI, None, None, "binding_missing"),
        (FAPI, "k", "c", {"jkt": "k"}),
        (FAPI, None, "c", {"x5t#S256": "c"}),
    ],
)
def test_what_a_new_token_is_bound_to(client, jkt, certificate, expected):
    """DPOP-06, FAPI-03, ATK-72."""
    if isinstance(expected, str):
        with pytest.raises((InvalidDpopProof, InvalidRequest)) as refusal:
            bindings.confirmation_of(client, jkt, certificate)
        assert refusal.value.reason == expected
        assert refusal.value.description.isascii()
    else:
        assert bindings.confirmation_of(client, jkt, certificate) == expected


@pytest.mark.parametrize(
    ("proved", "client", "expected"),
    [
        (CERTIFICATE, CLIENT, "binding_proof_missing"),
        ({**KEY, **CERTIFICATE}, CLIENT, "binding_proof_missing"),
        ({"jkt": "l"}, CLIENT, "binding_other_key"),
        ({"jkt": "l"}, CONFIDENTIAL, None),
        (KEY, CLIENT, None),
    ],
)
def test_what_a_bound_family_demands(proved, client, expected):
    """DPOP-02, ATK-73."""
    if expected is None:
        bindings.check_family(client, KEY, proved, refused="no")
        return
    with pytest.raises((InvalidDpopProof, InvalidGrant)) as refusal:
        bindings.check_family(client, KEY, proved, refused="no")
    assert refusal.value.reason == expected
    assert refusal.value.description.isascii()


# -- introspection and revocation ---------------------------------------------------------------------------

CLAIMS = {"iss": ISSUER, "sub": "usr_1", "jti": "at_1", "scope": "logs.read", "private": 1}


def caller(client=CONFIDENTIAL, configuration=CONFIGURATION):
    return Caller(configuration, client, Params([]), None, None)


def look(token=ISSUED, *, client=CONFIDENTIAL, now=NOW, claims=CLAIMS, configuration=CONFIGURATION):
    outcome = introspection._decide_access(
        caller(client, configuration), claims, Facts(tokens={"at_1": token}), now
    )
    assert outcome == replace(outcome, changes=Changes(), events=())
    assert outcome.answer[1] == client.id
    return outcome.answer[0]


def test_a_good_access_token_is_active_to_whom_it_concerns():
    """INT-03: its client and its server; what it says, and no more."""
    shown = {name: value for name, value in CLAIMS.items() if name != "private"}
    assert look() == {"active": True, "token_type": "Bearer", **shown}
    assert look(client=replace(CONFIDENTIAL, id="cli_server"))["active"]
    assert look(claims={**CLAIMS, "cnf": KEY})["token_type"] == "DPoP"
    itself = replace(ISSUED, subject=CLIENT.id, family_id=None, subject_enabled=False)
    assert look(itself)["active"]
    assert look(now=ISSUED.expires_at - TICK)["active"]
    assert look(replace(ISSUED, client_status="known"))["active"]
    vouched = replace(CONFIGURATION, policy=policy(connections=[Connection("con_1", "okta", True)]))
    assert look(replace(ISSUED, connection_id="con_1"), configuration=vouched)["active"]


@pytest.mark.parametrize(
    "broken",
    [
        {"token": replace(ISSUED, tenant_id="ten_2")},
        {"token": replace(ISSUED, revoked_at=NOW)},
        {"now": ISSUED.expires_at},
        {"token": replace(ISSUED, resource_id="res_2")},
        {"token": replace(ISSUED, client_status="blocked")},
        {"token": replace(ISSUED, client_status=None)},
        {"token": replace(ISSUED, family_id=None)},
        {"token": replace(ISSUED, connection_id="con_gone")},
        {
            "token": replace(ISSUED, connection_id="con_1"),
            "configuration": replace(
                CONFIGURATION, policy=policy(connections=[Connection("con_1", "okta", False)])
            ),
        },
        {"token": replace(ISSUED, family_revoked_at=NOW)},
        {"token": replace(ISSUED, subject_enabled=False)},
        {"client": replace(CONFIDENTIAL, id="cli_3")},
        {
            "configuration": replace(
                CONFIGURATION, policy=policy(resources=[replace(RESOURCE, enabled=False)])
            )
        },
        {
            "token": replace(ISSUED, client_kind="cimd"),
            "configuration": replace(CONFIGURATION, trust=TrustPolicy("allow_list")),
        },
    ],
)
def test_everything_a_token_stands_on_is_asked(broken):
    """INT-03, ATK-59."""
    assert look(**broken) == {"active": False}


def test_trust_is_asked_for_documents_alone():
    listed = replace(CONFIGURATION, trust=TrustPolicy("allow_list"))
    assert look(configuration=listed)["active"]
    url = "https://app.example/client"
    document = replace(ISSUED, client_kind="cimd", client_id=url)
    naming = replace(CONFIGURATION, trust=TrustPolicy("allow_list", allow=frozenset({url})))
    server = replace(CONFIDENTIAL, id="cli_server")
    assert look(document, client=server, configuration=naming)["active"]
    assert not look(document, client=server, configuration=listed)["active"]
    open_to_all = replace(ISSUED, client_kind="cimd")
    assert look(open_to_all)["active"]


class Channel:
    settings = type("S", (), {"tokens": LIFETIMES})()


def look_at_family(family=FAMILY, *, token=TOKEN, now=NOW, client=CONFIDENTIAL):
    endpoint = introspection.Introspection(Channel(), None, lambda: now)
    facts = Facts(families={"grt_1": family})
    outcome = endpoint._decide_refresh(caller(client), refresh.parse(token), facts, now)
    assert not outcome.events
    assert outcome.answer[1] == client.id
    return outcome.answer[0]


def test_a_good_refresh_token_is_active_to_its_client():
    """INT-04."""
    assert look_at_family() == {
        "active": True,
        "iss": ISSUER,
        "sub": "usr_1",
        "client_id": CLIENT.id,
        "scope": "logs.read logs.write",
        "exp": int(FAMILY.idle_expires_at.timestamp()),
        "grant_id": "grt_1",
    }
    assert look_at_family(replace(FAMILY, confirmation=KEY))["cnf"] == KEY
    assert look_at_family(replace(FAMILY, authorization_details=[ROTATE]))[
        "authorization_details"
    ] == [ROTATE]
    last = replace(FAMILY, expires_at=NOW + timedelta(hours=1))
    assert look_at_family(last)["exp"] == int(last.expires_at.timestamp())


@pytest.mark.parametrize(
    "broken",
    [
        {"family": replace(FAMILY, tenant_id="ten_2")},
        {"token": LATER},
        {"token": EARLIER},
        {"family": replace(FAMILY, rotated_at=NOW), "token": EARLIER},
        {"client": replace(CONFIDENTIAL, id="cli_server")},
        {"family": replace(FAMILY, revoked_at=NOW)},
        {"family": replace(FAMILY, refreshable=False)},
        {"now": FAMILY.idle_expires_at},
        {"family": replace(FAMILY, expires_at=NOW)},
        {"family": replace(FAMILY, subject_enabled=False)},
        {"family": replace(FAMILY, consent_scopes=None)},
    ],
)
def test_a_refresh_token_that_would_not_work_is_inactive(broken):
    """INT-04."""
    assert look_at_family(**broken) == {"active": False}


def give_back(family=FAMILY, *, token=TOKEN, client=CLIENT):
    return revocation._decide_refresh(
        caller(client), refresh.parse(token), Facts(families={"grt_1": family}), NOW
    )


@pytest.mark.parametrize("token", [TOKEN, EARLIER])
def test_any_genuine_token_ends_its_family(token):
    """REV-03."""
    outcome = give_back(token=token)
    ended = replace(FAMILY, revoked_at=NOW, revoked_because="revoked_by_client")
    assert outcome.answer is None
    assert outcome.changes == Changes(families=(ended,))
    assert outcome.events == (
        FamilyRevoked(
            subject="usr_1", client=CLIENT.id, grant_id="grt_1", reason="revoked_by_client"
        ),
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"family": replace(FAMILY, tenant_id="ten_2")},
        {"token": LATER},
        {"client": replace(CLIENT, id="cli_2")},
        {"family": replace(FAMILY, revoked_at=NOW - TICK, revoked_because="x")},
    ],
)
def test_nothing_else_ends_anything(broken):
    """REV-02."""
    assert give_back(**broken) == silent.Outcome(None)


def drop(token=ISSUED, *, client=CLIENT, now=NOW):
    return revocation._decide_access(caller(client), CLAIMS, Facts(tokens={"at_1": token}), now)


def test_an_access_token_ends_alone():
    """REV-03."""
    outcome = drop(now=ISSUED.expires_at - TICK)
    assert outcome.changes == Changes(
        revoked_tokens=(replace(ISSUED, revoked_at=ISSUED.expires_at - TICK),)
    )
    assert outcome.events == (
        TokenRevoked(subject="usr_1", client=CLIENT.id, jti="at_1", reason="revoked_by_client"),
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"token": replace(ISSUED, tenant_id="ten_2")},
        {"token": replace(ISSUED, revoked_at=NOW - TICK)},
        {"client": replace(CLIENT, id="cli_2")},
        {"now": ISSUED.expires_at},
    ],
)
def test_a_token_of_another_or_of_the_past_ends_nothing(broken):
    """REV-02."""
    assert drop(**broken) == silent.Outcome(None)


# -- the quick way ------------------------------------------------------------------------------------------

SIGNED_IN = signed_in("d1", "usr_1", NOW - timedelta(minutes=5))
SESSION = BrowserSession(SIGNED_IN, TENANT_ID, NOW + timedelta(hours=1), None, True)
CONSENT = StoredConsent(
    scopes=BOTH,
    limited=frozenset(),
    versions={},
    redirect_uris=(REDIRECT,),
    client_digest=CLIENT.digest,
    remembered=True,
    revoked_at=None,
)
WISH = AuthorizationRequest(
    client_id=CLIENT.id,
    redirect_uri=REDIRECT,
    state="s",
    code_challenge=challenge(),
    resource=RESOURCE,
    requested=BOTH | {"admin"},
    offline_access=True,
    prompt=frozenset(),
    max_age=None,
    login_hint=None,
)


def silent_request(wish=WISH, *, client=CLIENT, configuration=CONFIGURATION):
    return silent.SilentRequest(
        configuration=configuration,
        client=client,
        request=wish,
        address=ReturnAddress(ISSUER, wish.redirect_uri, "s"),
        session_digest="d1",
        code_lifetime=timedelta(seconds=60),
    )


def pass_silently(
    wish=WISH,
    *,
    session=SESSION,
    consent=CONSENT,
    roles=DEVELOPER,
    client=CLIENT,
    now=NOW,
    configuration=CONFIGURATION,
):
    asked = silent_request(wish, client=client, configuration=configuration)
    facts = Facts(
        sessions={"d1": session},
        consents={("usr_1", client.id, RESOURCE.id): consent},
        roles=roles,
    )
    return silent._decide(asked, "azc_1", facts, now)


def test_a_remembered_yes_is_a_code_at_once():
    """MCP-AS-58."""
    outcome = pass_silently()
    assert outcome.answer == "azc_1"
    [made] = outcome.changes.new_codes
    assert outcome.changes == Changes(new_codes=(made,))
    assert made.digest == CODE.digest
    assert (made.scopes, made.requested, made.offline_access) == (BOTH, WISH.requested, True)
    assert (made.user_id, made.client_id, made.resource_id) == ("usr_1", CLIENT.id, RESOURCE.id)
    assert made == replace(
        CODE,
        offline_access=True,
        acr=None,
        session_digest="d1",
        auth_time=SIGNED_IN.auth_time,
        signed_in_at=SIGNED_IN.signed_in_at,
        created_at=NOW,
        expires_at=NOW + timedelta(seconds=60),
    )
    assert outcome.events == (
        CodeIssued(
            subject="usr_1",
            client=CLIENT.id,
            resource=RESOURCE.identifier,
            scopes=sorted(BOTH),
            by="remembered",
        ),
    )


def test_each_request_draws_a_code_of_its_own():
    """Before the decision, which may be made twice; and marked like every code of ours."""
    facts = Facts(
        sessions={"d1": SESSION},
        consents={("usr_1", CLIENT.id, RESOURCE.id): CONSENT},
        roles=DEVELOPER,
    )
    job, other = (silent.job_of(silent_request()) for _ in range(2))
    code = job.decide(facts, NOW).answer
    assert code.startswith("azc_")
    assert code == job.decide(facts, NOW).answer != other.decide(facts, NOW).answer


@pytest.mark.parametrize(
    "broken",
    [
        {"session": replace(SESSION, tenant_id="ten_2")},
        {"session": replace(SESSION, ended_at=NOW)},
        {"session": replace(SESSION, expires_at=NOW)},
        {"session": replace(SESSION, subject_enabled=False)},
        {"wish": replace(WISH, prompt=frozenset({"login"}))},
        {"wish": replace(WISH, prompt=frozenset({"consent"}))},
        {"wish": replace(WISH, max_age=299)},
        {"consent": replace(CONSENT, revoked_at=NOW)},
        {"consent": replace(CONSENT, remembered=False)},
        {"consent": replace(CONSENT, scopes=frozenset({"logs.read"}))},
        {"consent": replace(CONSENT, limited=frozenset({"logs.write"}))},
        {"wish": replace(WISH, openid=frozenset({"openid"}))},
        {"consent": replace(CONSENT, client_digest="0" * 64)},
        {"consent": replace(CONSENT, redirect_uris=("https://client.example/other",))},
        {"wish": replace(WISH, redirect_uri="http://127.0.0.1:7/back")},
        {"roles": {}},
        {"client": replace(CLIENT, scope_ceiling=frozenset())},
    ],
)
def test_anything_less_needs_the_page(broken):
    """MCP-AS-58, MCP-AS-72, ATK-13: and nothing is recorded or refused."""
    assert pass_silently(**broken) == silent.Outcome(None)


def test_what_another_sign_in_would_bring_needs_the_page():
    """S15: without one, all of it or a page."""
    elsewhere = [Connection("con_1", "okta", True)]
    minding = replace(CONFIGURATION, policy=policy(resources=[DEMANDING], connections=elsewhere))
    wish = replace(WISH, resource=DEMANDING)
    strong = replace(SESSION, signed_in=replace(SIGNED_IN, acr="1"))
    asked = {"configuration": minding, "wish": wish}
    assert pass_silently(**asked) == silent.Outcome(None)
    assert pass_silently(session=strong, **asked).answer == "azc_1"
    again = replace(wish, was_stepped_up=True, signed_in_by=SIGNED_IN.mark)
    since = replace(again, signed_in_by=signed_in("d0", "usr_1", NOW).mark)
    # Asked for once and not done: what is left is what there is. Another sign-in was not asked yet.
    assert pass_silently(**{**asked, "wish": again}).changes.new_codes[0].scopes == {"logs.read"}
    assert pass_silently(**{**asked, "wish": since}) == silent.Outcome(None)
    nowhere = {**asked, "configuration": MINDING}
    assert pass_silently(**nowhere).changes.new_codes[0].scopes == {"logs.read"}


def test_a_code_keeps_what_was_asked_for():
    """RAR-03, OIDC-02, DPOP-03, FAPI-02: its scopes without OpenID's, and a shorter life under FAPI."""
    limits = authorization_details.of_json([ROTATE, {**ROTATE, "tool": "undeclared"}])
    wish = replace(
        WISH,
        resource=DEMANDING,
        requested=frozenset({"logs.read"}),
        openid=frozenset({"openid"}),
        nonce="n",
        dpop_jkt="k",
        details=limits,
    )
    fapi = replace(CLIENT, metadata={"fapi": True})
    asking = Asking(
        configuration=MINDING,
        client=fapi,
        request=wish,
        address=None,
        signed_in=replace(
            SIGNED_IN, acr="2", connection_id="con_1", upstream_expires_at=NOW, amr=("x",)
        ),
        query="",
    )
    lifetime = timedelta(minutes=10)
    made = new_code(asking, frozenset({"logs.read", "openid"}), "azc_1", lifetime=lifetime, now=NOW)
    assert (made.scopes, made.openid, made.nonce) == ({"logs.read"}, {"openid"}, "n")
    assert made.authorization_details == [{**ROTATE, "tool": "undeclared"}]
    assert (made.dpop_jkt, made.connection_id, made.amr) == ("k", "con_1", ("x",))
    assert made.acr == "2"
    assert made.upstream_expires_at == NOW
    assert made.expires_at == NOW + FAPI_CODE_LIFETIME
    plain = replace(asking, client=CLIENT)
    made = new_code(plain, frozenset({"logs.read"}), "azc_1", lifetime=lifetime, now=NOW)
    assert (made.openid, made.expires_at) == (None, NOW + lifetime)
    own = replace(asking, request=replace(wish, resource=replace(DEMANDING, is_builtin=True)))
    made = new_code(own, frozenset({"openid"}), "azc_1", lifetime=lifetime, now=NOW)
    assert made.scopes == {"openid"}


def test_what_is_narrower_or_just_recent_enough_passes():
    assert pass_silently(replace(WISH, max_age=300)).answer
    assert pass_silently(replace(WISH, requested=frozenset({"logs.read"}))).answer
    secret = replace(CONFIDENTIAL, redirect_uris=CLIENT.redirect_uris)
    local = replace(WISH, redirect_uri="http://127.0.0.1:7/back")
    seen = replace(CONSENT, redirect_uris=("http://127.0.0.1:9/back",))
    assert pass_silently(local, consent=seen, client=secret).answer


# -- the answer ---------------------------------------------------------------------------------------------


def test_the_answer_says_what_was_decided():
    """ATJ-02, ATJ-05, RFC 6749 §5.1."""
    authorization = redeem(confirmation=KEY).answer
    body = issuing.response(authorization, CONFIGURATION, algorithm="ES256")
    header, claims = read_unverified(body["access_token"])
    assert header["typ"] == "at+jwt"
    assert claims == {
        "iss": ISSUER,
        "sub": "usr_1",
        "aud": RESOURCE.identifier,
        "client_id": CLIENT.id,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + LIFETIMES.access_token).timestamp()),
        "jti": "at_new",
        "scope": "logs.read logs.write",
        "grant_id": "grt_new",
        "tenant": "acme",
        "policy_version": 7,
        "auth_time": int(CODE.auth_time.timestamp()),
        "acr": "1",
        "amr": ["pwd"],
        "cnf": KEY,
    }
    assert body["token_type"] == "DPoP"
    assert body["expires_in"] == LIFETIMES.access_token.total_seconds()
    assert body["scope"] == "logs.read logs.write"
    assert body["refresh_token"] == authorization.refresh_token
    assert "authorization_details" not in body
    details = [{"type": "mcp_tool"}]
    plain = replace(
        authorization,
        confirmation=None,
        auth_time=None,
        acr=None,
        amr=(),
        refresh_token=None,
        authorization_details=details,
    )
    body = issuing.response(plain, CONFIGURATION, algorithm="ES256")
    claims = read_unverified(body["access_token"])[1]
    assert claims["authorization_details"] == body["authorization_details"] == details
    assert not {"cnf", "auth_time", "acr", "amr"} & claims.keys()
    assert body["token_type"] == "Bearer"
    assert "refresh_token" not in body
