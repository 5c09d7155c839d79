"""Whose account somebody has who an identity provider vouches for: CONF-12, OIDC-07, ATK-26, ATK-28, M2, E9, E11."""

import pytest
from sqlalchemy import select

from authz.admin import groups, users
from authz.db.models import Group, GroupMapping, GroupMember, Identity, User
from authz.db.models.user import LOCAL
from authz.directory.linking import LinkRefused, UpstreamIdentity, domain_of, link
from authz.directory.mapping import map_groups
from tests.support.connections import connection, domain

ALICE = UpstreamIdentity("s-1", email="Alice@Corp.example", email_verified=True, name="Alice")


@pytest.fixture
def provider(desk):
    """Adds a connection, and domains of it."""

    def add(slug="okta", *, domains=("corp.example",), verified=True, mandatory=False, **changed):
        row = connection(desk.tenant_id, slug, desk.now, **changed)

        def store(tx):
            tx.add(row)
            tx.flush()
            for name in domains:
                tx.add(domain(row, name, desk.now, verified=verified, mandatory=mandatory))

        desk.sql(store)
        return row

    return add


def sign_in(desk, row, identity=ALICE):
    def work(tx):
        linked = link(tx, row, identity, desk.now)
        return linked.user_id, [event.kind for event in linked.events]

    return desk.sql(work)


def refusal(desk, row, identity=ALICE):
    with pytest.raises(LinkRefused) as caught:
        sign_in(desk, row, identity)
    return caught.value.reason


def person(desk, user_id):
    return desk.sql(lambda tx: tx.get_one(User, user_id))


def test_a_new_person_gets_an_account_and_keeps_it(desk, provider):
    okta = provider(provisions=True)
    first, events = sign_in(desk, okta)
    assert events == ["user.provisioned", "identity.linked"]
    assert sign_in(desk, okta) == (first, [])
    user = person(desk, first)
    assert (user.login, user.email, user.name) == (
        "alice@corp.example",
        "alice@corp.example",
        "Alice",
    )
    assert user.password_hash is None


def test_the_subject_is_the_key_and_nothing_else(desk, provider):
    """OIDC-07: a new address is the same person, the same address of another subject is another one."""
    okta = provider(provisions=True)
    alice, _ = sign_in(desk, okta)
    married = UpstreamIdentity("s-1", email="alice.smith@corp.example", email_verified=True)
    assert sign_in(desk, okta, married)[0] == alice
    assert person(desk, alice).email == "alice.smith@corp.example"
    heir = UpstreamIdentity("s-2", email="alice@corp.example", email_verified=True)
    assert sign_in(desk, okta, heir)[0] != alice


def test_the_same_subject_of_two_connections_is_two_people(desk, provider):
    """E11."""
    okta, entra = provider(provisions=True), provider("entra", domains=(), provisions=True)
    assert sign_in(desk, okta)[0] != sign_in(desk, entra)[0]


def test_nobody_is_made_who_was_not_wanted(desk, provider):
    assert refusal(desk, provider()) == "not_provisioned"


def test_an_address_links_once(desk, provider):
    """CONF-12: with every condition met, and afterwards the subject is the key."""
    account = desk.do(users.add, login="alice@corp.example", name="", password_hash=None)
    okta = provider(links_by_email=True, provisions=True)
    assert sign_in(desk, okta) == (account.id, ["identity.linked"])
    # Who gets the address next does not get the account.
    heir = UpstreamIdentity("s-2", email="alice@corp.example", email_verified=True)
    other, events = sign_in(desk, okta, heir)
    assert other != account.id
    assert events == ["user.provisioned", "identity.linked"]
    assert person(desk, other).login == "alice@corp.example#okta"


@pytest.mark.parametrize(
    "missing",
    ["switch", "verified address", "domain", "proof of the domain", "own domain", "whole domain"],
)
def test_an_address_links_only_with_every_condition(desk, provider, missing):
    """ATK-26 (nOAuth)."""
    account = desk.do(users.add, login="alice@corp.example", name="", password_hash=None)
    if missing == "own domain":
        provider("entra")
    okta = provider(
        links_by_email=missing != "switch",
        domains=()
        if missing in ("domain", "own domain")
        else ("corp.example",)
        if missing != "whole domain"
        else ("example",),
        verified=missing != "proof of the domain",
    )
    identity = UpstreamIdentity(
        "s-1", email="alice@corp.example", email_verified=missing != "verified address"
    )
    assert refusal(desk, okta, identity) == "not_provisioned"
    assert not desk.sql(
        lambda tx: tx.scalars(select(Identity).where(Identity.user_id == account.id)).all()
    )


def test_two_accounts_with_the_address_are_none(desk, provider):
    desk.do(users.add, login="alice@corp.example", name="", password_hash=None)
    second = desk.do(users.add, login="ally", name="", password_hash=None)
    desk.sql(lambda tx: setattr(tx.get_one(User, second.id), "email", "alice@corp.example"))
    assert refusal(desk, provider(links_by_email=True)) == "not_provisioned"


def test_an_emergency_account_is_never_taken_over(desk, provider):
    account = desk.do(users.add, login="alice@corp.example", name="", password_hash="x")
    desk.do(users.set_break_glass, account.id, allowed=True)
    assert refusal(desk, provider(links_by_email=True)) == "not_provisioned"


