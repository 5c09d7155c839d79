"""The table of docs/compatibility.md, line by line: read from the page, and made from what a replay showed."""

from pathlib import Path
from urllib.parse import urlsplit

from authz.doctor.profiles import CLIENTS
from tests.compat.replay import Recorded

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"
HEADINGS = (
    "Client",
    "Known here by",
    "Proves itself with",
    "Calls back at",
    "Refreshes",
    "Steps up",
    "Can register itself",
)
_PROOFS = {
    "none": "nothing (public)",
    "private_key_jwt": "`private_key_jwt`, RS256",
    "basic raw": "secret, raw Basic",
    "basic encoded": "secret, url-encoded Basic",
}
_TITLES = {profile.title: name for name, profile in CLIENTS.items()}

Row = tuple[str, ...]


def documented() -> dict[str, Row]:
    """The lines of the page by client."""
    found = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if line.startswith("|") and len(cells) == len(HEADINGS) and cells[0] in _TITLES:
            found[_TITLES[cells[0]]] = cells
    return found


def row(recorded: Recorded, *, refreshed: bool) -> Row:
    """The line of a client whose flow was completed."""
    profile = CLIENTS[recorded.name]
    return (
        profile.title,
        "its metadata document" if recorded.document else "registration beforehand",
        _PROOFS[recorded.authentication],
        _callback(recorded.redirect_uri),
        "yes" if refreshed else "no",
        profile.step_up,
        "yes" if profile.registers else "no",
    )


def _callback(uri: str) -> str:
    parts = urlsplit(uri)
    if parts.scheme == "https":
        return f"`{parts.netloc}`"
    if parts.scheme != "http":
        return f"`{parts.scheme}:`"
    return "loopback, any port" if "{port}" in uri else "loopback"
