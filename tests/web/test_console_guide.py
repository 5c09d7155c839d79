"""The guide of the console names every page of its navigation."""

import re
from pathlib import Path

from authz.web.console.pages import PAGES

GUIDE = Path(__file__).parents[2] / "docs" / "console.md"


def test_every_page_of_the_navigation_is_in_the_guide():
    named = re.findall(r"^\| \*\*([^*]+)\*\* \|", GUIDE.read_text(), re.M)
    assert sorted(named) == sorted(page.title for page in PAGES if page.is_listed)