@pytest.mark.parametrize("linked", [True, False])
def test_a_closed_account_stays_closed(desk, provider, linked):
    """CVE-2026-1609's class: neither its own person nor a new account beside it gets in."""
    okta = provider(links_by_email=True, provisions=True)
    desk.do(users.add, login="alice@corp.example", name="", password_hash=None)
    if linked:
        sign_in(desk, okta)
    desk.do(users.disable, "alice@corp.example")
    assert refusal(desk, okta) == "account_disabled"


def test_a_mandatory_domain_closes_weaker_doors(desk, provider):
    """M2: nobody of the domain comes in through another connection, linked before or not."""
    weak = provider("weak", domains=(), provisions=True)
    sign_in(desk, weak)
    provider(mandatory=True)
    assert refusal(desk, weak) == "domain_of_other_connection"


def test_a_domain_that_is_not_proved_closes_nothing(desk, provider):
    provider(mandatory=True, verified=False)
    sign_in(desk, provider("weak", domains=(), provisions=True))


@pytest.mark.parametrize("subject", ["", "x" * 513, "a\x00b"])
def test_a_subject_that_cannot_be_a_key_is_refused(desk, provider, subject):
    okta = provider(provisions=True)
    assert refusal(desk, okta, UpstreamIdentity(subject)) == "subject_unusable"


@pytest.mark.parametrize(
    "email",
    [
        None,
        "",
        "no-at",
        "@corp.example",
        "a@b@corp.example",
        "a b@corp.example",
        "a\n@corp.example",
    ],
)
def test_an_address_that_is_none_is_no_login(desk, provider, email):
    okta = provider(provisions=True)
    user = person(desk, sign_in(desk, okta, UpstreamIdentity("s-1", email=email))[0])
    assert user.login == f"{user.id}#okta".lower()
    assert user.email is None


def test_a_name_that_cannot_be_shown_is_left_out(desk, provider):
    okta = provider(provisions=True)
    spoof = UpstreamIdentity("s-1", email="a@corp.example", name="A\u202eB")
    assert person(desk, sign_in(desk, okta, spoof)[0]).name == "a@corp.example"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("a@Corp.Example", "corp.example"),
        ("a@corp.example.", "corp.example"),
        ("a@evil.example@corp.example", None),
        ("corp.example", None),
        (None, None),
    ],
)
def test_the_domain_of_an_address(address, found):
    assert domain_of(address) == found


# -- groups -------------------------------------------------------------------------------------------------


@pytest.fixture
def sre(desk, provider):
    """A connection with one mapping, groups=sre, and somebody who came through it."""
    okta = provider(provisions=True)
    group = desk.do(groups.add, name="sre")

    def store(tx):
        tx.add(
            GroupMapping(
                id="map_1_" + desk.slug,
                tenant_id=desk.tenant_id,
                connection_id=okta.id,
                claim="groups",
                value="sre",
                group_id=group.id,
                created_at=desk.now,
            )
        )

    desk.sql(store)
    return okta, group.id, sign_in(desk, okta)[0]


def mapped(desk, sre, claims):
    okta, group_id, user_id = sre

    def work(tx):
        events = map_groups(tx, okta, user_id, claims)
        is_in = tx.get(GroupMember, (group_id, user_id, okta.id)) is not None
        return is_in, [(e.added, e.removed) for e in events]

    return desk.sql(work)


def test_a_mapped_value_is_a_membership_until_it_is_gone(desk, sre):
    assert mapped(desk, sre, {"groups": ("other", "sre")}) == (True, [(["sre"], [])])
    assert mapped(desk, sre, {"groups": ("sre",)}) == (True, [])
    assert mapped(desk, sre, {"groups": ()}) == (False, [([], ["sre"])])


@pytest.mark.parametrize(
    "claims",
    [
        {"groups": ("SRE", "sre ", " sre", "sr", "sre\x00", "*", "sre,other")},
        {"Groups": ("sre",), "roles": ("sre",)},
        {"groups": tuple(f"g{n}" for n in range(10_000))},
        {},
    ],
)
def test_whatever_is_not_mapped_counts_for_nothing(desk, sre, claims):
    """ATK-28: whole, case-exact, of this claim."""
    assert mapped(desk, sre, claims) == (False, [])


def test_a_connection_speaks_for_itself_only(desk, sre, provider):
    """What operators or another provider say of the same group stays."""
    _, group_id, user_id = sre
    desk.do(groups.add_member, group="sre", user=user_id)
    other = provider("entra", domains=())
    desk.sql(
        lambda tx: tx.add(
            GroupMember(
                group_id=group_id, user_id=user_id, source=other.id, tenant_id=desk.tenant_id
            )
        )
    )
    mapped(desk, sre, {"groups": ("sre",)})
    mapped(desk, sre, {})
    left = desk.sql(
        lambda tx: set(
            tx.scalars(select(GroupMember.source).where(GroupMember.group_id == group_id))
        )
    )
    assert left == {LOCAL, other.id}
    assert desk.sql(lambda tx: tx.get_one(Group, group_id).name) == "sre"
