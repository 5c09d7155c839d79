"""What each kind of thing answers to, and what they all work with."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.errors import Conflict, Invalid, NotFound
from authz.federation.registry import Connectors
from authz.policy.code.entries import Change, Entries
from authz.policy.code.reading import Written
from authz.progress import UNWATCHED, Watch


@dataclass(frozen=True)
class Surroundings:
    """What of the installation matters for what may be written."""

    connectors: Connectors
    issuer: str
    """Of the tenant."""
    private_schemes: frozenset[str] = frozenset()
    """In redirect URIs."""
    development: bool = False


NOTHING_WRITTEN = Written({}, None)


@dataclass(frozen=True)
class Site:
    """One tenant within a transaction."""

    tx: Session
    operator: Operator
    tenant_id: str
    around: Surroundings | None = None
    """None where only kinds are read and written that ask nothing of the installation (`admin.versions`)."""
    written: Written = field(default=NOTHING_WRITTEN)
    watch: Watch = UNWATCHED

    @property
    def surroundings(self) -> Surroundings:
        """For the kinds that ask."""
        if self.around is None:
            raise ValueError("this kind cannot be written without the installation")
        return self.around

    @contextmanager
    def at(self, change: Change) -> Iterator[None]:
        """Errors in the block name where the thing stands."""
        place = self.written.places.get((change.kind, change.name))
        try:
            yield
        except (Conflict, Invalid, NotFound) as error:
            where = f"{change.kind} {change.name}" if place is None else f"{place}: {change.name}"
            raise type(error)(f"{where}: {error}") from None


class Kind(Protocol):
    """A module with these three."""

    def current(self, site: Site) -> Entries:
        """What there is, every default filled in."""

    def wanted(self, site: Site, current: Entries) -> Entries | None:
        """What the directory says, in the same form; None where it says nothing of this kind. Raises Invalid."""

    def write(self, site: Site, changes: Sequence[Change]) -> None:
        """Make what is to be there or otherwise so."""

    def forget(self, site: Site, changes: Sequence[Change]) -> None:
        """Take away what is to go."""


def without_nothing(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a file says them: what is not said is left out."""
    return {name: value for name, value in settings.items() if value is not None}
