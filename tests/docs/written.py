"""What the documents hold: pages, links, headings, and blocks of commands with the files they speak of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
SHELL = ("sh", "console")
NOT_RUN = re.compile(r"<!-- not run: (.+?) -->\s*$")
NAMES_FILE = re.compile(r"`([\w./-]+\.(?:py|ts|yaml|toml|json|mjs))`[^`]*:$")
"""The line before a block that is a file: its name in backticks, and a colon."""
_FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    kind: str
    text: str
    not_run: str | None
    """Why it is not, where a comment before it says so."""
    file: str | None
    """What it is to be called, where the line before it says so."""

    @property
    def commands(self) -> str:
        """What one types: of a session on a console, the lines after a prompt."""
        if self.kind != "console":
            return self.text
        typed, goes_on = [], False
        for line in self.text.splitlines():
            if line.startswith("$ ") or goes_on:
                typed.append(line.removeprefix("$ "))
                goes_on = line.endswith("\\")
        return "\n".join(typed)


def name_of(page: Path) -> str:
    """As the tests call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """In order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        indent, kind, body = found.groups()
        before = text[: found.start()].rstrip()
        why = NOT_RUN.search(before)
        named = NAMES_FILE.search(before)
        yield Block(
            page,
            text[: found.start()].count("\n") + 1,
            kind,
            re.sub(rf"^{indent}", "", body, flags=re.MULTILINE),
            why and why[1],
            named and named[1],
        )


def without_code(text: str) -> str:
    """The prose, for links and headings."""
    return _FENCE.sub("", text)


def anchors(page: Path) -> set[str]:
    """Of the headings, as they are made on the usual hosts."""
    found: set[str] = set()
    for heading in re.findall(
        r"^#+ (.+)$", without_code(page.read_text(encoding="utf-8")), re.MULTILINE
    ):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        anchor = re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")
        number = 0
        while (made := anchor if number == 0 else f"{anchor}-{number}") in found:
            number += 1
        found.add(made)
    return found


def links(page: Path) -> Iterator[tuple[int, str]]:
    """Line and target, of links and images."""
    text = _FENCE.sub(lambda it: "\n" * it[0].count("\n"), page.read_text(encoding="utf-8"))
    for number, line in enumerate(text.splitlines(), start=1):
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", line)):
            yield number, target
