"""The trail of one tenant, written with operations and then tampered with in SQL."""

import json

import pytest
from sqlalchemy import delete, select, update

from authz.admin import audit, audit_checkpoints, groups, tenants
from authz.audit import chain
from authz.audit.chain import GENESIS, Head
from authz.audit.checkpoints import Checkpoint, next_checkpoint
from authz.audit.events import FamilyRevoked, StrandOpened
from authz.audit.verification import Fault
from authz.db.models import AuditCheckpoint, AuditEvent, AuditHead
from authz.errors import Conflict

SIDE = "w1"


@pytest.fixture
def trail(desk):
    """Six events in `main`, the last of which opens the strand `w1` with three."""
    for name in ("a", "b", "c", "d"):
        desk.do(groups.add, name=name)
    desk.sql(lambda tx: open_strand(tx, desk))
    assert verify(desk).fault is None
    return desk


def open_strand(tx, desk):
    operator, tenant_id = desk.operator, desk.tenant_id
    operator.record(tx, tenant_id, StrandOpened(strand=SIDE))
    events = [FamilyRevoked(grant_id=f"fam_{n}", reason="test") for n in range(3)]
    links, head = chain.append(events, Head(), tenant_id=tenant_id, strand=SIDE, at=desk.now)
    for link in links:
        tx.add(AuditEvent(tenant_id=tenant_id, strand=SIDE, **vars(link)))
    mac = chain.head_mac(operator.audit_key(tx, tenant_id), tenant_id, SIDE, head)
    tx.add(AuditHead(tenant_id=tenant_id, strand=SIDE, mac=mac, **vars(head)))


def verify(desk):
    with desk.services.database.read() as tx:
        return audit.verify(tx, desk.operator, desk.tenant_id)


def checkpoint(desk):
    prepared = desk.ask(next_checkpoint, issuer=desk.issuer, now=desk.now)
    if prepared is None:
        return None
    statement = audit_checkpoints.sign(desk.configuration().keys, prepared, desk.now)
    with desk.services.database.write() as tx:
        audit_checkpoints.store(tx, desk.tenant_id, prepared, statement, desk.now)
    return statement


def event(desk, position, strand="main"):
    key = (desk.tenant_id, strand, position)
    return desk.sql(lambda tx: tx.get_one(AuditEvent, key))


def change(desk, position, strand="main", **values):
    where = (
        AuditEvent.tenant_id == desk.tenant_id,
        AuditEvent.strand == strand,
        AuditEvent.position == position,
    )
    desk.sql(lambda tx: tx.execute(update(AuditEvent).where(*where).values(**values)))


def drop(desk, *positions, strand="main"):
    where = (AuditEvent.tenant_id == desk.tenant_id, AuditEvent.strand == strand)
    if positions:
        where += (AuditEvent.position.in_(positions),)
    desk.sql(lambda tx: tx.execute(delete(AuditEvent).where(*where)))


def change_head(desk, strand="main", **values):
    where = (AuditHead.tenant_id == desk.tenant_id, AuditHead.strand == strand)
    desk.sql(lambda tx: tx.execute(update(AuditHead).where(*where).values(**values)))


def drop_head(desk, strand):
    where = (AuditHead.tenant_id == desk.tenant_id, AuditHead.strand == strand)
    desk.sql(lambda tx: tx.execute(delete(AuditHead).where(*where)))


def edit_body(desk):
    body = event(desk, 3).body
    change(desk, 3, body=body.replace("test:operator", "test:somebody"))


def edit_body_and_hash(desk):
    body = event(desk, 3).body.replace("test:operator", "test:somebody")
    actor = "test:somebody"
    change(desk, 3, body=body, actor=actor, hash=chain.chained(event(desk, 2).hash, body))


def reorder(desk):
    third, fourth = event(desk, 3), event(desk, 4)
    change(desk, 3, body=fourth.body, hash=fourth.hash)
    change(desk, 4, body=third.body, hash=third.hash)


def shorten_with_head(desk):
    drop(desk, 6)
    change_head(desk, position=5, hash=event(desk, 5).hash)


def rewrite_all(desk):
    """What somebody does who knows the format but has no key."""
    previous = GENESIS
    for position in range(1, 7):
        body = event(desk, position).body.replace("test:operator", "test:somebody")
        previous = chain.chained(previous, body)
        change(desk, position, body=body, hash=previous)
    change_head(desk, hash=previous)


def remove_strand(desk):
    drop(desk, strand=SIDE)
    drop_head(desk, SIDE)


