"""Verification of a whole trail: what an intruder with the database does is found and placed (item 11, ATK-67)."""

import json
import threading

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import OperationalError

from authz import audit
from authz.admin import audit as trail
from authz.admin import audit_checkpoints, keys
from authz.audit.chain import Head, chained, head_mac
from authz.audit.checkpoints import next_checkpoint
from authz.audit.events import SessionEnded
from authz.db.models import AuditCheckpoint, AuditEvent, AuditHead
from authz.errors import Conflict
from authz.oauth.configuration import derived_key


@pytest.fixture
def told(harness):
    """A tenant with a past: two strands, refusals, a revoked grant."""
    answer = harness.redeem(harness.code())
    for _ in range(4):
        answer = harness.refresh(answer.refresh_token)
    harness.redeem("azc_unknown")
    code = harness.code()
    harness.redeem(code)
    harness.redeem(code)
    assert verify(harness).fault is None
    return harness


def verify(harness):
    with harness.server.database.read() as tx:
        return trail.verify(tx, harness.server.operator(), harness.tenant_id)


def lane(harness):
    return harness.events("audit.strand_opened")[-1]["detail"]["strand"]


def at(harness, strand, position):
    return (
        AuditEvent.tenant_id == harness.tenant_id,
        AuditEvent.strand == strand,
        AuditEvent.position == position,
    )


def change(harness, *statements):
    with harness.server.database.write() as tx:
        for statement in statements:
            tx.execute(statement)


def row(harness, strand, position):
    with harness.server.database.read() as tx:
        return tx.scalars(select(AuditEvent).where(*at(harness, strand, position))).one()


def checkpoint(harness):
    server = harness.server
    with server.database.read() as tx:
        prepared = next_checkpoint(
            tx, harness.tenant_id, issuer=harness.issuer, now=harness.clock()
        )
        ring = server.services.configurations.find(tx, harness.slug).keys
    if prepared is None:
        return None
    statement = audit_checkpoints.sign(ring, prepared, harness.clock())
    with server.database.write() as tx:
        audit_checkpoints.store(tx, harness.tenant_id, prepared, statement, harness.clock())
    return prepared


def fault(harness):
    found = verify(harness).fault
    return found and (found.strand, found.position, found.what)


def test_an_honest_trail_holds(told):
    it = verify(told)
    assert it.fault is None
    assert it.events == len(told.events())
    assert it.strands == 2


# -- one event --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("strand", ["main", "lane"])
@pytest.mark.parametrize("position", [1, 3])
def test_an_edited_body_is_named(told, strand, position):
    strand = lane(told) if strand == "lane" else strand
    body = row(told, strand, position).body
    edited = body.replace('"v":1', '"v":2')
    assert edited != body
    change(told, update(AuditEvent).where(*at(told, strand, position)).values(body=edited))
    assert fault(told) == (strand, position, "altered")


@pytest.mark.parametrize(
    "body",
    ["", "{", "null", "[]", '"text"', "{}", '{"kind":"audit.strand_opened"}', "[" * 10_000],
)
@pytest.mark.parametrize("strand", ["main", "lane"])
def test_a_body_that_is_no_event_is_named_and_nothing_breaks(told, body, strand):
    """A verifier that stops with an error has been silenced."""
    strand = lane(told) if strand == "lane" else strand
    values = {"body": body, "kind": "audit.strand_opened" if strand == "main" else "token.issued"}
    change(told, update(AuditEvent).where(*at(told, strand, 2)).values(**values))
    assert fault(told) == (strand, 2, "altered")


@pytest.mark.parametrize(
    "values",
    [
        {"kind": "token.issued"},
        {"hash": "0" * 64},
        {"hash": ""},
    ],
)
def test_an_edited_column_is_named(told, values):
    """The columns are for searching; an edited one would lead a reader astray."""
    change(told, update(AuditEvent).where(*at(told, "main", 2)).values(**values))
    assert fault(told) == ("main", 2, "altered")


def test_an_edited_moment_is_named(told):
    from datetime import timedelta

    moved = row(told, "main", 2).at + timedelta(microseconds=1)
    change(told, update(AuditEvent).where(*at(told, "main", 2)).values(at=moved))
    assert fault(told) == ("main", 2, "altered")


