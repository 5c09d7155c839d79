"""`verify.py` on an exported trail: whatever somebody did to the file is named, with its place (item 11, ATK-67)."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from authz.admin import audit_checkpoints, audit_export, groups, keys
from authz.audit import chain, verify
from authz.audit.chain import Head
from authz.audit.checkpoints import next_checkpoint
from authz.audit.events import FamilyRevoked, StrandOpened
from authz.db.models import AuditEvent, AuditHead
from authz.jose import sign_jwt
from authz.keys import describe, generate
from tests.admin.conftest import desk, make_desk, services

__all__ = ["desk", "make_desk", "services"]
SIDE = "lane_1"


def open_strand(tx, desk):
    operator, tenant_id = desk.operator, desk.tenant_id
    operator.record(tx, tenant_id, StrandOpened(strand=SIDE))
    events = [FamilyRevoked(grant_id=f"grt_{n}", reason="test") for n in range(3)]
    links, head = chain.append(events, Head(), tenant_id=tenant_id, strand=SIDE, at=desk.now)
    for link in links:
        tx.add(AuditEvent(tenant_id=tenant_id, strand=SIDE, **vars(link)))
    mac = chain.head_mac(operator.audit_key(tx, tenant_id), tenant_id, SIDE, head)
    tx.add(AuditHead(tenant_id=tenant_id, strand=SIDE, mac=mac, **vars(head)))


def checkpoint(desk):
    prepared = desk.ask(next_checkpoint, issuer=desk.issuer, now=desk.now)
    statement = audit_checkpoints.sign(desk.configuration().keys, prepared, desk.now)
    with desk.services.database.write() as tx:
        audit_checkpoints.store(tx, desk.tenant_id, prepared, statement, desk.now)


def exported(desk, **when):
    prepared = desk.ask(audit_export.prepare, issuer=desk.issuer, now=desk.now, **when)
    statement = audit_export.sign(desk.configuration().keys, prepared, desk.now)
    with desk.services.database.snapshot() as tx:
        return list(audit_export.lines(tx, prepared, statement))


def make_past(desk):
    """Eight events in `main`, three in another strand, and three checkpoints, the last before the last event."""
    for name in ("a", "b", "c"):
        desk.do(groups.add, name=name)
    desk.sql(lambda tx: open_strand(tx, desk))
    checkpoint(desk)
    desk.do(groups.add, name="d")
    checkpoint(desk)
    desk.do(groups.add, name="e")
    checkpoint(desk)
    desk.wait(hours=1)
    desk.do(groups.add, name="f")
    return desk


@pytest.fixture
def past(desk):
    return make_past(desk)


_LINES = []


@pytest.fixture
def file(make_desk):
    """The lines of an export, as objects to change."""
    if not _LINES:
        _LINES.extend(exported(make_past(make_desk())))
    return [json.loads(line) for line in _LINES]


def fault(lines, trusted=()):
    """What the verifier says; None when all holds."""
    try:
        verify.check([json.dumps(line) for line in lines], trusted)
    except verify.Fault as found:
        return str(found)
    return None


def index(lines, event, strand="main"):
    return next(
        n for n, it in enumerate(lines) if it.get("event") == event and it["strand"] == strand
    )


def point(lines, number):
    return next(it for it in lines if it.get("checkpoint") == number)


def renumbered(lines):
    """With the number at the end corrected, as whoever cuts a file would."""
    return [*lines[:-1], {"end": sum("event" in it for it in lines)}]


def test_an_honest_export_holds(past):
    file = [json.loads(it) for it in exported(past)]
    assert fault(file) is None
    done = verify.check([json.dumps(it) for it in file])
    assert (done.events, len(done.ranges), len(done.checkpoints)) == (11, 2, 3)
    assert done.told().startswith("The trail holds: 11 events in 2 strands, 3 checkpoints")


def change_field(lines):
    line = lines[index(lines, 3)]
    line["body"] = line["body"].replace("test:operator", "test:somebody")


def change_hash(lines):
    lines[index(lines, 3)]["hash"] = "0" * 64


def remove_event(lines):
    del lines[index(lines, 3)]


def swap_lines(lines):
    one, other = index(lines, 3), index(lines, 4)
    lines[one], lines[other] = lines[other], lines[one]


def swap_texts(lines):
    one, other = lines[index(lines, 3)], lines[index(lines, 4)]
    one["body"], other["body"] = other["body"], one["body"]


def repeat(lines):
    lines.insert(index(lines, 3), lines[index(lines, 3)])


def cut_main(lines):
    del lines[index(lines, 8)]


def cut_lane(lines):
    del lines[index(lines, 2, SIDE) : index(lines, 3, SIDE) + 1]


def drop_lane(lines):
    del lines[index(lines, 1, SIDE) : index(lines, 3, SIDE) + 1]


def drop_lane_altogether(lines):
    drop_lane(lines)
    lines.remove(next(it for it in lines if it.get("strand") == SIDE))


def shorten_range(lines):
    """Whoever cuts the end corrects what the file says of it; the signed statement stays."""
    cut_main(lines)
    span = next(it for it in lines if it.get("strand") == "main" and "first" in it)
    span["last"], span["hash"] = 7, lines[index(lines, 7)]["hash"]


def rewrite_history(lines):
    """All hashes right again, which takes no key."""
    before = chain.GENESIS
    for line in lines:
        if line.get("strand") == "main" and "event" in line:
            line["body"] = line["body"].replace("test:operator", "test:somebody")
            before = line["hash"] = hashlib.sha256(f"{before}\n{line['body']}".encode()).hexdigest()


def swap_checkpoint(lines):
    point(lines, 2)["statement"] = point(lines, 3)["statement"]


def remove_checkpoint(lines):
    lines.remove(point(lines, 2))


def cut_checkpoints(lines):
    lines.remove(point(lines, 3))


def edit_checkpoint(lines):
    head, body, signature = point(lines, 2)["statement"].split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    claims["heads"] = {}
    forged = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    point(lines, 2)["statement"] = f"{head}.{forged}.{signature}"


def sign_otherwise(lines, *, name=None):
    key = generate("ES256")
    own, jwk = describe(key, "ES256")
    body = point(lines, 2)["statement"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    statement = sign_jwt(
        key,
        algorithm="ES256",
        key_id=name or own,
        typ="audit-checkpoint+jwt",
        claims={**claims, "heads": {}},
    )
    point(lines, 2)["statement"] = statement
    return jwk


def forge_key(lines):
    """A key of the intruder's under the name of the server's."""
    name = next(it["key"]["kid"] for it in lines if "key" in it)
    jwk = sign_otherwise(lines, name=name)
    next(it for it in lines if "key" in it)["key"] |= {"x": jwk["x"], "y": jwk["y"]}


def unsigned(lines):
    body = point(lines, 2)["statement"].split(".")[1]
    point(lines, 2)["statement"] = f"eyJhbGciOiJub25lIn0.{body}."


def remove_nothing(lines, first=4, last=3):
    """What would lead the reader back, or nowhere, for ever."""
    gap = {"removed": "main", "first": first, "before": "x", "last": last, "hash": "x"}
    lines.insert(index(lines, 1), gap)


def remove_beyond_counting(lines):
    remove_nothing(lines, first=1e16, last=1e16)


MAIN = "event {} of strand main "
LANE = f"strand {SIDE} was cut off: event "
TAMPERING = {
    change_field: MAIN.format(3) + "was changed after it was recorded",
    change_hash: MAIN.format(3) + "was changed after it was recorded",
    remove_event: MAIN.format(3) + "is missing",
    swap_lines: MAIN.format(3) + "is out of order: it stands further on",
    swap_texts: MAIN.format(3) + "is out of order: what stands there is event 4 of strand main",
    repeat: MAIN.format(3) + "is out of order or there twice",
    cut_main: "strand main was cut off: event 8 is missing, and all up to 8, the last when it was exported",
    cut_lane: LANE + "2 is missing, and all up to 3, the last when it was exported",
    drop_lane: LANE + "1 is missing, and all up to 3, the last when it was exported",
    drop_lane_altogether: "the list of strands is not the one that the statement of the export names",
    shorten_range: "the list of strands is not the one that the statement of the export names",
    rewrite_history: MAIN.format(5)
    + "is not what checkpoint 1 signed: it, or one before it, was rewritten",
    swap_checkpoint: "checkpoint 2 was swapped: the statement in its place is that of 3",
    remove_checkpoint: "checkpoint 2 is missing",
    cut_checkpoints: "there are 2 checkpoints, and not the 3 that the statement of the export names: "
    "the last ones were cut off or swapped",
    edit_checkpoint: "checkpoint 2 is forged: its signature does not hold",
    unsigned: "checkpoint 2 is forged: it is no signed statement of this kind",
    lambda lines: lines.pop(): "the file was cut off after line 19: its last line is missing",
    lambda lines: lines.insert(
        19, {"event": 1}
    ): "line 20 is not what an export has there: it was changed",
    remove_nothing: "what counts as removed of strand main from event 4 on is nothing",
    remove_beyond_counting: "what counts as removed of strand main from event 1e+16 on is nothing",
    lambda lines: lines.append({}): "there is something after the end of the file",
}


@pytest.mark.only("sqlite")  # a file is a file
@pytest.mark.parametrize(
    ("tamper", "said"), TAMPERING.items(), ids=[f"{n}" for n in range(len(TAMPERING))]
)
def test_tampering_is_named_with_its_place(file, tamper, said):
    tamper(file)
    if "end" in file[-1]:
        file = renumbered(file)
    assert fault(file) == said


@pytest.mark.only("sqlite")
def test_a_forged_key_is_named(file):
    kid = next(it["key"]["kid"] for it in file if "key" in it)
    forge_key(file)
    assert fault(file) == f"the key {kid} is forged: it is not the key of that name"


@pytest.mark.only("sqlite")
def test_a_key_of_the_intruders_is_named(file):
    """Also when it is in the file under its own name: then the auditor's list tells."""
    kid = next(it["key"]["kid"] for it in file if "key" in it)
    jwk = sign_otherwise(file)
    assert "which is no key of this trail" in fault(file)
    file.insert(1, {"key": jwk})
    assert fault(file, [kid]) == (
        f"checkpoint 2 is signed by the key {jwk['kid']}, which is not one you trust"
    )
    # It signs what it likes, but not the checkpoint after.
    assert "checkpoint 3 was signed after another checkpoint 2 than the one here" in fault(file)


