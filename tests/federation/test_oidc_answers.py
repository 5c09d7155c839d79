"""ATK-02, ATK-03, ATK-49, ATK-50, SUA-04, OIDC-06: what comes back, where it is taken, and who says so."""

from datetime import timedelta

import pytest

from authz.directory.assurance import MFA
from authz.federation.connector import (
    MISCONFIGURED,
    PUBLIC_SENTENCE,
    UNREACHABLE,
    SignInRefused,
    Wish,
)
from authz.federation.oidc_tokens import NOT_FRESH
from authz.jose import LEEWAY
from tests.support.fake_idp import DISCOVERY, signing_key
from tests.support.web import Reply

JSON = {"Content-Type": "application/json"}
OTHER = "https://other.example"


# -- the answer of the browser ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "promised", [True, False, None], ids=["promised", "not promised", "no word"]
)
@pytest.mark.parametrize("named", [OTHER, "", "/"], ids=["another", "empty", "own and a slash"])
def test_an_answer_of_another_provider_is_refused(scene, idp, promised, named):
    """RFC 9207: also where nobody promised a name."""
    idp.metadata["authorization_response_iss_parameter_supported"] = promised
    idp.answer["iss"] = idp.issuer + "/" if named == "/" else named
    assert scene.refusal(idp).reason == "answer_iss"
    assert idp.count("/token") == 0


def test_a_provider_that_promises_its_name_says_it(scene, idp):
    idp.answer["iss"] = None
    assert scene.refusal(idp).reason == "answer_iss_missing"
    assert idp.count("/token") == 0
    idp.metadata["authorization_response_iss_parameter_supported"] = False
    scene.clock.advance(hours=1)
    assert scene.sign_in(idp).identity.subject == "person-1"


def test_an_answer_meant_for_another_connection_is_worth_nothing(scene):
    """ATK-02, with providers that name themselves nowhere: the code of A at B, and the code of B at A.

    What keeps them apart then is the redirect URI (BCPU-01), PKCE and the nonce; nothing of A's reaches B.
    """
    silent = {"authorization_response_iss_parameter_supported": None}
    a, b = scene.idp("a.example", metadata=dict(silent)), scene.idp("b.example", metadata=silent)
    at_a, at_b = scene.upstream(a, "a"), scene.upstream(b, "b")
    went_to_a, went_to_b = scene.start(at_a), scene.start(at_b)
    of_a, of_b = a.authorize(went_to_a.url), b.authorize(went_to_b.url)
    for upstream, start, params in ((at_a, went_to_a, of_b), (at_b, went_to_b, of_a)):
        with pytest.raises(SignInRefused) as refused:
            scene.connector.finish(upstream, scene.answer(params, start), scene.clock())
        assert refused.value.reason == "token_invalid_grant"
    with pytest.raises(SignInRefused) as refused:
        scene.connector.finish(at_b, scene.answer(of_b, went_to_a), scene.clock())
    assert refused.value.reason == "settings_changed"


def test_a_hostile_provider_cannot_hand_on_the_code_of_an_honest_one(scene):
    """The classic mix-up: the person is at A while we think they are at B. A's code is refused before B sees it."""
    honest, hostile = scene.idp("honest.example"), scene.idp("hostile.example")
    at_hostile = scene.upstream(hostile, "hostile")
    start = scene.start(at_hostile)
    # B sends the browser on to A, with a request that A takes for ours.
    params = honest.authorize(start.url.replace(hostile.issuer, honest.issuer))
    with pytest.raises(SignInRefused) as refused:
        scene.connector.finish(at_hostile, scene.answer(params, start), scene.clock())
    assert refused.value.reason == "answer_iss"
    assert hostile.count("/token") == 0


ERRORS = {
    "access_denied": "did not let you in",
    "login_required": "did not let you in",
    "unmet_authentication_requirements": NOT_FRESH,
    "temporarily_unavailable": UNREACHABLE,
    "server_error": UNREACHABLE,
    "invalid_scope": MISCONFIGURED,
    "unauthorized_client": MISCONFIGURED,
}


@pytest.mark.parametrize("error", ERRORS)
def test_a_refusal_of_theirs_says_what_to_do(scene, idp, error):
    idp.answer |= {"code": None, "error": error, "error_description": "<b>Call 0900-EVIL</b>"}
    refused = scene.refusal(idp)
    assert refused.reason == f"upstream_{error}"
    assert ERRORS[error] in refused.sentence
    assert idp.count("/token") == 0


