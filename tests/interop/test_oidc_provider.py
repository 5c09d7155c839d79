"""OIDC-06 at a provider that others wrote: `oidc-provider`, over real sockets, with everything it insists on."""

import json
from datetime import timedelta

import pytest

from authz.clock import system_clock
from authz.federation.connector import Answer, SignInRefused, Tools, Upstream, Wish
from authz.federation.oidc import OidcConnector
from authz.net import Documents, Network, NetworkConfig
from tests.interop.scene import JAVASCRIPT, node
from tests.support.client_keys import ClientKey
from tests.support.fake_idp import signing_key
from tests.support.identity_provider import identity_provider, params_of, visitor

pytestmark = [pytest.mark.interop, pytest.mark.slow]

SECRET = "s3cret/with:signs&and=more-than-enough-of-them"
OURS = signing_key("ES256", "our-key")
PEOPLE = {
    "dev": {
        "email": "dev@corp.example",
        "email_verified": True,
        "name": "Dev",
        "groups": ["dev", "everybody"],
    },
    "sleepy": {"email": "sleepy@corp.example", "signed_in_ago": 4000},
    "shy": {"refuses": True},
}
WANTED = frozenset({"groups"})


def client(client_id, method, algorithm, **more):
    return {
        "client_id": client_id,
        "token_endpoint_auth_method": method,
        "redirect_uris": [f"https://as.example/federation/{client_id}/callback"],
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "id_token_signed_response_alg": algorithm,
        **more,
    }


def clients(algorithm):
    return [
        client("basic", "client_secret_basic", algorithm, client_secret=SECRET),
        client("post", "client_secret_post", algorithm, client_secret=SECRET),
        client(
            "key",
            "private_key_jwt",
            algorithm,
            jwks=OURS.jwks,
            token_endpoint_auth_signing_alg="ES256",
        ),
    ]


def running(key: ClientKey, port=None):
    command = [node(), str(JAVASCRIPT / "identity_provider.mjs")]
    return identity_provider(
        command, key=key, clients=clients(key.algorithm), people=PEOPLE, port=port
    )


@pytest.fixture(scope="module")
def provider():
    with running(signing_key("RS256", "k1")) as made:
        yield made


@pytest.fixture(scope="module")
def network():
    made = Network(NetworkConfig(allow_loopback=True))
    yield made
    made.close()


@pytest.fixture
def connector(network):
    secrets = {"env:SECRET": SECRET.encode(), "env:WRONG": b"wrong"}
    secrets["env:KEY"] = json.dumps(OURS.key.as_dict(private=True)).encode()
    return OidcConnector(Tools(network, Documents(network, system_clock), secrets.__getitem__))


@pytest.fixture
def browser():
    with visitor() as made:
        yield made


def upstream(connector, provider, client_id="basic", slug=None, **settings):
    proof = {"client_auth": f"client_secret_{client_id}", "client_secret": "env:SECRET"}
    if client_id == "key":
        proof = {"private_key": "env:KEY"}
    scopes = ["openid", "email", "profile", "groups"]
    own = {"issuer": provider.issuer, "client_id": client_id, "scopes": scopes, **proof, **settings}
    slug = slug or client_id
    return Upstream(
        id="con-1",
        tenant_id="ten-1",
        slug=slug,
        preset="generic",
        settings=connector.check(own, "generic"),
        base=f"https://as.example/federation/{slug}",
    )


def go(connector, provider, browser, connection, wish):
    """Out and back; answers what the callback hands over."""
    now = system_clock()
    start = connector.start(connection, wish, "state-1", now)
    url = browser.visit(start.url, provider)
    assert url.startswith(f"{connection.redirect_uri}?")
    params = params_of(url)
    assert params["state"] == "state-1"
    return Answer(params, start.kept, wish, now, WANTED)


def sign_in(connector, provider, browser, connection=None, wish=None):
    connection = connection or upstream(connector, provider)
    answer = go(connector, provider, browser, connection, wish or Wish(login_hint="dev"))
    return connector.finish(connection, answer, system_clock()).identity


def refusal(connector, provider, browser, connection=None, wish=None):
    with pytest.raises(SignInRefused) as refused:
        sign_in(connector, provider, browser, connection, wish)
    return refused.value.reason


@pytest.mark.parametrize("client_id", ["basic", "post", "key"])
def test_each_way_to_prove_ourselves(connector, provider, browser, client_id):
    identity = sign_in(connector, provider, browser, upstream(connector, provider, client_id))
    assert identity.subject == "dev"
    assert (identity.email, identity.email_verified) == ("dev@corp.example", True)
    # It puts none of these into ID tokens of the code flow: userinfo was asked.
    assert identity.claims == {"groups": ("dev", "everybody")}
    assert identity.name == "Dev"


