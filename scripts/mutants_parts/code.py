"""Mutants: where they are in the source, and how one comes to life in a running process.

A function keeps its identity and gets other code, so whoever holds it (a registry, a decorator, a test that imported
it) runs the mutant, and the original can be put back. Decorated functions, properties and methods of dataclasses are
reached like any other. What runs at import alone (constants of modules, bodies of classes) is not.
"""

import __future__

import ast
import copy
import functools
import gc
import hashlib
import importlib
import types
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from scripts.mutants_parts.changes import Change, Function, changed, changes_of, walk

_FUTURE = functools.reduce(
    lambda flags, name: flags | getattr(__future__, name).compiler_flag,
    __future__.all_feature_names,
    0,
)


_CACHED = type(functools.cache(len))


class NotApplicable(Exception):
    """The changed function has no place in the running process."""


@dataclass(frozen=True, eq=False)
class Mutant:
    """One change of one function."""

    key: str
    """Stable as long as the function is as it is, wherever it stands in its file."""
    path: str
    qualname: str
    function: Function
    classes: tuple[ast.ClassDef, ...]
    """The classes around it, the outermost first."""
    change: Change
    file: str

    @property
    def lines(self) -> range:
        """Where a test has to come along to notice."""
        return range(self.change.first, self.change.last + 1)

    def described(self) -> tuple[str, str]:
        """The changed place as it was and as it is."""
        before = next(islice(walk(self.function), self.change.parent, None))
        _, after = changed(self.function, self.change)
        texts = []
        for node in (before, after):
            text = ast.unparse(node)
            compound = isinstance(node, ast.stmt) and getattr(node, "body", None)
            texts.append(text.split("\n")[0] if compound and self.change.field == "test" else text)
        if len(texts[0]) > 300:
            lines = [text.split("\n") for text in texts]
            pairs = list(zip(*lines, strict=False))
            differing = [pair for pair in pairs if pair[0] != pair[1]]
            if differing:
                return differing[0][0].strip(), differing[0][1].strip()
        return texts[0], texts[1]


def mutants_of(path: Path, root: Path) -> Iterator[Mutant]:
    """All mutants of a file, from its first line to its last."""
    name = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text())
    for classes, function in _functions(tree, ()):
        qualname = ".".join([*(it.name for it in classes), function.name])
        digest = hashlib.sha256(ast.dump(function).encode()).hexdigest()[:10]
        for number, change in enumerate(changes_of(function)):
            key = f"{name}:{qualname}:{digest}:{number}"
            yield Mutant(key, name, qualname, function, classes, change, str(path))


def import_all(files: Iterable[Path], root: Path) -> None:
    """Have every module here before functions are looked for."""
    for file in files:
        parts = file.relative_to(root).with_suffix("").parts
        importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


class Functions:
    """The functions of this process by the place of their source."""

    def __init__(self, files: set[str]) -> None:
        self._found: dict[tuple[str, str, int], list[types.FunctionType]] = {}
        self._inside: dict[tuple[str, str], list[types.FunctionType]] = {}
        self._caches = [
            it
            for it in gc.get_objects()
            if isinstance(it, _CACHED) and str(it.__module__).startswith("authz.")
        ]
        for it in gc.get_objects():
            if isinstance(it, types.FunctionType) and it.__code__.co_filename in files:
                code = it.__code__
                place = (code.co_filename, code.co_qualname, code.co_firstlineno)
                self._found.setdefault(place, []).append(it)
                outer, inside, _ = code.co_qualname.partition(".<locals>.")
                if inside:
                    self._inside.setdefault((code.co_filename, outer), []).append(it)

    @contextmanager
    def changed_to(self, mutant: Mutant) -> Iterator[None]:
        """The mutant lives inside of this. Raises NotApplicable."""
        made, _ = changed(mutant.function, mutant.change)
        line = min([made.lineno, *(it.lineno for it in made.decorator_list)])
        functions = self._found.get((mutant.file, mutant.qualname, line), [])
        if not functions:
            raise NotApplicable("no such function")
        # What an earlier call of the original made, such as an entry of a registry.
        nested = self._inside.get((mutant.file, mutant.qualname), [])
        olds = [
            (it, it.__code__, it.__defaults__, it.__kwdefaults__) for it in (*functions, *nested)
        ]
        try:
            codes = _compiled(mutant, made, olds[0][1])
        except SyntaxError as error:
            raise NotApplicable(str(error)) from None
        try:
            for it in functions:
                it.__code__ = codes[mutant.qualname, line]
                _set_defaults(it, mutant.change, made)
            for it in nested:
                it.__code__ = codes.get(
                    (it.__code__.co_qualname, it.__code__.co_firstlineno), it.__code__
                )
        except ValueError as error:
            _restore(olds)
            raise NotApplicable(str(error)) from None
        self._forget()
        try:
            yield
        finally:
            _restore(olds)
            self._forget()

    def _forget(self) -> None:
        for cache in self._caches:
            cache.cache_clear()


def _restore(olds: list[tuple[types.FunctionType, types.CodeType, object, object]]) -> None:
    for it, code, defaults, named in olds:
        it.__code__ = code
        it.__defaults__ = defaults  # type: ignore[assignment]  # as they were
        it.__kwdefaults__ = named  # type: ignore[assignment]  # as they were


def _compiled(
    mutant: Mutant, made: Function, old: types.CodeType
) -> dict[tuple[str, int], types.CodeType]:
    node: ast.stmt = made
    for around in reversed(mutant.classes):
        shell = copy.copy(around)
        shell.body, shell.decorator_list, shell.bases, shell.keywords = [node], [], [], []
        node = shell
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = compile(
            ast.Module([node], []), mutant.file, "exec", old.co_flags & _FUTURE, dont_inherit=True
        )
    return {(code.co_qualname, code.co_firstlineno): code for code in _codes(module)}


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    for it in code.co_consts:
        if isinstance(it, types.CodeType):
            yield it
            yield from _codes(it)


def _set_defaults(function: types.FunctionType, change: Change, made: Function) -> None:
    if (
        change.field == "defaults"
        and function.__defaults__
        and isinstance(change.node, ast.Constant)
    ):
        node = made.args.defaults[change.index or 0]
        if node is not None and getattr(node, "value", ...) == change.node.value:
            defaults = list(function.__defaults__)
            defaults[change.index or 0] = change.node.value
            function.__defaults__ = tuple(defaults)
    if change.field == "kw_defaults" and function.__kwdefaults__ and change.index is not None:
        name = made.args.kwonlyargs[change.index].arg
        if isinstance(change.node, ast.Constant) and name in function.__kwdefaults__:
            function.__kwdefaults__ = {**function.__kwdefaults__, name: change.node.value}


def _functions(
    node: ast.AST, classes: tuple[ast.ClassDef, ...]
) -> Iterator[tuple[tuple[ast.ClassDef, ...], Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield classes, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, (*classes, child))
        elif isinstance(child, ast.If | ast.Try | ast.With):
            yield from _functions(child, classes)
