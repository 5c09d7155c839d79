"""A backup that is brought forward to a moment: what is true then, and what an operator has to know."""

import time

import pytest

from authz.services import open_services
from authz.settings import load
from tests.support import plain_http
from tests.support.clusters import Cluster, archive_folder, base_backup, restored
from tests.support.nodes import nodes
from tests.support.processes import installation, verified

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]


def post(node, form):
    return plain_http.post(f"{node.base}/token", data=form, timeout=20)


def test_restore_to_a_moment(tmp_path):
    """The trail verifies; what was spent after the moment is good again, and what was issued then is unknown."""
    with archive_folder() as archive:
        archiving = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f"}
        with (
            Cluster({"wal_level": "replica", **archiving}) as cluster,
            installation(tmp_path, cluster.url) as installed,
        ):
            with nodes(installed.config) as [node]:
                first = post(node, installed.redemption(installed.code())).json()
                backup = base_backup(cluster, "base", as_standby=False)
                second = post(node, installed.refreshing(first["refresh_token"])).json()
                ((moment,),) = cluster.execute("SELECT clock_timestamp()::text")
                third = post(node, installed.refreshing(second["refresh_token"])).json()
            ((segment,),) = cluster.execute("SELECT pg_walfile_name(pg_switch_wal())")
            until = time.monotonic() + 30
            while not (archive / str(segment)).exists() and time.monotonic() < until:
                time.sleep(0.05)
            cluster.halt()
            with restored(cluster, backup, archive, to=str(moment)) as port:
                text = installed.config.read_text().replace(f":{cluster.port}/", f":{port}/")
                config = installed.config.with_name("restored.toml")
                config.write_text(text)
                until = time.monotonic() + 30
                recovering = "SELECT pg_is_in_recovery()"
                while cluster.execute(recovering, port=port) != [(False,)]:
                    assert time.monotonic() < until
                    time.sleep(0.05)
                with open_services(load(config, environment={})) as services:
                    told = verified(services, installed.tenant_id)
                assert (told.fault, told.events > 0) == (None, True)
                with nodes(config) as [node]:
                    lost = post(node, installed.refreshing(third["refresh_token"]))
                    assert (lost.status_code, lost.json()["error"]) == (400, "invalid_grant")
                    again = post(node, installed.refreshing(second["refresh_token"]))
                    assert again.status_code == 200
