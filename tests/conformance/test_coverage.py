"""Every row of the requirement lists has a test that exists, or a plain reason why it has none.

`required_rows.toml` names the rows; `front.toml`, `back.toml` and `enterprise.toml` answer them, each with a list of
"path::test" or with a text that begins with "not built: ".
"""

import ast
import functools
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NOT_BUILT = "not built: "
ANSWERS = ("front.toml", "back.toml", "enterprise.toml")


def rows(kind):
    return tomllib.loads((HERE / "required_rows.toml").read_text(encoding="utf-8"))[kind]


def answers(name):
    path = HERE / name
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def merged():
    """Row -> the tests of all files, and row -> why there is none."""
    tests, reasons = {}, {}
    for name in ANSWERS:
        for row, answer in answers(name).items():
            if isinstance(answer, str):
                reasons[row] = answer
            else:
                tests.setdefault(row, []).extend(answer)
    return tests, reasons


@functools.cache
def named_in(path):
    """The names in a file: functions, and methods as Class::method."""
    found = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{method.name}"
                for method in node.body
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return {name for name in found if name.rpartition("::")[2].startswith("test_")}


def listed(title, lines):
    return "\n".join([f"{title} ({len(lines)}):", *(f"  {line}" for line in sorted(lines))])


def test_every_required_row_is_answered():
    tests, reasons = merged()
    missing = [row for row in rows("rows") if row not in tests and row not in reasons]
    assert not missing, listed("rows without a test or a reason", missing)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_for_a_known_row(name):
    unknown = set(answers(name)) - set(rows("rows")) - set(rows("also"))
    assert not unknown, listed(f"rows of {name} that no list has", unknown)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_named_test_exists(name):
    broken = []
    for row, answer in answers(name).items():
        for reference in [] if isinstance(answer, str) else answer:
            path, _, test = reference.partition("::")
            if not (ROOT / path).is_file() or test not in named_in(path):
                broken.append(f"{row}: {reference}")
    assert not broken, listed("tests that do not exist", broken)


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_says_something(name):
    empty = [
        row
        for row, answer in answers(name).items()
        if not answer or (isinstance(answer, str) and not answer.startswith(NOT_BUILT))
    ]
    assert not empty, listed(
        f'answers of {name} that are neither tests nor "{NOT_BUILT}..."', empty
    )


def test_no_row_is_both_built_and_not():
    tests, reasons = merged()
    assert not tests.keys() & reasons.keys(), listed("both", tests.keys() & reasons.keys())


def test_what_is_not_built_is_printed():
    """For the reader of the log; `pytest -s` shows it."""
    _, reasons = merged()
    print(
        listed(
            "not built", [f"{row}: {why.removeprefix(NOT_BUILT)}" for row, why in reasons.items()]
        )
    )
    assert all(len(why) > len(NOT_BUILT) + 10 for why in reasons.values())


def test_the_lists_name_each_row_once():
    every = [*rows("rows"), *rows("also")]
    assert len(set(every)) == len(every)


def test_a_reason_is_a_choice_and_not_a_date():
    """What says "not yet" stays behind when it is built."""
    _, reasons = merged()
    dated = [f"{row}: {it}" for row, it in reasons.items() if "this version" in it or " yet" in it]
    assert not dated, listed("reasons that will be false one day", dated)
