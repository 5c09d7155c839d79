"""What stands beside each definition: docstrings of classes and of their fields, read from the source (PEP 258)."""

import ast
import inspect
import re
from dataclasses import dataclass
from types import ModuleType


@dataclass(frozen=True)
class Described:
    """A class in words."""

    meaning: str
    fields: dict[str, str]


def of_module(module: ModuleType) -> dict[str, Described]:
    """Every class of a module by name."""
    tree = ast.parse(inspect.getsource(module))
    return {it.name: _described(it) for it in tree.body if isinstance(it, ast.ClassDef)}


def flat(text: str) -> str:
    """On one line, as a cell of a table, without the numbers of our requirements."""
    text = re.sub(r" \((?:(?:[A-Z]+-)+\d+(?:, )?)+\)", "", re.sub(r"\s+", " ", text))
    return text.strip().replace("|", "\\|")


def _described(node: ast.ClassDef) -> Described:
    fields = {}
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        match statement, after:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                fields[name] = flat(text)
    return Described(flat(ast.get_docstring(node) or ""), fields)
