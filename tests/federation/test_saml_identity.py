"""Who it is, which groups they are said to be in, and how they signed in (SAML-08, SAML-11, ATK-28, SUA-04)."""

from datetime import timedelta

import pytest

from authz.directory.assurance import MFA, PASSWORD
from authz.federation.connector import Wish
from authz.federation.saml.times import LEEWAY
from authz.federation.saml_presets import PRESETS
from tests.support.configured import NOW
from tests.support.saml_idp import CLASSES, FORMATS, A, Said, etree, posted
from tests.support.saml_sp import Connection

SECOND = timedelta(seconds=1)
MICROSOFT = "http://schemas.microsoft.com"
MULTIPLE = f"{MICROSOFT}/claims/multipleauthn"


@pytest.fixture(scope="module")
def connection():
    return Connection()


def identity(connection, wants=(), wish=None, **said):
    sent = connection.respond(**said)
    return connection.finish(sent, wants=frozenset(wants), wish=wish).identity


def test_the_key_is_all_that_qualifies_a_name(connection):
    """SAML-08: the same value in another format, or qualified otherwise, is another person."""
    said = [
        {},
        {"name_id_format": None},
        {"name_id_format": f"{FORMATS}:emailAddress".replace("2.0", "1.1")},
        {"name_qualifier": "https://idp.example/saml"},
        {"name_qualifier": "https://other.example"},
        {"sp_name_qualifier": "https://idp.example/saml"},
        {"name_id": "Ada-7"},
        {"name_id": 'ada-7","'},
    ]
    subjects = [identity(connection, **it).subject for it in said]
    assert len(set(subjects)) == len(said)
    assert identity(connection).subject == subjects[0]


def test_a_name_for_the_moment_is_no_key(connection):
    transient = {"name_id_format": f"{FORMATS}:transient"}
    assert connection.outcome(connection.respond(**transient)) == "name_id_transient"
    by_attribute = connection.with_settings(subject_attribute="uid")
    said = {**transient, "attributes": {"uid": ["u-1"]}}
    assert identity(by_attribute, **said).subject == "u-1"


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, "subject_attribute_missing"),
        ({"uid": []}, "subject_attribute_missing"),
        ({"uid": [""]}, "subject_attribute_missing"),
        ({"UID": ["u-1"]}, "subject_attribute_missing"),
        ({"uid": ["u-1", "u-2"]}, "subject_attribute_ambiguous"),
        ({"uid": [" u-1"]}, "subject_attribute_unusable"),
        ({"uid": ["u" * 257]}, "subject_attribute_unusable"),
        ({"uid": ['["","","","ada-7"]']}, "subject_attribute_unusable"),
    ],
    ids=["none", "empty", "blank", "case", "two", "space", "long", "composed"],
)
def test_an_attribute_as_key_is_one_plain_value(connection, attributes, reason):
    keyed = connection.with_settings(subject_attribute="uid")
    assert keyed.outcome(keyed.respond(attributes=attributes)) == reason


def test_only_wanted_attributes_are_kept(connection):
    """ATK-28."""
    attributes = {"groups": ["dev", "ops", "x" * 257], "secret": ["s"], "Groups": ["admin"]}
    found = identity(connection, wants={"groups", "roles"}, attributes=attributes)
    assert found.claims == {"groups": ("dev", "ops")}
    assert identity(connection, attributes=attributes).claims == {}
    assert found.email is None
    assert found.name is None


def test_values_are_text_and_nothing_else(connection):
    root = connection.idp.response(
        connection.upstream, Said(attributes={"groups": ["dev", "", " x"]})
    )
    statement = root.find(f".//{A}AttributeStatement")
    attribute = statement.find(f"{A}Attribute")
    nested = etree.SubElement(attribute, f"{A}AttributeValue")
    etree.SubElement(nested, f"{A}NameID").text = "admin"
    # A second attribute of the name says more of the same; an encrypted one says nothing.
    more = etree.SubElement(statement, f"{A}Attribute", Name="groups")
    etree.SubElement(more, f"{A}AttributeValue").text = "ops"
    etree.SubElement(statement, f"{A}EncryptedAttribute")
    connection.idp.sign_parts(root, ("assertion",))
    found = connection.finish(posted(root), wants=frozenset({"groups"})).identity
    assert found.claims == {"groups": ("dev", " x", "ops")}


