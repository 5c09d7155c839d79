"""What an ID-JAG says, claim by claim, at each edge; flows show the same over sockets (IDJAG-01 to -85)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from authz import entropy
from authz.directory.name_ids import NameId, name_id_key
from authz.errors import InvalidGrant, InvalidTarget, UnauthorizedClient
from authz.jose import LEEWAY, Profile
from authz.oauth import id_jag
from authz.oauth.assertion_subjects import FORMAT, NameIds
from authz.oauth.id_jag import IdJag, check, choose, chosen_resource, profile_of
from authz.oauth.trust import Trust, TrustSettings
from tests.support.configured import CLIENT, ISSUER, NOW

SETTINGS = TrustSettings(jwks_uri="https://idp.example/jwks")
TRUST = Trust("trs_1", "corp", "id_jag", "con_1", "https://idp.example", SETTINGS)
AGENT = replace(CLIENT, auth_methods=frozenset({"client_secret_basic"}))
CIMD = replace(CLIENT, kind="cimd")
AT = int(NOW.timestamp())
SERVER, OTHER = "https://mcp.example/mcp", "https://other.example/mcp"
CLAIMS = {
    "iss": TRUST.issuer,
    "sub": "u1",
    "aud": ISSUER,
    "client_id": AGENT.id,
    "jti": "j1",
    "iat": AT,
    "exp": AT + 300,
}
FULL = {
    **CLAIMS,
    "scope": "logs.write logs.read",
    "resource": [OTHER, "https://MCP.example:443/mcp"],
    "auth_time": AT - 60,
    "acr": "urn:corp:mfa",
    "amr": ["pwd", "mfa"],
    "cnf": {"jkt": "k"},
    "email": "a@corp.example",
    "email_verified": True,
    "name": "Ann",
    "groups": ["dev", "ops"],
    "mixed": ["dev", 1],
    "empty": [],
    "number": 7,
    "authorization_details": [{"type": "mcp_tool"}],
}
TEXTS = tuple(name for name, value in CLAIMS.items() if isinstance(value, str))


def entry(**changed):
    return replace(TRUST, settings=replace(SETTINGS, **changed))


def checked(claims, *, trust=TRUST, client=AGENT):
    return check(claims, trust, client, slug="acme")


def test_an_assertion_that_says_as_little_as_possible():
    """IDJAG-14, -15: the rest is left to policy."""
    assert checked(CLAIMS) == IdJag(
        trust=TRUST,
        subject="u1",
        jti="j1",
        issued_at=NOW,
        expires_at=NOW + timedelta(seconds=300),
        scopes=None,
        resources=(),
        auth_time=None,
        acr=None,
        amr=(),
        jkt=None,
        email=None,
        email_verified=False,
        name=None,
        claims={name: (CLAIMS[name],) for name in TEXTS},
        authorization_details=None,
    )


def test_an_assertion_that_says_everything():
    """IDJAG-15 to -17, ATK-28: whatever is not text counts for nothing in mappings."""
    found = checked(FULL)
    assert found.scopes == {"logs.read", "logs.write"}
    assert found.resources == (OTHER, SERVER)
    assert found.auth_time == NOW - timedelta(seconds=60)
    assert (found.acr, found.amr, found.jkt) == ("urn:corp:mfa", ("pwd", "mfa"), "k")
    assert (found.email, found.email_verified, found.name) == ("a@corp.example", True, "Ann")
    assert found.authorization_details == [{"type": "mcp_tool"}]
    assert found.claims["groups"] == ("dev", "ops")
    assert found.claims.keys() == {
        *TEXTS,
        "scope",
        "resource",
        "acr",
        "amr",
        "email",
        "name",
        "groups",
    }
    assert found.claims["email"] == ("a@corp.example",)


def test_the_trail_names_it_as_the_identity_provider_does():
    """EMA-32, E8: with the customer, where the issuer has several."""
    told = {"trust": "corp", "issuer": "https://idp.example", "jti": "j1"}
    assert checked(CLAIMS).as_json() == told
    of_customer = checked({**CLAIMS, "tenant": "t1"}, trust=entry(tenants=("t1", "t2")))
    assert of_customer.as_json() == {**told, "tenant": "t1"}
    assert of_customer.subject == "t1:u1"


def test_where_names_of_saml_are_the_keys_nobody_is_found_by_sub():
    """IDJAG-67, IDJAG-68."""
    trust = replace(TRUST, name_ids=NameIds("https://saml.example", is_of_connection=True))
    sub_id = {"format": FORMAT, "issuer": "https://saml.example", "nameid": "alice"}
    found = checked({**CLAIMS, "sub_id": sub_id}, trust=trust)
    assert found.subject == name_id_key(NameId("alice"))
    with pytest.raises(InvalidGrant) as refused:
        checked(CLAIMS, trust=trust)
    assert refused.value.reason == "id_jag_sub_id_missing"


@pytest.mark.parametrize("said", ["true", 1, None, False])
def test_only_true_is_a_verified_address(said):
    """ATK-26."""
    assert checked({**FULL, "email_verified": said}).email_verified is False


LONG = "x" * 512
DEFECTS = [
    ("id_jag_client_id", {"client_id": "cli_2"}),
    ("jwt_jti", {"jti": "x" * 257}),
    ("id_jag_aud_tenant", {"aud_tenant": "other"}),
    ("id_jag_aud_tenant", {"aud_tenant": None}),
    ("jwt_iat", {"iat": None}),
    ("jwt_iat", {"iat": "0"}),
    ("jwt_sub", {"sub": "x" * 513}),
    ("jwt_sub", {"tenant": "t1", "sub": "x" * 510}),
    ("id_jag_scope", {"scope": ["logs.read"]}),
    ("id_jag_scope", {"scope": ""}),
    ("id_jag_resource", {"resource": []}),
    ("id_jag_resource", {"resource": {}}),
    ("id_jag_resource", {"resource": [f"https://mcp.example/{n}" for n in range(21)]}),
    ("id_jag_resource", {"resource": [SERVER, 7]}),
    ("id_jag_resource", {"resource": [SERVER, f"{SERVER}#a"]}),
    ("id_jag_resource", {"resource": [SERVER, "https://MCP.example/mcp"]}),
    ("jwt_auth_time", {"auth_time": "now"}),
    ("id_jag_acr", {"acr": 1}),
    ("id_jag_acr", {"acr": ""}),
    ("id_jag_acr", {"acr": LONG + "x"}),
    ("id_jag_email", {"email": "a\u202e"}),
    ("id_jag_name", {"name": ["Ann"]}),
    ("id_jag_amr", {"amr": "mfa"}),
    ("id_jag_amr", {"amr": ["m"] * 21}),
    ("id_jag_amr", {"amr": ["mfa", 1]}),
    ("id_jag_amr", {"amr": ["mfa", "a\n"]}),
    ("id_jag_amr", {"amr": ["mfa", LONG + "x"]}),
    ("id_jag_cnf", {"cnf": "k"}),
    ("id_jag_cnf", {"cnf": {}}),
    ("id_jag_cnf", {"cnf": {"jkt": "k", "kid": "k"}}),
    ("id_jag_cnf", {"cnf": {"jkt": 1}}),
    ("id_jag_authorization_details", {"authorization_details": {}}),
]


@pytest.mark.parametrize(("reason", "changed"), DEFECTS)
def test_an_assertion_with_one_defect(reason, changed):
    """IDJAG-82: one sentence, whatever is wrong."""
    with pytest.raises(InvalidGrant) as refusal:
        checked({**FULL, **changed})
    assert refusal.value.reason == reason
    assert refusal.value.description == id_jag.REFUSED == "the assertion is not valid"


@pytest.mark.parametrize(
    ("changed", "member", "value"),
    [
        ({"jti": "x" * 256}, "jti", "x" * 256),
        ({"aud_tenant": "acme"}, "subject", "u1"),
        ({"sub": LONG}, "subject", LONG),
        ({"tenant": "t1"}, "subject", "t1:u1"),
        ({"tenant": "t1", "sub": "x" * 509}, "subject", "t1:" + "x" * 509),
        ({"acr": LONG}, "acr", LONG),
        ({"name": "x"}, "name", "x"),
        ({"amr": ["m"] * 20}, "amr", ("m",) * 20),
        ({"amr": [LONG]}, "amr", (LONG,)),
        ({"resource": SERVER}, "resources", (SERVER,)),
        (
            {"resource": [f"https://mcp.example/{n}" for n in range(20)]},
            "resources",
            tuple(f"https://mcp.example/{n}" for n in range(20)),
        ),
        ({"authorization_details": []}, "authorization_details", []),
        ({"cnf": None}, "jkt", None),
    ],
)
def test_an_assertion_that_is_just_good_enough(changed, member, value):
    assert getattr(checked({**FULL, **changed}), member) == value


@pytest.mark.parametrize(
    ("client", "allowed", "good"),
    [
        (AGENT, False, True),
        (CLIENT, False, False),
        (CLIENT, True, False),
        (CIMD, False, False),
        (CIMD, True, True),
        (replace(AGENT, kind="cimd"), False, True),
    ],
    ids=[
        "confidential",
        "public",
        "public, let in",
        "document",
        "document, let in",
        "document key",
    ],
)
def test_who_proves_nothing_redeems_nothing(client, allowed, good):
    """CONF-06: unless the entry lets in whom a document vouches for."""
    trust = entry(allow_public_cimd_clients=allowed)
    if good:
        assert checked(CLAIMS, trust=trust, client=client).trust is trust
        return
    with pytest.raises(UnauthorizedClient) as refusal:
        checked(CLAIMS, trust=trust, client=client)
    assert refusal.value.reason == "id_jag_public_client"
    assert refusal.value.description.isascii()


def test_an_entry_may_name_its_clients():
    assert checked(CLAIMS, trust=entry(clients=(AGENT.id, "cli_2"))).subject == "u1"
    with pytest.raises(InvalidGrant) as refusal:
        checked(CLAIMS, trust=entry(clients=("cli_2",)))
    assert refusal.value.reason == "id_jag_client_not_allowed"


def test_what_the_jwt_must_look_like():
    """IDJAG-01 to -09, -53."""
    trust = entry(algorithms=("ES256",), max_lifetime_seconds=90)
    assert profile_of(trust, ISSUER) == Profile(
        typ=frozenset({"oauth-id-jag+jwt"}),
        algorithms=("ES256",),
        issuer="https://idp.example",
        audiences=frozenset({ISSUER}),
        max_lifetime=timedelta(seconds=90),
        required=frozenset({"jti", "client_id"}),
    )


def test_one_use_is_one_of_an_entry_and_an_issuer():
    """IDJAG-66: and what is forgotten would not be accepted any more."""
    found = checked(CLAIMS)
    assert found.replay_key == entropy.digest("id_jag\x00https://idp.example\x00trs_1\x00j1")
    assert found.remembered_until == found.expires_at + LEEWAY + LEEWAY
    assert "u1" not in repr(found)
    assert repr(found) == "IdJag(trust='corp')"


@pytest.mark.parametrize(
    ("tenant", "chosen"),
    [(None, "free"), ("t1", "one"), ("t2", "two"), ("t3", None), (["t1"], None), (1, None)],
    ids=str,
)
def test_the_entry_of_the_issuers_customer(tenant, chosen):
    """IDJAG-81, EMA-22, ATK-25."""
    trusts = (
        replace(entry(tenants=("t1",)), slug="one"),
        replace(TRUST, slug="free"),
        replace(entry(tenants=("t0", "t2", "t1")), slug="two"),
    )
    found = choose(trusts, {"tenant": tenant} if tenant else {})
    assert (found and found.slug) == chosen
    assert choose((trusts[0], trusts[2]), {}) is None


@pytest.mark.parametrize(
    ("named", "entry_names", "asked", "answer"),
    [
        ((SERVER,), (), None, SERVER),
        ((SERVER,), (), SERVER, SERVER),
        ((SERVER,), (SERVER, OTHER), None, SERVER),
        ((SERVER,), (SERVER,), None, SERVER),
        ((SERVER, OTHER), (), OTHER, OTHER),
        ((), (SERVER,), None, SERVER),
        ((), (SERVER, OTHER), OTHER, OTHER),
        ((), (), SERVER, "id_jag_resource_missing"),
        ((SERVER, OTHER), (SERVER,), SERVER, "id_jag_resource_of_other"),
        ((SERVER, OTHER), (), None, "id_jag_resource_ambiguous"),
        ((), (SERVER, OTHER), None, "id_jag_resource_ambiguous"),
        ((SERVER,), (), OTHER, "id_jag_resource_not_granted"),
        ((SERVER,), (SERVER, OTHER), OTHER, "id_jag_resource_not_granted"),
    ],
)
def test_the_one_audience(named, entry_names, asked, answer):
    """IDJAG-57 to -59, CONF-07."""
    found = replace(checked(CLAIMS), resources=named)
    if answer.startswith("https:"):
        assert chosen_resource(found, asked, entry=entry_names) == answer
        return
    with pytest.raises(InvalidTarget) as refusal:
        chosen_resource(found, asked, entry=entry_names)
    assert refusal.value.reason == answer
    assert refusal.value.description.isascii()


def test_a_time_is_one_of_utc():
    assert checked({**CLAIMS, "auth_time": 0}).auth_time == datetime(1970, 1, 1, tzinfo=UTC)
