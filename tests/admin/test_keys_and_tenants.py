import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from authz.admin import keys, tenants
from authz.db.models import SigningKey
from authz.errors import Conflict, Invalid, NotFound
from authz.keys import PURPOSES

AHEAD = {"publish_ahead": timedelta(minutes=15), "longest_token": timedelta(minutes=10)}


def states(desk):
    return [
        (line.algorithm, line.state)
        for line in desk.ask(keys.list_, desk.now)
        if line.purpose == "access_token"
    ]


def rotate(desk, purpose="access_token", **given):
    new = keys.generate_one(purpose, "ES256")
    return desk.do(keys.rotate, new, **{**AHEAD, **given})


def test_a_successor_is_published_before_it_signs(desk):
    new = rotate(desk)
    assert states(desk) == [("ES256", "active"), ("ES256", "published")]
    desk.wait(minutes=15)
    assert states(desk) == [("ES256", "retiring"), ("ES256", "active")]
    ring = desk.configuration().keys
    assert ring.signer("access_token", "ES256", desk.now).life.key_id == new.key_id
    desk.wait(minutes=10)
    assert states(desk) == [("ES256", "gone"), ("ES256", "active")]
    (wiped,) = desk.do(keys.wipe_gone)
    assert desk.sql(lambda tx: tx.get_one(SigningKey, wiped).private_key) is None
    assert desk.do(keys.wipe_gone) == []


def test_a_key_in_wrong_hands_stops_signing_at_once(desk):
    rotate(desk, publish_ahead=timedelta(0))
    assert states(desk) == [("ES256", "retiring"), ("ES256", "active")]


def test_a_rotation_can_be_planned(desk):
    rotate(desk, at=desk.now + timedelta(days=1))
    assert states(desk) == [("ES256", "active"), ("ES256", "planned")]


@pytest.mark.parametrize(
    ("given", "after"),
    [
        ({"emergency": True, "publish_ahead": timedelta(0)}, ["gone", "gone", "active"]),
        ({}, ["active", "published", "published"]),
    ],
    ids=["emergency", "planned"],
)
def test_a_rotation_sees_the_one_before_it(desk, given, after):
    """V5, ATK-69: what another transaction made and did not commit yet is expelled, or retired, as well."""
    second = threading.Thread(target=rotate, args=(desk,), kwargs=given, daemon=True)
    with desk.services.database.write() as tx:
        new = keys.generate_one("access_token", "ES256")
        keys.rotate(tx, desk.operator, desk.tenant_id, new, **AHEAD)
        second.start()
        second.join(0.3)
        assert second.is_alive()
    second.join(20)
    lines = [it for it in desk.ask(keys.list_, desk.now) if it.purpose == "access_token"]
    assert sorted(it.state for it in lines) == sorted(after)
    assert [it.retire_at for it in lines].count(None) == 1


def test_a_clock_that_is_set_back_leaves_a_tenant_with_a_key(desk):
    desk.wait(minutes=-55)
    assert states(desk) == [("ES256", "active")]


def test_a_key_that_is_in_use_is_taken_by_nobody_else(desk):
    """CONF-13: `keys rotate --reference` with the key that signs already."""
    new = keys.generate_one("access_token", "ES256")
    desk.do(keys.rotate, new, **AHEAD)
    for purpose in ("access_token", "audit"):
        with pytest.raises(Invalid, match="is in use here already"):
            desk.do(keys.rotate, replace(new, purpose=purpose), **AHEAD)
    assert states(desk) == [("ES256", "active"), ("ES256", "published")]


@pytest.mark.parametrize(
    ("purpose", "algorithm", "why"),
    [
        ("audit", "RS256", "audit keys are ES256, not 'RS256'"),
        ("access_token", "HS256", "access_token keys are ES256, RS256, not 'HS256'"),
        ("cookies", "ES256", "there are no keys for 'cookies'"),
    ],
)
def test_one_key_one_algorithm_one_purpose(purpose, algorithm, why):
    with pytest.raises(Invalid, match=why):
        keys.generate_one(purpose, algorithm)


def create(desk, slug, trust="allow_list"):
    def work(tx, operator, _):
        return tenants.create(
            tx, operator, slug=slug, name=slug, client_trust=trust, keys=keys.generate_first()
        )

    return desk.do(work)


def test_a_tenant_is_an_issuer_with_keys_of_its_own(desk):
    create(desk, f"{desk.slug}-x")
    with desk.services.database.read() as tx:
        lines = {line.slug: line for line in tenants.list_(tx, "https://authz.example")}
        other = desk.services.configurations.find(tx, f"{desk.slug}-x")
    assert lines[desk.slug].issuer == f"https://authz.example/t/{desk.slug}"
    assert len(other.keys.keys) == sum(map(len, PURPOSES.values()))
    assert other.audit_key != desk.configuration().audit_key


@pytest.mark.parametrize("slug", ["", "A", "a_b", "-a", "a-", "a" * 64, "a/b"])
def test_a_slug_is_part_of_a_url(desk, slug):
    with pytest.raises(Invalid, match="is not a slug"):
        create(desk, slug)


def test_a_slug_is_taken_once(desk):
    with pytest.raises(Conflict, match="exists already"):
        create(desk, desk.slug)


def test_a_disabled_tenant_is_not_found_by_the_protocol(desk):
    def switch(status):
        with desk.services.database.write() as tx:
            tenants.set_status(tx, desk.operator, slug=desk.slug, status=status)
        with desk.services.database.read() as tx:
            return desk.services.configurations.find(tx, desk.slug)

    assert switch("disabled") is None
    assert switch("active") is not None


def test_trust_is_one_of_three(desk):
    def trust(mode, slug=desk.slug):
        with desk.services.database.write() as tx:
            tenants.set_client_trust(tx, desk.operator, slug=slug, mode=mode)

    trust("open")
    assert desk.configuration().trust.mode == "open"
    with pytest.raises(Invalid, match="'closed' is not one of"):
        trust("closed")
    with pytest.raises(NotFound, match="no tenant 'nope'"):
        trust("open", "nope")


def test_outside_of_development_a_client_has_to_be_approved():
    assert tenants.default_trust(development=False) == "allow_list"
    assert tenants.default_trust(development=True) == "open"
