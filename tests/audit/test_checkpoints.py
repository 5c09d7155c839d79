"""When a checkpoint is due, and what somebody else says of it (RFC 3161; item 11)."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update

from authz.admin import audit, audit_checkpoints, audit_export, audit_holds, groups
from authz.admin.audit_upkeep import Upkeep
from authz.audit import checkpoints, record, verify
from authz.audit.checkpoints import Pace
from authz.audit.events import SessionEnded
from authz.audit.timestamps import Authority, NoTimestamp
from authz.db.models import AuditCheckpoint, SigningKey, Tenant
from authz.errors import ConfigurationError, Conflict
from authz.jose import read_unverified
from authz.settings import AuditSettings
from tests.admin.conftest import desk, make_desk, services
from tests.support.web import FakeWeb, Reply

__all__ = ["desk", "make_desk", "services"]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PACE = Pace(timedelta(minutes=5), 100)


@pytest.mark.parametrize(
    ("newest", "uncovered", "is_due"),
    [
        (None, 0, False),
        (None, 1, True),
        (timedelta(minutes=4), 99, False),
        (timedelta(minutes=5), 1, True),
        (timedelta(minutes=5), 0, False),
        (timedelta(0), 100, True),
    ],
)
def test_a_checkpoint_is_due_after_some_time_or_many_events(newest, uncovered, is_due):
    at = None if newest is None else NOW - newest
    assert PACE.is_due(at, uncovered, NOW) is is_due


def test_more_strands_than_fit_are_tied_by_the_next(desk, monkeypatch):
    """A statement is a JWT of bounded length, and a trail may have any number of strands, all of them in use."""
    monkeypatch.setattr(checkpoints, "MOST_STRANDS", 2)
    upkeep = upkeep_of(desk)
    names = ["main", *(f"w{number}" for number in range(4))]

    def write(*strands):
        key = desk.configuration().audit_key
        for strand in strands:
            with desk.services.database.write() as tx:
                event = SessionEnded(subject="usr_1")
                record(tx, desk.tenant_id, event, key=key, now=desk.now, strand=strand)

    write(*names)
    made = upkeep.write_checkpoint(desk.slug, desk.now)
    assert [it.position for it in made] == [1, 2, 3]
    heads = [read_unverified(it.statement)[1]["heads"] for it in made]
    assert [list(it) for it in heads] == [names[:2], names[2:4], names[4:]]
    assert upkeep.write_checkpoint(desk.slug, desk.now) == []
    write(*names[:4])
    [one, two] = upkeep.write_checkpoint(desk.slug, desk.now)
    assert (one.strands, two.strands) == (2, 2)


def test_of_two_who_sign_the_same_one_is_told(desk):
    """Also when neither has ended: the database decides."""
    desk.do(groups.add, name="a")
    database = desk.services.database
    point = desk.ask(checkpoints.next_checkpoint, issuer=desk.issuer, now=desk.now)

    def keep(tx, statement):
        audit_checkpoints.store(tx, desk.tenant_id, point, statement, desk.now)

    def keep_another():
        with pytest.raises(Conflict, match="checkpoint 1 was written meanwhile"):
            desk.sql(lambda tx: keep(tx, "other"))

    with ThreadPoolExecutor(1) as threads:
        with database.write() as tx:
            keep(tx, "one")
            other = threads.submit(keep_another)
            with pytest.raises(TimeoutError):
                other.result(0.3)
        other.result(10)
    assert [it.statement for it in stored(desk)] == ["one"]


def test_what_fails_for_one_tenant_is_not_kept_from_the_others(make_desk):
    """A key store that is down, say; the job counts as failed all the same."""
    broken, other = sorted([make_desk(), make_desk()], key=lambda it: it.tenant_id)
    for it in (broken, other):
        it.do(groups.add, name="a")
        it.do(audit_holds.set_retention, days=30)
        upkeep_of(it).write_checkpoint(it.slug, it.now)
        it.do(groups.add, name="b")
    own = (SigningKey.tenant_id == broken.tenant_id, SigningKey.purpose == "audit")
    tenant = update(Tenant).where(Tenant.id == broken.tenant_id)
    broken.sql(lambda tx: tx.execute(delete(SigningKey).where(*own)))
    broken.sql(lambda tx: tx.execute(tenant.values(config_version=Tenant.config_version + 1)))
    missing = "no active ES256 key for audit"
    upkeep, later = upkeep_of(other), other.now + timedelta(days=40)
    try:
        with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=missing)):
            upkeep.write_checkpoints(later)
        assert [len(stored(it)) for it in (broken, other)] == [1, 2]
        with pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=missing)):
            upkeep.remove(later)
    finally:
        broken.sql(lambda tx: tx.execute(tenant.values(status="disabled")))
    with other.services.database.read() as tx:
        removed = audit.search(tx, other.tenant_id, kind="audit.removed")
    assert len(removed.entries) == 1


def upkeep_of(desk, web=None, **settings):
    services = desk.services
    network = services.network if web is None else web.network()
    return Upkeep(services.database, services.configurations, network, AuditSettings(**settings))


# -- timestamps -------------------------------------------------------------------------------------------

_SECTION = """
serial = {folder}/serial
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
CONFIG = f"""
[tsa]
default_tsa = one
[one]{_SECTION}
[embedding]{_SECTION}
certs = {{folder}}/between.pem
[ca]
basicConstraints = critical,CA:true
keyUsage = critical,keyCertSign
[v3]
extendedKeyUsage = critical,timeStamping
"""
_NEW_KEY = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"


