"""The lab at a server of ours, for real: sockets, database, keys fetched over HTTP, and a tool call at the end."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from authz.admin import mappings, roles_import, trust
from authz.cli.lab_server import ROLES
from authz.lab.applications import WITHHELD
from authz.lab.identity_provider import CUSTOMER
from authz.lab.judgement import Outcome
from authz.lab.scenarios import every
from authz.lab.target import METHODS
from authz.policy import roles_file
from tests.lab.world import at_ours, ended, examining, faults_of
from tests.support.postgres import URL_VARIABLE, scratch_database

pytestmark = pytest.mark.slow

UNWELL = (Outcome.FAILED, Outcome.SHORT, Outcome.NOT_OFFERED)
ROOT = Path(__file__).parents[2]


def authz(*arguments, cwd, code=0, timeout=120):
    """The command line as an operator has it; answers what it printed."""
    hidden = {name for name in os.environ if name.startswith("AUTHZ_")}
    environment = {n: v for n, v in os.environ.items() if n not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "authz.cli", "lab", *arguments],
        cwd=cwd,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def test_one_command_is_all_green(tmp_path):
    """Item 13: everything is judged, nothing fails, and the reports say so to people and programs."""
    files = ("--markdown", "report.md", "--junit", "report.xml")
    done = authz("run", "--with-server", "--json", *files, cwd=tmp_path)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert found["well"] is True
    assert len(found["scenarios"]) == len(every()) > 150
    assert found["counts"] == {
        "passed": len(every()) - 1,
        "failed": 0,
        "falls short": 0,
        "not offered": 1,
    }
    [missing] = [it for it in found["scenarios"] if it["outcome"] == "not offered"]
    assert missing["name"] == "meta-tls"
    assert all(it["clause"] and it["why"] and it["rows"] for it in found["scenarios"])
    suites = ET.parse(tmp_path / "report.xml").getroot()
    assert len(suites.findall(".//testcase")) == len(every())
    assert not suites.findall(".//failure")
    assert len(suites.findall(".//skipped")) == 1
    text = (tmp_path / "report.md").read_text()
    assert text.count("| passed |") == len(every()) - 1
    assert {path.name for path in tmp_path.iterdir()} == {"report.md", "report.xml"}


@pytest.mark.only("postgresql")
def test_the_other_engine_is_all_green(tmp_path, engine, worker):
    """The same on PostgreSQL, where token requests take another way through the process."""
    url = os.environ.get(URL_VARIABLE)
    assert url, f"{URL_VARIABLE} is not set; run tests/support/postgres.py run -- pytest ..."
    with scratch_database(url, f"authz_lab_{worker}") as database:
        report = at_ours(tmp_path, examining(), database=database)
    unwell = ended(report, *UNWELL)
    assert set(unwell) == {"meta-tls"}, unwell


@pytest.mark.parametrize("method", METHODS[1:-1])
def test_other_ways_to_authenticate(tmp_path, method):
    names = ("good", "client-wrong-secret", "client-no-secret", "client-relay", "tool-called")
    report = at_ours(tmp_path, examining(*names), method=method)
    assert set(ended(report, Outcome.PASSED)) == set(names)


def spoil(slug, settings):
    return lambda tx, operator, tenant_id: trust.change(tx, operator, tenant_id, slug, settings)


def a_claim_that_means_a_role(tx, operator, tenant_id):
    file = roles_file.parse(f"{ROLES}  lab-admin: [{WITHHELD}]\n")
    roles_import.import_file(tx, operator, tenant_id, file)
    meaning = {"connection": "lab", "claim": "roles", "value": "admin", "role": "lab-admin"}
    mappings.add(tx, operator, tenant_id, **meaning, group=None)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (
            spoil("lab", {"assertion_reuse": "until_exp"}),
            {"replay", "replay-name", "replay-parallel"},
        ),
        (spoil("lab", {"max_lifetime_seconds": 3600}), set()),
        (spoil("lab-many", {"tenants": [CUSTOMER, "lab-b"]}), {"customer-other"}),
        (
            a_claim_that_means_a_role,
            {"claims-unknown"},
        ),
    ],
    ids=["reuse", "an hour", "two customers", "a role by a claim"],
)
def test_a_switch_that_was_turned_is_told(tmp_path, change, names):
    """What an operator may choose is found as well."""
    tried = {"good", "exp-day", "customer-other", "claims-unknown"} | names
    report = at_ours(tmp_path, examining(*tried), change=change)
    assert faults_of(report) == names, ended(report, Outcome.FAILED, Outcome.SHORT)
