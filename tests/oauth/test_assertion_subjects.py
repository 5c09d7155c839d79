"""Whom an assertion is about (pure): one claim is the key, and what it lacks is a refusal (IDJAG-03, -67, -68)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.directory.name_ids import NameId, name_id_key
from authz.errors import Invalid
from authz.oauth.assertion_subjects import (
    FORMAT,
    NameIds,
    SubjectRefused,
    check_names,
    names_of,
    subject_key,
)

ISSUER = "http://www.okta.example/exk1"
EMAIL = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
OURS = NameIds(ISSUER, is_of_connection=True)
WHOLE = {
    "format": FORMAT,
    "issuer": ISSUER,
    "nameid": "alice@corp.example",
    "nameid_format": EMAIL,
    "name_qualifier": "https://idp.corp.example",
    "sp_name_qualifier": "https://authz.example/federation/corp",
}
SAML = {"entity_id": ISSUER, "subject_attribute": None}
BY_ATTRIBUTE = {**SAML, "subject_attribute": "oid"}


def without(name):
    return {it: value for it, value in WHOLE.items() if it != name}


def key(sub_id, names=OURS, **claims):
    return subject_key({"sub": "alice", "sub_id": sub_id, **claims}, names)


def test_the_key_is_the_one_of_a_saml_sign_in():
    """IDJAG-68, SAML-08: all that qualifies the name, and nothing that does not."""
    name_id = NameId(*(WHOLE[it] for it in ("nameid", "nameid_format", "name_qualifier")))
    expected = name_id_key(
        NameId(name_id.value, EMAIL, name_id.name_qualifier, WHOLE["sp_name_qualifier"])
    )
    assert key(WHOLE) == expected
    assert key({**WHOLE, "sp_provided_id": "ours"}) == expected
    assert key(WHOLE, sub="mallory", tenant="t1") == expected


QUALIFIERS = {"nameid_format": 1, "name_qualifier": 2, "sp_name_qualifier": 3}


@pytest.mark.parametrize("member", QUALIFIERS)
def test_a_qualifier_that_is_not_there_is_compared_as_missing(member):
    """SAML-08: as at a sign-in, whose names are read from an assertion of SAML."""
    parts = [WHOLE["nameid"], *(WHOLE[it] for it in QUALIFIERS)]
    parts[QUALIFIERS[member]] = ""
    assert key(without(member)) == name_id_key(NameId(*parts))


@pytest.mark.parametrize("member", ["nameid_format", "name_qualifier", "sp_name_qualifier"])
def test_a_qualifier_missing_or_different_is_another_person(member):
    """IDJAG-68, ATK-27."""
    assert len({key(WHOLE), key(without(member)), key({**WHOLE, member: "urn:other"})}) == 3


def test_two_providers_at_one_connection_have_names_of_their_own():
    other = "http://www.okta.example/exk2"
    mine, theirs = (NameIds(it, is_of_connection=False) for it in (ISSUER, other))
    assert key(WHOLE, mine) != key({**WHOLE, "issuer": other}, theirs)
    assert key(WHOLE, mine) != key(WHOLE, OURS)


def test_members_have_a_length():
    """Of an entity id 1024 characters (SAML core §8.3.6), of everything else as many as a key."""
    entity_id = "https://idp.example/".ljust(1024, "x")
    provider = NameIds(entity_id, is_of_connection=True)
    assert key({**WHOLE, "issuer": entity_id}, provider) == key(WHOLE)
    assert key({**WHOLE, "sp_provided_id": "x"}) == key(WHOLE)
    assert key({**WHOLE, "sp_provided_id": "x" * 512}) == key(WHOLE)
    short = NameIds("x", is_of_connection=True)
    assert key({**WHOLE, "issuer": "x"}, short) == key(WHOLE)


MALFORMED = "id_jag_sub_id_malformed"
DEFECTS = {
    "missing": (None, "id_jag_sub_id_missing"),
    "text": ("alice@corp.example", MALFORMED),
    "list": ([WHOLE], MALFORMED),
    "no format": (without("format"), MALFORMED),
    "format no text": ({**WHOLE, "format": [FORMAT]}, MALFORMED),
    "another format": ({"format": "email", "email": "a@corp.example"}, "id_jag_sub_id_format"),
    "format in capitals": ({**WHOLE, "format": "SAML-NameID"}, "id_jag_sub_id_format"),
    "several names": ({"format": "aliases", "identifiers": [WHOLE]}, "id_jag_sub_id_format"),
    "no name": (without("nameid"), MALFORMED),
    "no issuer": (without("issuer"), MALFORMED),
    "empty name": ({**WHOLE, "nameid": ""}, MALFORMED),
    "name with a space": ({**WHOLE, "nameid": " alice"}, MALFORMED),
    "name no text": ({**WHOLE, "nameid": 7}, MALFORMED),
    "hidden letters": ({**WHOLE, "nameid": "alice\u200b"}, MALFORMED),
    "half a letter": ({**WHOLE, "nameid": "\ud800"}, MALFORMED),
    "long name": ({**WHOLE, "nameid": "a" * 257}, MALFORMED),
    "long id of ours": ({**WHOLE, "sp_provided_id": "x" * 513}, MALFORMED),
    "long issuer": ({**WHOLE, "issuer": "x" * 1025}, MALFORMED),
    "long key": ({**WHOLE, "name_qualifier": "q" * 500}, MALFORMED),
    "empty qualifier": ({**WHOLE, "sp_name_qualifier": ""}, MALFORMED),
    "null qualifier": ({**WHOLE, "sp_name_qualifier": None}, MALFORMED),
    "unknown member": ({**WHOLE, "email": "a@corp.example"}, MALFORMED),
    "another issuer": ({**WHOLE, "issuer": "http://www.okta.example/exk2"}, "id_jag_sub_id_issuer"),
    "issuer in capitals": ({**WHOLE, "issuer": ISSUER.upper()}, "id_jag_sub_id_issuer"),
    "issuer with a slash": ({**WHOLE, "issuer": f"{ISSUER}/"}, "id_jag_sub_id_issuer"),
    "for the moment": (
        {**WHOLE, "nameid_format": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"},
        "id_jag_sub_id_transient",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_name_with_one_defect_names_nobody(defect):
    """IDJAG-67, IDJAG-68: and `sub` is no way out."""
    sub_id, reason = DEFECTS[defect]
    with pytest.raises(SubjectRefused) as refused:
        key(sub_id)
    assert refused.value.reason == str(refused.value) == reason


def test_a_connection_that_no_longer_says_whose_names_finds_nobody():
    names = names_of(None, None, "saml", BY_ATTRIBUTE)
    with pytest.raises(SubjectRefused) as refused:
        key(WHOLE, names)
    assert refused.value.reason == "id_jag_sub_id_issuer"


@pytest.mark.parametrize("sub_id", [WHOLE, {**WHOLE, "issuer": "https://x"}, "text", {}, None])
def test_where_sub_is_the_key_no_other_claim_is_looked_at(sub_id):
    """§3.2: for servers that resolve by it; one that does not may be sent it all the same (IDJAG-67, -71)."""
    assert key(sub_id, None, aud_sub="usr_admin") == "alice"


@pytest.mark.parametrize(
    ("tenant", "sub", "expected"),
    [
        (None, "a:b%", "a:b%"),
        ("t1", "a:b%", "t1:a:b%"),
        ("a:b", "c", "a%3Ab:c"),
        ("a", "b:c", "a:b:c"),
        ("a%3Ab", "c", "a%253Ab:c"),
    ],
)
def test_the_key_begins_with_the_customer(tenant, sub, expected):
    """IDJAG-03: as it is stored, so it never changes."""
    assert subject_key({"tenant": tenant, "sub": sub}, None) == expected


@pytest.mark.parametrize(
    ("tenant", "sub"), [(None, "x" * 512), ("t1", "x" * 509), ("::", "x" * 505)]
)
def test_a_key_has_a_length(tenant, sub):
    """Of the key as it is stored."""
    assert len(subject_key({"tenant": tenant, "sub": sub}, None)) == 512
    with pytest.raises(SubjectRefused) as refused:
        subject_key({"tenant": tenant, "sub": f"{sub}x"}, None)
    assert refused.value.reason == "jwt_sub"


@given(*[st.text(st.sampled_from("ab:%3A["), min_size=1, max_size=6)] * 4)
def test_customers_of_one_issuer_share_no_key(tenant, sub, other_tenant, other_sub):
    """IDJAG-03: whatever letters a customer may choose."""

    def of(tenant, sub):
        try:
            return subject_key({"tenant": tenant, "sub": sub}, None)
        except SubjectRefused as refused:
            return tenant, sub, refused.reason

    same = (tenant, sub) == (other_tenant, other_sub)
    assert (of(tenant, sub) == of(other_tenant, other_sub)) is same


@pytest.mark.parametrize("claims", [{"sub": '["","","","alice"]'}, {"tenant": "[t", "sub": "a"}])
def test_a_subject_cannot_be_taken_for_a_name_of_saml(claims):
    """SAML-08: the keys of both live at one connection."""
    with pytest.raises(SubjectRefused) as refused:
        subject_key(claims, None)
    assert refused.value.reason == "jwt_sub"


@pytest.mark.parametrize(
    ("subject", "saml_issuer", "kind", "settings", "names"),
    [
        (None, None, "oidc", {}, None),
        (None, None, "asserts", {}, None),
        ("sub", None, "oidc", {}, None),
        (None, None, "saml", SAML, OURS),
        ("saml_nameid", None, "saml", SAML, OURS),
        ("sub", None, "saml", SAML, None),
        ("sub", None, "saml", BY_ATTRIBUTE, None),
        ("saml_nameid", ISSUER, "asserts", {}, NameIds(ISSUER, is_of_connection=False)),
        ("saml_nameid", ISSUER, "oidc", {}, NameIds(ISSUER, is_of_connection=False)),
    ],
)
def test_what_names_people_goes_by_the_connection_unless_said(
    subject, saml_issuer, kind, settings, names
):
    check_names(subject, saml_issuer, kind, settings)
    assert names_of(subject, saml_issuer, kind, settings) == names


@pytest.mark.parametrize(
    ("subject", "saml_issuer", "kind", "settings", "field", "why"),
    [
        (None, ISSUER, "asserts", {}, "saml_issuer", "goes with subject"),
        ("sub", ISSUER, "saml", SAML, "saml_issuer", "goes with subject"),
        ("saml_nameid", None, "asserts", {}, "saml_issuer", "needs saml_issuer"),
        ("saml_nameid", ISSUER, "saml", SAML, "saml_issuer", "leave saml_issuer out"),
        (None, None, "saml", BY_ATTRIBUTE, "subject", "by an attribute"),
    ],
)
def test_an_entry_that_leaves_open_whose_names_is_refused(
    subject, saml_issuer, kind, settings, field, why
):
    with pytest.raises(Invalid, match=why) as refusal:
        check_names(subject, saml_issuer, kind, settings)
    assert refusal.value.field == field
