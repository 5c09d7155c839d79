import base64
import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz import entropy
from authz.clients.authentication import (
    ASSERTION_TYPE,
    AUTH_METHODS,
    FAPI_ALGORITHMS,
    MAX_ASSERTION_LIFETIME,
    Credentials,
    Proof,
    authenticate,
    import_client_keys,
    offered_methods,
    read_credentials,
    takes_certificate,
)
from authz.clients.certificates import Authorities, read_certificate
from authz.clients.client import Client, ClientSecret
from authz.errors import InvalidClient, InvalidRequest
from authz.jose import LEEWAY
from tests.support.certificates import Authority, dns, self_signed
from tests.support.client_keys import ClientKey

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ISSUER = "https://as.example/t/acme"
ENDPOINT = ISSUER + "/token"
CLIENT = Client(
    tenant_id="ten_1",
    id="cli_1",
    kind="registered",
    enabled=True,
    name="App",
    redirect_uris=(),
    grant_types=frozenset(),
    auth_methods=frozenset({"private_key_jwt"}),
)
KEY = ClientKey()


def prove(credentials, client=CLIENT):
    return authenticate(
        client,
        credentials,
        issuer=ISSUER,
        token_endpoint=ENDPOINT,
        keys=import_client_keys(KEY.jwks),
        now=NOW,
    )


def read(authorization=None, **sent):
    names = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
    return read_credentials(authorization, **{name: sent.get(name) for name in names})


def test_an_assertion_is_remembered_exactly_as_long_as_it_is_accepted():
    """ATK-52, ATK-53: to the second."""
    token = KEY.sign("cli_1", ISSUER, NOW, jti="j")
    proof = prove(Credentials("cli_1", assertion=token))
    last = NOW + timedelta(seconds=60) + LEEWAY
    assert proof.replay[1] >= last
    assert proof.replay[1] - last <= LEEWAY
    other = prove(Credentials("cli_1", assertion=token), replace(CLIENT, tenant_id="ten_2"))
    assert other.replay[0] != proof.replay[0]


def test_the_token_endpoint_is_an_audience_for_those_who_may():
    """C-7, O21-30."""
    token = KEY.sign("cli_1", ENDPOINT, NOW)
    with pytest.raises(InvalidClient, match="jwt_aud"):
        prove(Credentials("cli_1", assertion=token))
    allowed = replace(CLIENT, names_token_endpoint=True)
    assert prove(Credentials("cli_1", assertion=token), allowed).method == "private_key_jwt"


@pytest.mark.parametrize("declared", ["RS256", "HS256", "none", ["ES256"], 5])
def test_a_declared_algorithm_binds(declared):
    """ATK-41, META-05."""
    client = replace(CLIENT, metadata={"token_endpoint_auth_signing_alg": declared})
    with pytest.raises(InvalidClient, match="jwt_alg"):
        prove(Credentials("cli_1", assertion=KEY.sign("cli_1", ISSUER, NOW)), client)


def test_an_assertion_lives_ten_minutes_at_most():
    """ATK-53."""
    at = int(NOW.timestamp())
    longest = int((MAX_ASSERTION_LIFETIME + LEEWAY).total_seconds())
    prove(Credentials("cli_1", assertion=KEY.sign("cli_1", ISSUER, NOW, exp=at + longest)))
    with pytest.raises(InvalidClient, match="jwt_lifetime"):
        prove(Credentials("cli_1", assertion=KEY.sign("cli_1", ISSUER, NOW, exp=at + longest + 1)))


def test_a_bad_assertion_never_falls_back_to_none():
    """C-9."""
    both = replace(CLIENT, auth_methods=frozenset({"none", "private_key_jwt"}))
    assert prove(Credentials("cli_1"), both).method == "none"
    with pytest.raises(InvalidClient, match="jwt_aud"):
        prove(Credentials("cli_1", assertion=KEY.sign("cli_1", "https://x", NOW)), both)


