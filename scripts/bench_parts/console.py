"""How long the pages of the console take: each of the registry, and the searches that look at most rows.

One browser at a time, because an administrator is one; the time is from the request to the end of the answer.
See scripts/console-times.
"""

import argparse
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from html import unescape
from pathlib import Path

import httpx2

from authz.web.console.pages import PAGES
from scripts.bench_parts.machine import BenchError, describe, start
from scripts.bench_parts.targets import ROOT, Place, environment_of
from tests.support.postgres import ThrowAwayPostgres, free_port

TARGET_MS = 300.0
_ADMINISTRATOR, _PASSWORD = "admin@corp.example", "correct horse battery staple"
_HREF = re.compile(r'href="(?:/t/[^/"]+)?/console/([^"#]*)"')
_FIELD = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
_PERSON = "ada.allen.0@corp.example"
_SEARCHES = (
    "people?q=lovelace",
    "people?q=nobody-of-this-name",
    "grants?q=lovelace",
    "sessions?q=lovelace",
    "groups?q=team",
    "roles?q=keeper",
    "servers?q=mcp",
    f"audit?user={_PERSON}",
    "audit?kind=token.refused",
    "audit?reason=insufficient_scope",
    f"simulator?user={_PERSON}",
)


@dataclass(frozen=True)
class Timed:
    """One address and how long its answers took, sorted, in milliseconds."""

    address: str
    took: Sequence[float]

    def share(self, share: float) -> float:
        """A quantile, by nearest rank: of 20 values 0.95 is the 19th."""
        return self.took[max(0, math.ceil(share * len(self.took)) - 1)]


class _Browser:
    """An administrator who has signed in."""

    def __init__(self, base: str) -> None:
        self._http = httpx2.Client(
            base_url=base, trust_env=False, follow_redirects=True, timeout=60.0
        )
        form = self._http.get("/console")
        hidden = {name: unescape(value) for name, value in _FIELD.findall(form.text)}
        landed = self._http.post(
            "/login",
            data={**hidden, "login": _ADMINISTRATOR, "password": _PASSWORD},
            headers={"Origin": base, "Sec-Fetch-Site": "same-origin"},
        )
        if landed.status_code != 200 or not landed.url.path.endswith("/console"):
            raise BenchError(f"signing in ended at {landed.url}: {landed.status_code}")

    def text(self, address: str) -> str:
        """Raises BenchError when the page is not shown."""
        answer = self._http.get(f"/console/{address}".rstrip("/"))
        if answer.status_code != 200:
            raise BenchError(f"console/{address}: {answer.status_code}")
        return answer.text

    def timed(self, address: str, times: int) -> Timed:
        """Ask once for nothing, then as often as is said."""
        self.text(address)
        took = []
        for _ in range(times):
            began = time.perf_counter()
            self.text(address)
            took.append(1000 * (time.perf_counter() - began))
        return Timed(address, sorted(took))


def _addresses(browser: _Browser) -> Iterator[str]:
    """Every page; what a page is about is the first of that kind to which another page leads."""
    plain = [page.path for page in PAGES if "{" not in page.path]
    links: list[str] = []
    for path in plain:
        if path in ("clients/one", "audit/event"):
            continue
        links += [unescape(it) for it in _HREF.findall(browser.text(path))]
        yield path
    patterns = {page.path: page.path for page in PAGES if "{" in page.path}
    patterns |= {"clients/one": r"clients/one\?id=.+", "audit/event": r"audit/event\?.+"}
    for name, pattern in patterns.items():
        shape = re.compile(re.sub(r"\{[^}]*\}", "[^/?]+", pattern))
        found = [it for it in links if shape.fullmatch(it) and it not in plain]
        if found:
            yield found[0]
        else:
            print(f"  no page leads to any {name}: there is none in this installation")


def _command(environment: Mapping[str, str], *words: str, typed: str = "") -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise BenchError(f"{' '.join(words)}: {done.stderr or done.stdout}")


def run(options: argparse.Namespace) -> list[Timed]:
    """Set up, measure, clean up."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-console-")))
        postgres = stack.enter_context(ThrowAwayPostgres({"synchronous_commit": "on"}))
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        environment = {
            **environment_of(folder, base, Place(postgres.url)),
            "AUTHZ__SERVER__PORT": str(port),
        }
        cli = "authz.cli"
        _command(environment, cli, "db", "upgrade")
        began = time.perf_counter()
        _command(environment, "scripts.seed_parts", *([] if options.small else ["--large"]))
        print(f"  seeded in {time.perf_counter() - began:.0f} s")
        user = ("users", "add", _ADMINISTRATOR, "--password-stdin")
        _command(environment, cli, *user, typed=_PASSWORD)
        _command(environment, cli, "admins", "grant", "owner", "--user", _ADMINISTRATOR)
        process = start(
            [sys.executable, "-m", cli, "serve"],
            port,
            environment=environment,
            folder=folder,
            cpu=None,
            log=folder / "log",
            path="/health/ready",
        )
        stack.callback(process.stop)
        browser = _Browser(base)
        addresses = [*_addresses(browser), *_SEARCHES]
        return [browser.timed(it, options.times) for it in addresses]


def main() -> int:
    """From the command line: 1 when a page takes longer than it may."""
    parser = argparse.ArgumentParser(description="Time every page of the console.")
    parser.add_argument("--small", action="store_true", help="1,000 people instead of 100,000")
    parser.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    options = parser.parse_args()
    try:
        found = run(options)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(describe())
    print(f"{'Page':<58} {'p50 ms':>8} {'p95 ms':>8}")
    for it in sorted(found, key=lambda it: -it.share(0.95)):
        print(f"{it.address[:58]:<58} {it.share(0.5):>8.1f} {it.share(0.95):>8.1f}")
    late = [it.address for it in found if it.share(0.95) > TARGET_MS]
    print(f"{len(found) - len(late)} of {len(found)} below {TARGET_MS:.0f} ms at p95.")
    return 1 if late else 0


if __name__ == "__main__":
    raise SystemExit(main())
