"""What a failure of the database means, told by a real one."""

import threading

import psycopg
import pytest
from sqlalchemy.engine import make_url

from authz.db.availability import is_conflict, is_unavailable
from tests.support.databases import fresh_url

pytestmark = pytest.mark.only("postgresql")


@pytest.fixture
def dsn(engine, worker, tmp_path):
    with fresh_url(engine, tmp_path, f"authz_availability_{worker}") as url:
        made = make_url(url).set(drivername="postgresql")
        yield made.render_as_string(hide_password=False)


def test_a_row_whose_partition_is_being_made_is_written_again(dsn):
    """The trail by month: the job makes a month while a token is recorded in it."""
    with psycopg.connect(dsn, autocommit=True) as admin, psycopg.connect(dsn) as writer:
        admin.execute("CREATE TABLE trail (at int, n int CHECK (n > 0)) PARTITION BY RANGE (at)")
        admin.execute("CREATE TABLE trail_default PARTITION OF trail DEFAULT")
        admin.execute("CREATE TABLE trail_5 (LIKE trail INCLUDING ALL)")
        found = []

        def write():
            try:
                writer.execute("INSERT INTO trail VALUES (5, 1)")
            except psycopg.Error as error:
                found.append(error)

        thread = threading.Thread(target=write)
        with admin.transaction():
            admin.execute("ALTER TABLE trail ATTACH PARTITION trail_5 FOR VALUES FROM (5) TO (6)")
            thread.start()
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            for _ in range(1000):
                if admin.execute(waiting).fetchone() != (0,):
                    break
        thread.join(20)
        assert [is_conflict(it) for it in found] == [True]
        writer.rollback()
        writer.execute("INSERT INTO trail VALUES (5, 1)")
        # A row that is wrong stays wrong.
        with pytest.raises(psycopg.errors.CheckViolation) as wrong:
            writer.execute("INSERT INTO trail VALUES (5, 0)")
        assert not is_conflict(wrong.value)
        assert not is_unavailable(wrong.value)
