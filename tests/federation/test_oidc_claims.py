"""ATK-26, ATK-28, OIDC-07: what is believed of somebody's claims, and what is left out."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz.federation.connector import SignInRefused
from authz.federation.oidc_claims import MAX_VALUE_CHARS, texts_in

GROUPS = frozenset({"groups"})

VALUES = {
    "text": ("sre", ("sre",)),
    "a list": (["sre", "dev"], ("sre", "dev")),
    "twice": (["sre", "dev", "sre"], ("sre", "dev")),
    "no text": ("", None),
    "an empty list": ([], None),
    "nothing": (None, None),
    "an object": ({"sre": True}, None),
    "a number": (7, None),
    "truth": (True, None),
    "text with a NUL": (["admin\x00", "dev"], ("dev",)),
    "control characters": (["admin\n", "a\tb", "\x1b[0m", "dev"], ("dev",)),
    "half a character": (["\ud800", "dev"], ("dev",)),
    "a turned direction": (["\u202enimda", "dev"], ("dev",)),
    "lists in lists": ([["admin"], "dev"], ("dev",)),
    "objects in lists": ([{"name": "admin"}, "dev"], ("dev",)),
    "numbers in lists": ([1, True, None, "dev"], ("dev",)),
    "long": (["x" * (MAX_VALUE_CHARS + 1), "x" * MAX_VALUE_CHARS], ("x" * MAX_VALUE_CHARS,)),
    "everything": (["*"], ("*",)),
    "case and blanks": (["Admin", "admin ", " admin"], ("Admin", "admin ", " admin")),
}


@pytest.mark.parametrize("place", ["id_token", "userinfo"])
@pytest.mark.parametrize("name", VALUES)
def test_text_is_kept_as_it_is_and_nothing_else_is(scene, idp, place, name):
    """Value by value: one strange group of somebody's takes none of their others away."""
    value, kept = VALUES[name]
    idp.metadata["userinfo_endpoint"] = idp.url("/userinfo") if place == "userinfo" else None
    (idp.person if place == "id_token" else idp.userinfo)["groups"] = value
    if name == "half a character" and place == "userinfo":
        # Not JSON as we take it from anybody.
        assert scene.refusal(idp, wanted=GROUPS).reason == "userinfo_json"
        return
    if name == "text with a NUL" and place == "userinfo":
        assert scene.refusal(idp, wanted=GROUPS).reason == "userinfo_json"
        return
    identity = scene.sign_in(idp, wanted=GROUPS).identity
    assert identity.claims == ({} if kept is None else {"groups": kept})


def test_what_no_mapping_mentions_is_forgotten(scene, idp):
    """IDJAG-17's rule: an unmapped claim is no role, whatever it is called."""
    idp.person |= {"roles": ["admin"], "scope": "everything", "groups": ["dev"]}
    assert scene.sign_in(idp, wanted=GROUPS).identity.claims == {"groups": ("dev",)}
    assert scene.sign_in(idp).identity.claims == {}


def test_several_claims_and_those_with_odd_names(scene, idp):
    idp.person |= {
        "roles": "admin",
        "https://corp.example/team": ["sre"],
        "a.b": ["x"],
        "a": {"b": "y"},
    }
    wanted = frozenset({"roles", "https://corp.example/team", "a.b", "a", "absent"})
    assert scene.sign_in(idp, wanted=wanted).identity.claims == {
        "roles": ("admin",),
        "https://corp.example/team": ("sre",),
        "a.b": ("x",),
    }


@pytest.mark.parametrize("place", ["id_token", "userinfo"])
def test_fifty_thousand_groups(scene, idp, place):
    """L5: as many as no company gives anybody; read, kept for the mappings, and in no time that matters."""
    groups = [f"0b1ec700-0000-4000-8000-{n:012x}" for n in range(50_000)]
    (idp.person if place == "id_token" else idp.userinfo)["groups"] = groups
    began = time.process_time()
    identity = scene.sign_in(idp, wanted=GROUPS).identity
    assert identity.claims["groups"] == tuple(groups)
    # The provider's own work is in here as well.
    assert time.process_time() - began < 5


def test_more_values_than_anybody_has():
    assert len(texts_in([str(n) for n in range(100_000)])) == 100_000
    with pytest.raises(SignInRefused) as refused:
        texts_in(["x"] * 100_001)
    assert refused.value.reason == "claim_too_long"


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_whatever_comes_only_usable_text_is_left(value):
    for text in texts_in(value):
        assert isinstance(text, str)
        assert text.isprintable()
        assert 1 <= len(text) <= MAX_VALUE_CHARS
        text.encode()


@pytest.mark.parametrize(
    "email", ["a\x00@b.example", "a\n@b.example", "", 7, ["a@b.example"], "x" * 400]
)
def test_an_address_that_is_none(scene, idp, email):
    idp.claims["email"] = email
    identity = scene.sign_in(idp).identity
    assert (identity.email, identity.email_verified) == (None, False)


def test_one_source_does_not_vouch_for_the_address_of_the_other(scene, idp):
    """ATK-26: an unverified address at userinfo, and a verified one in the ID token, are not one verified address."""
    upstream = scene.upstream(idp, userinfo="always")
    idp.userinfo = {"email": "ceo@victim.example"}
    identity = scene.sign_in(idp, upstream).identity
    assert (identity.email, identity.email_verified) == ("ceo@victim.example", False)
    idp.userinfo = {"email_verified": True}
    idp.claims["email_verified"] = False
    identity = scene.sign_in(idp, upstream).identity
    assert (identity.email, identity.email_verified) == ("dev@corp.example", False)


def test_nobody_is_in_a_group_by_claiming_an_address(scene, idp):
    """A mapping of addresses counts for verified ones only."""
    wanted = frozenset({"email"})
    assert scene.sign_in(idp, wanted=wanted).identity.claims == {"email": ("dev@corp.example",)}
    idp.claims["email_verified"] = False
    assert scene.sign_in(idp, wanted=wanted).identity.claims == {}


@pytest.mark.parametrize("subject", [None, "", 7, ["u-1"], "u\x00", "u" * 256])
def test_another_claim_as_the_subject_has_to_be_there(scene, idp, subject):
    upstream = scene.upstream(idp, subject_claim="employee")
    idp.claims["employee"] = subject
    assert scene.refusal(idp, upstream).reason == "subject_missing"
    idp.claims["employee"] = "u-1"
    assert scene.sign_in(idp, upstream).identity.subject == "u-1"


def test_userinfo_says_nothing_about_who_it_is(scene, idp):
    """The subject, the session and the moment come from what was signed."""
    upstream = scene.upstream(idp, userinfo="always", subject_claim="employee")
    idp.claims["employee"] = "u-1"
    idp.userinfo = {"employee": "u-2", "sid": "s", "acr": "gold", "amr": ["mfa"], "auth_time": 1}
    identity = scene.sign_in(idp, upstream).identity
    assert identity.subject == "u-1"
    assert (identity.session, identity.acr, identity.amr, identity.auth_time) == (
        None,
        None,
        (),
        None,
    )
