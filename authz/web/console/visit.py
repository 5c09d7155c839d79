"""Somebody is at a page: who, with what in hand, and what can be answered."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.responses import Response

from authz.admin import deciding, effects, operations
from authz.admin.code.plans import Rehearsed
from authz.admin.operator import Operator
from authz.admin.paging import MAX_LIMIT, Slice
from authz.admin.supplies import Surroundings
from authz.errors import AuthzError, Conflict, Invalid, NeedsApproval
from authz.oauth.configuration import TenantConfiguration
from authz.policy import Decision
from authz.policy.administration import Permission
from authz.web.console.clash import Clash, lines_of
from authz.web.edge import Edge

MOST_EXPORTED = 10_000
"""Rows of a list that is downloaded; whoever needs more of it asks the API."""


@dataclass(frozen=True)
class Visit:
    """A request of an administrator."""

    edge: Edge
    configuration: TenantConfiguration
    operator: Operator
    decision: Decision
    """By which admin role they may what."""
    path: Mapping[str, str]
    """What the address names, such as `id`."""
    query: Mapping[str, str]
    form: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What was posted; empty for a GET."""

    @property
    def tenant_id(self) -> str:
        """Of the tenant they administer, and no other."""
        return self.configuration.tenant.id

    @property
    def now(self) -> datetime:
        """One moment for the whole request."""
        return self.operator.now

    def asked(self, name: str) -> str:
        """A parameter of the query, or the empty text."""
        return self.query.get(name, "").strip()

    def given(self, name: str) -> str:
        """A field of the form, or the empty text."""
        values = self.form.get(name, ())
        return values[0].strip() if values else ""

    def all_given(self, name: str) -> Sequence[str]:
        """All values of a field that may be there more than once."""
        return self.form.get(name, ())

    def needed(self, name: str, label: str) -> str:
        """A field that has to be filled in. Raises Invalid."""
        value = self.given(name)
        if not value:
            raise Invalid(f"{label} is empty; fill it in", field=name)
        return value

    def of(self, name: str) -> "Visit":
        """The same, of one list of a page that has several: its parameters begin with its name."""
        if not name:
            return self
        own = f"{name}-"
        query = {
            it.removeprefix(own): text for it, text in self.query.items() if it.startswith(own)
        }
        return replace(self, query=query)

    def besides(self, *names: str) -> dict[str, str]:
        """What the address says besides these: kept when a list is searched or goes on. What was done is said once."""
        once = (*names, "done")
        return {name: text for name, text in self.query.items() if text and name not in once}

    def kept(self, names: Sequence[str]) -> dict[str, str]:
        """The parameters of a search that one comes back to."""
        return {name: self.query[name] for name in names if self.query.get(name)}

    @property
    def is_sure(self) -> bool:
        """Whether the question of a destructive act was answered."""
        return self.given("sure") == "yes"

    def may(self, permission: Permission, *, resource_id: str | None = None) -> bool:
        """Whether to offer something. The operation asks again."""
        return self.operator.may(permission, resource_id=resource_id)

    def url(self, page: str, /, **query: str | None) -> str:
        """Of a page of the console; a parameter may be called anything."""
        text = urlencode({name: value for name, value in query.items() if value})
        base = f"{self.configuration.tenant.path}/console"
        return f"{base}/{page}".rstrip("/") + (f"?{text}" if text else "")

    def read(self, question: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Ask something of the form (tx, tenant_id, …)."""
        with self.edge.services.database.read() as tx:
            return question(tx, self.tenant_id, *args, **named)

    def look(self, work: Callable[[Session], Any]) -> Any:
        """Several questions about one moment."""
        with self.edge.services.database.snapshot() as tx:
            return work(tx)

    def change(self, operation: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """Perform an operation of the form (tx, operator, tenant_id, …)."""
        try:
            with self.edge.services.database.write() as tx:
                self._foresee(tx, operation, args, named)
                return operation(tx, self.operator, self.tenant_id, *args, **named)
        except NeedsApproval:
            raise self._proposed(operation, args, named) from None

    def _foresee(
        self,
        tx: Session,
        operation: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> None:
        """Raises Foreseen, which gives up the transaction, where a form asks what its change would do."""
        if self.given("effect") != "yes":
            return
        operator = replace(self.operator, needs_second=False)
        base = self.edge.services.settings.server.issuer
        raise Foreseen(
            effects.rehearse(tx, operator, self.tenant_id, operation, args, named, base=base)
        )

    def _proposed(
        self, operation: Callable[..., Any], args: Sequence[Any], named: Mapping[str, Any]
    ) -> "Proposed":
        """Raises what the operation refuses: that is mended here, not asked for."""
        self.try_out(operation, *args, **named)
        return Proposed(*operations.name_and_arguments(operation, args, named))

    def try_out(self, operation: Callable[..., Any], /, *args: Any, **named: Any) -> Any:
        """What an operation would answer; nothing of it is kept, so it takes no second person."""
        operator = replace(self.operator, needs_second=False)
        with self.edge.services.database.rehearse() as tx:
            return operation(tx, operator, self.tenant_id, *args, **named)

    def perform(self, name: str, /, **arguments: Any) -> Any:
        """Perform an operation or a decision by its name, with what it needs besides JSON: fetched, hashed, counted."""
        services = self.edge.services
        around = Surroundings(
            tenant_id=self.tenant_id,
            issuer=self.configuration.tenant.issuer,
            settings=services.settings,
            database=services.database,
            connectors=self.edge.connectors,
            custody=services.custody,
            now=self.now,
            operator=self.operator,
        )
        operation = deciding.load(name)
        try:
            supplied = operation.prepare(self.operator, arguments, around)
        except NeedsApproval:
            raise Proposed(name, arguments) from None
        with services.database.write() as tx:
            return operation.run(tx, self.operator, self.tenant_id, arguments, supplied)

    def edit(
        self,
        labels: Mapping[str, str],
        now: Callable[[Session], Mapping[str, str]],
        operation: Callable[..., Any],
        *args: Any,
        **named: Any,
    ) -> Any:
        """As `change`, if the fields of `labels` still are what the form showed as `was_FIELD`. Raises Clashed."""
        try:
            with self.edge.services.database.write() as tx:
                found = now(tx)
                clashes = [
                    Clash(
                        name,
                        label,
                        self.given(f"was_{name}"),
                        found[name],
                        "\n".join(self.all_given(name)),
                    )
                    for name, label in labels.items()
                    if f"was_{name}" in self.form
                    and lines_of(self.given(f"was_{name}")) != lines_of(found[name])
                ]
                if clashes:
                    raise Clashed(clashes)
                self._foresee(tx, operation, args, named)
                return operation(tx, self.operator, self.tenant_id, *args, **named)
        except NeedsApproval:
            raise self._proposed(operation, args, named) from None

    def gather(self, load: Callable[[Session, str | None, int], Slice[Any]]) -> list[Any]:
        """All of a paged list, for a download: up to `MOST_EXPORTED` rows."""
        found: list[Any] = []
        after: str | None = None
        with self.edge.services.database.read() as tx:
            while len(found) < MOST_EXPORTED:
                part = load(tx, after, MAX_LIMIT)
                found += part.rows
                after = part.next
                if after is None:
                    break
        return found


class Clashed(Conflict):
    """Two people changed the same thing at once."""

    def __init__(self, clashes: Sequence[Clash]) -> None:
        super().__init__("somebody else changed this while you were typing")
        self.clashes = clashes


class Foreseen(Exception):
    """What a change would do; it was not made."""

    def __init__(self, rehearsed: Rehearsed) -> None:
        super().__init__("foreseen")
        self.rehearsed = rehearsed


class Proposed(Exception):
    """A change that somebody else has to approve: it is asked for instead."""

    def __init__(self, operation: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(operation)
        self.operation = operation
        self.arguments = arguments


@dataclass(frozen=True)
class Screen:
    """A page to render: a template below `console/` and what it needs."""

    template: str
    context: Mapping[str, Any]
    status: int = 200


@dataclass(frozen=True)
class Done:
    """A change was made: where to go on, and the key of what to say there."""

    url: str
    said: str


@dataclass(frozen=True)
class Sure:
    """Ask before a destructive act: what it is, what it affects, and the form to send again."""

    title: str
    act: str
    """On the button."""
    affects: Sequence[str]
    back: str


@dataclass(frozen=True)
class Sheet:
    """A list to download."""

    name: str
    headings: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def as_csv(self) -> str:
        """RFC 4180. A cell that a spreadsheet would take for a formula is told to be text (CSV injection)."""
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.headings)
        writer.writerows([[_cell(it) for it in row] for row in self.rows])
        return text.getvalue()


@dataclass(frozen=True)
class Download:
    """A file that is not a table."""

    name: str
    media_type: str
    text: str


Answer = Screen | Done | Sure | Sheet | Download | Response


@dataclass(frozen=True)
class Act:
    """A form of a page: posted to the page's address and its name."""

    name: str
    run: Callable[[Visit], Answer]
    fields: Mapping[str, str] = field(default_factory=dict)
    """Argument of the operation -> field of the form, where that is called otherwise."""
    again: Callable[[Visit], Answer] | None = None
    """Shows the form with what is wrong in it, where that is not on the page."""


@dataclass(frozen=True)
class Page:
    """One page, or one kind of pages with an `{id}` in the path."""

    path: str
    title: str
    permission: Permission
    """To see it; an act asks for what its operation takes."""
    show: Callable[[Visit], Answer]
    acts: Sequence[Act] = ()
    section: str = ""
    """Of the navigation."""
    is_listed: bool = True
    """In the navigation; others are reached from a page that is."""
    done: Mapping[str, str] = field(default_factory=dict)
    """What to say after a change, by key."""


def told(error: AuthzError) -> str:
    """For people at a screen, who have no command line."""
    return str(error).partition("; `authz ")[0]


def beside(error: AuthzError, fields: Mapping[str, str]) -> dict[str, str]:
    """What is wrong, by the field of a form that asks; `fields` are those called otherwise than the argument."""
    if not error.field:
        raise error
    return {fields.get(error.field, error.field): told(error)}


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        value = " ".join(map(str, value))
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
