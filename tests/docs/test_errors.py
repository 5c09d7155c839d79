"""The error catalogue and the code name the same codes and reasons, both ways."""

import ast
import re

import pytest

from authz import errors
from authz.federation.set_verification import SetRefused
from authz.policy import Reason
from authz.resource_server import errors as at_a_server
from tests.docs.written import DOCS
from tests.support.reasons import nodes, reasons, trees

CATALOGUE = DOCS / "errors.md"
PROVIDERS = [DOCS / "identity-providers" / name for name in ("openid-reasons.md", "saml.md")]
SLUG = re.compile(r"[a-z0-9_:…]+")
ENDS = "Why grants and tokens end"
STEPS = ("discovery", "keys", "token", "userinfo", "graph")


def first_cells(text):
    return [
        name
        for line in text.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    ]


def section(page, title):
    text = page.read_text(encoding="utf-8")
    return text.partition(f"## {title}\n")[2]


def subclasses(kind):
    return {kind, *(deep for it in kind.__subclasses__() for deep in subclasses(it))}


def catalogued():
    return first_cells(section(CATALOGUE, "Who can mend it").partition(f"## {ENDS}")[0])


def ends():
    return first_cells(section(CATALOGUE, ENDS))


def of_providers():
    named = first_cells(section(PROVIDERS[0], "Reasons"))
    named += first_cells(section(PROVIDERS[1], "When an answer is refused"))
    return {it.replace("STEP", step) for it in named for step in (*STEPS, "…")} | {"…_…"}


def given():
    """What the code gives."""
    found = {it for it in reasons() if SLUG.fullmatch(it)}
    return found | {str(it) for it in Reason}


def test_every_code_of_the_wire_is_in_the_catalogue_and_no_other():
    told = first_cells(section(CATALOGUE, "Codes that clients are told").partition("\n## ")[0])
    ours = {it.code for it in subclasses(errors.OAuthError)}
    assert set(told) == ours | set(SetRefused.CODES)
    at_servers = {
        it.error for it in subclasses(at_a_server.AccessError) if getattr(it, "error", None)
    }
    text = CATALOGUE.read_text(encoding="utf-8")
    assert {it for it in at_servers if f"`{it}`" not in text} == set()


def test_every_reason_is_in_the_catalogue():
    named = {*catalogued(), *ends(), *of_providers()}
    beginnings = tuple(it.removesuffix("…") for it in of_providers() if it.endswith("…"))
    missing = {
        reason: sorted(reasons().get(reason, ()))
        for reason in given() - named
        if not (
            reason.startswith(beginnings) and all("federation/" in it for it in reasons()[reason])
        )
    }
    assert missing == {}, sorted(missing)


def test_the_catalogue_has_no_reason_that_the_code_does_not_give():
    strings = {
        node.value
        for module in trees()
        for node in nodes(module)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    gone = [it for it in (*catalogued(), *ends()) if it not in given() and it not in strings]
    assert gone == []
    assert [it for it in catalogued() if catalogued().count(it) > 1] == []


@pytest.mark.parametrize("page", [CATALOGUE], ids=["errors.md"])
def test_every_line_says_what_to_do_and_who_can(page):
    people = {"client", "person", "operator", "server", "provider", "transmitter", "nobody"}
    for line in page.read_text(encoding="utf-8").partition("## Why grants")[0].splitlines():
        if line.startswith("| `"):
            cells = [it.strip() for it in line.strip("|").split(" | ")]
            assert len(cells) in (4, 5), line
            assert all(cells)
            assert set(cells[-1].split(", ")) <= people, line


ELSEWHERE = (
    "administering",
    "device_authorization",
    "outcomes/",
    "own_bearer",
    "pushed",
    "transmitting/",
)
"""Of `oauth`: what no token request comes to."""
ASSERTED_BY_NONE = {
    # A refusal for now, asked for by its status where a server is flooded.
    "lane_full",
    # A client without an address of keys is refused before, as one whose key is unknown; outcomes ask as well.
    "client_without_keys",
    # Told as `document_json`.
    "document_not_object",
}


def test_every_reason_of_a_refused_token_request_is_asked_for_by_a_test():
    """M8: whoever adds one adds what triggers it; those that appear once in the trail: `flows/test_audit.py`."""
    tests = DOCS.parent / "tests"
    asked = "\n".join(
        path.read_text("utf-8") for path in tests.rglob("*.py") if "docs" not in path.parts
    )
    of_tokens = {
        reason
        for reason, modules in reasons().items()
        if SLUG.fullmatch(reason)
        for it in modules
        if it.startswith(("oauth/", "clients/", "policy/"))
        and not it.removeprefix("oauth/").startswith(ELSEWHERE)
    }
    patterns = {it: re.escape(it).replace("…", "[a-z0-9_]+") for it in of_tokens}
    # As a value, or as the end of what an error says.
    asked_as = r"""["'\[]{}(["']|\\\])"""
    missing = {it for it, text in patterns.items() if not re.search(asked_as.format(text), asked)}
    assert len(of_tokens) > 200
    assert missing == ASSERTED_BY_NONE
