"""What operators do while clients refresh: another version, other keys; and two nodes that meet one code."""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from authz.admin import keys
from authz.admin.operator import Operator
from authz.clock import system_clock
from authz.db import migrate
from tests.support.load import load_on
from tests.support.nodes import nodes

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.postgresql]

_NEXT = '''"""what the next version adds

Revises: {head}
"""

import sqlalchemy as sa
from alembic import op

revision = "9000"
down_revision = "{head}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("issued_tokens", sa.Column("next", sa.String(20), nullable=True))
    op.add_column("token_families", sa.Column("next", sa.Integer, server_default="0", nullable=False))
    op.create_index("ix_token_families_next", "token_families", ["tenant_id", "next"])
    op.create_table("next_things", sa.Column("id", sa.String(40), primary_key=True))
'''


@pytest.fixture
def next_version(tmp_path):
    """The environment in which this program is the next version: the same, with one more migration."""
    folder = tmp_path / "next"
    for name in ("authz", "alembic", "templates"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    migration = _NEXT.format(head=migrate.head())
    (folder / "alembic" / "versions" / "9000_next.py").write_text(migration, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}


def test_two_versions_side_by_side_while_one_is_rolled_out(installed, next_version, report):
    """Expand, then replace node by node; a node of the version before that ends meanwhile comes up again."""
    with nodes(installed.config, 2) as old:
        with load_on(installed, [it.base for it in old]) as load:
            load.run_for(0.5)
            done = subprocess.run(
                [sys.executable, "-m", "authz.cli", "db", "upgrade", "--config", installed.config],
                env={**os.environ, **next_version},
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stderr
            assert "to 9000" in done.stdout
            load.run_for(0.5)
            assert [it.health() for it in old] == [200, 200]
            with (
                nodes(installed.config, environment=next_version) as [new],
                nodes(installed.config) as [again],
            ):
                load.bases = [old[0].base, new.base, again.base]
                load.run_for(1)
                load.bases = [new.base]
                load.run_for(0.5)
                load.finish()
        report("migration and two versions side by side", load.check(), "no fault")


def test_rotation_of_keys_fails_no_verification(installed, report):
    """V5: verifiers that fetch keys once for a name they do not know never meet a token they cannot verify."""
    ahead = timedelta(seconds=3)  # more than a node keeps the set it serves
    with nodes(installed.config, 2) as pair:
        with load_on(installed, [it.base for it in pair]) as load:
            load.run_for(0.5)
            new = keys.generate_one("access_token", "ES256")
            with installed.services.database.write() as tx:
                life = keys.rotate(
                    tx,
                    Operator.local("test", system_clock(), installed.services.envelope),
                    installed.tenant_id,
                    new,
                    publish_ahead=ahead,
                    longest_token=timedelta(minutes=10),
                )
            load.run_for(ahead.total_seconds() + 1)
        report("keys rotated", load.check(), "no fault")
        assert load.key_ids[-1] == life.key_id


def test_two_nodes_race_for_each_code(installed):
    """O21-09: one wins, and a code that was shown twice is told of once."""
    with nodes(installed.config, 2) as pair, ThreadPoolExecutor(2) as pool:
        for _ in range(10):
            form = installed.redemption(installed.code())
            asked = [
                pool.submit(httpx2.post, f"{it.base}/token", data=form, trust_env=False, timeout=20)
                for it in pair
            ]
            assert sorted(it.result().status_code for it in asked) == [200, 400]
    assert installed.verify().fault is None