def test_what_was_changed_in_the_database_is_named_in_its_export(past):
    edited = (
        update(AuditEvent)
        .where(AuditEvent.tenant_id == past.tenant_id, AuditEvent.position == 2)
        .values(body='{"strand": "main", "position": 2}')
    )
    past.sql(lambda tx: tx.execute(edited))
    assert fault(map(json.loads, exported(past))) == MAIN.format(2) + (
        "was changed after it was recorded"
    )
    gone = delete(AuditEvent).where(
        AuditEvent.tenant_id == past.tenant_id, AuditEvent.position == 2
    )
    past.sql(lambda tx: tx.execute(gone))
    assert fault(map(json.loads, exported(past))) == MAIN.format(2) + "is missing"


def test_a_part_of_the_trail_is_checked_alone(past):
    """A range of time begins in the middle of strands, and is held by the checkpoints all the same."""
    early = [json.loads(it) for it in exported(past, until=past.now)]
    late = [json.loads(it) for it in exported(past, since=past.now)]
    assert [it["event"] for it in early if it.get("strand") == "main" and "event" in it] == [
        *range(1, 8)
    ]
    assert [it["event"] for it in late if "event" in it] == [8]
    assert fault(early) is None
    assert fault(late) is None
    late[index(late, 8)]["body"] += " "
    assert fault(late) == MAIN.format(8) + "was changed after it was recorded"


