"""Which metadata documents a tenant admits, by the host and URL of the client identifier (MCP-AS-49, CIMD-32)."""

import re
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

_LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?")
MODES = ("open", "allow_list", "deny_list")


class Verdict(StrEnum):
    """What the policy says of a client identifier."""

    ADMITTED = "admitted"
    NOT_LISTED = "not_listed"
    DENIED = "denied"


@dataclass(frozen=True)
class TrustPolicy:
    """A mode and its lines. A pattern is an exact URL, a host, or `*.` and a domain."""

    mode: str
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def judge(self, client_id: str) -> Verdict:
        """Deny wins over allow, and both are compared as strings on whole labels."""
        candidates = _candidates(client_id)
        if not self.deny.isdisjoint(candidates):
            return Verdict.DENIED
        if self.mode == "allow_list" and self.allow.isdisjoint(candidates):
            return Verdict.NOT_LISTED
        return Verdict.ADMITTED


def _candidates(client_id: str) -> set[str]:
    """Every pattern that covers this identifier: `evil-example.com` is not under `*.example.com`."""
    parts = urlsplit(client_id)
    host = (parts.hostname or "").lower()
    labels = host.split(".")
    return {client_id, host, parts.netloc.lower()} | {
        "*." + ".".join(labels[start:]) for start in range(1, len(labels))
    }


def is_pattern(text: str) -> bool:
    """Whether `text` can stand in a trust list: an https URL, a host with or without a port, or `*.` and a domain."""
    return text.startswith("https://") or _HOST.fullmatch(text.removeprefix("*.")) is not None
