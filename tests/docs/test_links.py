"""Every link leads somewhere, and every page is found from the first one."""

from pathlib import Path

import pytest

from tests.docs.written import DOCS, PAGES, ROOT, anchors, blocks, links, name_of

INDEX = DOCS / "README.md"


def resolved(page: Path, target: str) -> tuple[Path, str]:
    path, _, anchor = target.partition("#")
    return ((page.parent / path).resolve() if path else page), anchor


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    broken = []
    for line, target in links(page):
        if target.startswith(("https://", "mailto:")):
            continue
        file, anchor = resolved(page, target)
        if not file.exists():
            broken.append(f"{line}: {target} is not there")
        elif anchor and anchor not in anchors(file):
            broken.append(f"{line}: {target}: no heading of that name")
    assert broken == []


def test_every_page_and_image_is_found_from_the_first_one():
    reached, waiting = set(), [INDEX, ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        found = {resolved(page, target)[0] for _, target in links(page) if ":" not in target}
        waiting += [it for it in found - reached if it.suffix == ".md" and it in PAGES]
        reached |= {it for it in found if it.suffix != ".md"}
    files = {it for it in DOCS.rglob("*") if it.is_file()}
    assert sorted(name_of(it) for it in files - reached) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_page_says_first_what_it_is_for(page):
    lines = page.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    assert [it for it in lines[1:] if it.startswith("# ")] == [] or any(
        it.kind in ("sh", "toml", "yaml", "python", "console") for it in blocks(page)
    )
    first = next(it for it in lines[1:] if it.strip())
    assert not first.startswith(("#", "|", "-")), f"{name_of(page)} begins without a sentence"
