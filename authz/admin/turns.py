"""Doing something for one tenant after the other, so that one whose rows somebody damaged holds up no other."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from authz.errors import Conflict

log = structlog.get_logger()


class Turn:
    """One turn of a job through all tenants: each `of` is one tenant's part, and `end` comes last."""

    def __init__(self) -> None:
        self._failures: list[Exception] = []

    @contextmanager
    def of(self, tenant: str) -> Iterator[None]:
        """The part of one tenant; what fails in it is kept for the end."""
        try:
            yield
        except Conflict as error:
            # Somebody else did the same meanwhile; there is another turn.
            log.info("job.overtaken", tenant=tenant, why=str(error))
        except Exception as error:  # noqa: BLE001 -- all of them are raised at the end
            error.add_note(f"tenant {tenant}")
            self._failures.append(error)

    def end(self) -> None:
        """Raise what failed, so that the job counts as failed."""
        if self._failures:
            raise ExceptionGroup(f"{len(self._failures)} tenants", self._failures)
