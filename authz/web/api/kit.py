"""What routes are made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from authz.admin.operator import Operator
from authz.admin.paging import Slice, holding, part_of
from authz.oauth.configuration import TenantConfiguration
from authz.policy.administration import Permission
from authz.tenants import Tenant

TENANT = "tenant"
"""The pseudo segment that names the caller's own tenant."""


@dataclass(frozen=True)
class Look:
    """One request, where it reads: an open transaction, who asks, and the segments of the address by name."""

    tx: Session
    configuration: TenantConfiguration
    operator: Operator
    base: str
    """The issuer of the default tenant."""
    path: Mapping[str, str]
    query: Mapping[str, str]

    @property
    def tenant(self) -> Tenant:
        """Whose API it is."""
        return self.configuration.tenant

    @property
    def tenant_id(self) -> str:
        """Every query is of this tenant."""
        return self.tenant.id

    @property
    def now(self) -> datetime:
        """The moment of the request."""
        return self.operator.now


@dataclass(frozen=True)
class Window:
    """Which part of a list is asked for."""

    after: str | None
    limit: int
    matching: str
    filters: Mapping[str, str]

    def find(self, name: str) -> str | None:
        """A filter."""
        return self.filters.get(name)


@dataclass(frozen=True)
class Listing:
    """GET of a list."""

    path: str
    name: str
    summary: str
    page: Callable[[Look, Window], Slice[Any]]
    kind: type
    """Of an item."""
    filters: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> what it says."""
    searches: bool = True
    """Whether `q` narrows it."""
    permission: Permission = Permission.READ
    is_of_base: bool = False
    """Whether the default tenant alone has it."""


@dataclass(frozen=True)
class Thing:
    """GET of one thing: what its tag is of."""

    path: str
    name: str
    summary: str
    load: Callable[[Look], Any]
    kind: Any
    asks: Mapping[str, str] = field(default_factory=dict)
    """Parameter -> what it says."""
    omit: frozenset[str] = frozenset()
    """Members that change by themselves; with them, a tag would."""
    permission: Permission = Permission.READ
    is_of_base: bool = False


@dataclass(frozen=True)
class Change:
    """POST, PUT, PATCH or DELETE: one operation, by name."""

    method: str
    path: str
    operation: str
    summary: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Segment of the address -> argument."""
    body: str | None = None
    """The argument that the whole body is; None: the members of the body are arguments."""
    thing: Thing | None = None
    """What is changed in place: the request has to have seen it."""
    made: Callable[[Any], tuple[str, ...]] | None = None
    """The last segments of the address of what was added, from the answer."""
    told: Callable[[Look, Any], Any] | None = None
    """How what was added or renamed is shown, where the answer of the operation or the address does not do."""
    kind: Any = None
    """Of that, where it is not what the operation answers."""
    answer: str | None = None
    """What a plain answer (a number, a list) is called."""
    is_of_base: bool = False


Route = Listing | Thing | Change


def listed(
    load: Callable[[Look], Iterable[Any]], *members: str
) -> Callable[[Look, Window], Slice[Any]]:
    """The page of a list that is small enough to be read whole, in the order of these members."""

    def key(row: Any) -> tuple[str, ...]:
        return tuple(str(getattr(row, it)) for it in members)

    def page(look: Look, window: Window) -> Slice[Any]:
        rows = load(look)
        if window.matching:
            rows = holding(rows, window.matching)
        return part_of(rows, key, after=window.after, limit=window.limit)

    return page
