"""Whose account an assertion leads to: the one of the same person's sign-in, and nobody else's (IDJAG-67, -68, -71)."""

import pytest

from authz.admin import connections, mappings, trust
from authz.db.models import Identity, ReplayKey
from authz.errors import Invalid
from tests.support.corporate_saml import CorporateSaml
from tests.support.id_jags import JWT_BEARER, AssertingIdp, present
from tests.support.saml_idp import FORMATS

PUBLIC = "the assertion is not valid"
PERSISTENT = f"{FORMATS}:persistent"


@pytest.fixture
def agent(harness):
    return harness.add_client(
        auth_method="client_secret_post", grant_types=(JWT_BEARER,), redirect_uris=()
    )


@pytest.fixture
def corp(harness):
    """A company that signs in with SAML; whoever is in `dev` is a developer."""
    made = CorporateSaml(harness)
    made.said["attributes"] = {"groups": ["dev"]}
    made.map("groups", "dev", "developer")
    return made


@pytest.fixture
def idp(harness, corp):
    """The same company's issuer of assertions."""
    made = AssertingIdp()
    made.trust_at(harness, connection="corp")
    return made


def named(corp, **changed):
    members = {
        "format": "saml-nameid",
        "issuer": corp.idp.entity_id,
        "nameid": "ada-7",
        "nameid_format": PERSISTENT,
        **changed,
    }
    return {name: value for name, value in members.items() if value is not None}


def redeem(harness, idp, agent, **changed):
    text = idp.assertion(harness, agent.client.id, groups=["dev"], **changed)
    return present(harness, agent, text)


def account(harness, answer):
    assert answer.ok, answer.reason
    return harness.claims(answer.access_token)["sub"]


@pytest.mark.parametrize("first", ["sign-in", "assertion"])
def test_a_sign_in_and_an_assertion_are_one_account(harness, corp, idp, agent, first):
    """IDJAG-68, EMA-35: whichever comes first, and whatever `sub` says."""

    def sign_in():
        return account(harness, harness.redeem(corp.authorize(harness.browser()).code))

    def assertion():
        return account(harness, redeem(harness, idp, agent, sub="00u1", sub_id=named(corp)))

    ways = (sign_in, assertion) if first == "sign-in" else (assertion, sign_in)
    assert ways[0]() == ways[1]()
    assert harness.count(Identity) == 1


def test_qualifiers_of_a_name_are_part_of_it(harness, corp, idp, agent):
    """IDJAG-68, ATK-27: the same name for another service provider is somebody else."""
    corp.said |= {"name_qualifier": "https://idp", "sp_name_qualifier": "https://sp"}
    mine = account(harness, harness.redeem(corp.authorize(harness.browser()).code))
    said = {"name_qualifier": "https://idp", "sp_name_qualifier": "https://sp"}
    assert account(harness, redeem(harness, idp, agent, sub_id=named(corp, **said))) == mine
    others = [
        {**said, "sp_name_qualifier": "https://other"},
        {**said, "sp_name_qualifier": None},
        {**said, "name_qualifier": None},
        {**said, "nameid_format": None},
        {**said, "nameid": "ada-8"},
    ]
    found = [
        account(harness, redeem(harness, idp, agent, sub_id=named(corp, **it))) for it in others
    ]
    assert len({mine, *found}) == 1 + len(others)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (None, "id_jag_sub_id_missing"),
        ({"issuer": "https://other.example/saml"}, "id_jag_sub_id_issuer"),
        ({"nameid": None}, "id_jag_sub_id_malformed"),
        ({"format": "opaque"}, "id_jag_sub_id_format"),
        ({"nameid_format": f"{FORMATS}:transient"}, "id_jag_sub_id_transient"),
    ],
)
def test_what_the_key_lacks_is_a_refusal(harness, corp, idp, agent, changed, reason):
    """IDJAG-67, IDJAG-68: never the account that `sub` or an address would lead to."""
    sub_id = None if changed is None else named(corp, **changed)
    answer = redeem(harness, idp, agent, sub="ada-7", sub_id=sub_id, email="ada@corp.example")
    assert (answer.status, answer.error, answer.reason) == (400, "invalid_grant", reason)
    assert answer.json["error_description"] == PUBLIC
    assert harness.count(Identity) == harness.count(ReplayKey) == 0


def test_an_entry_without_saml_says_whose_names_it_takes(harness, agent, corp):
    """IDJAG-67: a trusted issuer that names another provider's people names nobody."""
    idp = AssertingIdp()
    idp.trust_at(
        harness, "other", subject="saml_nameid", saml_issuer="http://www.okta.example/exk1"
    )
    harness.change(mappings.add, connection="other", claim="groups", value="dev", role="developer")
    mine = named(corp, issuer="http://www.okta.example/exk1")
    found = account(harness, redeem(harness, idp, agent, sub_id=mine))
    assert account(harness, redeem(harness, idp, agent, sub="x", sub_id=mine)) == found
    refused = redeem(harness, idp, agent, sub_id=named(corp))
    assert (refused.error, refused.reason) == ("invalid_grant", "id_jag_sub_id_issuer")


@pytest.mark.parametrize(
    "more",
    [
        {"sub_id": {"format": "opaque", "id": "usr_admin"}},
        {"sub_id": {"format": "saml-nameid", "issuer": "https://x", "nameid": "admin"}},
        {"sub_id": "admin"},
        {"aud_sub": "ADMIN"},
        {"aud_sub": 7},
    ],
)
def test_where_sub_is_the_key_nothing_else_names_anybody(harness, agent, more):
    """IDJAG-67, IDJAG-71, ATK-27: an account of ours in the mouth of a stranger selects nobody."""
    idp = AssertingIdp()
    idp.trust_at(harness)
    harness.change(mappings.add, connection="corp", claim="groups", value="dev", role="developer")
    mine = account(harness, redeem(harness, idp, agent))
    more = {name: harness.users["sre"] if it == "ADMIN" else it for name, it in more.items()}
    assert account(harness, redeem(harness, idp, agent, **more)) == mine


def test_a_connection_keyed_by_an_attribute_needs_a_word(harness, agent):
    """IDJAG-67: no assertion has the attribute, so an operator says what stands for it."""
    corp = CorporateSaml(harness, settings={"subject_attribute": "uid"})
    corp.said["attributes"] = {"groups": ["dev"], "uid": ["u-1"]}
    corp.map("groups", "dev", "developer")
    idp = AssertingIdp()
    with pytest.raises(Invalid, match="by an attribute"):
        idp.trust_at(harness, connection="corp")
    idp.trust_at(harness, connection="corp", subject="sub")
    mine = account(harness, harness.redeem(corp.authorize(harness.browser()).code))
    assert account(harness, redeem(harness, idp, agent, sub="u-1")) == mine
    with pytest.raises(Invalid, match="by an attribute"):
        harness.change(trust.change, "corp", {"subject": None})


def test_a_connection_that_changes_its_key_is_heard_at_once(harness, corp, idp, agent):
    """Asked at use: the entry has no copy of what its connection says."""
    assert redeem(harness, idp, agent, sub_id=named(corp)).ok
    harness.change(
        connections.change,
        harness.server.edge.connectors,
        "corp",
        settings={"subject_attribute": "uid"},
        issuer=harness.issuer,
    )
    assert redeem(harness, idp, agent, sub_id=named(corp)).reason == "id_jag_sub_id_issuer"