@pytest.mark.parametrize("error", ["<script>", "x" * 5000, "", "ACCESS_DENIED", "a\x00b"])
def test_words_of_theirs_are_repeated_nowhere(scene, idp, error):
    """A code beside an error is no way in either."""
    idp.answer |= {"error": error, "error_description": "EVIL", "error_uri": "https://evil.example"}
    refused = scene.refusal(idp)
    assert refused.reason == "upstream_error"
    assert "did not let you in" in refused.sentence
    assert idp.count("/token") == 0


def test_a_refusal_of_another_provider_is_none_of_this_one(scene, idp):
    idp.answer |= {"code": None, "error": "access_denied", "iss": OTHER}
    assert scene.refusal(idp).reason == "answer_iss"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (None, "code_missing"),
        ("", "code_missing"),
        ("a\nb", "code_malformed"),
        ("ü", "code_malformed"),
        ("c" * 4097, "code_malformed"),
        ("code-of-nobody", "token_invalid_grant"),
        ("a&client_id=b", "token_invalid_grant"),
    ],
    ids=["none", "empty", "two lines", "no ASCII", "long", "unknown", "more parameters"],
)
def test_a_code_that_is_none(scene, idp, code, reason):
    idp.answer["code"] = code
    assert scene.refusal(idp).reason == reason


def test_a_code_works_once(scene, idp):
    upstream = scene.upstream(idp)
    start = scene.start(upstream)
    answer = scene.answer(idp.authorize(start.url), start)
    assert scene.connector.finish(upstream, answer, scene.clock()).identity.subject == "person-1"
    with pytest.raises(SignInRefused) as refused:
        scene.connector.finish(upstream, answer, scene.clock())
    assert refused.value.reason == "token_invalid_grant"


# -- discovery ----------------------------------------------------------------------------------------------

METADATA = {
    "another issuer": ({"issuer": OTHER}, "issuer"),
    "issuer with a slash": ({"issuer": "+/"}, "issuer"),
    "no issuer": ({"issuer": None}, "issuer"),
    "issuers": ({"issuer": [OTHER]}, "issuer"),
    "sign-in page over http": ({"authorization_endpoint": "http://idp.example/a"}, "endpoint"),
    "a sign-in page that runs": ({"authorization_endpoint": "javascript:alert(1)"}, "endpoint"),
    "a sign-in page that is relative": ({"authorization_endpoint": "/authorize"}, "endpoint"),
    "a host before the host": (
        {"authorization_endpoint": "https://idp.example@evil.example/"},
        "endpoint",
    ),
    "a sign-in page with a fragment": (
        {"authorization_endpoint": "https://idp.example/#a"},
        "endpoint",
    ),
    "no sign-in page": ({"authorization_endpoint": None}, "endpoint"),
    "no token endpoint": ({"token_endpoint": None}, "endpoint"),
    "token endpoint over http": ({"token_endpoint": "http://idp.example/token"}, "endpoint"),
    "token endpoints": ({"token_endpoint": [OTHER]}, "endpoint"),
    "no keys": ({"jwks_uri": None}, "endpoint"),
    "keys over http": ({"jwks_uri": "http://idp.example/jwks"}, "endpoint"),
    "keys in a file": ({"jwks_uri": "file:///etc/passwd"}, "endpoint"),
    "userinfo as a number": ({"userinfo_endpoint": 7}, "endpoint"),
    "a promise as text": (
        {"authorization_response_iss_parameter_supported": "false"},
        "malformed",
    ),
}


@pytest.mark.parametrize("name", METADATA)
def test_metadata_that_is_not_as_it_has_to_be(scene, idp, name):
    """ATK-03: found before the browser is sent anywhere."""
    metadata, reason = METADATA[name]
    idp.metadata |= metadata
    if metadata.get("issuer") == "+/":
        idp.metadata["issuer"] = f"{idp.issuer}/"
    with pytest.raises(SignInRefused) as refused:
        scene.start(scene.upstream(idp))
    assert (refused.value.reason, refused.value.sentence) == (f"discovery_{reason}", MISCONFIGURED)


