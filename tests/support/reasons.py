"""Every private reason that the code can give, found in its syntax trees.

A reason is what is passed as `reason=`, or as the argument of a class or function that passes it on to one: those are
found first, over and over until no more come. An f-string is a pattern with `…` for what is filled in.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

AUTHZ = Path(__file__).parents[2] / "authz"
ELSEWHERE = ("lab", "doctor", "cli", "urls.py")
"""They judge other servers, or speak to people at a terminal, and have pages of their own; `urls` asks for itself."""


@dataclass
class Taker:
    """A function or class that takes a reason: under which names, at which places."""

    names: set[str] = field(default_factory=set)
    places: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Function:
    """As it is called; a class by its constructor."""

    name: str
    arguments: list[str]
    parameters: frozenset[str]
    calls: list[ast.Call]
    kept: list[str]
    """Parameters that are kept as `reason`."""


@cache
def trees() -> dict[str, ast.Module]:
    """The modules by name below `authz`."""
    return {
        path.relative_to(AUTHZ).with_suffix("").as_posix(): ast.parse(path.read_text("utf-8"))
        for path in sorted(AUTHZ.rglob("*.py"))
        if path.relative_to(AUTHZ).parts[0] not in ELSEWHERE
    }


@cache
def nodes(module: str) -> list[ast.AST]:
    """All of a module."""
    return list(ast.walk(trees()[module]))


@cache
def reasons() -> dict[str, frozenset[str]]:
    """Each reason, and the modules that give it."""
    takers = _takers()
    found: dict[str, set[str]] = defaultdict(set)
    for module, tree in trees().items():
        constants = _constants(tree)
        for call in (it for it in nodes(module) if isinstance(it, ast.Call)):
            for value in _given(call, takers):
                for text in _texts(value, constants):
                    found[text].add(module)
    return {text: frozenset(modules) for text, modules in sorted(found.items())}


def _takers() -> dict[str, Taker]:
    takers: dict[str, Taker] = defaultdict(Taker)
    functions, bases = [], []
    for module in trees():
        functions += list(_functions(nodes(module)))
        bases += [
            (node.name, base.id)
            for node in nodes(module)
            if isinstance(node, ast.ClassDef)
            for base in node.bases
            if isinstance(base, ast.Name)
            and not any(getattr(it, "name", "") == "__init__" for it in node.body)
        ]
    count = -1
    while count != (count := sum(len(it.names) + len(it.places) for it in takers.values())):
        for function in functions:
            _learn(takers, function)
        for name, base in bases:
            if base in takers:
                takers[name].names |= takers[base].names
                takers[name].places |= takers[base].places
    return takers


def _functions(nodes: list[ast.AST]) -> Iterator[Function]:
    methods: dict[ast.FunctionDef, tuple[str, int]] = {}
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            for it in node.body:
                if isinstance(it, ast.FunctionDef):
                    is_static = any(
                        getattr(d, "id", "") == "staticmethod" for d in it.decorator_list
                    )
                    name = node.name if it.name == "__init__" else it.name
                    methods[it] = (name, 0 if is_static else 1)
    for node in nodes:
        if isinstance(node, ast.FunctionDef):
            name, skipped = methods.get(node, (node.name, 0))
            arguments = [it.arg for it in (*node.args.posonlyargs, *node.args.args)][skipped:]
            parameters = frozenset(arguments) | {it.arg for it in node.args.kwonlyargs}
            calls: list[ast.Call] = []
            kept: list[str] = []
            for deep in ast.walk(node):
                match deep:
                    case ast.Call(args=args, keywords=keywords):
                        values = (*args, *(keyword.value for keyword in keywords))
                        if any(getattr(value, "id", None) in parameters for value in values):
                            calls.append(deep)
                    case ast.Assign(targets=[ast.Attribute(attr="reason")], value=ast.Name(id=id_)):
                        kept.append(id_)
            yield Function(name, arguments, parameters, calls, kept)


def _learn(takers: dict[str, Taker], function: Function) -> None:
    passed = {*function.kept}
    for call in function.calls:
        passed |= {it.id for it in _given(call, takers) if isinstance(it, ast.Name)}
    for it in passed & function.parameters:
        takers[function.name].names.add(it)
        if it in function.arguments:
            takers[function.name].places.add(function.arguments.index(it))


def _given(call: ast.Call, takers: dict[str, Taker]) -> Iterator[ast.expr]:
    """The arguments of a call that are reasons."""
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    taker = takers.get(name, Taker())
    for keyword in call.keywords:
        if keyword.arg == "reason" or keyword.arg in taker.names:
            yield keyword.value
    for place in taker.places:
        if place < len(call.args):
            yield call.args[place]


def _constants(tree: ast.Module) -> dict[str, str]:
    found = {}
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                found[name] = text
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for name_, value in zip(names, values, strict=False):
                    if isinstance(name_, ast.Name) and isinstance(value, ast.Constant):
                        found[name_.id] = str(value.value)
    return found


def _texts(value: ast.expr, constants: dict[str, str]) -> Iterator[str]:
    match value:
        case ast.Constant(value=str(text)):
            yield text
        case ast.Name(id=name) if name in constants:
            yield constants[name]
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one, constants)
            yield from _texts(other, constants)
        case ast.BoolOp(values=values):
            for it in values:
                yield from _texts(it, constants)
        case ast.JoinedStr(values=parts):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts
            )
