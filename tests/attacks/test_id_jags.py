"""Assertions sent to the wrong place, forged, or weighed (IDJAG-66, -80 to -82, ATK-24, ATK-25, ATK-36, item 1)."""

import itertools
import os
import time

import pytest
from joserfc import jws

from authz.admin import connections, mappings, signal_streams, trust
from authz.admin.signal_streams import NewStream
from authz.db.models import Identity, ReplayKey, TokenFamily
from authz.federation.logout_tokens import EVENT
from tests.support.client_keys import ClientKey
from tests.support.corporate import Corporate
from tests.support.fake_idp import CLIENT_ID, SECRET, sign
from tests.support.harness import RESOURCE, Harness
from tests.support.id_jags import ISSUER, JWT_BEARER, TYP, AssertingIdp, present
from tests.support.leaving import SESSION_REVOKED

COUNT = 4
TRIES = 60
PUBLIC = "the assertion is not valid"
_numbers = itertools.count(1)


def add_agent(harness):
    return harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )


def believe(harness, idp, slug="corp", **settings):
    idp.trust_at(harness, slug, **settings)
    connection = settings.get("connection") or slug
    harness.change(
        mappings.add, connection=connection, claim="groups", value="dev", role="developer"
    )


@pytest.fixture
def agent(harness):
    return add_agent(harness)


@pytest.fixture
def idp():
    return AssertingIdp()


@pytest.fixture
def companies(harness):
    """Tenants of one server, each with an agent that redeems."""
    others = [Harness(harness.server) for _ in range(COUNT - 1)]
    tenants = [harness, *others]
    yield [(tenant, add_agent(tenant)) for tenant in tenants]
    for other in others:
        other.close()


def matrix(companies, make):
    """What every tenant says to every company's assertion, by (company, tenant)."""
    said = {}
    for (i, source), (j, (there, agent)) in itertools.product(
        enumerate(companies), enumerate(companies)
    ):
        answer = present(there, agent, make(i, source[0], there, agent))
        assert answer.ok or (
            (answer.status, answer.error, answer.json["error_description"])
            == (400, "invalid_grant", PUBLIC)
        )
        said[i, j] = "ok" if answer.ok else answer.reason
    return said


def diagonal(reason):
    return {
        (i, j): "ok" if i == j else reason for i, j in itertools.product(range(COUNT), repeat=2)
    }


# -- tenants and issuers, each with each --------------------------------------------------------------------


def test_each_companys_issuer_is_believed_at_its_own_tenant_alone(companies):
    """ATK-24, IDJAG-80: made for the other tenant's audience and client, so that trust alone decides."""
    idps = [AssertingIdp(f"https://idp-{i}.example") for i in range(COUNT)]
    for idp, (tenant, _) in zip(idps, companies, strict=True):
        believe(tenant, idp)

    def make(i, _source, there, agent):
        return idps[i].assertion(there, agent.client.id, groups=["dev"])

    assert matrix(companies, make) == diagonal("issuer_unknown")
    for tenant, _ in companies:
        assert tenant.count(Identity) == tenant.count(TokenFamily) == 1


def test_an_issuer_that_all_believe_speaks_to_the_tenant_it_names(companies, idp):
    """ATK-24, IDJAG-04: one provider for all; what it said to one tenant is nothing at the others."""
    for tenant, _ in companies:
        believe(tenant, idp)

    def make(_i, source, _there, agent):
        return idp.assertion(source, agent.client.id, groups=["dev"])

    assert matrix(companies, make) == diagonal("jwt_aud")


def test_a_tenant_named_beside_the_audience_is_that_tenant(companies, idp):
    """IDJAG-14: `aud_tenant` is ours, and read where the request landed."""
    for tenant, _ in companies:
        believe(tenant, idp)

    def make(_i, source, there, agent):
        more = {"aud_tenant": source.slug, "groups": ["dev"]}
        return idp.assertion(there, agent.client.id, **more)

    assert matrix(companies, make) == diagonal("id_jag_aud_tenant")