@pytest.mark.parametrize(
    ("methods", "reason"),
    [
        ({"client_secret_basic"}, None),
        ({"client_secret_post"}, None),
        ({"private_key_jwt"}, "auth_method_not_registered"),
        ({"none"}, "secret_wrong"),
        ({"none", "client_secret_basic"}, "secret_wrong"),
    ],
)
def test_a_secret_counts_for_clients_that_registered_it(methods, reason):
    """O21-13."""
    client = replace(
        CLIENT,
        auth_methods=frozenset(methods),
        secrets=(ClientSecret(entropy.digest("s"), NOW + timedelta(1)),),
    )
    if reason is None:
        assert prove(Credentials("cli_1", ("s",)), client).method == "client_secret"
        return
    with pytest.raises(InvalidClient, match=reason):
        prove(Credentials("cli_1", ("s",)), client)


def test_an_expired_secret_is_wrong():
    """MCP-AS-32: from the moment on, not after it."""
    client = replace(
        CLIENT,
        auth_methods=frozenset({"client_secret_basic"}),
        secrets=(ClientSecret(entropy.digest("s"), NOW),),
    )
    with pytest.raises(InvalidClient, match="secret_wrong"):
        prove(Credentials("cli_1", ("s",)), client)


printable = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\x00:%+"), min_size=1
)


@settings(deadline=None)
@given(printable, printable)
def test_raw_basic_is_read_back(client_id, secret):
    """MCP-AS-87, O21-13."""
    header = "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    found = read(header)
    assert (found.client_id, found.secrets) == (client_id, (secret,))


@settings(deadline=None)
@given(st.text(max_size=60), st.none() | st.text(max_size=20), st.none() | st.text(max_size=60))
def test_whatever_is_sent_is_read_or_refused(header, client_id, assertion):
    """ATK-63: only errors with a code, and no identifier the database could not be asked for."""
    for authorization in (
        header,
        "Basic " + base64.b64encode(header.encode("utf-8", "replace")).decode(),
    ):
        with contextlib.suppress(InvalidClient, InvalidRequest):
            found = read(
                authorization,
                client_id=client_id,
                client_assertion=assertion,
                client_assertion_type=ASSERTION_TYPE,
            )
            assert "\x00" not in found.client_id or client_id == found.client_id


def test_credentials_do_not_print():
    """ATK-66."""
    assert "topsecret" not in repr(Credentials("cli_1", ("topsecret",), "topsecret"))


# -- what was sent ------------------------------------------------------------------------------------------


def basic(text, scheme="Basic"):
    return (
        f"{scheme} {base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()}"
    )


ASSERTION = KEY.sign("cli_1", ISSUER, NOW)
SIGNED = {"client_assertion": ASSERTION, "client_assertion_type": ASSERTION_TYPE}


@pytest.mark.parametrize(
    ("header", "sent", "found"),
    [
        (None, {"client_id": "c"}, Credentials("c")),
        (None, {"client_id": "c", "client_secret": ""}, Credentials("c")),
        (None, {"client_id": "c", "client_secret": "s"}, Credentials("c", ("s",))),
        (basic("c:s"), {}, Credentials("c", ("s",))),
        (basic("c:s", "bASIC"), {}, Credentials("c", ("s",))),
        (basic("c:s:t"), {}, Credentials("c", ("s:t",))),
        (basic("c:s", "Basic "), {}, Credentials("c", ("s",))),
        (basic("c:s"), {"client_id": "c"}, Credentials("c", ("s",))),
        (basic("c:"), {}, Credentials("c")),
        (basic("c:"), {"client_secret": "s"}, Credentials("c", ("s",))),
        (basic("c:"), {"client_secret": ""}, Credentials("c")),
        (basic("c%3Ad:a+b"), {}, Credentials("c:d", ("a b", "a+b"))),
        (basic("c%3Ad:s"), {"client_id": "c%3Ad"}, Credentials("c%3Ad", ("s",))),
        (None, SIGNED, Credentials("cli_1", assertion=ASSERTION)),
        (None, {**SIGNED, "client_id": "cli_1"}, Credentials("cli_1", assertion=ASSERTION)),
        (basic("cli_1:"), SIGNED, Credentials("cli_1", assertion=ASSERTION)),
        (None, {"client_id": "c", "client_assertion_type": ASSERTION_TYPE}, Credentials("c")),
    ],
)
def test_what_was_sent_is_taken_apart(header, sent, found):
    """O21-13, MCP-AS-87, MCP-AS-22: form-decoded and raw, and an empty secret claims nothing."""
    assert read(header, **sent) == found


