"""What is changed in a function: one thing at a time, each with a defect that a programmer could make.

A condition turned round, a bound moved by one, an argument lost, a check left out, a word in other letters. Names of
types, docstrings, decorators and the sentences of errors are let alone: people read those, nothing compares them.
"""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

Function = ast.FunctionDef | ast.AsyncFunctionDef

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_NAMES = {
    "all": "any",
    "any": "all",
    "max": "min",
    "min": "max",
    "startswith": "endswith",
    "endswith": "startswith",
    "removeprefix": "removesuffix",
    "removesuffix": "removeprefix",
    "partition": "rpartition",
    "rpartition": "partition",
    "fullmatch": "match",
    "match": "search",
    "issubset": "issuperset",
    "issuperset": "issubset",
    "union": "intersection",
    "intersection": "union",
}
# Without a meaning at run time, or one that only the interpreter checks.
_NOT_READ = {"annotation", "returns", "decorator_list", "type_comment", "type_params"}
_CALLS_LET_ALONE = {"isinstance", "issubclass", "cast", "TypeVar", "super", "len"}
_KEYWORDS_LET_ALONE = {"strict"}


@dataclass(frozen=True)
class Change:
    """Another node in one place; the place is that of the parent in the order of `walk`."""

    parent: int
    field: str
    index: int | None
    node: ast.AST
    first: int
    last: int
    """Lines of the statement, or of the head of a compound one."""
    is_default: bool = False
    """Of a parameter of the function itself: kept beside its code."""


@dataclass(frozen=True)
class _Place:
    node: ast.AST
    parent: int
    field: str
    index: int | None
    statement: ast.stmt
    raised: bool
    """Inside of the sentence of an error."""
    is_default: bool