class Tsa:
    """A timestamp authority: `openssl ts` behind HTTP. Between `ca.pem` and `tsa.pem` there may be `between.pem`."""

    def __init__(self, folder: Path, *, between: str | None = None) -> None:
        """`between` names the extensions of the certificate in between."""
        self.folder, self.answer_to, self.section = folder, None, "one"
        (folder / "tsa.cnf").write_text(CONFIG.format(folder=folder))
        (folder / "serial").write_text("01\n")
        self.run(f"req -x509 {_NEW_KEY} -keyout ca.key -out ca.pem -days 3650 -subj /CN=root")
        if between is not None:
            self.issue("between", by="ca", extensions=between)
        self.issue("tsa", by="ca" if between is None else "between", extensions="v3")

    def issue(self, name, *, by, extensions):
        self.run(f"req {_NEW_KEY} -keyout {name}.key -out {name}.csr -subj /CN={name}")
        signed_by = f"-CA {by}.pem -CAkey {by}.key -CAcreateserial -days 3650"
        added = f"-extfile tsa.cnf -extensions {extensions}"
        self.run(f"x509 -req -in {name}.csr -out {name}.pem {signed_by} {added}")

    def run(self, line):
        return self.openssl(*line.split())

    def openssl(self, *arguments):
        done = subprocess.run(
            ["openssl", *arguments], cwd=self.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __call__(self, seen):
        assert seen.headers["content-type"] == "application/timestamp-query"
        (self.folder / "query").write_bytes(self.answer_to or seen.body)
        asked = f"-config tsa.cnf -section {self.section} -queryfile query -out answer"
        self.run(f"ts -reply {asked}")
        body = (self.folder / "answer").read_bytes()
        return Reply(200, body, {"Content-Type": "application/timestamp-reply"})


@pytest.fixture(scope="module")
def tsa(tmp_path_factory):
    return Tsa(tmp_path_factory.mktemp("tsa"))


@pytest.fixture
def web(tsa):
    with FakeWeb() as made:
        made.serve("tsa.example", tsa)
        yield made


def stored(desk):
    query = select(AuditCheckpoint).where(AuditCheckpoint.tenant_id == desk.tenant_id)
    return desk.sql(lambda tx: tx.scalars(query.order_by(AuditCheckpoint.position)).all())


def test_the_last_checkpoint_is_timestamped_and_anybody_can_check_it(desk, tsa, web, tmp_path):
    url = web.url("tsa.example", "/tsa")
    upkeep = upkeep_of(desk, web, timestamp_url=url, timestamp_roots=tsa.folder / "ca.pem")
    for name in ("a", "b"):
        desk.do(groups.add, name=name)
        upkeep.write_checkpoint(desk.slug, desk.now)
    upkeep.timestamp(desk.now)
    upkeep.timestamp(desk.now)
    first, second = stored(desk)
    assert first.timestamp is None  # the second names its digest
    (tmp_path / "answer.tsr").write_bytes(second.timestamp)
    (tmp_path / "statement").write_text(second.statement)
    told = tsa.openssl(
        *("ts", "-verify", "-in", str(tmp_path / "answer.tsr")),
        *("-data", str(tmp_path / "statement"), "-CAfile", "ca.pem"),
    )
    assert "Verification: OK" in told
    # Not again within the hour.
    desk.do(groups.add, name="c")
    upkeep.write_checkpoint(desk.slug, desk.now)
    upkeep.timestamp(desk.now + timedelta(minutes=59))
    assert stored(desk)[2].timestamp is None
    upkeep.timestamp(desk.now + timedelta(hours=1))
    assert stored(desk)[2].timestamp is not None
    prepared = desk.ask(audit_export.prepare, issuer=desk.issuer, now=desk.now)
    statement = audit_export.sign(desk.configuration().keys, prepared, desk.now)
    with desk.services.database.read() as tx:
        lines = list(audit_export.lines(tx, prepared, statement))
    assert "3 checkpoints (2 with a timestamp)" in verify.check(lines).told()
    points = [n for n, line in enumerate(lines) if "timestamp" in json.loads(line)]
    other = json.loads(lines[points[0]])["timestamp"]
    swapped = json.loads(lines[points[1]]) | {"timestamp": other}
    lines[points[1]] = json.dumps(swapped)
    with pytest.raises(verify.Fault, match="the timestamp of checkpoint 3 is about something else"):
        verify.check(lines)


def test_an_answer_about_something_else_does_not_count(tsa, web):
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    authority = Authority.of(web.url("tsa.example", "/tsa"), tsa.folder / "ca.pem")
    network = web.network()
    assert authority.timestamp(network, "statement")
    other = TimestampRequestBuilder().data(b"other").hash_algorithm(HashAlgorithm.SHA256)
    try:
        tsa.answer_to = other.build().as_bytes()
        with pytest.raises(NoTimestamp, match="not_verified"):
            authority.timestamp(network, "statement")
    finally:
        tsa.answer_to = None
    stranger = Authority.of(authority.url, web.ca_file)
    with pytest.raises(NoTimestamp, match="not_verified"):
        stranger.timestamp(network, "statement")
    for reply, reason in (
        (Reply(503, b""), "status_503"),
        (Reply(200, b"no"), "not_verified"),
    ):
        web.serve("down.example", reply)
        with pytest.raises(NoTimestamp, match=reason):
            replace(authority, url=web.url("down.example", "/")).timestamp(network, "statement")


@pytest.mark.parametrize("between", ["ca", "v3"], ids=["an authority", "none"])
def test_a_chain_with_a_certificate_in_between_counts_up_to_its_root(tmp_path, between):
    """Whether it is sent along or stands in the file beside its root, and only if it may issue others."""
    tsa = Tsa(tmp_path, between=between)
    # Bundles that were put together by hand have some twice.
    both = "".join((tmp_path / it).read_text() for it in ("between.pem", "ca.pem", "ca.pem"))
    (tmp_path / "both.pem").write_text(both)
    taken = {}
    with FakeWeb() as web:
        web.serve("tsa.example", tsa)
        network, url = web.network(), web.url("tsa.example", "/tsa")
        for tsa.section in ("embedding", "one"):
            for name in ("ca.pem", "both.pem", "between.pem"):
                authority = Authority.of(url, tmp_path / name)
                with suppress(NoTimestamp):
                    taken[tsa.section, name] = bool(authority.timestamp(network, "statement"))
        wanted = {("embedding", "ca.pem"), ("embedding", "both.pem"), ("one", "both.pem")}
        assert set(taken) == (wanted if between == "ca" else set())
        if between == "ca":
            (tmp_path / "statement").write_text("statement")
            answer = Authority.of(url, tmp_path / "both.pem").timestamp(network, "statement")
            (tmp_path / "answer.tsr").write_bytes(answer)
            chain = "-CAfile ca.pem -untrusted both.pem"
            told = tsa.run(f"ts -verify -in answer.tsr -data statement {chain}")
            assert "Verification: OK" in told


def test_settings_of_timestamps_go_together(tmp_path):
    with pytest.raises(ValueError, match="timestamp_url and timestamp_roots go together"):
        AuditSettings(timestamp_url="https://tsa.example/")
    with pytest.raises(ConfigurationError, match="has no certificates"):
        Authority.of("https://tsa.example/", tmp_path / "none.pem")
