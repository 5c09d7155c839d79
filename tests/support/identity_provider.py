"""`oidc-provider`, a certified OpenID provider, as a process of its own; and a browser that a person needs there."""

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urljoin

import httpx2

from tests.support.client_keys import ClientKey
from tests.support.plain_http import NO_TLS
from tests.support.postgres import free_port

MAX_STEPS = 12


@dataclass(frozen=True)
class IdentityProvider:
    """It listens."""

    issuer: str
    port: int


@contextlib.contextmanager
def identity_provider(
    command: Sequence[str],
    *,
    key: ClientKey,
    clients: Sequence[Mapping[str, Any]],
    people: Mapping[str, Mapping[str, Any]],
    port: int | None = None,
) -> Iterator[IdentityProvider]:
    """Start it with the program of `command`, and end it."""
    port = port or free_port()
    private = {**key.key.as_dict(private=True), "use": "sig"}
    task = {"port": port, "jwks": {"keys": [private]}, "clients": clients, "people": people}
    process = subprocess.Popen(
        [*command, json.dumps(task)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={},
    )
    assert process.stdout is not None
    try:
        told = ""
        for line in process.stdout:
            told += line
            if line.startswith("http://"):
                break
        else:
            raise RuntimeError(f"the identity provider did not start: {told[-2000:]}")
        yield IdentityProvider(f"http://127.0.0.1:{port}", port)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


@dataclass
class Visitor:
    """A browser with a session at the provider. Follows redirects until one leads away from it."""

    http: httpx2.Client

    def visit(self, url: str, provider: IdentityProvider) -> str:
        """Where the provider sends the browser in the end. Raises AssertionError for a page of its own."""
        for _ in range(MAX_STEPS):
            response = self.http.get(url, follow_redirects=False)
            assert response.is_redirect, f"{response.status_code}: {response.text[:2000]}"
            url = urljoin(url, response.headers["location"])
            if not url.startswith(provider.issuer):
                return url
        raise AssertionError(f"no end of redirects at {url}")


@contextlib.contextmanager
def visitor() -> Iterator[Visitor]:
    """A fresh browser."""
    with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=20) as http:
        yield Visitor(http)


def params_of(url: str) -> dict[str, str]:
    """The query of a URL, each parameter once."""
    pairs = parse_qsl(url.partition("?")[2], keep_blank_values=True)
    assert len(dict(pairs)) == len(pairs), url
    return dict(pairs)