@pytest.mark.only("sqlite")
def test_a_moment_that_is_none_is_named(told):
    change(
        told,
        text(
            "UPDATE audit_events SET at = 'never' WHERE tenant_id = :t AND position = 2"
        ).bindparams(t=told.tenant_id),
    )
    try:
        assert fault(told) == ("main", 2, "altered")
    finally:
        # Nobody can read a moment that is none, and other tests look at all there is in this database.
        change(told, delete(AuditEvent).where(*at(told, "main", 2)))


def test_a_deleted_event_is_named(told):
    change(told, delete(AuditEvent).where(*at(told, "main", 2)))
    assert fault(told) == ("main", 2, "missing")


def test_swapped_events_are_named(told):
    change(
        told,
        update(AuditEvent).where(*at(told, "main", 2)).values(position=9_999),
        update(AuditEvent).where(*at(told, "main", 3)).values(position=2),
        update(AuditEvent).where(*at(told, "main", 9_999)).values(position=3),
    )
    assert fault(told) == ("main", 2, "altered")


def test_an_event_made_up_at_the_end_is_named(told):
    last = len([e for e in told.events() if e["strand"] == "main"])
    end = row(told, "main", last)
    body = end.body.replace(f'"position":{last}', f'"position":{last + 1}')
    made_up = AuditEvent(
        tenant_id=told.tenant_id,
        strand="main",
        position=last + 1,
        at=end.at,
        kind=end.kind,
        body=body,
        hash=chained(end.hash, body),
    )
    with told.server.database.write() as tx:
        tx.add(made_up)
    assert fault(told) == ("main", last + 1, "head does not match")


def test_a_history_rewritten_to_its_end_lacks_the_key(told):
    """All hashes right, and the head too; only its MAC is out of reach."""
    with told.server.database.write() as tx:
        rows = list(
            tx.scalars(
                select(AuditEvent)
                .where(AuditEvent.tenant_id == told.tenant_id, AuditEvent.strand == "main")
                .order_by(AuditEvent.position)
            )
        )
        previous = "0" * 64
        for one in rows:
            one.body = one.body.replace('"actor":"test"', '"actor":"nobody"')
            previous = one.hash = chained(previous, one.body)
        head = tx.get(AuditHead, (told.tenant_id, "main"))
        head.hash = previous
    strand, _, what = fault(told)
    assert (strand, what) == ("main", "the strand's head was not written by this server")


# -- the end of a strand ----------------------------------------------------------------------------------


def cut(harness, strand, position):
    return delete(AuditEvent).where(
        AuditEvent.tenant_id == harness.tenant_id,
        AuditEvent.strand == strand,
        AuditEvent.position >= position,
    )


def test_truncation_is_named(told):
    change(told, cut(told, lane(told), 3))
    assert fault(told) == (lane(told), 3, "truncated")


def test_truncation_with_an_edited_head_is_named(told):
    strand = lane(told)
    end = row(told, strand, 2)
    change(
        told,
        cut(told, strand, 3),
        update(AuditHead)
        .where(AuditHead.tenant_id == told.tenant_id, AuditHead.strand == strand)
        .values(position=2, hash=end.hash),
    )
    assert fault(told) == (strand, 2, "the strand's head was not written by this server")


def test_truncation_back_to_an_old_genuine_head_is_named_by_a_checkpoint(told):
    """Who kept an old copy of the head row can put it back; the signed checkpoint remembers."""
    strand = lane(told)
    with told.server.database.read() as tx:
        old = tx.get(AuditHead, (told.tenant_id, strand))
        old_values = {"position": old.position, "hash": old.hash, "mac": old.mac}
    for _ in range(3):
        told.redeem("azc_unknown")
    last = len([e for e in told.events() if e["strand"] == strand])
    checkpoint(told)
    assert verify(told).fault is None
    change(
        told,
        cut(told, strand, old_values["position"] + 1),
        update(AuditHead)
        .where(AuditHead.tenant_id == told.tenant_id, AuditHead.strand == strand)
        .values(**old_values),
    )
    assert fault(told) == (strand, last, "not what checkpoint 1 saw")


def test_a_lost_head_is_named(told):
    strand = lane(told)
    change(
        told,
        delete(AuditHead).where(AuditHead.tenant_id == told.tenant_id, AuditHead.strand == strand),
    )
    assert fault(told) == (strand, 1, "the strand's head is missing")


