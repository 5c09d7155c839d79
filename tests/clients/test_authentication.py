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
    MAX_ASSERTION_LIFETIME,
    Credentials,
    authenticate,
    import_client_keys,
    read_credentials,
)
from authz.clients.client import Client, ClientSecret
from authz.errors import InvalidClient, InvalidRequest
from authz.jose import LEEWAY
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
