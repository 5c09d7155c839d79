"""Where each request goes, and the transaction it is done in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from sqlalchemy.orm import Session

from authz import audit
from authz.directory.leaving import observe
from authz.errors import TemporarilyUnavailable
from authz.scim import bulk, discovery, groups, users
from authz.scim.calls import Answer, Call, Caller, Desk, Moved
from authz.scim.change import Change, Held
from authz.scim.errors import NotBuilt, NotHere, WrongMethod
from authz.scim.filter import Columns, compile_filter
from authz.scim.listing import (
    Listing,
    Rows,
    fetch,
    few,
    list_response,
    order,
    read_listing,
    satisfies,
)
from authz.scim.reading import Document, is_storable
from authz.scim.records import check_version, is_listed
from authz.scim.selection import Selection, read_selection

_ADMISSIONS = 4
"""How often a caller is admitted anew because an operator changed something meanwhile."""


class Kind(Protocol):
    """A module for one resource type."""

    KIND: str
    PLURAL: str
    SCHEMA: str
    SORTABLE: Mapping[str, Any]

    def columns(self, caller: Caller, elsewhere: frozenset[str] = ...) -> Columns:
        """What filters look at."""

    def rows(self, caller: Caller) -> Rows:
        """All that the caller sees."""

    def load(self, tx: Session, caller: Caller, id_: str) -> Held[Any]:
        """One of them."""

    def lock(self, tx: Session, caller: Caller, id_: str) -> Held[Any]:
        """One of them, to be changed."""

    def tag(self, held: Held[Any]) -> str:
        """Its version."""

    def represent(
        self, tx: Session, caller: Caller, found: list[Held[Any]], selection: Selection
    ) -> list[Document]:
        """As they are sent."""

    def full(self, caller: Caller, held: Held[Any]) -> Document:
        """One of them, without what other rows say."""

    def create(self, tx: Session, caller: Caller, call: Call, now: datetime) -> Change[Any]:
        """POST."""

    def replace(
        self, tx: Session, caller: Caller, held: Held[Any], call: Call, now: datetime
    ) -> Change[Any]:
        """PUT."""

    def patch(
        self, tx: Session, caller: Caller, held: Held[Any], call: Call, now: datetime
    ) -> Change[Any]:
        """PATCH."""

    def remove(
        self, tx: Session, caller: Caller, held: Held[Any], call: Call, now: datetime
    ) -> Change[Any]:
        """DELETE."""


Handler = Callable[[Desk, Caller, Call, str], Answer]
Make = Callable[[Session, Caller, Held[Any], Call, datetime], Change[Any]]


def handle(desk: Desk, caller: Caller, call: Call) -> Answer:
    """Do it. Raises ScimError, InvalidToken, TemporarilyUnavailable. Blocking: call it from a thread."""
    place, _, rest = call.path.partition("/")
    pattern = call.path if call.path in ROUTES or not rest else f"{place}/{{id}}"
    methods = ROUTES.get(pattern)
    if methods is None or "/" in rest or not is_storable(rest):
        raise NotHere("there is nothing here", reason="path_unknown")
    handler = methods.get(call.method)
    if handler is None:
        raise WrongMethod(f"{call.method} is not for this", reason="method_unknown")
    for _ in range(_ADMISSIONS):
        try:
            return handler(desk, caller, call, rest)
        except Moved:
            caller = desk.admit_again(caller)
    raise TemporarilyUnavailable("try again shortly", reason="configuration_moving")


@dataclass(frozen=True)
class _Resource:
    """The operations of one resource type."""

    kind: Kind

    def routes(self) -> dict[str, dict[str, Handler]]:
        """By path and method."""
        one: dict[str, Handler] = {
            "GET": self.read,
            "PUT": self._changing(self.kind.replace),
            "PATCH": self._changing(self.kind.patch),
            "DELETE": self._changing(self.kind.remove),
        }
        plural = self.kind.PLURAL
        return {
            plural: {"GET": self.list, "POST": self.create},
            f"{plural}/.search": {"POST": self.search},
            f"{plural}/{{id}}": one,
        }

    def list(self, desk: Desk, caller: Caller, call: Call, _: str) -> Answer:
        """GET /Users."""
        return self._listed(desk, caller, read_listing(call.query))

    def search(self, desk: Desk, caller: Caller, call: Call, _: str) -> Answer:
        """POST /Users/.search: the same, without names of people in an address."""
        return self._listed(desk, caller, read_listing(call.message()))

    def read(self, desk: Desk, caller: Caller, call: Call, id_: str) -> Answer:
        """GET /Users/{id}."""
        with desk.read(caller) as tx:
            held = self.kind.load(tx, caller, id_)
            tag = self.kind.tag(held)
            if call.if_none_match is not None and is_listed(call.if_none_match, tag):
                return Answer(304, etag=tag)
            [document] = self.kind.represent(tx, caller, [held], _selection(call))
        return Answer(200, document, etag=tag)

    def create(self, desk: Desk, caller: Caller, call: Call, _: str) -> Answer:
        """POST /Users."""
        with desk.write(caller) as tx:
            now = desk.clock()
            change = self.kind.create(tx, caller, call, now)
            answer = self._answer(tx, caller, call, change, status=201)
            _record(tx, desk, caller, change, now)
        return answer

    def _changing(self, make: Make) -> Handler:
        def changed(desk: Desk, caller: Caller, call: Call, id_: str) -> Answer:
            with desk.write(caller) as tx:
                held = self.kind.lock(tx, caller, id_)
                check_version(call, self.kind.tag(held))
                # Not before the lock: whoever signed in while this waited for it did so before the end.
                now = desk.clock()
                change = make(tx, caller, held, call, now)
                answer = self._answer(tx, caller, call, change, status=200)
                _record(tx, desk, caller, change, now)
            if change.signal is not None:
                observe([change.signal], desk.clock())
            return answer

        return changed

    def _answer(
        self, tx: Session, caller: Caller, call: Call, change: Change[Any], *, status: int
    ) -> Answer:
        if call.method == "DELETE":
            return Answer(204)
        tag = self.kind.tag(change.held)
        location = f"{caller.base}/{self.kind.PLURAL}/{change.held.row.id}"
        if call.method == "PATCH" and self.kind is groups and "attributes" not in call.query:
            # Members may be thousands, and directories that change one want to read none (RFC 7644 §3.5.2).
            return Answer(204, etag=tag, location=location)
        [document] = self.kind.represent(tx, caller, [change.held], _selection(call))
        return Answer(status, document, etag=tag, location=location)

    def _listed(self, desk: Desk, caller: Caller, listing: Listing) -> Answer:
        with desk.read(caller) as tx:
            total, page = _page(tx, caller, self.kind, listing, frozenset())
        return Answer(200, list_response(total, listing.start, page))


def _search_all(desk: Desk, caller: Caller, call: Call, _: str) -> Answer:
    """All resource types, one after the other; one has nothing of what only the other one has."""
    listing = read_listing(call.message())
    names = {it.KIND: frozenset(it.columns(caller).by_name) for it in RESOURCES}
    every = frozenset[str]().union(*names.values())
    found: list[Document] = []
    total = 0
    with desk.read(caller) as tx:
        for kind in RESOURCES:
            start = max(1, listing.start - total)
            wish = replace(listing, start=start, count=listing.count - len(found))
            more, page = _page(tx, caller, kind, wish, every - names[kind.KIND])
            total += more
            found += page
    return Answer(200, list_response(total, listing.start, found))


def _bulk(desk: Desk, caller: Caller, call: Call, _: str) -> Answer:
    with desk.read(caller):
        pass  # every operation asks again: a token that is revoked meanwhile does not finish
    return bulk.run(partial(handle, desk), caller, call)


def _known(handler: Handler) -> Handler:
    """What needs no row needs a good token all the same."""

    def checked(desk: Desk, caller: Caller, call: Call, rest: str) -> Answer:
        with desk.read(caller):
            return handler(desk, caller, call, rest)

    return checked


def _me(_: Desk, __: Caller, ___: Call, ____: str) -> Answer:
    raise NotBuilt("a provisioning client is nobody: there is no Me", reason="me")


def _page(
    tx: Session, caller: Caller, kind: Kind, listing: Listing, elsewhere: frozenset[str]
) -> tuple[int, list[Document]]:
    columns = kind.columns(caller, elsewhere)
    search = None if listing.filter is None else compile_filter(listing.filter, columns)
    ordered = order(listing, kind.SORTABLE)
    rows = kind.rows(caller)
    if search is not None and search.rest:
        held = [Held(*it) for it in few(tx, rows, search, ordered)]
        held = [it for it in held if satisfies(kind.full(caller, it), kind.KIND, search)]
        total, held = len(held), held[listing.start - 1 :][: listing.count]
    else:
        total, found = fetch(tx, rows, search, listing, ordered)
        held = [Held(*it) for it in found]
    return total, kind.represent(tx, caller, held, listing.selection)


def _record(tx: Session, desk: Desk, caller: Caller, change: Change[Any], now: datetime) -> None:
    if change.events:
        strand = desk.strands.mine()
        audit.record(
            tx, caller.tenant_id, *change.events, key=caller.audit_key, now=now, strand=strand
        )


def _selection(call: Call) -> Selection:
    wish = {name.lower(): value for name, value in call.query.items()}
    return read_selection(wish.get("attributes"), wish.get("excludedattributes"))


RESOURCES: tuple[Kind, ...] = (users, groups)
ROUTES: Mapping[str, Mapping[str, Handler]] = {
    "ServiceProviderConfig": {"GET": _known(discovery.config)},
    "ResourceTypes": {"GET": _known(discovery.types)},
    "ResourceTypes/{id}": {"GET": _known(discovery.type_)},
    "Schemas": {"GET": _known(discovery.schemas)},
    "Schemas/{id}": {"GET": _known(discovery.schema)},
    "Me": dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), _me),
    ".search": {"POST": _search_all},
    bulk.BULK: {"POST": _bulk},
    **_Resource(users).routes(),
    **_Resource(groups).routes(),
}
"""What there is below the base, by path and method."""
