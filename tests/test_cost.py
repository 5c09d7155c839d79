"""What hostile input costs: four times as much of it costs about four times as much, never sixteen (ATK-62).

Only ratios of CPU time within one run are compared; the machine and what else it does cancel out.
"""

import base64
import json
import time
from contextlib import suppress

import pytest

from authz import urls
from authz.clients.authentication import read_credentials
from authz.clients.metadata import MetadataError, Rules, client_of_document
from authz.clients.trust import TrustPolicy, is_pattern
from authz.errors import OAuthError
from authz.jose import JwtError, import_jwks, read_unverified
from authz.net import documents, strict_json
from authz.oauth import pkce
from authz.oauth.params import Params
from authz.policy import scopes
from authz.resource_server import access_token, compact, request
from authz.telemetry import logging
from authz.web import forms
from authz.web.console.clash import MOST_COMPARED, Clash

N = 4_000
LINEAR = 4 * 2.5
"""Quadratic work would be 16 times as much for four times the input; noise is far from either."""


def b64(text):
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def jwt(header, claims="{}"):
    return f"{b64(header)}.{b64(claims)}.c2ln"


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


def credentials(authorization=None, **sent):
    names = ("client_id", "client_secret", "client_assertion", "client_assertion_type")
    return read_credentials(authorization, **{name: sent.get(name) for name in names})


def document(**members):
    return client_of_document(
        {"client_id": "https://x.example/c", "redirect_uris": ["https://x.example/cb"], **members},
        client_id="https://x.example/c",
        tenant_id="t",
        rules=Rules(),
        approved=False,
    )


def redirect(text):
    return urls.check_redirect_uri(text, private_schemes=frozenset())


def clash(theirs, yours):
    return Clash("name", "Name", "", "\n".join(theirs), "\n".join(yours)).lines


