"""OIDC-06, OIDC-10, SUA-01: what a provider is asked, and what its answer makes of somebody."""

import json
from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest

from authz.directory.assurance import MFA, PASSWORD
from authz.federation.connector import Answer, SignInRefused, Wish
from authz.federation.oidc_tokens import MAX_BACKDATING
from tests.support.fake_idp import CLIENT_ID


def request_of(start):
    pairs = parse_qsl(urlsplit(start.url).query, strict_parsing=True)
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_a_sign_in(scene, idp):
    identity = scene.sign_in(idp).identity
    assert identity.subject == "person-1"
    assert (identity.email, identity.email_verified) == ("dev@corp.example", True)
    assert (identity.name, identity.auth_time, identity.acr, identity.amr) == (
        "Dev Eloper",
        None,
        None,
        (),
    )
    assert (idp.count("/token"), idp.count("/userinfo")) == (1, 0)


def test_what_the_browser_takes_along(scene, idp):
    """PKCE with S256, a nonce, our state, the redirect URI of this connection alone; nothing of the client's."""
    upstream = scene.upstream(idp)
    start = scene.start(upstream)
    request = request_of(start)
    assert start.url.startswith(f"{idp.issuer}/authorize?")
    assert request.pop("nonce") == start.kept["nonce"]
    assert len(request.pop("code_challenge")) == 43
    assert request == {
        "response_type": "code",
        "response_mode": "query",
        "client_id": CLIENT_ID,
        "redirect_uri": "https://as.example/federation/corp/callback",
        "scope": "openid email profile",
        "state": "state-1",
        "code_challenge_method": "S256",
    }
    assert start.kept["verifier"] not in start.url


def test_each_attempt_has_secrets_of_its_own(scene, idp):
    upstream = scene.upstream(idp)
    first, second = scene.start(upstream), scene.start(upstream)
    for name in ("nonce", "verifier"):
        assert first.kept[name] != second.kept[name]
        assert len(first.kept[name]) >= 43


def test_the_query_of_an_endpoint_stays(scene, idp):
    idp.metadata["authorization_endpoint"] = idp.url("/authorize?realm=corp")
    start = scene.start(scene.upstream(idp))
    assert start.url.startswith(f"{idp.issuer}/authorize?realm=corp&response_type=code&")


@pytest.mark.parametrize(
    ("wish", "sent"),
    [
        (Wish(is_fresh=True), {"prompt": "login", "max_age": "0"}),
        (Wish(is_fresh=True, max_age=600), {"prompt": "login", "max_age": "0"}),
        (Wish(max_age=600), {"max_age": "600"}),
        (Wish(max_age=0), {"max_age": "0"}),
        (Wish(acr_values=("gold", "silver")), {"acr_values": "gold silver"}),
        (Wish(acr_values=(PASSWORD, MFA)), {}),
        (Wish(acr_values=("a b", "ü", "", "good")), {"acr_values": "good"}),
        (Wish(login_hint="dev@corp.example"), {"login_hint": "dev@corp.example"}),
        (Wish(login_hint="dev\r\nx: y"), {}),
        (Wish(login_hint="a" * 300), {}),
    ],
    ids=[
        *("fresh", "fresh and young", "young", "now", "acr", "our names", "odd names"),
        *("hint", "hint of two lines", "long hint"),
    ],
)
def test_how_they_should_sign_in_is_passed_on(scene, idp, wish, sent):
    plain = request_of(scene.start(scene.upstream(idp)))
    request = request_of(scene.start(scene.upstream(idp), wish))
    assert {name: value for name, value in request.items() if name not in plain} == sent


def test_the_code_is_redeemed_where_the_metadata_says(scene, idp):
    idp.metadata["token_endpoint"] = scene.idp("tokens.example").url("/token")
    # That host is another provider, which knows nothing of this code.
    assert scene.refusal(idp).reason == "token_invalid_grant"
    assert idp.count("/token") == 0


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_we_prove_ourselves_with_a_secret(scene, method):
    """Read at each use, so that a secret can be renewed; with signs that both encodings have to keep apart."""
    idp = scene.idp(auth_method=method)
    upstream = scene.upstream(idp, client_auth=method)
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    scene.secrets["env:IDP_SECRET"] = b"another"
    refused = scene.refusal(idp, upstream)
    assert refused.reason == "token_invalid_client"
    assert "not set up properly" in refused.sentence


@pytest.mark.parametrize(
    ("secret", "reason"),
    [(None, "client_secret_missing"), (b"\xff\xfe", "client_secret_unusable")],
    ids=["gone", "not text"],
)
def test_a_secret_that_cannot_be_read_is_no_crash(scene, idp, secret, reason):
    upstream = scene.upstream(idp)
    del scene.secrets["env:IDP_SECRET"]
    if secret is not None:
        scene.secrets["env:IDP_SECRET"] = secret
    assert scene.refusal(idp, upstream).reason == reason