def test_each_customer_of_one_issuer_is_believed_at_its_own_tenant_alone(companies, idp):
    """ATK-25, IDJAG-81, EMA-22: one `iss`, one key, and only `tenant` says whose people they are."""
    for i, (tenant, _) in enumerate(companies):
        believe(tenant, idp, tenants=[f"customer-{i}"])

    def make(i, _source, there, agent):
        return idp.assertion(there, agent.client.id, groups=["dev"], tenant=f"customer-{i}")

    assert matrix(companies, make) == diagonal("id_jag_tenant")


def test_customers_of_one_issuer_at_one_tenant_are_different_people(harness, idp, agent):
    """IDJAG-03, IDJAG-81: each customer with each entry, and the same subject everywhere."""
    customers = [f"customer-{i}" for i in range(COUNT)]
    for customer in customers:
        believe(harness, idp, customer, tenants=[customer])

    def account(customer):
        text = idp.assertion(harness, agent.client.id, groups=["dev"], tenant=customer)
        answer = present(harness, agent, text)
        assert answer.ok, answer.reason
        claims = harness.claims(answer.access_token)
        return claims["sub"], claims["connection"]

    first = [account(it) for it in customers]
    assert [connection for _, connection in first] == customers
    assert len({sub for sub, _ in first}) == COUNT
    assert [account(it) for it in customers] == first


def test_a_client_of_one_tenant_is_nobody_at_another(companies, idp):
    """ATK-24: with its own good credentials."""
    for tenant, _ in companies:
        believe(tenant, idp)
    (here, mine), (there, _) = companies[:2]
    text = idp.assertion(there, mine.client.id, groups=["dev"])
    answer = present(there, mine, text)
    assert (answer.status, answer.error) == (401, "invalid_client")
    assert there.count(ReplayKey) == 0
    assert present(here, mine, idp.assertion(here, mine.client.id, groups=["dev"])).ok


# -- one kind for another -----------------------------------------------------------------------------------


class OneKey:
    """A company whose provider signs all it says with one key, as one issuer: the kind alone tells it apart."""

    def __init__(self, harness):
        self.harness = harness
        self.corp = Corporate(harness)
        self.key = self.corp.idp.key
        self.corp.map("groups", "dev", "developer")
        self.agent = add_agent(harness)
        harness.change(
            trust.add,
            slug="corp",
            issuer=self.corp.idp.issuer,
            connection="corp",
            settings={"jwks": self.key.jwks},
        )
        stream = NewStream(
            slug="signals",
            connection="corp",
            issuer=self.corp.idp.issuer,
            jwks_uri=self.corp.idp.url("/jwks"),
            audience=harness.issuer,
        )
        self.push_token = harness.change(signal_streams.add, stream, development=False).token

    def claims(self, kind):
        """What a statement of this kind says, but for its audience."""
        at, it = int(self.harness.clock().timestamp()), next(_numbers)
        common = {"iss": self.corp.idp.issuer, "sub": f"person-{it}", "iat": at, "jti": f"one-{it}"}
        own = {
            "ID token": {"exp": at + 120, "nonce": "n", "groups": ["dev"]},
            "logout token": {"exp": at + 120, "events": {EVENT: {}}},
            "security event": {
                "sub": None,
                "sub_id": {"format": "opaque", "id": "nobody"},
                "events": {SESSION_REVOKED: {"event_timestamp": at}},
            },
            "ID-JAG": {
                "exp": at + 120,
                "client_id": self.agent.client.id,
                "resource": RESOURCE,
                "scope": "logs.read",
                "groups": ["dev"],
            },
        }
        return {name: it for name, it in {**common, **own[kind]}.items() if it is not None}

    def sign(self, typ, claims):
        return sign(self.key, {"alg": "RS256", "kid": self.key.kid, "typ": typ}, claims)

    def takes(self, consumer, typ, claims):
        """Whether a consumer accepts this, with the audience and the nonce that it wants."""
        harness, corp = self.harness, self.corp
        if consumer == "ID token":
            corp.idp.forge = lambda _, own: self.sign(
                typ, {**claims, "aud": own["aud"], "nonce": own["nonce"]}
            )
            browser = harness.browser()
            corp.idp.userinfo["sub"] = claims.get("sub")
            return corp.sign_in(browser, browser.start()).is_consent
        at_client = {**claims, "aud": CLIENT_ID}
        if consumer == "logout token":
            path = "/federation/corp/backchannel-logout"
            return harness.post(path, {"logout_token": self.sign(typ, at_client)}).ok
        text = self.sign(typ, {**claims, "aud": harness.issuer})
        if consumer == "ID-JAG":
            return present(harness, self.agent, text).ok
        url = f"{harness.issuer}/signals/signals"
        headers = {
            "Content-Type": "application/secevent+jwt",
            "Authorization": f"Bearer {self.push_token}",
        }
        return harness.http.post(url, content=text, headers=headers).status_code == 202


