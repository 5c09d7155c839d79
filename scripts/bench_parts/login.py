"""What a sign-in at a company's identity provider costs beside the time of the provider. See scripts/login-times.

Timed are the way there (`POST /login/start`: state, nonce, PKCE, the attempt is stored) and the way back (the callback:
the code is redeemed, the ID token verified, the person found or made, groups mapped, session and trail written), by the
server's clock of requests; of that goes what it waited for the provider, by its clock of fetches. The provider is one
of the tests, over TLS, in the same process: what it computes makes our time longer, never shorter.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import Histogram

from authz.telemetry.metrics import FETCH_SECONDS, HTTP_SECONDS
from scripts.bench_parts.machine import BenchError, describe
from tests.support.corporate import Corporate
from tests.support.fake_idp import SECRET
from tests.support.harness import Browser, Harness, running
from tests.support.postgres import ThrowAwayPostgres

TARGET_MS = 20.0
_GROUPS = [f"team-{number}" for number in range(20)]
_WARM = 10


@dataclass(frozen=True)
class Measured:
    """Milliseconds of one sign-in."""

    own: float
    provider: float


def _clocks() -> tuple[float, float]:
    """Milliseconds in requests so far, and of these in fetches."""

    def total(metric: Histogram) -> float:
        samples = (it for family in metric.collect() for it in family.samples)
        return 1000 * sum(it.value for it in samples if it.name.endswith("_sum"))

    return total(HTTP_SECONDS), total(FETCH_SECONDS)


def _sign_in(harness: Harness, corporate: Corporate, number: int) -> Measured:
    """One of many people, in a new browser."""
    corporate.idp.person |= {
        "sub": f"person-{number}",
        "email": f"person{number}@corp.example",
        "groups": _GROUPS,
    }
    browser = Browser(harness)
    page = browser.start()
    began = _clocks()
    back = corporate.back(browser, corporate.leave(browser, page))
    requests, fetches = (after - before for before, after in zip(began, _clocks(), strict=True))
    browser.http.close()
    if back.status != 303:
        raise BenchError(f"sign-in {number} ended with {back.status}: {back.reason}")
    return Measured(requests - fetches, fetches)


def run(people: int) -> tuple[list[Measured], list[Measured]]:
    """So many people, one after the other, on a PostgreSQL of its own: for the first time, and once more."""
    os.environ["IDP_SECRET"] = SECRET
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-login-")))
        postgres = stack.enter_context(ThrowAwayPostgres({"synchronous_commit": "on"}))
        server = stack.enter_context(running(folder, postgres.url))
        harness = Harness(server)
        stack.callback(harness.close)
        corporate = Corporate(harness)
        for group in _GROUPS[:5]:
            corporate.map("groups", group, "developer")
        first, again = (
            [_sign_in(harness, corporate, number) for number in range(_WARM + people)]
            for _ in range(2)
        )
    return first[_WARM:], again[_WARM:]


def main() -> int:
    """From the command line: 1 when a sign-in adds more than it may, at the median."""
    parser = argparse.ArgumentParser(description="Time sign-ins at an identity provider.")
    parser.add_argument("--people", type=int, default=200, help="how many sign in")
    options = parser.parse_args()
    try:
        first, again = run(options.people)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    print(describe())
    print(f"{'':<34}{'ours p50 ms':>12}{'p99 ms':>8}{'provider p50 ms':>17}")
    for title, found in (("for the first time, 5 groups new", first), ("once more", again)):
        own, provider = sorted(it.own for it in found), sorted(it.provider for it in found)
        p50, p99 = (own[int(share * (len(own) - 1))] for share in (0.5, 0.99))
        print(f"{title:<34}{p50:>12.1f}{p99:>8.1f}{provider[len(provider) // 2]:>17.1f}")
    is_met = p50 <= TARGET_MS
    print(
        f"{'met' if is_met else 'NOT met'}: {TARGET_MS:.0f} ms, median of those who come once more"
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    raise SystemExit(main())
