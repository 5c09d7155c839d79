"""Runs the scripts of `tests/browser` in headless Chromium."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from scripts.demo_parts.installation import ROOT, python_environment
from tests.interop.scene import JAVASCRIPT, node
from tests.support.images import shrink

IMAGES = ROOT / "docs" / "images"
SMALL_BYTES = 60_000
"""An image that is smaller stays as the browser made it."""


def drive(script: str, chromium: str, **given: Any) -> Any:
    """What somebody met there: the last line that the script prints.

    With AUTHZ_SCREENSHOTS=1 it photographs what it passes for the guides.
    """
    before = _shots()
    screenshots = {"screenshots": str(IMAGES)} if os.environ.get("AUTHZ_SCREENSHOTS") == "1" else {}
    told = {**given, **screenshots, "chromium": chromium, "javascript": str(JAVASCRIPT)}
    done = subprocess.run(
        [node(), str(ROOT / "tests" / "browser" / script), json.dumps(told)],
        capture_output=True,
        text=True,
        timeout=240,
        env=python_environment(),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for image, at in _shots().items():
        if before.get(image) != at and image.stat().st_size > SMALL_BYTES:
            image.write_bytes(shrink(image.read_bytes()))
    return json.loads(done.stdout.splitlines()[-1])


def _shots() -> dict[Path, int]:
    return {it: it.stat().st_mtime_ns for it in IMAGES.glob("*.png")}