REPLIES = {
    "missing": (Reply(404, headers=JSON), "status", UNREACHABLE),
    "broken": (Reply(500, headers=JSON), "status", UNREACHABLE),
    "elsewhere": (Reply(302, headers={"Location": f"{OTHER}/"}), "status", UNREACHABLE),
    "a page": (Reply(200, b"{}", {"Content-Type": "text/html"}), "content_type", PUBLIC_SENTENCE),
    "no JSON": (Reply(200, b"{", JSON), "json", PUBLIC_SENTENCE),
    "a member twice": (Reply(200, b'{"a":1,"a":2}', JSON), "json", PUBLIC_SENTENCE),
    "a list": (Reply(200, b"[]", JSON), "json", PUBLIC_SENTENCE),
    "huge": (Reply(200, b" " * 200_000, JSON), "too_large", PUBLIC_SENTENCE),
    "compressed": (
        Reply(200, b"\x1f\x8b", {**JSON, "Content-Encoding": "gzip"}),
        "encoded",
        PUBLIC_SENTENCE,
    ),
    "silence": (Reply(200, b"{}", {**JSON, "Content-Length": "9"}), "protocol", PUBLIC_SENTENCE),
}


@pytest.mark.parametrize("name", REPLIES)
@pytest.mark.parametrize(("path", "step"), [(DISCOVERY, "discovery"), ("/jwks", "keys")])
def test_a_document_that_cannot_be_used(scene, idp, path, step, name):
    """Redirects are not followed: nobody serves the other host, and asking for it would fail the test."""
    idp.replies[path], reason, sentence = REPLIES[name]
    refused = scene.refusal(idp)
    assert (refused.reason, refused.sentence) == (f"{step}_{reason}", sentence)


def test_a_provider_that_nobody_answers_for(scene, idp):
    upstream = scene.upstream(idp, issuer="https://127.0.0.1:9")
    with pytest.raises(SignInRefused) as refused:
        scene.start(upstream)
    assert (refused.value.reason, refused.value.sentence) == ("discovery_connect", UNREACHABLE)
    with pytest.raises(SignInRefused) as refused:
        scene.start(upstream)
    assert refused.value.reason == "discovery_cooling_down"


@pytest.mark.slow
@pytest.mark.parametrize(("path", "step"), [("/token", "token"), (DISCOVERY, "discovery")])
def test_a_provider_that_never_finishes(scene, idp, path, step):
    idp.replies[path] = Reply(200, b"{" * 100, JSON, drip=0.2)
    refused = scene.refusal(idp)
    assert (refused.reason, refused.sentence) == (f"{step}_timeout", UNREACHABLE)


def test_an_address_of_this_machine_is_no_provider(scene, idp):
    """ATK-47: also not in the metadata of an honest one."""
    idp.metadata["token_endpoint"] = "https://169.254.169.254/token"
    assert scene.refusal(idp).reason == "token_address_refused"


# -- keys ---------------------------------------------------------------------------------------------------

KEY_SETS = {
    "no set": ([], "keys_json"),
    "an empty set": ({"keys": []}, "keys_jwks_malformed"),
    "a number": ({"keys": 7}, "keys_jwks_malformed"),
    "too many": ({"keys": [signing_key("ES256", "k1").public] * 21}, "keys_jwks_malformed"),
    "nothing to sign with": (
        {"keys": [{**signing_key().public, "use": "enc"}]},
        "keys_jwks_without_usable_key",
    ),
    "a private key": (
        {"keys": [signing_key("ES256", "k1").key.as_dict(private=True)]},
        "keys_jwk_not_public",
    ),
    "a secret": ({"keys": [{"kty": "oct", "k": "AAAA", "kid": "k1"}]}, "keys_jwk_not_public"),
    "a small key": (
        {"keys": [{**signing_key().public, "n": "u" * 171}]},
        "keys_jwk_weak",
    ),
    "a key that anybody signs with": (
        {"keys": [{**signing_key().public, "e": "AQ"}]},
        "keys_jwk_weak",
    ),
}


@pytest.mark.parametrize("name", KEY_SETS)
def test_keys_that_are_not_as_they_have_to_be(scene, idp, name):
    """ATK-45."""
    idp.jwks, reason = KEY_SETS[name]
    if idp.jwks == []:
        idp.replies["/jwks"] = Reply(200, b"[]", JSON)
    assert scene.refusal(idp).reason == reason


@pytest.mark.parametrize("kid", ["k1", "k2", None], ids=["same name", "new name", "no name"])
def test_rotated_keys_are_fetched_at_once(scene, idp, kid):
    """A person who comes back with a token of the new key does not wait until ours have expired."""
    upstream = scene.upstream(idp)
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    scene.clock.advance(seconds=31)
    idp.key = signing_key("RS256", "k2")
    idp.header["kid"] = kid
    idp.jwks = {"keys": [idp.key.public | {"kid": kid or "k2"}]}
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    assert idp.count("/jwks") == 2


