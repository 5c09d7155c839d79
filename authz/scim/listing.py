"""Pages of resources: what is asked for, which rows they are, and the answer (RFC 7644 §3.4.2)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scim2_models import ScimFilter
from sqlalchemy import Select, func
from sqlalchemy.orm import Session

from authz.db.models import ScimRecord
from authz.scim.errors import InvalidPath, InvalidValue
from authz.scim.filter import Search
from authz.scim.reading import Document
from authz.scim.schema import MODELS, POLICY
from authz.scim.selection import EVERYTHING, Selection, read_selection

LIST_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
MAX_COUNT = 200
DEFAULT_COUNT = 100
_NUMBER = re.compile(r"-?[0-9]{1,9}")
Rows = Select[Any, ScimRecord]
_MOST_FOR_REST = 20
"""Rows that one name may stand for, before the rest of a filter looks at them."""


@dataclass(frozen=True)
class Listing:
    """What a client wants to see."""

    filter: str | None = None
    start: int = 1
    count: int = DEFAULT_COUNT
    sort_by: str | None = None
    is_descending: bool = False
    selection: Selection = EVERYTHING


def read_listing(asked: Mapping[str, Any]) -> Listing:
    """From the query of a GET, or the body of a search. Names are alike however they are capitalised."""
    wish = {name.lower(): value for name, value in asked.items()}
    order = wish.get("sortorder")
    if order is not None and order not in ("ascending", "descending"):
        raise InvalidValue("sortOrder is ascending or descending", reason="sort_order")
    for name in ("filter", "sortby"):
        if wish.get(name) is not None and not isinstance(wish[name], str):
            raise InvalidValue(f"{name} is a text", reason="listing_malformed")
    return Listing(
        filter=wish.get("filter") or None,
        start=max(1, _number(wish.get("startindex"), 1)),
        count=min(MAX_COUNT, max(0, _number(wish.get("count"), DEFAULT_COUNT))),
        sort_by=wish.get("sortby") or None,
        is_descending=order == "descending",
        selection=read_selection(wish.get("attributes"), wish.get("excludedattributes")),
    )


def _number(value: Any, default: int) -> int:
    if value is None:
        return default
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**9:
        return value
    raise InvalidValue("startIndex and count are whole numbers", reason="listing_malformed")


def order(listing: Listing, sortable: Mapping[str, Any]) -> Any:
    """The column to sort by: one with an index, the first when the client has no wish. Raises InvalidPath."""
    column = next(iter(sortable.values()))
    if listing.sort_by is not None:
        column = sortable.get(listing.sort_by.rpartition(":")[2].lower())
        if column is None:
            known = ", ".join(sorted(sortable))
            raise InvalidPath(f"lists are sorted by: {known}", reason="sort_by")
    return column.desc() if listing.is_descending else column


def fetch(
    tx: Session, rows: Rows, search: Search | None, listing: Listing, ordered: Any
) -> tuple[int, Sequence[Any]]:
    """How many there are, and those of the page."""
    if search is not None:
        rows = rows.where(search.where)
    total = tx.scalars(rows.with_only_columns(func.count(), maintain_column_froms=True)).one()
    if not total or not listing.count:
        return total, []
    page = rows.order_by(ordered).limit(listing.count).offset(listing.start - 1)
    return total, tx.execute(page).all()


def few(tx: Session, rows: Rows, search: Search, ordered: Any) -> Sequence[Any]:
    """The rows of a search that names one, before the rest of it."""
    return tx.execute(rows.where(search.where).order_by(ordered).limit(_MOST_FOR_REST)).all()


def satisfies(document: Document, kind: str, search: Search) -> bool:
    """Whether the resource is as the rest of the filter wants it."""
    model = MODELS[kind]
    resource = model.model_validate(document, scim_policy=POLICY)
    return all(ScimFilter[model](node).match(resource) for node in search.rest)  # type: ignore[valid-type]


def list_response(total: int, start: int, resources: Iterable[Document]) -> Document:
    """`Resources` is there when it is empty as well: some clients look into it first."""
    page = list(resources)
    return {
        "schemas": [LIST_SCHEMA],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(page),
        "Resources": page,
    }
