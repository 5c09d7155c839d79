"""PostgreSQL that restarts, fails over, runs out of connections, is migrated, or has a pooler in front."""

import threading
import time
from contextlib import ExitStack

import psycopg
import pytest

from tests.support import plain_http
from tests.support.clusters import Cluster, pgbouncer, standby_of
from tests.support.load import load_on
from tests.support.nodes import nodes
from tests.support.processes import installation

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


@pytest.mark.parametrize("mode", ["fast", "immediate"], ids=["restart", "crash"])
def test_a_restart_costs_a_wait(cluster, installed, report, mode):
    with nodes(installed.config) as [node]:
        with load_on(installed, [node.base]) as load:
            load.run_for(0.7)
            with load.fault(mode):
                cluster.halt(mode)
                cluster.resume()
                load.run_for(0.5)
            load.run_for(1)
        name = "PostgreSQL restarts" if mode == "fast" else "PostgreSQL crashes and recovers"
        report(name, load.check())


def test_a_long_outage_is_503_and_then_over(cluster, installed, report):
    """Longer than anybody waits: told to come back, in bounded time, pages and programs alike."""
    with nodes(installed.config) as [node]:
        with load_on(installed, [node.base]) as load:
            load.run_for(0.5)
            with load.fault("outage"):
                cluster.halt("immediate")
                load.run_for(2)
                began = time.monotonic()
                page = plain_http.get(
                    f"{node.base}/authorize?client_id=x",
                    headers={"accept": "text/html"},
                    timeout=15,
                )
                assert (page.status_code, page.headers["retry-after"]) == (503, "2")
                assert time.monotonic() - began < 10
                assert node.health() == 503
                cluster.resume()
                load.run_for(2.5)
            load.run_for(1)
        report("PostgreSQL is away for seconds", load.check())


def test_failover_to_a_standby_loses_nothing_that_was_answered(tmp_path, report):
    """What an operator writes: both hosts, and that only one that may be written to will do."""
    with Cluster({"wal_level": "replica"}) as primary, standby_of(primary) as standby:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        url = primary.libpq_url.replace(f"127.0.0.1:{primary.port}", hosts)
        url += "?target_session_attrs=read-write"
        with installation(tmp_path, url) as installed, nodes(installed.config) as [node]:
            with load_on(installed, [node.base]) as load:
                load.run_for(0.7)
                with load.fault("failover"):
                    primary.halt("immediate")
                    standby.promote()
                    primary.execute(
                        "ALTER SYSTEM SET synchronous_standby_names = ''", port=standby.port
                    )
                    primary.execute("SELECT pg_reload_conf()", port=standby.port)
                    load.run_for(2)
                load.run_for(1)
            report("failover to a synchronous standby", load.check())


def test_a_pool_that_is_used_up_is_a_503_in_bounded_time(installed, report):
    environment = {"AUTHZ__DATABASE__POOL_SIZE": "1"}
    with nodes(installed.config, environment=environment) as [node], ExitStack() as stack:
        dsn = installed.services.database.url.set(drivername="postgresql")
        with load_on(installed, [node.base], clients=4) as load:
            load.run_for(0.3)
            held = stack.enter_context(psycopg.connect(dsn.render_as_string(hide_password=False)))
            # Whoever reads people waits, and holds one of the two connections meanwhile.
            held.execute("LOCK TABLE tenants IN ACCESS EXCLUSIVE MODE")
            with load.fault("pool"):
                statuses = []

                def ask():
                    answer = plain_http.get(f"{node.base}/authorize?client_id=x", timeout=30)
                    statuses.append((answer.status_code, answer.headers.get("retry-after")))

                threads = [threading.Thread(target=ask) for _ in range(8)]
                for thread in threads:
                    thread.start()
                until = time.monotonic() + 8
                while len(statuses) < 6 and time.monotonic() < until:
                    time.sleep(0.05)
                refused = list(statuses)
                held.rollback()
                for thread in threads:
                    thread.join(30)
                load.run_for(0.5)
            load.run_for(0.5)
        assert len(refused) >= 6
        assert set(refused) == {(503, "2")}
        report("connection pool used up", load.check())


def test_pgbouncer_in_transaction_mode(cluster, tmp_path, report):
    """Two nodes, five sessions: nothing relies on the session it meets, and each of them may be ended."""
    with (
        pgbouncer(cluster) as url,
        installation(tmp_path, url, pooler=True) as installed,
        nodes(installed.config, 2) as pair,
    ):
        with load_on(installed, [node.base for node in pair]) as load:
            load.run_for(2)
        report("PgBouncer in transaction mode, two nodes", load.check(), "no fault")
