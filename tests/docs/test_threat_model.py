"""The threat model names tests that exist, and no attack without one."""

import ast
import re

from tests.docs.written import DOCS, ROOT

PAGE = (DOCS / "threat-model.md").read_text(encoding="utf-8")
ANSWERS = PAGE.partition("## Entry points, attacks, answers\n")[2].partition("\n## What happened")[
    0
]


def functions(file):
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
    return {
        it.name for it in ast.walk(tree) if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_every_test_that_is_named_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 60
    assert [f"{file}::{name}" for file, name in named if name not in functions(file)] == []


def test_every_attack_has_an_answer_and_a_test():
    lines = [it for it in ANSWERS.splitlines() if it.startswith("| ") and "Shown by" not in it]
    assert len(lines) > 35
    for line in lines:
        attack, answer, shown = (it.strip() for it in line.strip("|").split(" | "))
        assert attack
        assert answer
        assert "::test_" in shown, attack


def test_what_is_not_defended_against_is_said():
    _, _, rest = PAGE.partition("## What is not defended against")
    assert len(re.findall(r"^- \*\*", rest, re.MULTILINE)) >= 8