TYPES = {
    "ID token": "JWT",
    "logout token": "logout+jwt",
    "security event": "secevent+jwt",
    "ID-JAG": TYP,
}
FOREIGN = ("at+jwt", "dpop+jwt", "client-authentication+jwt", "token-introspection+jwt", "none")


@pytest.fixture
def company(harness, monkeypatch):
    monkeypatch.setitem(os.environ, "IDP_SECRET", SECRET)
    return OneKey(harness)


@pytest.mark.parametrize("consumer", TYPES)
def test_what_one_key_signs_is_one_kind_of_thing(company, consumer):
    """ATK-36, IDJAG-01, CONF-05: each kind at each consumer of the same issuer, addressed to it."""
    taken = {
        kind for kind, typ in TYPES.items() if company.takes(consumer, typ, company.claims(kind))
    }
    assert taken == {consumer}


@pytest.mark.parametrize("consumer", TYPES)
def test_the_type_of_another_kind_is_refused_whatever_it_says(company, consumer):
    """ATK-36: claims that are all this consumer wants, under the type of every other kind there is."""
    also = {"JWT"} if consumer == "logout token" else set()  # its type is younger than it is
    others = set(TYPES.values()) - {TYPES[consumer]} - also
    for typ in (*sorted(others), *FOREIGN):
        assert not company.takes(consumer, typ, company.claims(consumer)), typ
    assert company.takes(consumer, TYPES[consumer], company.claims(consumer))


# -- what a forgery does ------------------------------------------------------------------------------------


def other_key(idp):
    return {"key": ClientKey("ES256", kid=idp.key.kid).key}


BURNING = {
    "another key": (other_key, {}, "jwt_signature"),
    "unknown key": (other_key, {"header": {"kid": "stranger"}}, "jwt_key_unknown"),
    "another audience": (None, {"aud": "https://other.example"}, "jwt_aud"),
    "another client": (None, {"client_id": "cli_other"}, "id_jag_client_id"),
    "another tenant": (None, {"tenant": "t2"}, "id_jag_tenant"),
    "malformed resource": (None, {"resource": "/mcp"}, "id_jag_resource"),
}


@pytest.mark.parametrize("defect", BURNING)
def test_what_is_refused_burns_no_good_assertion(harness, idp, agent, defect):
    """IDJAG-66, item 1: forged, misdirected or malformed, the same `jti` is still good once."""
    believe(harness, idp)
    make_key, changed, reason = BURNING[defect]
    more = {"groups": ["dev"], **changed, **(make_key(idp) if make_key else {})}
    bad = present(harness, agent, idp.assertion(harness, agent.client.id, jti="the-one", **more))
    assert (bad.ok, bad.reason) == (False, reason)
    assert harness.count(ReplayKey) == 0
    good = idp.assertion(harness, agent.client.id, jti="the-one", groups=["dev"])
    assert present(harness, agent, good).ok
    again = present(harness, agent, good)
    assert (again.error, again.reason) == ("invalid_grant", "id_jag_replayed")


