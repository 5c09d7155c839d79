"""One request at a time, to look at what a server answers before it is loaded."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode

from scripts.bench_parts.machine import BenchError

_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    cookies: tuple[str, ...]
    body: bytes


class Connection:
    """Stays open between requests."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._http = HTTPConnection("127.0.0.1", port, timeout=_SECONDS)

    def ask(
        self,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        """GET, or POST with a form. Raises BenchError when nobody answers."""
        sent = {"Accept": "*/*", **(headers or {})}
        body = None
        if form is not None:
            sent["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form)
        try:
            self._http.request("GET" if form is None else "POST", path, body, sent)
            answer = self._http.getresponse()
            return Answer(
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                tuple(answer.headers.get_all("set-cookie", ())),
                answer.read(),
            )
        except (OSError, HTTPException) as error:
            raise BenchError(f"127.0.0.1:{self._port}{path} does not answer: {error!r}") from None

    def close(self) -> None:
        """Hang up."""
        self._http.close()


def refused(what: str, answer: Answer) -> BenchError:
    """The answer is not what the load is about."""
    where = f" to {answer.headers['location']}" if "location" in answer.headers else ""
    return BenchError(f"{what}: {answer.status}{where} {answer.body[:300]!r}")


Json = dict[str, Any]
