"""What a pooler in transaction mode and a distributed database cannot give: nothing here needs it."""

import re
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from authz.db.models import Base

SOURCES = [*Path("authz").rglob("*.py"), *Path("alembic/versions").glob("*.py")]
# Of a session: what outlives a transaction. `SET LOCAL` and locks named `xact` end with theirs.
OF_A_SESSION = re.compile(
    r"\bLISTEN \w|\bUNLISTEN\b|pg_advisory_lock|pg_try_advisory_lock|CREATE TEMP|\bDECLARE \w+ CURSOR"
    r"|\"SET (?!LOCAL|CONSTRAINTS)\w+ |\"PREPARE \w|nextval\("
)


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_no_table_counts_with_a_sequence(name):
    """All nodes would write to one place: keys are random, or numbered below a tenant by a row that is locked."""
    table = Base.metadata.tables[name]
    text = str(CreateTable(table).compile(dialect=postgresql.dialect()))
    assert "SERIAL" not in text.upper()
    assert "AS IDENTITY" not in text.upper()
    assert not any(column.default is not None and column.default.is_sequence for column in table.c)


def test_no_statement_leaves_something_in_a_session():
    found = [
        f"{path}: {line.strip()}"
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if OF_A_SESSION.search(line)
    ]
    assert found == []