def test_a_strand_that_vanished_whole_is_named(told):
    """Its opening is an event of `main`."""
    strand = lane(told)
    change(
        told,
        delete(AuditEvent).where(
            AuditEvent.tenant_id == told.tenant_id, AuditEvent.strand == strand
        ),
        delete(AuditHead).where(AuditHead.tenant_id == told.tenant_id, AuditHead.strand == strand),
    )
    assert fault(told) == (strand, 1, "the strand's head is missing")


def test_a_trail_of_another_tenant_does_not_fit(told, server):
    """M1: copied rows carry their tenant, and so does the key."""
    from tests.support.harness import Harness

    other = Harness(server)
    with server.database.write() as tx:
        for table in (AuditEvent, AuditHead):
            tx.execute(delete(table).where(table.tenant_id == other.tenant_id))
            for one in tx.scalars(select(table).where(table.tenant_id == told.tenant_id)):
                values = {c.key: getattr(one, c.key) for c in table.__table__.c}
                tx.add(table(**{**values, "tenant_id": other.tenant_id}))
    found = verify(other).fault
    assert found.what == "the strand's head was not written by this server"
    other.close()


# -- checkpoints ------------------------------------------------------------------------------------------


def test_checkpoints_tie_all_strands(told):
    first = checkpoint(told)
    assert set(first.claims["heads"]) == {"main", lane(told)}
    assert checkpoint(told) is None
    told.redeem("azc_unknown")
    second = checkpoint(told)
    assert set(second.claims["heads"]) == {lane(told)}
    it = verify(told)
    assert (it.checkpoints, it.fault) == (2, None)


def points(harness):
    with harness.server.database.read() as tx:
        return list(
            tx.scalars(
                select(AuditCheckpoint)
                .where(AuditCheckpoint.tenant_id == harness.tenant_id)
                .order_by(AuditCheckpoint.position)
            )
        )


@pytest.fixture
def pointed(told):
    """Three checkpoints."""
    for _ in range(3):
        told.redeem("azc_unknown")
        checkpoint(told)
    return told


def damage(statement):
    head, body, signature = statement.split(".")
    return {
        "signature": f"{head}.{body}.{signature[:-4]}AAAA",
        "none": "",
        "nonsense": "not.a.jwt",
        "unsigned": f"eyJhbGciOiJub25lIn0.{body}.",
    }


@pytest.mark.parametrize("kind", ["signature", "none", "nonsense", "unsigned"])
def test_a_damaged_checkpoint_is_named(pointed, kind):
    """ATK-41: and `none` is no algorithm."""
    statement = damage(points(pointed)[1].statement)[kind]
    change(
        pointed,
        update(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == pointed.tenant_id, AuditCheckpoint.position == 2)
        .values(statement=statement),
    )
    strand, position, _ = fault(pointed)
    assert (strand, position) == ("checkpoints", 2)


@pytest.mark.parametrize("heads", ["text", [], None, {"main": 7}, {"main": ["1", 2, 3]}])
def test_a_checkpoint_of_another_shape_is_named_and_nothing_breaks(pointed, heads):
    import base64

    head, body, signature = points(pointed)[1].statement.split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["heads"] = heads
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    change(
        pointed,
        update(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == pointed.tenant_id, AuditCheckpoint.position == 2)
        .values(statement=f"{head}.{forged}.{signature}"),
    )
    assert fault(pointed) == ("checkpoints", 2, "the signature does not hold")


def test_a_missing_checkpoint_is_named(pointed):
    change(
        pointed,
        delete(AuditCheckpoint).where(
            AuditCheckpoint.tenant_id == pointed.tenant_id, AuditCheckpoint.position == 2
        ),
    )
    assert fault(pointed) == ("checkpoints", 2, "missing")


def test_a_checkpoint_of_another_key_is_named(pointed):
    """ATK-69: only keys made for the trail sign it, and only those of this tenant."""
    from authz.jose import read_unverified, sign_jwt
    from authz.keys import AUDIT, describe, generate

    key = generate("ES256")
    kid, _ = describe(key, "ES256")
    _, claims = read_unverified(points(pointed)[2].statement)
    forged = sign_jwt(key, algorithm="ES256", key_id=kid, typ="audit-checkpoint+jwt", claims=claims)
    change(
        pointed,
        update(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == pointed.tenant_id, AuditCheckpoint.position == 3)
        .values(statement=forged),
    )
    assert fault(pointed) == ("checkpoints", 3, "the signature does not hold")
    assert AUDIT == "audit"


