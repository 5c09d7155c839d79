"""Keys that are in wrong hands, keys that have signed for long enough, and the key all of them are sealed with (V5)."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import select, update

from authz import jobs
from authz.admin import keys, resources, sealing
from authz.db.models import SigningKey, Tenant
from authz.envelope import Envelope, new_encoded_key
from authz.errors import ConfigurationError, Invalid
from authz.keys.backends.local import SEALED_AS
from tests.flows.test_introspection import ask
from tests.flows.test_keys import LONGEST, jwks, kid_of, kids, state_of, stored
from tests.support.harness import RESOURCE

NOW = timedelta(0)


def expel(harness, **given):
    new = keys.generate_one("access_token", "ES256")
    given = {"publish_ahead": NOW, "longest_token": LONGEST, "emergency": True, **given}
    return harness.change(keys.rotate, new, **given).key_id


def changed(harness, what):
    """What the trail says of changes of this kind."""
    found = [it["detail"] for it in harness.events("admin.changed")]
    return [it["values"] for it in found if it["what"] == what]


# -- a key in wrong hands ---------------------------------------------------------------------------------


def test_what_a_stolen_key_signed_is_worth_nothing_at_once(harness):
    """V5, ATK-69: out of the key set, wiped, and refused where this server reads its own tokens."""
    rs = harness.add_client(auth_method="client_secret_basic", name="Operations MCP")
    harness.change(resources.set_client, RESOURCE, rs.client.id)
    before = harness.redeem(harness.code())
    assert ask(harness, rs, before.access_token).json["active"] is True
    old = kid_of(before.access_token)

    new = expel(harness)

    assert old not in kids(harness)
    assert new in kids(harness)
    assert {row.id: row.private_key for row in stored(harness)}[old] is None
    assert state_of(harness, old) == "gone"
    assert ask(harness, rs, before.access_token).json == {"active": False}
    with pytest.raises((JoseError, ValueError)):
        harness.claims(before.access_token)
    after = harness.refresh(before.refresh_token)
    assert kid_of(after.access_token) == new
    assert harness.claims(after.access_token)["iss"] == harness.issuer
    (told,) = changed(harness, "key.expel")
    assert told["expelled"] == old
    assert len(changed(harness, "key.wipe")) == 1


def test_an_emergency_overtakes_what_was_planned(harness):
    """A key that waits for its day was made beside the stolen one, and may be stolen as well."""
    planned = harness.change(
        keys.rotate,
        keys.generate_one("access_token", "ES256"),
        publish_ahead=timedelta(minutes=15),
        longest_token=LONGEST,
        at=harness.clock() + timedelta(days=1),
    ).key_id
    new = expel(harness)
    harness.clock.advance(days=2)
    assert state_of(harness, planned) == "gone"
    assert kid_of(harness.redeem(harness.code()).access_token) == new


@pytest.mark.parametrize("given", [{"publish_ahead": timedelta(minutes=1)}, {"at": "tomorrow"}])
def test_an_emergency_does_not_wait(harness, given):
    if "at" in given:
        given = {"at": harness.clock() + timedelta(days=1)}
    with pytest.raises(Invalid, match="signs at once"):
        expel(harness, **given)
    assert not changed(harness, "key.expel")


# -- keys that have signed for long enough ----------------------------------------------------------------


def rotating(harness):
    """The server as it is where keys sign for 90 days, and what it knows of keys."""
    own = harness.server.settings
    settings = own.keys.model_copy(update={"rotate_after": timedelta(days=90)})
    return replace(
        harness.server.services, settings=own.model_copy(update={"keys": settings})
    ), settings


def test_keys_rotate_by_themselves_and_no_verification_fails(harness):
    """V5: a verifier that keeps the key set for as long as it is told never meets a key it does not know."""
    services, settings = rotating(harness)
    minutes = int(settings.publish_ahead.total_seconds() // 60)
    harness.clock.advance(seconds=settings.rotate_after.total_seconds() - 60 * minutes - 60)
    cached, alive, signed_by, fetched_at = None, [], [], None
    for _ in range(40):
        jobs.rotate_keys(services, harness.clock())
        if fetched_at is None or harness.clock() - fetched_at >= timedelta(seconds=300):
            cached, fetched_at = KeySet.import_key_set({"keys": jwks(harness)}), harness.clock()
        token = harness.redeem(harness.code()).access_token
        signed_by.append(kid_of(token))
        alive.append((harness.claims(token)["exp"], token))
        alive = [(exp, it) for exp, it in alive if exp > harness.clock().timestamp()]
        for _, one in alive:
            assert jwt.decode(one, cached, algorithms=["ES256"]).claims["iss"] == harness.issuer
        harness.clock.advance(minutes=2)
    assert len(set(signed_by)) == 2
    assert signed_by == sorted(
        signed_by, key=signed_by.index
    )  # the first, then its successor for good
    found = [(it["purpose"], it["algorithm"]) for it in changed(harness, "key.rotate")]
    assert ("access_token", "ES256") in found
    assert len(found) == len(set(found)), "a key was rotated twice"


def test_a_damaged_tenant_holds_up_no_other(harness, other_harness):
    """Somebody wrote over its secret: nothing more is written for it, and the keys of all others rotate."""
    services, _ = rotating(harness)
    damaged = other_harness.tenant_id
    with harness.server.database.write() as tx:
        tx.execute(update(Tenant).where(Tenant.id == damaged).values(token_secret=b"x"))
    harness.clock.advance(days=91)
    with pytest.raises(ExceptionGroup) as told:
        jobs.rotate_keys(services, harness.clock())
    assert [it.__notes__ for it in told.value.exceptions] == [[f"tenant {damaged}"]]
    assert changed(harness, "key.rotate")
    assert not changed(other_harness, "key.rotate")


def test_who_comes_second_finds_nothing_due(harness):
    """Two nodes whose lease ran out: one successor."""
    due = {"after": timedelta(days=90), "publish_ahead": timedelta(minutes=15)}
    harness.clock.advance(days=91)
    made = [
        harness.change(
            keys.rotate_due,
            keys.generate_one("access_token", "ES256"),
            longest_token=LONGEST,
            **due,
        )
        for _ in range(2)
    ]
    assert made[0] is not None
    assert made[1] is None


# -- the key they are sealed with -------------------------------------------------------------------------


@pytest.fixture
def envelopes(harness):
    """The server's own, one with a new key that knows the server's, and one that does not; all is back at the end."""
    path = harness.server.settings.keys.encryption_key.removeprefix("file:")
    old, new = Path(path).read_bytes().strip(), new_encoded_key()
    own = Envelope(old, further=[new])
    yield own, Envelope(new, further=[old]), Envelope(new)
    rewrap(harness, own)


def rewrap(harness, envelope):
    with harness.server.database.write() as tx:
        operator = replace(harness.server.operator(), envelope=envelope)
        return sealing.rewrap(tx, operator, harness.tenant_id)


def opened(harness, envelope):
    """Every secret of the tenant."""
    with harness.server.database.read() as tx:
        tenant = tx.get_one(Tenant, harness.tenant_id)
        mine = select(SigningKey).where(SigningKey.tenant_id == harness.tenant_id)
        rows = tx.scalars(mine.order_by(SigningKey.id))
        return [
            envelope.open(tenant.token_secret, "token_secret", tenant.id),
            *(envelope.open(it.private_key, SEALED_AS, tenant.id, it.id) for it in rows),
        ]


def used(harness):
    with harness.server.database.read() as tx:
        return sealing.usage(tx, harness.tenant_id)


def test_another_key_encryption_key_takes_over(harness, envelopes):
    """V5, V1: nobody who signs notices, and the key before is not needed any more."""
    own, both, alone = envelopes
    before, count = opened(harness, own), len(stored(harness)) + 1
    assert used(harness) == {own.name: count}
    with pytest.raises(ConfigurationError, match=own.name):
        opened(harness, alone)

    assert rewrap(harness, both) == count
    assert used(harness) == {alone.name: count}
    assert opened(harness, alone) == before
    told = {"secrets": count, "key_encryption_key": alone.name}
    assert changed(harness, "keys.rewrap") == [told]

    assert rewrap(harness, both) == 0, "a second run has nothing to do"
    assert changed(harness, "keys.rewrap") == [told]


def test_what_was_stopped_half_way_goes_on(harness, envelopes):
    own, both, alone = envelopes
    row, *_ = stored(harness)
    with harness.server.database.write() as tx:
        context = (SEALED_AS, harness.tenant_id, row.id)
        secret = own.open(row.private_key, *context)
        tx.get_one(SigningKey, row.id).private_key = both.seal(secret, *context)
    assert used(harness)[alone.name] == 1
    assert rewrap(harness, both) == len(stored(harness))
    assert set(used(harness)) == {alone.name}


def test_a_key_that_is_still_needed_is_missed_at_the_start(harness, envelopes):
    """One sentence that names the key and the way out, instead of a server that cannot sign."""
    own, both, _ = envelopes
    rewrap(harness, both)
    with harness.server.database.read() as tx:
        sealing.check(tx, own)
        with pytest.raises(ConfigurationError, match=f"{both.name}.*further_encryption_keys"):
            sealing.check(tx, harness.server.services.envelope)
