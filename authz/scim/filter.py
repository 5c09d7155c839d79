"""Filters (RFC 7644 §3.4.2.2) as SQL over the columns a resource type offers; scim2-models reads the text.

Every value is a parameter of the statement. Nothing is NULL where it counts: an attribute somebody does not have is not
equal to anything, and `not` of that is true.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from scim2_models import SCIMException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    Not,
    Present,
    ValuePath,
)
from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_

from authz.scim.errors import InvalidFilter
from authz.scim.reading import is_storable
from authz.scim.refusals import refusal_of

MAX_FILTER_CHARS = 4096
NARROW = frozenset({"id", "username", "externalid"})
"""Equal to one of these is one row at most: whatever else a filter wants can be asked of that row itself."""
_MAX_REST = 8

Op = CompareOperator
Condition = ColumnElement[bool]


class Column(Protocol):
    """One attribute that can be searched."""

    def compare(self, op: Op, value: Any) -> Condition:
        """Those whose value compares so. Raises InvalidFilter."""

    def present(self) -> Condition:
        """Those who have a value."""


@dataclass(frozen=True)
class Text:
    """A column of text; `normal` is how its values are spelled, `folds` whether case counts for nothing."""

    column: Any
    folds: bool = False
    normal: Callable[[str], str] = str
    within: tuple[Condition, ...] = ()
    """Which rows have it at all."""

    def compare(self, op: Op, value: Any) -> Condition:
        """Equal, or a part of it. The same function of the database on both sides, whatever its locale folds."""
        text: ColumnElement[Any] = literal(self.normal(_text(value)))
        column = self.column
        if self.folds:
            text, column = func.lower(text), func.lower(column)
        return and_(*self.within, _matches(op, column, text, len(_text(value))))

    def present(self) -> Condition:
        """Not NULL."""
        return and_(*self.within, self.column.is_not(None))


@dataclass(frozen=True)
class Truth:
    """Whether a condition holds."""

    condition: Condition

    def compare(self, op: Op, value: Any) -> Condition:
        """With true or false."""
        if op is not Op.eq or not isinstance(value, bool):
            raise InvalidFilter(
                "true or false can be compared with eq and ne", reason="filter_value"
            )
        return self.condition if value else not_(self.condition)

    def present(self) -> Condition:
        """Always."""
        return and_(not_(false()))


@dataclass(frozen=True)
class Moment:
    """A column of times."""

    column: Any

    def compare(self, op: Op, value: Any) -> Condition:
        """Before, after, or at it."""
        moment = _moment(value)
        match op:
            case Op.eq:
                return and_(self.column == moment)
            case Op.gt:
                return and_(self.column > moment)
            case Op.ge:
                return and_(self.column >= moment)
            case Op.lt:
                return and_(self.column < moment)
            case Op.le:
                return and_(self.column <= moment)
        raise InvalidFilter("times are compared, not searched", reason="filter_operator")

    def present(self) -> Condition:
        """Always."""
        return and_(not_(false()))


@dataclass(frozen=True)
class Among:
    """A set that a value is in or not: `holds` says of one value, `any_` of all."""

    holds: Callable[[str], Condition]
    any_: Condition

    def compare(self, op: Op, value: Any) -> Condition:
        """By `eq` alone; ids have no parts."""
        if op is not Op.eq:
            raise InvalidFilter("ids are compared with eq and ne", reason="filter_operator")
        return self.holds(_text(value))

    def present(self) -> Condition:
        """Not empty."""
        return self.any_


@dataclass(frozen=True)
class Columns:
    """What can be searched of one resource type."""

    schema: str
    by_name: Mapping[str, Column]
    """By attribute in lower case, with the sub-attribute after a dot."""
    elsewhere: frozenset[str] = frozenset()
    """What only other types have that are searched at once: nobody of this type has it (RFC 7644 §3.4.2.1)."""


@dataclass(frozen=True)
class Search:
    """A filter as SQL, and what is left of it for the one row that the SQL finds."""

    where: Condition
    rest: tuple[FilterNode, ...] = ()


def compile_filter(text: str, columns: Columns) -> Search:
    """Raises InvalidFilter."""
    if len(text) > MAX_FILTER_CHARS:
        raise InvalidFilter(
            f"a filter has at most {MAX_FILTER_CHARS} characters", reason="filter_length"
        )
    try:
        node = ScimFilter(text).ast
    except SCIMException as error:
        raise refusal_of(error) from None
    if not isinstance(node, LogicalExpr) or node.op is not LogicalOperator.and_:
        return Search(_compiled(node, columns))
    narrow = [it for it in node.terms if _is_narrow(it)]
    if not narrow:
        return Search(_compiled(node, columns))
    where, rest = [], []
    for term in node.terms:
        try:
            where.append(_compiled(term, columns))
        except _NotSearchable:
            rest.append(term)
    if len(rest) > _MAX_REST:
        raise InvalidFilter("the filter asks too much", reason="filter_rest")
    return Search(and_(*where), tuple(rest))


class _NotSearchable(InvalidFilter):
    """No column; what other defects a filter has are worse."""


def _is_narrow(node: FilterNode) -> bool:
    return (
        isinstance(node, Comparison)
        and node.op is Op.eq
        and node.attr_path.sub_attr is None
        and node.attr_path.attr.lower() in NARROW
    )


def _compiled(node: FilterNode, columns: Columns) -> Condition:
    match node:
        case Comparison(path, op, value):
            return _compared(_column(path, columns), op, value)
        case Present(path):
            return _column(path, columns).present()
        case Not(inner):
            return _negated(_compiled(inner, columns))
        case LogicalExpr(LogicalOperator.and_, terms):
            return and_(*(_compiled(term, columns) for term in terms))
        case LogicalExpr(LogicalOperator.or_, terms):
            return or_(*(_compiled(term, columns) for term in terms))
        case ValuePath(path, inner, None):
            return _selected(path, inner, columns)
    raise InvalidFilter("the filter cannot be read", reason="filter_malformed")


def _selected(path: AttrPath, inner: FilterNode, columns: Columns) -> Condition:
    """`emails[type eq "work" and value eq "x"]`: an account has one address, and it is the one for work."""
    is_all = isinstance(inner, LogicalExpr) and inner.op is LogicalOperator.and_
    terms = inner.terms if isinstance(inner, LogicalExpr) and is_all else (inner,)
    column = _column(path, columns)
    found = []
    for term in terms:
        match term:
            case Comparison(AttrPath(attr="value", sub_attr=None, uri=None), op, value):
                found.append(_compared(column, op, value))
            case Comparison(AttrPath(attr="type", sub_attr=None, uri=None), Op.eq, "work"):
                continue
            case Comparison(
                AttrPath(attr="primary", sub_attr=None, uri=None), Op.eq, True | "True"
            ):
                continue
            case _:
                raise _NotSearchable(
                    'inside of [] value is searched, and type eq "work" is understood',
                    reason="filter_not_searchable",
                )
    return and_(*found) if found else column.present()


def _column(path: AttrPath, columns: Columns) -> Column:
    name = path.attr.lower() if path.sub_attr is None else f"{path.attr}.{path.sub_attr}".lower()
    if path.uri is not None and path.uri.lower() != columns.schema.lower():
        name = f"{path.uri}:{name}".lower()
    found = columns.by_name.get(name)
    if found is not None:
        return found
    if name in columns.elsewhere:
        return _NOBODY
    known = ", ".join(sorted(columns.by_name))
    raise _NotSearchable(f"filters look at: {known}", reason="filter_not_searchable")


def _compared(column: Column, op: Op, value: Any) -> Condition:
    if op is Op.ne:
        return _negated(column.compare(Op.eq, value))
    return column.compare(op, value)


def _negated(condition: Condition) -> Condition:
    return not_(func.coalesce(condition, false()))


_NOBODY = Among(lambda _: false(), false())
"""An attribute that a type does not have."""


def _matches(op: Op, column: Any, text: Any, length: int) -> Condition:
    """Without LIKE, which folds case on one engine and not on the other."""
    if op is Op.eq:
        return and_(column == text)
    if length == 0:
        raise InvalidFilter("an empty text is part of everything", reason="filter_value")
    match op:
        case Op.co:
            return and_(func.replace(column, text, "") != column)
        case Op.sw:
            return and_(func.substr(column, 1, func.length(text)) == text)
        case Op.ew:
            start = func.length(column) - func.length(text) + 1
            return and_(start > 0, func.substr(column, start) == text)
    raise InvalidFilter("texts are compared with eq, ne, co, sw, ew", reason="filter_operator")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidFilter("a text in quotes is expected", reason="filter_value")
    if not is_storable(value):
        raise InvalidFilter("nothing here has such a text", reason="filter_value")
    return value


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidFilter(
            "a time is expected: 2026-11-25T12:00:00Z", reason="filter_value"
        ) from None
