"""What every check is handed: the walk, the clients that are asked about, and the way to say what was found."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from authz.doctor.findings import FINDINGS, Finding
from authz.doctor.profiles import ClientProfile, Trait
from authz.doctor.walk import ServerWalk, Walk
from authz.urls import LOOPBACK_HOSTS, UrlError, read_url


@dataclass(frozen=True)
class Case:
    """One examination. Checks are functions of it."""

    walk: Walk
    clients: Mapping[str, ClientProfile]

    def find(
        self, code: str, sentence: str, *, clients: Iterable[str] | None = None
    ) -> Iterator[Finding]:
        """The finding, if it concerns any client that was asked about; without `clients` it concerns all."""
        kind = FINDINGS[code]
        concerned = tuple(self.clients if clients is None else clients)
        if concerned:
            yield Finding(code, kind.severity, concerned, sentence, kind.mend)

    def with_trait(self, *traits: Trait) -> list[str]:
        """Clients that have one of them."""
        return [name for name, c in self.clients.items() if not c.traits.isdisjoint(traits)]

    def without_trait(self, *traits: Trait) -> list[str]:
        """Clients that have none of them."""
        return [name for name, c in self.clients.items() if c.traits.isdisjoint(traits)]

    @property
    def server(self) -> ServerWalk | None:
        """The authorization server clients would use, if its metadata was found."""
        found = self.walk.server
        return found if found is not None and found.taken is not None else None

    @property
    def offered(self) -> Mapping[str, Any]:
        """Its metadata; empty when there is none."""
        return {} if self.server is None else self.server.document

    def listed(self, member: str) -> frozenset[str]:
        """The strings of a list in its metadata."""
        return strings(self.offered.get(member))


Check = Callable[[Case], Iterator[Finding]]


def strings(value: object) -> frozenset[str]:
    """The strings of a list; nothing of what is no list."""
    return (
        frozenset(v for v in value if isinstance(v, str))
        if isinstance(value, list)
        else frozenset()
    )


def is_local(url: str) -> bool:
    """Whether a URL names this machine."""
    try:
        return read_url("URL", url).host in LOOPBACK_HOSTS
    except UrlError:
        return False


def is_insecure(url: str) -> bool:
    """Whether a URL is plain http to another machine."""
    return url.startswith("http://") and not is_local(url)


def is_url(value: object) -> bool:
    """Whether a member is an absolute http(s) URL."""
    try:
        return isinstance(value, str) and read_url("URL", value).scheme in {"http", "https"}
    except UrlError:
        return False