def test_statements_of_earlier_keys_hold(past):
    new = keys.generate_one("audit", "ES256")
    past.do(keys.rotate, new, publish_ahead=timedelta(0), longest_token=timedelta(0))
    checkpoint(past)
    lines = [json.loads(it) for it in exported(past)]
    assert sum("key" in it for it in lines) == 2
    assert fault(lines) is None


def test_signatures_are_judged_as_the_library_judges_them():
    """ES256 in whole numbers: right ones hold, and nothing else does."""
    for number in range(8):
        key = generate("ES256")
        _, jwk = describe(key, "ES256")
        token = sign_jwt(key, algorithm="ES256", key_id="k", typ="t", claims={"n": number})
        message, _, signed = token.rpartition(".")
        signature = verify.decoded(signed)
        assert verify.is_signed(jwk, message.encode(), signature)
        assert not verify.is_signed(jwk, message.encode() + b"x", signature)
        flipped = bytes([signature[number] ^ 1])
        assert not verify.is_signed(
            jwk, message.encode(), signature[:number] + flipped + signature[number + 1 :]
        )
        assert not verify.is_signed({**jwk, "x": jwk["y"]}, message.encode(), signature)
        assert not verify.is_signed(jwk, message.encode(), signature[32:] + signature[:32])
        for wrong in (
            b"",
            bytes(64),
            signature[:63],
            signature + b"\0",
            verify.N.to_bytes(32, "big") * 2,
        ):
            assert not verify.is_signed(jwk, message.encode(), wrong)