def test_a_copy_without_the_clients_credentials_burns_nothing(harness, idp, agent):
    """IDJAG-85: whoever only has the assertion cannot even spoil it."""
    believe(harness, idp)
    good = idp.assertion(harness, agent.client.id, groups=["dev"])
    assert present(harness, agent, good, client_secret="guess").error == "invalid_client"
    assert present(harness, add_agent(harness), good).reason == "id_jag_client_id"
    assert present(harness, agent, good).ok


# -- what it can be told by ---------------------------------------------------------------------------------


@pytest.fixture
def checks(monkeypatch):
    """Every signature of an ES256 or RS256 key that is checked from now on."""
    counted = []
    for name in ("ES256", "RS256"):
        algorithm = jws.JWSRegistry.algorithms[name]

        def verify(*arguments, _name=name, _verify=algorithm.verify):
            counted.append(_name)
            return _verify(*arguments)

        monkeypatch.setattr(algorithm, "verify", verify)
    return counted


REFUSALS = {
    "wrong signature": "jwt_signature",
    "unknown issuer": "issuer_unknown",
    "unknown key": "jwt_key_unknown",
    "unknown customer": "id_jag_tenant",
    "our own issuer": "id_jag_own_issuer",
    "algorithm not of the entry": "jwt_alg",
    "entry disabled": "issuer_unknown",
    "connection disabled": "connection_disabled",
    "key in the header": "jwt_header_forbidden",
}


def refused_text(harness, idp, agent, refusal):
    """The assertion, and what is switched off for it."""
    forged = other_key(idp)
    match refusal:
        case "wrong signature":
            return idp.assertion(harness, agent.client.id, **forged)
        case "unknown issuer":
            return idp.assertion(harness, agent.client.id, iss="https://stranger.example")
        case "unknown key":
            return idp.assertion(harness, agent.client.id, header={"kid": "k9"}, **forged)
        case "unknown customer":
            return idp.assertion(harness, agent.client.id, tenant="t9")
        case "our own issuer":
            return idp.assertion(harness, agent.client.id, iss=harness.issuer)
        case "algorithm not of the entry":
            return AssertingIdp(ISSUER, "RS256").assertion(harness, agent.client.id)
        case "entry disabled":
            harness.change(trust.set_status, "corp", "disabled")
        case "connection disabled":
            harness.change(connections.set_status, "corp", "disabled")
        case "key in the header":
            header = {"jku": "https://evil.example/keys"}
            return idp.assertion(harness, agent.client.id, header=header)
    return idp.assertion(harness, agent.client.id)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_whom_a_tenant_trusts_shows_neither_in_words_nor_in_work(
    harness, idp, agent, checks, refusal
):
    """IDJAG-77, IDJAG-82: one body, and exactly one signature check by the algorithm of the sender's choice."""
    believe(harness, idp, algorithms=["ES256"])
    wrong = present(harness, agent, refused_text(harness, idp, agent, "wrong signature"))
    text = refused_text(harness, idp, agent, refusal)
    present(harness, agent, text)  # what was switched off is known from now on
    checks.clear()
    answer = present(harness, agent, text)
    assert answer.reason == REFUSALS[refusal]
    assert (answer.status, answer.json) == (wrong.status, wrong.json)
    assert checks == ["RS256" if refusal == "algorithm not of the entry" else "ES256"]


@pytest.mark.parametrize("refusal", ["unknown issuer", "unknown customer", "our own issuer"])
def test_whom_a_tenant_trusts_shows_in_no_time(harness, idp, agent, refusal):
    """IDJAG-82: what the process computes for one request, the least of many: how busy the machine is does not count.

    The tries are interleaved, so that what becomes warm on the way is warm for both. That one signature is checked
    either way is counted above; this is everything else.
    """
    believe(harness, idp)
    texts = {it: refused_text(harness, idp, agent, it) for it in ("wrong signature", refusal)}
    took = {it: [] for it in texts}
    for _ in range(TRIES):
        for name, text in texts.items():
            began = time.process_time()
            answer = present(harness, agent, text)
            took[name].append(time.process_time() - began)
            assert (answer.error, answer.reason) == ("invalid_grant", REFUSALS[name])
    forged, stranger = (min(it) for it in took.values())
    assert 0.8 < stranger / forged < 1.25
