"""Adding a row that somebody else may be adding at this moment."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from authz.db.models import Base


def add_unless_there(tx: Session, row: Base) -> bool:
    """Insert `row`. False when another transaction was first: its row is the one to read now.

    In a savepoint, because a unique violation ends a PostgreSQL transaction. It waits for the other one to commit.
    """
    try:
        with tx.begin_nested():
            tx.add(row)
    except IntegrityError:
        return False
    return True
