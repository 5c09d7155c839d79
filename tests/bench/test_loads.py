"""What scripts/bench seeds is what this server answers: every load's request gets the answer its figures are about."""

import sqlite3
from contextlib import closing

import psycopg
import pytest

from scripts.bench_parts import loads, machine, targets
from scripts.bench_parts.plan import LOADS, OURS, Kind, Plan
from scripts.bench_parts.supplies import SESSIONS, spread
from scripts.bench_parts.targets import Place
from tests.support.databases import fresh_url

STORED = 300
PLAN = Plan(LOADS, ("sqlite",), (1,), (1,), (STORED,), 1, 1, 1, 0)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows(engine, worker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    with fresh_url(engine, folder, f"authz_bench_{worker}") as url:
        yield Place(url)


@pytest.fixture(scope="module")
def target(rows, engine, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench") / "authz"
    (made,) = targets.ours([Kind(OURS, engine, 1, STORED)], PLAN, folder, rows)
    made.start()
    try:
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("load", LOADS)
def test_the_request_of_a_load_is_answered_as_its_figures_assume(target, load):
    loads.probe(load, target)
    assert target.process.child.poll() is None


def test_every_load_has_a_script_that_is_there(target):
    for name, load in loads.LOADS.items():
        shot = load.shot(target, 2, 1)
        assert (machine.HERE / shot.script).is_file(), name
        assert shot.path.startswith("/")
    assert tuple(loads.LOADS) == LOADS


def test_as_many_rows_are_stored_as_were_asked_for(target, rows, engine):
    assert _count(rows, engine, "token_families") >= STORED
    assert _count(rows, engine, "issued_tokens") >= STORED
    assert _count(rows, engine, "sessions") == SESSIONS


def test_supplies_are_taken_once_and_lie_between_the_others(target):
    supplies = target.supplies
    first, last = supplies.take_tokens(5)
    assert supplies.take_tokens(1) == (last + 1, last + 1)
    assert last - first == 4
    assert len(set(supplies.refresh_tokens.read_text().splitlines())) == STORED
    assert len(supplies.access_tokens.read_text().splitlines()) == STORED
    assert len(set(supplies.assertions(3).read_text().splitlines())) == 3


@pytest.mark.parametrize(
    ("total", "wanted", "every"),
    [(1_000_000, 100_000, 10), (1_000_000, 1000, 1000), (300, 1000, 1), (10, 3, 3)],
)
def test_a_few_are_taken_from_everywhere(total, wanted, every):
    assert spread(total, wanted) == every


def _count(rows, engine, table):
    statement = f"SELECT count(*) FROM {table}"
    if engine == "sqlite":
        with closing(sqlite3.connect(rows.url.removeprefix("sqlite:///"))) as connection:
            return connection.execute(statement).fetchone()[0]
    with psycopg.connect(rows.url.replace("+psycopg", "")) as connection:
        return connection.execute(statement).fetchone()[0]
