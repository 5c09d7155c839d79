"""Every reason an operator may find in the log is explained to them."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "identity-providers" / "openid-reasons.md"
NAMED = re.compile(r"`([a-zA-Z_]+(?:…)?)`")


def reasons_of(path):
    """The first argument of each SignInRefused, where it is written out."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "SignInRefused":
            match node.args[0]:
                case ast.Constant(value=str(text)):
                    yield text
                case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]):
                    yield start


def test_each_reason_is_in_the_guide():
    table = GUIDE.read_text(encoding="utf-8").partition("## Reasons")[2]
    named = set(NAMED.findall(table))
    groups = tuple(name.removesuffix("…") for name in named if name.endswith("…"))
    found = {
        reason
        for path in sorted((ROOT / "authz" / "federation").glob("oidc*.py"))
        for reason in reasons_of(path)
    }
    assert len(found) > 30
    unexplained = {
        reason for reason in found if reason not in named and not reason.startswith(groups)
    }
    assert unexplained == set()