def walk(node: ast.AST) -> Iterator[ast.AST]:
    """Every node, in an order that a copy has as well."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from walk(child)


def changes_of(function: Function) -> list[Change]:
    """All changes of one function, what is nested in it included."""
    numbers = {id(node): number for number, node in enumerate(walk(function))}
    found = []
    for place in _places(function, numbers, function, raised=False):
        first, last = _lines(place.statement)
        for node in _others(place):
            change = Change(
                place.parent, place.field, place.index, node, first, last, place.is_default
            )
            found.append(change)
    return found


def changed(function: Function, change: Change) -> tuple[Function, ast.AST]:
    """A copy with the change, and what is round the change."""
    made = copy.deepcopy(function)
    parent = next(islice(walk(made), change.parent, None))
    node = ast.copy_location(copy.deepcopy(change.node), parent)
    if change.index is None:
        setattr(parent, change.field, node)
    else:
        getattr(parent, change.field)[change.index] = node
    ast.fix_missing_locations(made)
    return made, parent


def _places(
    function: Function, numbers: dict[int, int], node: ast.AST, *, raised: bool
) -> Iterator[_Place]:
    statement = node if isinstance(node, ast.stmt) else None
    stack = [(node, statement or function, raised)]
    while stack:
        parent, inside, sentence = stack.pop()
        below = []
        for name, value in ast.iter_fields(parent):
            if name in _NOT_READ or (isinstance(parent, ast.JoinedStr) and sentence):
                continue
            children = value if isinstance(value, list) else [value]
            for index, child in enumerate(children):
                if not isinstance(child, ast.AST) or _is_docstring(name, child):
                    continue
                at = child if isinstance(child, ast.stmt) else inside
                said = sentence or (
                    isinstance(inside, ast.Raise)
                    and isinstance(parent, ast.Call)
                    and name == "args"
                )
                yield _Place(
                    child,
                    numbers[id(parent)],
                    name,
                    index if isinstance(value, list) else None,
                    at,
                    said,
                    is_default=parent is function.args,
                )
                below.append((child, at, said))
        stack += reversed(below)


def _is_docstring(field: str, child: ast.AST) -> bool:
    return (
        field == "body"
        and isinstance(child, ast.Expr)
        and isinstance(child.value, ast.Constant)
        and isinstance(child.value.value, str)
    )


def _lines(statement: ast.stmt) -> tuple[int, int]:
    body = getattr(statement, "body", None)
    if isinstance(statement, Function):
        return statement.lineno, statement.end_lineno or statement.lineno
    if isinstance(statement, ast.Match):
        return statement.lineno, statement.lineno
    if body:
        return statement.lineno, max(statement.lineno, body[0].lineno - 1)
    return statement.lineno, statement.end_lineno or statement.lineno


def _others(place: _Place) -> Iterator[ast.AST]:
    node = place.node
    if place.is_default:
        if isinstance(node, ast.Constant):
            yield from _constants(node)
        return
    if isinstance(node, ast.stmt):
        yield from _statements(node)
    elif isinstance(node, ast.Constant):
        if not (place.raised and isinstance(node.value, str)):
            yield from _constants(node)
    elif isinstance(node, ast.Compare):
        for index, operator in enumerate(node.ops):
            if type(operator) in _COMPARISONS:
                ops = [*node.ops]
                ops[index] = _COMPARISONS[type(operator)]()
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.Call):
        yield from _calls(node)
    elif isinstance(node, ast.Dict):
        for index, value in enumerate(node.values):
            if not isinstance(value, ast.Constant) and node.keys[index] is not None:
                values = [*node.values]
                values[index] = _none()
                yield ast.Dict(node.keys, values)
    if place.field in ("test", "ifs") and not isinstance(
        node, ast.Compare | ast.BoolOp | ast.UnaryOp
    ):
        yield _not(node)


def _statements(node: ast.stmt) -> Iterator[ast.AST]:
    if isinstance(node, ast.Raise | ast.Delete) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await)
    ):
        yield ast.Pass()
    elif isinstance(node, ast.Return):
        if node.value is not None and not isinstance(node.value, ast.Constant):
            yield ast.Return(_none())
    elif isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
        yield ast.Assign(node.targets, _none(), lineno=node.lineno)
    elif (
        isinstance(node, ast.AnnAssign)
        and node.value is not None
        and not isinstance(node.value, ast.Constant)
    ):
        yield ast.AnnAssign(node.target, node.annotation, _none(), node.simple)
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in _OPERATORS:
            yield ast.AugAssign(node.target, _OPERATORS[type(node.op)](), node.value)
    elif isinstance(node, ast.Continue):
        yield ast.Break()
    elif isinstance(node, ast.Break):
        yield ast.Continue()


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    value = node.value
    if isinstance(value, bool):
        yield ast.Constant(not value)
    elif isinstance(value, int | float):
        yield ast.Constant(value + 1)
    elif isinstance(value, str):
        yield ast.Constant(f"XX{value}XX")
    elif isinstance(value, bytes):
        yield ast.Constant(b"XX" + value + b"XX")


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    name = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
    if name in _CALLS_LET_ALONE:
        return
    if name in _NAMES:
        if isinstance(node.func, ast.Name):
            yield ast.Call(ast.Name(_NAMES[name], ast.Load()), node.args, node.keywords)
        elif isinstance(node.func, ast.Attribute):
            function = ast.Attribute(node.func.value, _NAMES[name], ast.Load())
            yield ast.Call(function, node.args, node.keywords)
    for index, argument in enumerate(node.args):
        if not isinstance(argument, ast.Constant | ast.Starred | ast.JoinedStr | ast.GeneratorExp):
            args = [*node.args]
            args[index] = _none()
            yield ast.Call(node.func, args, node.keywords)
    for index, keyword in enumerate(node.keywords):
        if keyword.arg is None or keyword.arg in _KEYWORDS_LET_ALONE:
            continue
        if not isinstance(keyword.value, ast.Constant):
            keywords = [*node.keywords]
            keywords[index] = ast.keyword(keyword.arg, _none())
            yield ast.Call(node.func, node.args, keywords)
    if len(node.args) > 1 and isinstance(node.args[-1], ast.Constant):
        yield ast.Call(node.func, node.args[:-1], node.keywords)


def _none() -> ast.Constant:
    return ast.Constant(None)


def _not(node: ast.AST) -> ast.AST:
    assert isinstance(node, ast.expr)
    return ast.UnaryOp(ast.Not(), node)