TWO = (InvalidRequest, "two_auth_methods", "use one client authentication method")
MISMATCH = (InvalidRequest, "client_id_mismatch", "client_id does not match")
MALFORMED = (InvalidRequest, "basic_malformed", "the Authorization header is malformed")
FAILED = "client authentication failed"


@pytest.mark.parametrize(
    ("header", "sent", "refusal"),
    [
        (basic("c:s"), {"client_secret": "s"}, TWO),
        (basic("c:s"), {"client_secret": ""}, TWO),
        (basic("cli_1:s"), SIGNED, TWO),
        (None, {**SIGNED, "client_secret": "s"}, TWO),
        (basic("c:s"), {"client_id": "d"}, MISMATCH),
        (basic("c:"), SIGNED, MISMATCH),
        (
            None,
            {**SIGNED, "client_assertion_type": "urn:x"},
            (
                InvalidRequest,
                "assertion_type_unsupported",
                "client_assertion_type is not supported",
            ),
        ),
        (
            None,
            {"client_assertion": ASSERTION},
            (
                InvalidRequest,
                "assertion_type_unsupported",
                "client_assertion_type is not supported",
            ),
        ),
        (None, {}, (InvalidClient, "client_missing", "the client is not named")),
        (
            None,
            {"client_secret": "s"},
            (InvalidClient, "client_missing", "the client is not named"),
        ),
        (
            basic("c:s", "Bearer"),
            {},
            (
                InvalidRequest,
                "authorization_scheme",
                "the Authorization header is not Basic",
            ),
        ),
        ("Basic é", {}, MALFORMED),
        ("Basic !!!!", {}, MALFORMED),
        (basic(b"c:\xff"), {}, MALFORMED),
        (basic("c"), {}, MALFORMED),
        (basic(":s"), {}, MALFORMED),
        (basic("c:\x00"), {}, MALFORMED),
        (basic("c\x00:s"), {}, MALFORMED),
        ("Basic !" + basic("c:s").removeprefix("Basic "), {}, MALFORMED),
        (basic("c:%00"), {}, MALFORMED),
        (basic("%00:s"), {}, MALFORMED),
        (
            None,
            {**SIGNED, "client_assertion": "x"},
            (InvalidClient, "jwt_not_compact", FAILED),
        ),
        (None, {**SIGNED, "client_id": "c"}, (InvalidClient, "assertion_of_other_client", FAILED)),
        (
            None,
            {**SIGNED, "client_assertion": KEY.sign("c", ISSUER, NOW, sub=None)},
            (InvalidClient, "jwt_sub", FAILED),
        ),
        (
            None,
            {**SIGNED, "client_assertion": KEY.sign("c", ISSUER, NOW, sub=7)},
            (InvalidClient, "jwt_sub", FAILED),
        ),
        (
            None,
            {**SIGNED, "client_assertion": KEY.sign("c", ISSUER, NOW, sub="a b")},
            (InvalidClient, "jwt_sub", FAILED),
        ),
    ],
)
def test_what_was_sent_and_cannot_be_meant(header, sent, refusal):
    """O21-13, C-9, ATK-63: and never a guess about which of two was meant."""
    with pytest.raises((InvalidRequest, InvalidClient)) as caught:
        read(header, **sent)
    assert (type(caught.value), caught.value.reason, caught.value.description) == refusal


def test_credentials_print_whose_they_are():
    """ATK-66."""
    assert repr(Credentials("cli_1", ("topsecret",), "topsecret")) == "Credentials('cli_1')"


# -- how it is judged ---------------------------------------------------------------------------------------

AUTHORITY = Authority(NOW)
ISSUED = AUTHORITY.issue(names=(dns("app.example"),))
ALONE = self_signed(NOW)
BY_AUTHORITY = replace(
    CLIENT,
    auth_methods=frozenset({"tls_client_auth"}),
    metadata={"tls_client_auth_san_dns": "app.example"},
)
BY_ITSELF = replace(CLIENT, auth_methods=frozenset({"self_signed_tls_client_auth"}))