def test_invented_keys_make_no_flood(scene, idp):
    """ATK-49."""
    upstream = scene.upstream(idp)
    for number in range(25):
        idp.header["kid"] = f"invented-{number}"
        assert scene.refusal(idp, upstream).reason == "id_token_key_unknown"
    assert idp.count("/jwks") == 1
    scene.clock.advance(seconds=31)
    for number in range(25):
        idp.header["kid"] = f"invented-{number}"
        assert scene.refusal(idp, upstream).reason == "id_token_key_unknown"
    assert idp.count("/jwks") == 2


def test_a_withdrawn_key_is_believed_no_longer_than_it_is_kept(scene, idp):
    """ATK-50: an hour, whatever their server says of it."""
    idp.replies["/jwks"] = Reply.json({"keys": [idp.key.public]}, cache_control="max-age=31536000")
    upstream = scene.upstream(idp)
    assert scene.sign_in(idp, upstream).identity.subject == "person-1"
    idp.replies["/jwks"] = Reply.json({"keys": [signing_key("RS256", "k2").public]})
    scene.clock.advance(hours=1)
    assert scene.refusal(idp, upstream).reason == "id_token_key_unknown"


def test_another_document_is_read_where_the_issuer_is_configured(scene, idp):
    """Two connections to one host, with two spellings: what was read for one is not taken for the other."""
    assert scene.sign_in(idp).identity.subject == "person-1"
    other = scene.upstream(idp, issuer=f"{idp.issuer}/")
    with pytest.raises(SignInRefused) as refused:
        scene.start(other)
    assert refused.value.reason == "discovery_issuer"


# -- the token endpoint and userinfo ------------------------------------------------------------------------

TOKEN_REPLIES = {
    "refused": (Reply.json({"error": "invalid_grant"}, 400), "token_invalid_grant"),
    "refused in other words": (Reply.json({"error": "<b>no</b>"}, 400), "token_refused"),
    "refused without words": (Reply.json({}, 403), "token_refused"),
    "refused as a success": (Reply.json({"error": "invalid_grant"}), "id_token_missing"),
    "broken": (Reply(503, headers=JSON), "token_status"),
    "busy": (Reply(429, headers=JSON), "token_status"),
    "elsewhere": (Reply(307, headers={**JSON, "Location": f"{OTHER}/"}), "token_json"),
    "a page": (Reply(200, b"<html>", {"Content-Type": "text/html"}), "token_content_type"),
    "a form": (
        Reply(200, b"a=b", {"Content-Type": "application/x-www-form-urlencoded"}),
        "token_content_type",
    ),
    "no JSON": (Reply(200, b"{'a': 1}", JSON), "token_json"),
    "a member twice": (Reply(200, b'{"id_token":"a","id_token":"b"}', JSON), "token_json"),
    "deep": (Reply(200, b'{"a":' * 50, JSON), "token_json"),
    "huge": (Reply(200, b" " * 5_000_000, JSON), "token_too_large"),
}


@pytest.mark.parametrize("name", TOKEN_REPLIES)
def test_an_answer_of_the_token_endpoint_that_is_none(scene, idp, name):
    idp.replies["/token"], reason = TOKEN_REPLIES[name]
    refused = scene.refusal(idp)
    assert refused.reason == reason
    assert (refused.sentence == UNREACHABLE) == (reason == "token_status")


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        ({"token_type": "DPoP"}, "token_type"),
        ({"token_type": None}, "token_type"),
        ({"token_type": 7}, "token_type"),
        ({"access_token": "a\r\nHost: evil"}, "token_malformed"),
        ({"access_token": "ü"}, "token_malformed"),
        ({"access_token": ["a"]}, "token_malformed"),
        ({"access_token": "a" * 70_000}, "token_malformed"),
    ],
    ids=["bound", "no kind", "kind as a number", "a header inside", "no ASCII", "a list", "long"],
)
def test_an_access_token_that_is_none(scene, idp, tokens, reason):
    idp.tokens |= tokens
    assert scene.refusal(idp).reason == reason


