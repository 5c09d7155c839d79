"""scripts/mutants: what is changed in a function, and that a change comes to life and goes without a trace."""

import ast
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest

from authz.policy import scopes
from scripts.mutants_parts.changes import changed, changes_of
from scripts.mutants_parts.code import Functions, NotApplicable, mutants_of
from scripts.mutants_parts.results import Results, Verdict, table

ROOT = Path(__file__).parents[2]
FILE = ROOT / "authz" / "policy" / "scopes.py"


def texts(source):
    """Every changed body of the function."""
    [function] = ast.parse(textwrap.dedent(source)).body
    return [ast.unparse(changed(function, change)[0]) for change in changes_of(function)]


def bodies(line):
    """What one line becomes."""
    return {text.split("\n", 1)[1].strip() for text in texts(f"def f(a, b):\n    {line}")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("return a == b", {"return a != b", "return None"}),
        ("return a < b", {"return a <= b", "return None"}),
        ("return a and b", {"return a or b", "return None"}),
        ("return not a", {"return a", "return None"}),
        ("return a + 1", {"return a - 1", "return a + 2", "return None"}),
        ("return 'x'", {"return 'XXxXX'"}),
        ("return True", {"return False"}),
        ("return None", set()),
        ("b(a)", {"pass", "b(None)"}),
        ("raise b('sentence', reason='slug')", {"pass", "raise b('sentence', reason='XXslugXX')"}),
        ("a: str = b.c", {"a: str = None"}),
        ("a |= b", {"a &= b"}),
        ("return {'k': a}", {"return {'XXkXX': a}", "return {'k': None}", "return None"}),
        ("return b(x=a)", {"return b(x=None)", "return None"}),
        ("return b.get('k', 0)", {
            "return b.get('k')", "return b.get('XXkXX', 0)", "return b.get('k', 1)", "return None",
        }),
        ("return all(a)", {"return any(a)", "return all(None)", "return None"}),
        ("return isinstance(a, str)", {"return None"}),
        ("return a if b else 1", {
            "return a if not b else 1", "return a if b else 2", "return None",
        }),
        ("return [n for n in a if n]", {"return [n for n in a if not n]", "return None"}),
        ("return f'x{a}'", {"return f'XXxXX{a}'", "return None"}),
    ],
)  # fmt: skip
def test_one_thing_at_a_time(line, expected):
    assert bodies(line) == expected


def test_what_is_never_changed():
    """Types, docstrings, decorators, and the sentence of an error."""
    source = """
        @b('decorator')
        def f(a: 'A', *, c: int = 1) -> 'B':
            '''Docstring.'''
            raise a(f'sentence {c}')
    """
    found = texts(source)
    assert len(found) == 2
    assert [("int=2)" in text, text.endswith("pass")) for text in found] == [
        (False, True),
        (True, False),
    ]


def test_a_mutant_lives_for_a_while():
    """Whoever imported the function runs the mutant, and then the original again."""
    functions = Functions({str(FILE)})
    noticed = 0
    for mutant in mutants_of(FILE, ROOT):
        assert scopes.parse_scope("a b") == {"a", "b"}
        with functions.changed_to(mutant):
            try:
                noticed += scopes.parse_scope("a b") != {"a", "b"}
            except (TypeError, ValueError):
                noticed += 1
    assert noticed > 3
    assert scopes.parse_scope("a b") == {"a", "b"}


def test_a_mutant_without_a_function_is_none():
    mutant = next(mutants_of(FILE, ROOT))
    with (
        pytest.raises(NotApplicable),
        Functions({str(FILE)}).changed_to(replace(mutant, qualname="gone")),
    ):
        pass


def test_the_last_verdict_counts(tmp_path):
    mutants = list(mutants_of(FILE, ROOT))
    results = Results(tmp_path / "results.jsonl")
    for mutant in mutants:
        results.add(Verdict(mutant.key, "survived", "tables"))
    results.add(Verdict(mutants[0].key, "killed", "flows", by="a test"))
    again = Results(tmp_path / "results.jsonl")
    assert again.find(mutants[0].key) == Verdict(mutants[0].key, "killed", "flows", by="a test")
    assert f"| {len(mutants)} | 1 | {len(mutants) - 1} |" in table(mutants, again)


def test_every_mutant_has_a_name_of_its_own():
    keys = [mutant.key for mutant in mutants_of(FILE, ROOT)]
    assert len(set(keys)) == len(keys)
