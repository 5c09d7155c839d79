"""docs/troubleshoot.md says what the code says."""

from pathlib import Path

from authz.doctor.findings import FINDINGS

PAGE = Path(__file__).parents[2] / "docs" / "troubleshoot.md"


def test_the_table_is_that_of_the_code():
    """Each line once, in the same order and words."""
    written = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "| `"]
    assert written == [
        f"| `{code}` | {kind.severity} | {kind.meaning} | {kind.mend} |"
        for code, kind in FINDINGS.items()
    ]