def test_checkpoints_outlive_their_keys(pointed):
    """V5: the audit key rotates like any other, and old statements still hold."""
    from datetime import timedelta

    new = keys.generate_one("audit", "ES256")
    pointed.change(
        keys.rotate, new, publish_ahead=timedelta(0), longest_token=timedelta(minutes=10)
    )
    checkpoint(pointed)
    pointed.clock.advance(hours=1)
    assert pointed.change(keys.wipe_gone)
    checkpoint(pointed)
    it = verify(pointed)
    assert (it.fault, it.checkpoints) == (None, 5)


def test_two_who_write_the_same_checkpoint(told):
    prepared = checkpoint(told)
    with told.server.database.write() as tx, pytest.raises(Conflict):
        audit_checkpoints.store(tx, told.tenant_id, prepared, "x.y.z", told.clock())


# -- writing ----------------------------------------------------------------------------------------------


def test_a_failing_transaction_leaves_neither_change_nor_event(harness):
    """L12, item 11: same transaction, so a crash between the two is impossible."""
    before = len(harness.events())

    def failing():
        with harness.server.database.write() as tx:
            key = harness.server.operator().audit_key(tx, harness.tenant_id)
            event = SessionEnded(subject="usr_nobody")
            audit.record(tx, harness.tenant_id, event, key=key, now=harness.clock())
            raise LookupError

    with pytest.raises(LookupError):
        failing()
    assert len(harness.events()) == before
    assert verify(harness).fault is None


@pytest.mark.parametrize("strands", [1, 4])
def test_strands_under_contention(harness, strands):
    """Twenty threads append at once, and open what they append to; positions are dense and the chains hold."""
    before = len(harness.events())
    server = harness.server
    with server.database.read() as tx:
        key = server.operator().audit_key(tx, harness.tenant_id)
    barrier, failures = threading.Barrier(20), []
    own = audit.Strands("test", strands)

    def work(number):
        barrier.wait()
        strand = audit.MAIN_STRAND if strands == 1 else own.mine()
        try:
            for _ in range(5):
                with server.database.write() as tx:
                    event = SessionEnded(subject=f"usr_{number}")
                    kept = {"key": key, "now": harness.clock(), "strand": strand}
                    audit.record(tx, harness.tenant_id, event, event, **kept)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    opened = strands if strands > 1 else 0
    assert len(harness.events("audit.strand_opened")) == opened
    assert len(harness.events()) == before + 200 + opened
    assert verify(harness).fault is None


@pytest.mark.only("postgresql")
def test_who_writes_another_strand_does_not_wait(harness):
    """A strand that is open: its writers wait for no head but its own."""
    database = harness.server.database
    with database.read() as tx:
        key = harness.server.operator().audit_key(tx, harness.tenant_id)
    event = SessionEnded(subject="usr_1")

    def record(tx, strand):
        kept = {"key": key, "now": harness.clock(), "strand": strand}
        audit.record(tx, harness.tenant_id, event, **kept)

    for strand in ("one", "two"):
        with database.write() as tx:
            record(tx, strand)
    with database.write() as first, database.write() as second:
        record(first, "one")
        second.execute(text("SET LOCAL lock_timeout = '2s'"))
        record(second, "two")
        with pytest.raises(OperationalError), second.begin_nested():
            record(second, "one")
    assert verify(harness).fault is None


def test_the_head_in_the_table_is_the_documented_mac(harness):
    """Whoever has the key-encryption key can check it without this program."""
    server = harness.server
    with server.database.read() as tx:
        head = tx.get(AuditHead, (harness.tenant_id, "main"))
    secret = server.services.envelope.open(
        harness.tenant().token_secret, "token_secret", harness.tenant_id
    )
    expected = head_mac(
        derived_key(secret, "audit"), harness.tenant_id, "main", Head(head.position, head.hash)
    )
    assert head.mac == expected
    assert derived_key(secret, "audit") != derived_key(secret, "refresh")