SHAPES = {
    "query of percent signs": lambda n: forms.params_of("a=" + "%41" * n),
    "query of broken percent signs": lambda n: forms.params_of("a=" + "%4" * n),
    "query of ampersands": lambda n: forms.params_of("&" * n),
    "query of equal signs": lambda n: forms.params_of("=" * n),
    "query of plus signs": lambda n: forms.params_of("a=" + "+" * n),
    "query of encoded letters": lambda n: forms.params_of("a=" + "%F0%9F%98%80" * n),
    "query of broken letters": lambda n: forms.params_of("a=" + "%F0%9F" * n),
    "the same parameter again": lambda n: Params([("a", "x")] * min(n, 64)),
    "long values": lambda n: Params([("client_assertion", "x" * n)]),
    "token of dots": lambda n: read_unverified("." * n),
    "token of members": lambda n: read_unverified(
        jwt("{" + ",".join(f'"m{i}":1' for i in range(n // 30)) + "}")
    ),
    "token of one member": lambda n: read_unverified(jwt("{" + '"a":1,' * (n // 10) + '"a":1}')),
    "token of brackets": lambda n: read_unverified(jwt("[" * n)),
    "claims of brackets": lambda n: read_unverified(jwt("{}", '{"a":' * n)),
    "claims of digits": lambda n: read_unverified(jwt("{}", '{"exp":' + "9" * min(n, 4000) + "}")),
    "claims of an exponent": lambda n: read_unverified(jwt("{}", '{"exp":1e' + "9" * n + "}")),
    "claims of escapes": lambda n: read_unverified(jwt("{}", '{"a":"' + "\\u0041" * n + '"}')),
    "claims of quotes": lambda n: read_unverified(jwt("{}", '{"a":"' + "\\" * n)),
    "basic of colons": lambda n: credentials(basic(":" * n)),
    "basic of percent signs": lambda n: credentials(basic("a:" + "%41" * n)),
    "basic of spaces": lambda n: credentials("Basic" + " " * n),
    "basic of equal signs": lambda n: credentials("Basic " + "=" * n),
    "keys without end": lambda n: import_jwks({"keys": [{}] * n}, algorithms=("ES256",)),
    "key of a long modulus": lambda n: import_jwks(
        {"keys": [{"kty": "RSA", "e": "AQAB", "n": "A" * n}]}, algorithms=("RS256",)
    ),
    "url of percent signs": lambda n: urls.check_client_id_url("https://x.example/" + "%41" * n),
    "url of dots": lambda n: urls.check_client_id_url("https://x.example/" + "." * n),
    "url of slashes": lambda n: urls.check_client_id_url("https://x.example/" + "/" * n),
    "url of labels": lambda n: urls.check_client_id_url("https://" + "a." * n + "b/c"),
    "url of hyphens": lambda n: urls.check_client_id_url("https://a" + "-" * n + "/c"),
    "url of brackets": lambda n: urls.check_client_id_url("https://[" + ":" * n + "]/c"),
    "url of colons": lambda n: redirect("a" + ":" * n),
    "url of question marks": lambda n: redirect("https://x.example/" + "?" * n + "\n"),
    "url up to its limit": lambda n: urls.canonical_resource(
        "https://x.example/" + "../" * (n // 30)
    ),
    "redirect uris without end": lambda n: document(redirect_uris=["https://x.example/cb"] * n),
    "redirect uris that differ": lambda n: document(
        redirect_uris=[f"https://x.example/{i}" for i in range(n)]
    ),
    "a long name": lambda n: document(client_name="\u202e" * n),
    "trust of labels": lambda n: TrustPolicy("open").judge(
        "https://" + "a." * min(n // 40, 125) + "b/c"
    ),
    "pattern of hyphens": lambda n: is_pattern("*.a" + "-" * n),
    "pattern of labels": lambda n: is_pattern("a." * n + "_"),
    "verifier": lambda n: pkce.is_verifier("a" * n),
    "challenge": lambda n: pkce.is_challenge("a" * n + "!"),
    "scopes": lambda n: scopes.parse_scope("a " * n),
    "json of quotes": lambda n: strict_json.read_object(b'{"a":"' + b"\\" * n),
    "json of strings": lambda n: strict_json.read_object(b'"' * n),
    "json of brackets": lambda n: strict_json.read_object(b"[" * n),
    "json of members": lambda n: strict_json.read_object(
        json.dumps({f"m{i}": i for i in range(n)}).encode()
    ),
    "json of text": lambda n: strict_json.read_object(json.dumps({"a": "\u00e9" * n}).encode()),
    "cache control": lambda n: documents._max_age("max-age=" + "9" * n + "," * n),
    "media type": lambda n: documents._JSON_TYPE.fullmatch("application/" + "a+" * n),
    "bearer": lambda n: request._CREDENTIALS.fullmatch(b"bearer " + b" " * n + b"="),
    "bearer of equal signs": lambda n: request._CREDENTIALS.fullmatch(
        b"bearer a" + b"=" * n + b"!"
    ),
    "scope claim": lambda n: access_token._SCOPE.fullmatch("a " * n),
    # What is logged of a request, before the line is cut.
    "log of tokens": lambda n: logging.without_secrets("eyJ" * n),
    "log of dotted tokens": lambda n: logging.without_secrets("eyJaaaaaa." * n),
    "log of credentials": lambda n: logging.without_secrets("bearer " * n),
    "log of our secrets": lambda n: logging.without_secrets("aa_" * n),
    "log of addresses": lambda n: logging.without_secrets("://a:" * n),
    "log of keys": lambda n: logging.without_secrets("-----BEGIN A " * n),
    "lines of a clash": lambda n: clash(["a"] * n + ["b"], ["c", *["a"] * n, "d"]),
    "lines of a clash that differ": lambda n: clash(map(str, range(n)), map(str, range(n, 0, -1))),
    "segment": lambda n: compact._SEGMENT.fullmatch("a" * n + "!"),
}
REFUSALS = (OAuthError, JwtError, MetadataError, ValueError, RecursionError)


def once(shape, size):
    """CPU seconds of this thread."""
    began = time.thread_time()
    with suppress(*REFUSALS):
        shape(size)
    return time.thread_time() - began


def cost(shape, size):
    """The best of five."""
    return min(once(shape, size) for _ in range(5))


@pytest.fixture(scope="module")
def unit():
    """A hundred times what copying and hashing the larger input costs: differences below this are noise."""

    def work(size):
        return hash(("x" * size).encode().decode())

    return 100 * cost(work, 4 * N)


@pytest.mark.parametrize("name", SHAPES)
def test_cost_grows_no_faster_than_the_input(unit, name):
    """ATK-62, ATK-63."""
    shape = SHAPES[name]
    assert cost(shape, 4 * N) <= LINEAR * cost(shape, N) + unit


BODY = forms.MAX_BODY_BYTES
LARGEST = {
    "form of percent signs": lambda: forms.pairs_of(b"a=" + b"%41" * (BODY // 3 - 1)),
    "form of broken percent signs": lambda: forms.pairs_of(b"a=" + b"%4" * (BODY // 2 - 1)),
    "form of as many as may be": lambda: forms.pairs_of(b"a=" + b"%4" * forms._MAX_ENCODED),
    "form of encoded letters": lambda: forms.pairs_of(b"a=" + b"%F0%9F%98%80" * 2000),
    "form of fields": lambda: forms.pairs_of(
        b"&".join(b"a%d=%s" % (n, b"%41" * 120) for n in range(64))
    ),
    "assertion of members": lambda: assertion({f"m{n}": n for n in range(900)}),
    "assertion of text": lambda: assertion({"sub": "\u00e9" * 1900}),
    "assertion of digits": lambda: read_unverified(jwt("{}", '{"exp":[' + "9" * 4000 + "]}")),
    "basic": lambda: credentials(basic("a:" + "%41" * 7000)),
    "key set of strings": lambda: strict_json.read_object(b'{"a":[' + b'"",' * 20_000 + b'""]}'),
    "key set of members": lambda: strict_json.read_object(
        b"{" + b",".join(b'"%d":{}' % n for n in range(7000)) + b"}"
    ),
    "key set of numbers": lambda: strict_json.read_object(b'{"a":[' + b"1," * 30_000 + b"1]}"),
    "redirect uris": lambda: document(redirect_uris=["https://x.example/" + "%41" * 600] * 50),
    "scopes": lambda: scopes.parse_scope(" ".join(f"a{n}" for n in range(1500))),
    "clash of lines that repeat": lambda: clash(
        [it for n in range(MOST_COMPARED // 2) for it in ("x", f"a{n}")],
        [it for n in range(MOST_COMPARED // 2) for it in ("x", f"b{n}")],
    ),
}


def assertion(claims):
    token = jwt('{"alg":"ES256"}', json.dumps(claims))
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    return credentials(client_assertion=token, client_assertion_type=kind)


@pytest.mark.parametrize("name", LARGEST)
def test_the_largest_input_of_each_kind_is_cheap(name):
    """ATK-62: ten milliseconds of the reference machine, where the unit takes about one."""
    turns = [
        (once(lambda _: LARGEST[name](), 0), once(lambda n: sum(i for i in range(n)), 25_000))
        for _ in range(5)
    ]
    # Each beside its own unit: a machine that is shared is twice as fast in one moment as in the next.
    assert min(spent / unit for spent, unit in turns) <= 10, turns