def shown(client, issued, authorities=Authorities((AUTHORITY.certificate,)), keys=()):  # noqa: B008
    return authenticate(
        client,
        Credentials("cli_1"),
        issuer=ISSUER,
        token_endpoint=ENDPOINT,
        keys=keys,
        certificate=None if issued is None else read_certificate(issued.rfc9440, NOW),
        authorities=authorities,
        now=NOW,
    )


def reason_of(call, *args, **kwargs):
    with pytest.raises(InvalidClient) as caught:
        call(*args, **kwargs)
    assert caught.value.description == FAILED
    return caught.value.reason


def test_a_certificate_is_a_proof():
    """MTLS-01: by an authority and the name, or by the client's own keys; nothing to remember."""
    assert shown(BY_AUTHORITY, ISSUED) == Proof("tls_client_auth")
    keys = import_client_keys(ALONE.jwks)
    assert shown(BY_ITSELF, ALONE, keys=keys) == Proof("self_signed_tls_client_auth")


@pytest.mark.parametrize(
    ("client", "issued", "authorities", "reason"),
    [
        (BY_AUTHORITY, None, Authorities((AUTHORITY.certificate,)), "certificate_missing"),
        (BY_ITSELF, None, None, "certificate_missing"),
        (BY_ITSELF, ALONE, None, "certificate_not_registered"),
        (BY_ITSELF, ISSUED, Authorities((AUTHORITY.certificate,)), "certificate_not_registered"),
        (BY_AUTHORITY, ISSUED, None, "certificate_not_trusted"),
        (BY_AUTHORITY, ALONE, Authorities((AUTHORITY.certificate,)), "certificate_not_trusted"),
        (
            replace(BY_AUTHORITY, metadata={"tls_client_auth_san_dns": "other.example"}),
            ISSUED,
            Authorities((AUTHORITY.certificate,)),
            "certificate_of_another",
        ),
        (
            replace(BY_AUTHORITY, auth_methods=frozenset({"private_key_jwt"})),
            ISSUED,
            Authorities((AUTHORITY.certificate,)),
            "client_unauthenticated",
        ),
    ],
)
def test_a_certificate_that_proves_nothing(client, issued, authorities, reason):
    """MTLS-01: one public sentence for all."""
    assert reason_of(shown, client, issued, authorities) == reason


@pytest.mark.parametrize(
    ("claims", "client", "reason"),
    [
        ({"sub": "cli_2"}, CLIENT, "jwt_sub"),
        ({"iss": "cli_2"}, CLIENT, "jwt_iss"),
        ({"jti": None}, CLIENT, "jwt_jti"),
        ({"jti": "x" * 257}, CLIENT, "jwt_jti"),
        ({"aud": [ISSUER]}, replace(CLIENT, kind="registered", metadata={"fapi": True}), "jwt_aud"),
        ({"header": {"typ": "at+jwt"}}, CLIENT, "jwt_typ"),
        (
            {},
            replace(CLIENT, auth_methods=frozenset({"client_secret_basic"})),
            "auth_method_not_registered",
        ),
        ({}, replace(CLIENT, auth_methods=frozenset({"none"})), "auth_method_not_registered"),
    ],
)
def test_an_assertion_that_proves_nothing(claims, client, reason):
    """ATK-53, O21-13, JB-21, FAPI-04."""
    token = KEY.sign("cli_1", ISSUER, NOW, **claims)
    assert reason_of(prove, Credentials("cli_1", assertion=token), client) == reason


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": "x" * 256},
        {"aud": [ISSUER]},
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "client-authentication+jwt"}},
    ],
)
def test_an_assertion_may_say_more(claims):
    """JB-21: absence of a type is fine, and so is a list of audiences outside FAPI."""
    token = KEY.sign("cli_1", ISSUER, NOW, **claims)
    assert prove(Credentials("cli_1", assertion=token)).method == "private_key_jwt"


