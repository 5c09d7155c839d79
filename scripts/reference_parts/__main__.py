"""Writes the pages that are made from the code: `scripts/dev docs`."""

import sys
from pathlib import Path

from scripts.reference_parts.pages import PAGES

FOLDER = Path(__file__).parents[2] / "docs"

for name, make in PAGES.items():
    text = make()
    file = FOLDER / name
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote docs/{name}\n")