# On PostgreSQL the reading that stops at a fault leaves its cursor to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (edit_body, Fault("main", 3, "altered")),
        (edit_body_and_hash, Fault("main", 4, "altered")),
        (lambda d: change(d, 3, kind="login.failed"), Fault("main", 3, "altered")),
        (lambda d: change(d, 3, subject="usr_x"), Fault("main", 3, "altered")),
        (lambda d: change(d, 3, actor="test:somebody"), Fault("main", 3, "altered")),
        (lambda d: change(d, 3, client="cli_x"), Fault("main", 3, "altered")),
        (lambda d: change(d, 3, resource="https://mcp.example/mcp"), Fault("main", 3, "altered")),
        (lambda d: change(d, 2, reason=None, strand=SIDE), Fault(SIDE, 2, "altered")),
        (lambda d: drop(d, 1), Fault("main", 1, "missing")),
        (lambda d: drop(d, 3), Fault("main", 3, "missing")),
        (reorder, Fault("main", 3, "altered")),
        (lambda d: drop(d, 6), Fault("main", 6, "truncated")),
        (lambda d: drop(d, 2, 3, strand=SIDE), Fault(SIDE, 2, "truncated")),
        (shorten_with_head, Fault("main", 5, "the strand's head was not written by this server")),
        (rewrite_all, Fault("main", 6, "the strand's head was not written by this server")),
        (
            lambda d: change_head(d, mac="x" * 43),
            Fault("main", 6, "the strand's head was not written by this server"),
        ),
        (lambda d: drop_head(d, "main"), Fault("main", 1, "the strand's head is missing")),
        (remove_strand, Fault(SIDE, 1, "the strand's head is missing")),
        (lambda d: drop(d, strand=SIDE), Fault(SIDE, 1, "truncated")),
    ],
)
def test_the_first_bad_place_is_named(trail, tamper, fault):
    tamper(trail)
    assert verify(trail).fault == fault


def test_an_untouched_trail_holds(trail):
    found = verify(trail)
    assert (found.events, found.strands, found.checkpoints, found.fault) == (9, 2, 0, None)
    checkpoint(trail)
    trail.do(groups.add, name="e")
    checkpoint(trail)
    found = verify(trail)
    assert (found.events, found.checkpoints, found.fault) == (10, 2, None)


def test_a_checkpoint_is_written_only_when_something_happened(trail):
    assert checkpoint(trail) is not None
    assert checkpoint(trail) is None


def test_an_old_head_put_back_is_seen_by_the_checkpoint(trail):
    key = (trail.tenant_id, "main")
    old = dict(vars(trail.sql(lambda tx: tx.get_one(AuditHead, key))))
    trail.do(groups.add, name="e")
    checkpoint(trail)
    drop(trail, 7)
    change_head(trail, position=old["position"], hash=old["hash"], mac=old["mac"])
    assert verify(trail).fault == Fault("main", 7, "not what checkpoint 1 saw")


@pytest.fixture
def tied(trail):
    checkpoint(trail)
    trail.do(groups.add, name="e")
    checkpoint(trail)
    return trail


def points(desk):
    query = (
        select(AuditCheckpoint)
        .where(AuditCheckpoint.tenant_id == desk.tenant_id)
        .order_by(AuditCheckpoint.position)
    )
    return desk.sql(lambda tx: tx.scalars(query).all())


def change_point(desk, position, **values):
    where = (
        AuditCheckpoint.tenant_id == desk.tenant_id,
        AuditCheckpoint.position == position,
    )
    desk.sql(lambda tx: tx.execute(update(AuditCheckpoint).where(*where).values(**values)))


def test_a_removed_checkpoint_is_missing(tied):
    first = points(tied)[0]
    tied.sql(lambda tx: tx.delete(first))
    assert verify(tied).fault == Fault("checkpoints", 1, "missing")


def test_a_forged_checkpoint_does_not_hold(tied):
    head, payload, signature = points(tied)[1].statement.split(".")
    forged = ("A" if signature[0] != "A" else "B") + signature[1:]
    change_point(tied, 2, statement=f"{head}.{payload}.{forged}")
    assert verify(tied).fault == Fault("checkpoints", 2, "the signature does not hold")


def test_a_checkpoint_of_another_tenant_does_not_hold(tied, services):
    from authz.admin import keys

    with services.database.write() as tx:
        tenants.create(
            tx,
            tied.operator,
            slug=f"{tied.slug}-b",
            name="b",
            client_trust="open",
            keys=[keys.generate_one("audit", "ES256")],
        )
    with services.database.read() as tx:
        ring = services.configurations.find(tx, f"{tied.slug}-b").keys
    claims = {
        "iss": tied.issuer,
        "iat": 0,
        "position": 1,
        "previous": "",
        "heads": {"main": [1, event(tied, 1).hash]},
    }
    statement = audit_checkpoints.sign(ring, Checkpoint(1, claims), tied.now)
    change_point(tied, 1, statement=statement)
    assert verify(tied).fault == Fault("checkpoints", 1, "the signature does not hold")


def test_two_writers_of_one_checkpoint_keep_one(trail):
    prepared = trail.ask(next_checkpoint, issuer=trail.issuer, now=trail.now)
    statement = checkpoint(trail)
    with (
        pytest.raises(Conflict, match="checkpoint 1 was written meanwhile"),
        trail.services.database.write() as tx,
    ):
        audit_checkpoints.store(tx, trail.tenant_id, prepared, statement, trail.now)


def test_a_checkpoint_outlives_the_private_part_of_its_key(tied):
    from datetime import timedelta

    from authz.admin import keys

    new = keys.generate_one("audit", "ES256")
    tied.do(keys.rotate, new, publish_ahead=timedelta(0), longest_token=timedelta(0))
    tied.wait(days=1)
    assert len(tied.do(keys.wipe_gone)) == 1
    checkpoint(tied)
    assert verify(tied).fault is None


def test_tenants_have_trails_of_their_own(trail, services):
    with services.database.read() as tx:
        slugs = [line.slug for line in tenants.list_(tx, "https://authz.example")]
    assert trail.slug in slugs
    assert all(json.loads(event(trail, 1).body)["tenant"] == trail.tenant_id for _ in slugs)