@pytest.mark.parametrize("algorithm", ["PS256", "ES256", "Ed25519"])
def test_each_kind_of_signature(connector, browser, algorithm):
    with running(signing_key(algorithm, "k1")) as other:
        connection = upstream(connector, other, algorithms=[algorithm])
        assert sign_in(connector, other, browser, connection).subject == "dev"
        strict = upstream(connector, other, algorithms=["RS256"])
        assert refusal(connector, other, browser, strict) == "id_token_alg"


def test_it_names_itself_and_we_look(connector, provider, browser):
    """RFC 9207."""
    connection = upstream(connector, provider)
    answer = go(connector, provider, browser, connection, Wish(login_hint="dev"))
    assert answer.params["iss"] == provider.issuer
    for iss, reason in ((None, "answer_iss_missing"), ("http://127.0.0.1:1", "answer_iss")):
        params = {**answer.params, "iss": iss}
        params = {name: value for name, value in params.items() if value is not None}
        with pytest.raises(SignInRefused) as refused:
            connector.finish(
                connection,
                Answer(params, answer.kept, answer.wish, answer.started_at, WANTED),
                system_clock(),
            )
        assert refused.value.reason == reason


def test_a_fresh_sign_in(connector, provider, browser):
    """With a session there that nobody asks anything, and without using it."""
    first = sign_in(connector, provider, browser)
    assert first.auth_time is None
    fresh = sign_in(connector, provider, browser, wish=Wish(is_fresh=True, login_hint="dev"))
    assert fresh.auth_time is not None
    assert abs((system_clock() - fresh.auth_time).total_seconds()) < 60
    young = sign_in(connector, provider, browser, wish=Wish(max_age=600, login_hint="dev"))
    assert young.auth_time == fresh.auth_time


def test_a_sign_in_of_long_ago_is_found_out(connector, provider, browser):
    """SUA-04."""
    wish = Wish(is_fresh=True, login_hint="sleepy")
    assert refusal(connector, provider, browser, wish=wish) == "auth_time_stale"


def test_a_sign_in_as_strong_as_asked(connector, provider, browser):
    """SUA-01."""
    names = ("urn:example:gold", "urn:example:silver")
    identity = sign_in(connector, provider, browser, wish=Wish(acr_values=names, login_hint="dev"))
    assert identity.acr == "urn:example:gold"


def test_somebody_who_cancels(connector, provider, browser):
    reason = refusal(connector, provider, browser, wish=Wish(login_hint="shy"))
    assert reason == "upstream_access_denied"


def test_a_code_is_good_once(connector, provider, browser):
    connection = upstream(connector, provider)
    answer = go(connector, provider, browser, connection, Wish(login_hint="dev"))
    assert connector.finish(connection, answer, system_clock()).identity.subject == "dev"
    with pytest.raises(SignInRefused) as refused:
        connector.finish(connection, answer, system_clock())
    assert refused.value.reason == "token_invalid_grant"


def test_a_code_of_another_client_or_attempt(connector, provider, browser):
    """ATK-02: PKCE and the client both hold it to where it came from."""
    connection = upstream(connector, provider)
    mine = go(connector, provider, browser, connection, Wish(login_hint="dev"))
    later = go(connector, provider, browser, connection, Wish(login_hint="dev"))
    mixed = Answer(mine.params, later.kept, mine.wish, mine.started_at, WANTED)
    with pytest.raises(SignInRefused) as refused:
        connector.finish(connection, mixed, system_clock())
    assert refused.value.reason == "token_invalid_grant"
    with pytest.raises(SignInRefused) as refused:
        connector.finish(upstream(connector, provider, "post"), later, system_clock())
    assert refused.value.reason == "token_invalid_grant"


def test_a_wrong_secret(connector, provider, browser):
    connection = upstream(connector, provider, client_secret="env:WRONG")
    assert refusal(connector, provider, browser, connection) == "token_invalid_client"


def test_the_address_of_another_connection_is_not_registered(connector, provider, browser):
    """BCPU-01: one redirect URI per connection, and it knows this one's."""
    connection = upstream(connector, provider, slug="another")
    with pytest.raises(AssertionError, match="redirect_uri"):
        go(connector, provider, browser, connection, Wish())


def test_rotated_keys(network, browser):
    """The same provider with another key: the next person who signs in makes us look."""
    moment = system_clock()
    later = [moment]
    connector = OidcConnector(
        Tools(network, Documents(network, lambda: later[0]), lambda _: SECRET.encode())
    )
    with running(signing_key("ES256", "k1")) as first:
        assert sign_in(connector, first, browser).subject == "dev"
    later[0] = moment + timedelta(seconds=31)
    with running(signing_key("ES256", "k2"), first.port) as second:
        assert sign_in(connector, second, browser).subject == "dev"
