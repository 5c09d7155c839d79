"""What a whole request costs the server before it is refused, at every endpoint and in every shape (ATK-62)."""

import base64
import re
import time

import pytest

from tests.support.harness import Harness, running
from tests.support.routes import address_of, route_table
from tests.support.sockets import wire

FORM = "Content-Type: application/x-www-form-urlencoded\r\nSec-Fetch-Site: same-origin\r\n"


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


QUERIES = {
    "long": "a=" + "x" * 16_000,
    "encoded": "client_id=" + "%41" * 5_000,
    "fields": "&".join(f"a{n}=1" for n in range(2_000)),
    "ampersands": "&" * 16_000,
    "scopes": "scope=" + "+".join("a" * 3 for _ in range(2_000)),
    "client": "client_id=https%3A%2F%2F" + "a." * 120 + "b%2Fc",
    "unicode": "login_hint=" + "%F0%9F%98%80" * 600,
    "again": "&".join("resource=https%3A%2F%2Fx.example" for _ in range(64)),
}
HEADERS = {
    "cookies": "Cookie: " + "; ".join(f"c{n}=v" for n in range(900)) + "\r\n",
    "one cookie": "Cookie: authz-session-default=" + "x" * 8_000 + "\r\n",
    "quoted cookie": 'Cookie: a="' + "\\012" * 2_000 + '"\r\n',
    "many": "".join(f"X-{n}: v\r\n" for n in range(2_000)),
    "basic": "Authorization: Basic " + base64.b64encode(b"a:" + b"%41" * 5_000).decode() + "\r\n",
    "forwarded": "X-Forwarded-For: " + "1.1.1.1, " * 2_000 + "\r\n",
}
BODIES = {
    "encoded": "client_id=" + "%4" * 30_000,
    "assertion": "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    "&client_assertion=" + b64("{" + ",".join(f'"m{n}":1' for n in range(200)) + "}") + ".e30.c2ln",
    "dots": "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
    "&client_assertion=" + "." * 16_000,
    "client": "grant_type=refresh_token&refresh_token=x&client_id=https%3A%2F%2Fx.example%2F"
    + "a" * 2_000,
    "scope": "scope=" + "a+" * 4_000 + "&consent_id=x&login=x",
}
REQUESTS = {
    **{f"authorize, query {n}": f"GET /authorize?{q} HTTP/1.1\r\n\r\n" for n, q in QUERIES.items()},
    **{f"authorize, {n}": f"GET /authorize HTTP/1.1\r\n{h}\r\n" for n, h in HEADERS.items()},
    **{
        f"{path}, {n}": f"POST /{path} HTTP/1.1\r\n{h}{FORM}Content-Length: 0\r\n\r\n"
        for n, h in HEADERS.items()
        for path in ("token", "consent")
    },
    **{
        f"scim, {n}": f"GET /scim/v2/Users?{q} HTTP/1.1\r\nAuthorization: Bearer x\r\n\r\n"
        for n, q in QUERIES.items()
    },
    **{
        f"{path}, body {n}": f"POST /{path} HTTP/1.1\r\n{FORM}Content-Length: {len(b)}\r\n\r\n{b}"
        for n, b in BODIES.items()
        for path in ("token", "consent", "clients/request")
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    with running(folder, f"sqlite:///{folder / 'authz.db'}") as made:
        Harness(made).close()
        yield made


def spent(act, enough):
    """CPU seconds of every thread but this one: the first that is not more than `enough`, or the best of three."""
    best = float("inf")
    for _ in range(3):
        process, own = time.process_time(), time.thread_time()
        act()
        best = min(best, time.process_time() - process - (time.thread_time() - own))
        if best <= enough:
            break
    return best


def ask(server, request):
    with wire(server.port) as connection:
        connection.send(request.replace("HTTP/1.1\r\n", "HTTP/1.1\r\nHost: x\r\n", 1).encode())
        head = connection.read_head()
        assert re.match(rb"HTTP/1.1 [234]", head), (request[:100], head[:200])


def test_no_request_costs_ten_milliseconds_before_it_is_refused(server):
    assert dear(server, REQUESTS) == {}


SET = "application/secevent+jwt"
JSON_OF_MEMBERS = "{" + ",".join(f'"m{n}":{{}}' for n in range(5_000)) + "}"
SENT = {
    "form of percent signs": ("application/x-www-form-urlencoded", "a=" + "%4" * 30_000),
    "form of fields": (
        "application/x-www-form-urlencoded",
        "&".join(f"a{n}=1" for n in range(8_000)),
    ),
    "json of members": ("application/json", JSON_OF_MEMBERS),
    "json of brackets": ("application/json", '{"a":' * 10_000),
    "scim of members": ("application/scim+json", JSON_OF_MEMBERS),
    "token of dots": (SET, "." * 60_000),
    "token of members": (
        SET,
        b64("{" + ",".join(f'"m{n}":1' for n in range(900)) + "}") + ".e30.x",
    ),
}
ASKED = {
    "one parameter": "?a=" + "x" * 16_000,
    "encoded": "?a=" + "%41" * 5_000,
    "fields": "?" + "&".join(f"a{n}=1" for n in range(2_000)),
}
BEARERS = {"stranger": "", "bearer": f"Authorization: Bearer {'x' * 8_000}\r\n"}


def of_every_route(server):
    """All pages of the console are one function, and so are all its forms: the first of each stands for them."""
    table = sorted(set(route_table(server)))
    console = [it for it in table if it[0].startswith("/console")]
    first = [next(it for it in console if it[1] == method) for method in ("GET", "POST")]
    own = "Sec-Fetch-Site: same-origin\r\nConnection: close\r\n"
    for path, method in [*(it for it in table if it not in console), *first]:
        address = address_of(path)
        if method in ("GET", "DELETE"):
            for kind, query in ASKED.items():
                head = f"{method} {address}{query} HTTP/1.1\r\n{own}"
                yield f"{method} {path}, {kind}", f"{head}{BEARERS['bearer']}\r\n"
            continue
        for kind, (media_type, body) in SENT.items():
            head = f"{method} {address} HTTP/1.1\r\n{own}Content-Type: {media_type}\r\n"
            head += f"Content-Length: {len(body)}\r\n"
            for who, bearer in BEARERS.items():
                yield f"{method} {path}, {kind} of a {who}", f"{head}{bearer}\r\n{body}"


def test_no_route_costs_ten_milliseconds_before_it_refuses(server):
    """Asked of the route table: pages, SCIM, the admin API, signals and assertions of providers among them."""
    assert dear(server, dict(of_every_route(server))) == {}


def dear(server, requests):
    """What costs more than ten milliseconds of the reference machine, in units of about half of one there.

    Work that was interrupted is tried again: what is dear is so every time.
    """
    unit = min(_unit() for _ in range(5))
    costs = {
        name: spent(lambda r=r: ask(server, r), 20 * unit) / unit for name, r in requests.items()
    }
    return {name: round(cost, 1) for name, cost in costs.items() if cost > 20}


def _unit():
    began = time.thread_time()
    sum(i for i in range(25_000))
    return time.thread_time() - began