def test_who_is_asked_at_userinfo_and_when(scene, idp):
    """Only for what the ID token lacks; what userinfo says counts before the ID token's word."""
    upstream = scene.upstream(idp)
    idp.person["groups"] = ["[SIZE_LIMIT_EXCEEDED]"]
    idp.userinfo = {"groups": ["sre", "dev"], "name": "Other"}
    wanted = frozenset({"groups"})
    first = scene.sign_in(idp, upstream, wanted=wanted).identity
    assert first.claims == {"groups": ("[SIZE_LIMIT_EXCEEDED]",)}
    assert idp.count("/userinfo") == 0

    del idp.person["groups"]
    second = scene.sign_in(idp, upstream, wanted=wanted).identity
    assert second.claims == {"groups": ("sre", "dev")}
    assert second.name == "Other"
    assert idp.count("/userinfo") == 1

    idp.person["groups"] = ["[SIZE_LIMIT_EXCEEDED]"]
    always = scene.upstream(idp, userinfo="always")
    assert scene.sign_in(idp, always, wanted=wanted).identity.claims == {"groups": ("sre", "dev")}
    never = scene.upstream(idp, userinfo="never")
    del idp.person["groups"]
    assert scene.sign_in(idp, never, wanted=wanted).identity.claims == {}
    assert idp.count("/userinfo") == 2


def test_a_provider_without_userinfo_says_what_it_says(scene, idp):
    idp.metadata["userinfo_endpoint"] = None
    identity = scene.sign_in(idp, wanted=frozenset({"groups"})).identity
    assert identity.claims == {}
    assert identity.subject == "person-1"


def test_how_and_when_they_signed_in_goes_along(scene, idp):
    """OIDC-08, SUA-02: the provider's event, not ours."""
    now = scene.clock()
    idp.claims |= {
        "auth_time": now.timestamp() - 90,
        "acr": "phr",
        "amr": ["pwd", "hwk", "mfa"],
        "sid": "session-7",
        "session_expiry": now.timestamp() + 300,
    }
    identity = scene.sign_in(idp).identity
    assert identity.auth_time == now - timedelta(seconds=90)
    assert (identity.acr, identity.amr) == ("phr", ("pwd", "hwk", "mfa"))
    assert identity.session == "session-7"
    assert identity.session_expires_at == now + timedelta(seconds=300)


def test_a_clock_that_runs_ahead_is_no_time_to_come(scene, idp):
    idp.claims["auth_time"] = scene.clock().timestamp() + 30
    assert scene.sign_in(idp).identity.auth_time == scene.clock()


@pytest.mark.parametrize(
    ("asked", "acr", "amr", "told"),
    [
        ((MFA,), None, ["pwd", "mfa"], MFA),
        ((MFA,), "1", ["pwd", "mfa"], MFA),
        ((MFA,), "1", ["pwd"], "1"),
        ((MFA, "1"), "1", ["mfa"], "1"),
        ((), "1", ["mfa"], "1"),
        ((), None, ["mfa"], None),
    ],
    ids=["mfa", "under another name", "not reached", "both", "not asked", "nothing said"],
)
def test_two_factors_have_a_name_of_ours_where_it_was_asked_for(scene, idp, asked, acr, amr, told):
    idp.claims |= {"acr": acr, "amr": amr}
    assert scene.sign_in(idp, wish=Wish(acr_values=asked)).identity.acr == told


@pytest.mark.parametrize("acr", [1, ["gold"], "a\x00b", "x" * 300, {}, PASSWORD, MFA])
def test_an_acr_that_is_no_name_is_none(scene, idp, acr):
    idp.claims["acr"] = acr
    assert scene.sign_in(idp).identity.acr is None


def test_keys_and_metadata_are_fetched_once(scene, idp):
    """What a sign-in costs afterwards is one request: the code."""
    upstream = scene.upstream(idp)
    for _ in range(3):
        scene.sign_in(idp, upstream)
    assert [path for path, _ in idp.seen].count("/jwks") == 1
    assert len(idp.seen) == 2 + 3


def test_nothing_of_theirs_is_left_behind(scene, idp):
    """MCP-AS-98: no token in what is kept, handed on or shown."""
    upstream = scene.upstream(idp)
    start = scene.start(upstream)
    params = idp.authorize(start.url)
    answer = Answer(params, start.kept, Wish(), scene.clock(), frozenset())
    finished = scene.connector.finish(upstream, answer, scene.clock())
    shown = repr([start, answer, finished, upstream, scene.connector])
    for secret in (idp.access_token, params["code"], start.kept["verifier"], "person-1"):
        assert secret
        assert secret not in shown
    assert idp.access_token not in json.dumps(vars(finished.identity), default=str)


def test_settings_that_changed_meanwhile_send_no_code_elsewhere(scene, idp):
    """The code of one provider is not shown to another."""
    start = scene.start(scene.upstream(idp))
    params = idp.authorize(start.url)
    other = scene.idp("other.example")
    changed = scene.upstream(other)
    with pytest.raises(SignInRefused) as refused:
        scene.connector.finish(changed, scene.answer(params, start), scene.clock())
    assert refused.value.reason == "settings_changed"
    assert other.seen == []


def test_somebody_slow_is_somebody_still(scene, idp):
    """The token is new when they come back, however long they took."""
    assert scene.sign_in(idp, away=timedelta(minutes=9)).identity.subject == "person-1"


def test_a_token_of_before_is_none_of_this_sign_in(scene, idp):
    """Dated back a little, as Entra ID does it; not one from a drawer."""
    dated = scene.clock() - MAX_BACKDATING
    idp.claims["iat"] = dated.timestamp()
    assert scene.sign_in(idp).identity.subject == "person-1"
    idp.claims["iat"] = dated.timestamp() - 1
    assert scene.refusal(idp).reason == "id_token_stale"