def test_an_assertion_is_remembered_for_its_client_alone():
    """ATK-52: the key is a digest of tenant, use, client and `jti`; the time is to the second."""
    token = KEY.sign("cli_1", ISSUER, NOW, jti="j")
    assert prove(Credentials("cli_1", assertion=token)) == Proof(
        "private_key_jwt",
        (
            entropy.digest("ten_1\x00client_assertion\x00cli_1\x00j"),
            NOW + timedelta(seconds=60) + LEEWAY * 2,
        ),
    )


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "ES384", "Ed25519"])
def test_fapi_takes_fewer_algorithms(algorithm):
    """FAPI 2.0 §5.4."""
    key = ClientKey(algorithm)
    credentials = Credentials("cli_1", assertion=key.sign("cli_1", ISSUER, NOW))

    def judged(client):
        return authenticate(
            client,
            credentials,
            issuer=ISSUER,
            token_endpoint=ENDPOINT,
            keys=import_client_keys(key.jwks),
            now=NOW,
        )

    assert judged(CLIENT).method == "private_key_jwt"
    fapi = replace(CLIENT, metadata={"fapi": True})
    if algorithm in FAPI_ALGORITHMS:
        assert judged(fapi).method == "private_key_jwt"
    else:
        assert reason_of(judged, fapi) == "jwt_alg"


def test_the_same_algorithm_as_declared_is_taken():
    """META-05."""
    client = replace(CLIENT, metadata={"token_endpoint_auth_signing_alg": "ES256"})
    assert prove(Credentials("cli_1", assertion=KEY.sign("cli_1", ISSUER, NOW)), client)


SECRET = replace(
    CLIENT,
    auth_methods=frozenset({"client_secret_basic"}),
    secrets=(
        ClientSecret(entropy.digest("old"), NOW + timedelta(microseconds=1)),
        ClientSecret(entropy.digest("new")),
        ClientSecret(entropy.digest("gone"), NOW),
    ),
)


@pytest.mark.parametrize("presented", [("old",), ("new",), ("x", "new"), ("new", "x")])
def test_each_valid_secret_and_each_reading_of_it_counts(presented):
    """MCP-AS-32, MCP-AS-87."""
    assert prove(Credentials("cli_1", presented), SECRET) == Proof("client_secret")


@pytest.mark.parametrize(
    ("credentials", "client", "reason"),
    [
        (Credentials("cli_1", ("gone",)), SECRET, "secret_wrong"),
        (Credentials("cli_1", ("x",)), SECRET, "secret_wrong"),
        (Credentials("cli_1", ("x",)), CLIENT, "secret_wrong"),
        (Credentials("cli_1"), SECRET, "client_unauthenticated"),
        (Credentials("cli_1"), CLIENT, "client_unauthenticated"),
        (
            Credentials("cli_1", ("new",)),
            replace(SECRET, auth_methods=frozenset({"private_key_jwt"})),
            "auth_method_not_registered",
        ),
    ],
)
def test_a_secret_that_proves_nothing(credentials, client, reason):
    """O21-13."""
    assert reason_of(prove, credentials, client) == reason


def test_a_public_client_proves_nothing_and_claims_nothing():
    """MCP-AS-22."""
    public = replace(CLIENT, auth_methods=frozenset({"none"}))
    assert prove(Credentials("cli_1"), public) == Proof("none")


def test_keys_that_are_not_public_keys_are_refused():
    """ATK-41."""
    assert reason_of(import_client_keys, {"keys": "x"}) == "jwks_malformed"
    assert len(import_client_keys(KEY.jwks)) == 1


@pytest.mark.parametrize(
    ("certificates", "authorities", "missing"),
    [
        (True, True, set()),
        (True, False, {"tls_client_auth"}),
        (False, True, {"tls_client_auth", "self_signed_tls_client_auth"}),
        (False, False, {"tls_client_auth", "self_signed_tls_client_auth"}),
    ],
)
def test_only_what_works_is_offered(certificates, authorities, missing):
    """MTLS-01, MCP-AS-22: in the order of the table."""
    offered = offered_methods(certificates=certificates, authorities=authorities)
    assert offered == tuple(method for method in AUTH_METHODS if method not in missing)


@pytest.mark.parametrize(
    ("client", "is_taken"),
    [
        (CLIENT, False),
        (BY_ITSELF, True),
        (BY_AUTHORITY, True),
        (replace(CLIENT, metadata={"fapi": True}), True),
        (replace(CLIENT, metadata={"tls_client_certificate_bound_access_tokens": True}), True),
    ],
)
def test_a_certificate_means_something_to_some(client, is_taken):
    """MTLS-01."""
    assert takes_certificate(client) is is_taken