def test_who_gets_no_access_token_is_asked_nothing_more(scene, idp):
    idp.tokens |= {"access_token": None, "token_type": None}
    identity = scene.sign_in(idp, wanted=frozenset({"groups"})).identity
    assert identity.subject == "person-1"
    assert idp.count("/userinfo") == 0


USERINFO = {
    "somebody else": ({"sub": "person-2"}, None, "userinfo_sub"),
    "nobody": ({"sub": None}, None, "userinfo_sub"),
    "a subject in a list": ({"sub": ["person-1"]}, None, "userinfo_sub"),
    "refused": ({}, Reply.json({"error": "invalid_token"}, 401), "userinfo_refused"),
    "refused with claims": ({}, Reply.json({"sub": "person-1"}, 403), "userinfo_refused"),
    "signed": (
        {},
        Reply(200, b"e30.e30.AA", {"Content-Type": "application/jwt"}),
        "userinfo_content_type",
    ),
    "no JSON": ({}, Reply(200, b"sub=person-1", JSON), "userinfo_json"),
    "broken": ({}, Reply(502, headers=JSON), "userinfo_status"),
    "huge": ({}, Reply(200, b" " * 5_000_000, JSON), "userinfo_too_large"),
    "many parts": ({}, Reply(200, b'{"a":[' + b"0," * 300_000 + b"0]}", JSON), "userinfo_json"),
}


@pytest.mark.parametrize("name", USERINFO)
def test_userinfo_that_is_not_as_it_has_to_be(scene, idp, name):
    """Core §5.3.2: the same subject, or another person's claims would dress this one."""
    idp.userinfo, reply, reason = USERINFO[name]
    if reply is not None:
        idp.replies["/userinfo"] = reply
    assert scene.refusal(idp, wanted=frozenset({"groups"})).reason == reason


# -- freshness ----------------------------------------------------------------------------------------------

HOUR = timedelta(hours=1)
FRESH, YOUNG = Wish(is_fresh=True), Wish(max_age=600)


@pytest.mark.parametrize(
    ("wish", "age", "reason"),
    [
        (FRESH, None, "auth_time_missing"),
        (YOUNG, None, "auth_time_missing"),
        (Wish(max_age=0), None, "auth_time_missing"),
        (FRESH, HOUR, "auth_time_stale"),
        (FRESH, LEEWAY + timedelta(seconds=1), "auth_time_stale"),
        (YOUNG, HOUR, "auth_time_stale"),
        (YOUNG, timedelta(seconds=600) + LEEWAY + timedelta(seconds=1), "auth_time_stale"),
        (Wish(max_age=0), LEEWAY + timedelta(seconds=1), "auth_time_stale"),
        (Wish(is_fresh=True, max_age=7200), HOUR, "auth_time_stale"),
    ],
)
def test_a_provider_that_only_pretends_to_have_asked(scene, idp, wish, age, reason):
    """SUA-04: it took the request, kept its session, and said nothing or an old moment."""
    idp.claims["auth_time"] = None if age is None else (scene.clock() - age).timestamp()
    refused = scene.refusal(idp, wish=wish)
    assert (refused.reason, refused.sentence) == (reason, NOT_FRESH)


@pytest.mark.parametrize(
    ("wish", "age"),
    [(FRESH, timedelta()), (YOUNG, timedelta(seconds=600)), (Wish(acr_values=(MFA,)), HOUR)],
    ids=["fresh", "young", "nobody minds"],
)
def test_a_proof_that_does(scene, idp, wish, age):
    idp.claims["auth_time"] = (scene.clock() - age).timestamp()
    assert scene.sign_in(idp, wish=wish).identity.auth_time == scene.clock() - age


def test_what_they_proved_while_they_were_away_is_fresh(scene, idp):
    """Held against when they left, not against when they came back."""
    left_at = scene.clock()
    idp.claims["auth_time"] = (left_at + timedelta(seconds=30)).timestamp()
    identity = scene.sign_in(idp, wish=FRESH, away=timedelta(minutes=8)).identity
    assert identity.auth_time == left_at + timedelta(seconds=30)


def test_an_answer_that_needs_no_text_of_ours_has_one_sentence(scene, idp):
    """One sentence for every defect; the reasons are ours."""
    sentences = set()
    for claims in ({"aud": "x"}, {"nonce": "x"}, {"iss": OTHER}, {"exp": 1}):
        idp.claims = dict(claims)
        sentences.add(scene.refusal(idp).sentence)
    assert sentences == {PUBLIC_SENTENCE}