def test_an_address_is_vouched_for_by_a_switch_alone(connection):
    attributes = {"mail": ["ada@corp.example"], "cn": ["Ada"]}
    named = connection.with_settings(email_attribute="mail", name_attribute="cn")
    found = identity(named, attributes=attributes)
    assert (found.email, found.email_verified, found.name) == ("ada@corp.example", False, "Ada")
    vouched = named.with_settings(email_is_verified=True)
    assert identity(vouched, attributes=attributes).email_verified
    assert not identity(vouched).email_verified
    two = {"mail": ["ada@corp.example", "eve@corp.example"]}
    assert named.outcome(named.respond(attributes=two)) == "email_ambiguous"
    assert named.outcome(named.respond(attributes={"cn": ["Ada", "Eve"]})) == "name_ambiguous"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_each_preset_reads_what_its_product_sends(preset):
    """L1: name, address and groups by the names of the product."""
    known = PRESETS[preset]
    connection = Connection(preset=preset)
    if preset == "generic":
        connection = connection.with_settings(email_attribute="mail", name_attribute="cn")
    email, name = known.email or "mail", known.name or "cn"
    groups = known.groups or "memberOf"
    attributes = {email: ["ada@corp.example"], name: ["Ada"], groups: ["g-1"]}
    if known.subject is not None:
        attributes[known.subject] = ["0f3a"]
    found = identity(connection, wants={groups}, attributes=attributes)
    assert (found.email, found.name, found.claims) == (
        "ada@corp.example",
        "Ada",
        {groups: ("g-1",)},
    )
    assert found.subject == ("0f3a" if known.subject else f'["{FORMATS}:persistent","","","ada-7"]')


@pytest.mark.parametrize(
    ("methods", "context", "amr", "acr"),
    [
        ([], f"{CLASSES}:Password", (), f"{CLASSES}:Password"),
        ([], f"{CLASSES}:unspecified", (), None),
        ([], None, (), None),
        ([MULTIPLE], f"{CLASSES}:Password", ("mfa",), MFA),
        ([MULTIPLE], f"{CLASSES}:X509", ("mfa",), f"{CLASSES}:X509"),
        ([], MULTIPLE, (), MULTIPLE),
        (["something"], f"{CLASSES}:Password", (), f"{CLASSES}:Password"),
        ([], MFA, (), None),
        ([], PASSWORD, (), None),
    ],
    ids=["password", "unspecified", "none", "mfa", "x509", "context", "unknown", "our", "ours"],
)
def test_how_somebody_signed_in(methods, context, amr, acr):
    adfs = Connection(preset="adfs")
    attributes = {f"{MICROSOFT}/claims/authnmethodsreferences": methods}
    found = identity(adfs, attributes=attributes, context=context)
    assert (found.amr, found.acr) == (amr, acr)


@pytest.mark.parametrize(
    ("methods", "context", "acr"),
    [
        ([MULTIPLE], f"{CLASSES}:X509", MFA),
        ([], MULTIPLE, MFA),
        ([], f"{CLASSES}:X509", f"{CLASSES}:X509"),
    ],
    ids=["method", "context", "neither"],
)
def test_what_was_asked_for_is_answered_by_its_name(methods, context, acr):
    """SUA-01: more than one factor, however the product says so."""
    adfs = Connection(preset="adfs")
    attributes = {f"{MICROSOFT}/claims/authnmethodsreferences": methods}
    wish = Wish(acr_values=(MFA,))
    assert identity(adfs, wish=wish, attributes=attributes, context=context).acr == acr


def test_the_session_over_there(connection):
    """OIDC-08 has its like here: ours does not outlive it."""
    found = identity(connection, session_ends=NOW + timedelta(hours=1), session_index="_s")
    assert found.session == "_s"
    assert found.session_expires_at == NOW + timedelta(hours=1)
    bare = identity(connection, session_index=None)
    assert (bare.session, bare.session_expires_at) == (None, None)


@pytest.mark.parametrize(
    ("wish", "age", "outcome"),
    [
        (Wish(), timedelta(days=30), "accepted"),
        (Wish(is_fresh=True), LEEWAY, "accepted"),
        (Wish(is_fresh=True), LEEWAY + SECOND, "authentication_too_old"),
        (Wish(max_age=0), LEEWAY + SECOND, "authentication_too_old"),
        (Wish(max_age=600), timedelta(seconds=600) + LEEWAY, "accepted"),
        (Wish(max_age=600), timedelta(seconds=601) + LEEWAY, "authentication_too_old"),
        (Wish(max_age=600, is_fresh=True), timedelta(seconds=600), "authentication_too_old"),
    ],
    ids=["any", "fresh", "stale", "zero", "young", "old", "both"],
)
def test_an_identity_provider_that_passes_over_a_wish_is_found_out(connection, wish, age, outcome):
    """SUA-04: ForceAuthn was asked for, and an old sign-in came back."""
    sent = connection.respond(authn_instant=NOW - age)
    assert connection.outcome(sent, wish=wish) == outcome
