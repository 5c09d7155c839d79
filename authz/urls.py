"""Strict parsing and comparison of the URLs that decide who is who.

Owns the spelling rules of issuers, client identifiers, redirect URIs and resource indicators.
Never resolves a name, never repairs what it was given, and never compares by prefix.

Decisions: one reader, written from the grammar of RFC 3986, because urllib.parse strips tabs and
newlines, browsers turn "\\" into "/" and resolvers read "0x7f.1" as an address: where two readers
disagree, a stranger chooses who is right. What the grammar does not allow is refused.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

MAX_LENGTH = 2048
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
# A browser runs or opens these instead of delivering a response (RFC 9700 §2.6).
FORBIDDEN_SCHEMES = frozenset(
    {"javascript", "data", "vbscript", "file", "blob", "about", "filesystem", "view-source"}
)

_DEFAULT_PORTS = {"http": 80, "https": 443}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CHARACTERS = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_PERCENT = re.compile(r"%([0-9A-Fa-f]{2})")
_ENCODED_DOT = re.compile(r"%2[eE]")
_ENCODED_SLASH = re.compile(r"%2[fF]|%5[cC]")
_URI = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*):(?://(?P<authority>[^/?#]*))?"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?"
)
_AUTHORITY = re.compile(r"(?P<host>\[[^\]]*\]|[^:\[\]]*)(?::(?P<port>[1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]{0,61}[A-Za-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


_RULES = {
    "characters": ("is not written in the characters of a URL", "percent-encode; use punycode"),
    "default_port": ("names the default port", "leave it out"),
    "dot_segment": ("has dot segments", "write the path out"),
    "empty_segment": ("has an empty path segment", "write single slashes"),
    "fragment": ("has a fragment", 'remove "#" and what follows'),
    "host": ("has no usable host", "write a DNS name without a final dot, or a whole IP address"),
    "host_case": ("has capitals in its host", "write the host in lower case"),
    "http_off_loopback": ("is http off loopback", "use https"),
    "loopback": ("is on loopback", "use a public host, or development mode"),
    "not_https": ("is not https", "start with https:// in lower case"),
    "path_missing": ("has no path", "add one"),
    "port": ("has a bad port", "write 1 to 65535 without leading zeros, or none"),
    "query": ("has a query", 'remove "?" and what follows'),
    "relative": ("is not absolute", "start with the scheme"),
    "scheme_forbidden": ("has a scheme that runs code or opens files", "use https"),
    "scheme_not_allowed": ("has a scheme that is not allowed here", "use lower-case https"),
    "too_long": (f"is longer than {MAX_LENGTH} characters", "shorten it"),
    "trailing_slash": ("ends with a slash", "remove it"),
    "userinfo": ("has user information", 'remove what stands before "@", and the "@"'),
}


class UrlError(ValueError):
    """A URL that breaks a rule; the message names the value, the rule and the way out.

    `rule` is the same without the value, for what may hold a credential. What stands before an "@" always may.
    """

    def __init__(self, kind: str, text: str, reason: str) -> None:
        problem, way_out = _RULES[reason]
        _, at, tail = text.rpartition("@")
        shown = f"***@{tail}" if at else text
        shown = shown if len(shown) <= 200 else f"{shown[:200]}..."
        super().__init__(f"{kind} {shown!a} {problem}; {way_out}")
        self.reason = reason
        self.rule = f"{problem}; {way_out}"


@dataclass(frozen=True)
class Parts:
    scheme: str
    host: str
    port: int | None
    path: str
    query: str | None
    fragment: str | None

    @property
    def has_dot_segments(self) -> bool:
        # Servers decode "%2e%2e%2f" at different times, so encoded forms count as the plain ones.
        plain = _ENCODED_DOT.sub(".", _ENCODED_SLASH.sub("/", self.path))
        return not {".", ".."}.isdisjoint(plain.split("/"))


def check_issuer(text: str, *, development: bool) -> str:
    """Return `text` unchanged if it can be an issuer identifier (RFC 8414 §2, MCP-AS-15).

    One spelling only, because clients compare it as a string: a slash more breaks them.
    """
    parts = read_url("issuer", text)
    local = development and parts.host in LOOPBACK_HOSTS
    _refuse(
        "issuer",
        text,
        not_https=parts.scheme != "https" and not (local and parts.scheme == "http"),
        query=parts.query is not None,
        fragment=parts.fragment is not None,
        host_case=parts.host != parts.host.lower(),
        default_port=parts.port == _DEFAULT_PORTS.get(parts.scheme, 0),
        trailing_slash=parts.path.endswith("/"),
        dot_segment=parts.has_dot_segments,
        empty_segment="//" in parts.path,
    )
    return text


def is_client_id_url(text: str) -> bool:
    """Whether `text` claims to be a client identifier URL; `check_client_id_url` judges it."""
    return text.startswith("https://")


def check_client_id_url(text: str, *, development: bool = False) -> str:
    """Return `text` unchanged if it can be a client identifier URL (CIMD §3, CIMD-01, CIMD-03).

    The raw string is judged, and stays the identifier: `:443` or a capital makes another client
    (CIMD-02). In development a loopback host may serve the document, over https like any other.
    """
    parts = read_url("client_id", text)
    _refuse(
        "client_id",
        text,
        not_https=parts.scheme != "https",
        path_missing=parts.path in {"", "/"},
        dot_segment=parts.has_dot_segments,
        fragment=parts.fragment is not None,
        loopback=not development and _is_loopback_name(parts.host),
    )
    return text


def check_redirect_uri(text: str, *, private_schemes: frozenset[str]) -> str:
    """Return `text` unchanged if it may be registered as a redirect URI (MCP-AS-53, CIMD-23).

    That is https, http on loopback, or a private-use scheme from the operator's list.
    """
    parts = read_url("redirect_uri", text)
    _refuse(
        "redirect_uri",
        text,
        scheme_forbidden=parts.scheme.lower() in FORBIDDEN_SCHEMES,
        fragment=parts.fragment is not None,
        http_off_loopback=parts.scheme == "http" and parts.host not in LOOPBACK_HOSTS,
        scheme_not_allowed=parts.scheme not in {"https", "http"} | private_schemes,
        path_missing=not parts.host and not parts.path.strip("/"),
        # A browser resolves them first, so the place visited would not be the place compared.
        dot_segment=parts.has_dot_segments,
    )
    return text


def redirect_uri_matches(registered: str, presented: str) -> bool:
    """Whether a presented redirect URI is the registered one (MCP-AS-52, O21-04).

    Equal strings, or both http on the same loopback host with equal path and query: native
    clients listen on a port they learn at run time (RFC 8252 §7.3).
    """
    if registered == presented:
        return True
    known, offered = _loopback_redirect(registered), _loopback_redirect(presented)
    if known is None or offered is None:
        return False
    return (known.host, known.path, known.query) == (offered.host, offered.path, offered.query)


def is_loopback_redirect(text: str) -> bool:
    """Whether a redirect URI stays on the user's machine, where any program may be listening."""
    return _loopback_redirect(text) is not None


def redirect_host(text: str) -> str:
    """Return the host to show for a redirect URI or client id; "scheme:" for a private-use scheme.

    Internationalised names stay in punycode, so that a homograph looks like what it is.
    """
    parts = read_url("URL", text)
    return parts.host.lower() if parts.scheme in _DEFAULT_PORTS else f"{parts.scheme}:"


def canonical_resource(text: str) -> str:
    """Return the spelling under which resource indicators are compared (RI-01, RFC 3986 §6.2.2).

    Two indicators name one resource exactly if these are equal. For comparison only: the
    registered spelling is what tokens carry (MCP-AS-66).
    """
    parts = read_url("resource", text)
    scheme, host = parts.scheme.lower(), parts.host.lower()
    _refuse(
        "resource",
        text,
        not_https=scheme not in _DEFAULT_PORTS,
        http_off_loopback=scheme == "http" and host not in LOOPBACK_HOSTS,
        fragment=parts.fragment is not None,
    )
    if host.startswith("["):
        host = f"[{ipaddress.IPv6Address(host[1:-1])}]"
    port = "" if parts.port in {None, _DEFAULT_PORTS[scheme]} else f":{parts.port}"
    path = _without_dot_segments(_normal_percent(parts.path))
    query = "" if parts.query is None else f"?{_normal_percent(parts.query)}"
    return f"{scheme}://{host}{port}{'' if path == '/' else path}{query}"


def add_query(url: str, params: Sequence[tuple[str, str]]) -> str:
    """Append parameters to `url` without touching the query it has (RFC 6749 §3.1.2)."""
    _refuse("URL", url, fragment="#" in url)
    if not params:
        return url
    # The first "?" begins the query; one more at its end is part of a value, as "&" is of a path.
    _, begun, query = url.partition("?")
    joint = "?" if not begun else "" if not query or query.endswith("&") else "&"
    # Spaces become %20: every reader of queries understands that, not every one reads "+".
    return f"{url}{joint}{urlencode(params, quote_via=quote, safe='')}"


def _refuse(kind: str, text: str, **broken: bool) -> None:
    """Raise for the first rule that is broken, in the order written."""
    for reason, is_broken in broken.items():
        if is_broken:
            raise UrlError(kind, text, reason)


def read_url(kind: str, text: str) -> Parts:
    """Take `text` apart by RFC 3986, refusing what two readers could understand differently."""
    _refuse(kind, text, too_long=len(text) > MAX_LENGTH, characters=not _CHARACTERS.fullmatch(text))
    match = _URI.fullmatch(text)
    if match is None:
        raise UrlError(kind, text, "relative")
    authority = match["authority"] or ""
    # "https://bank.example@evil.example" reads as one host and goes to another.
    _refuse(kind, text, userinfo="@" in authority)
    place = _AUTHORITY.fullmatch(authority)
    if place is None or int(place["port"] or 0) > 65535:
        raise UrlError(kind, text, "port")
    # Brackets hold an address in every scheme (RFC 3986 §3.2.2), and other readers stop at anything else.
    if match["scheme"].lower() in _DEFAULT_PORTS or place["host"].startswith("["):
        _check_host(kind, text, place["host"])
    port = int(place["port"]) if place["port"] else None
    scheme, path, query, fragment = match.group("scheme", "path", "query", "fragment")
    return Parts(scheme, place["host"], port, path, query, fragment)


def _check_host(kind: str, text: str, host: str) -> None:
    if host.startswith("["):
        # A zone id selects an interface of this machine; it means nothing to anyone else.
        good = ":" in host and "%" not in host and _is_address(host[1:-1])
    else:
        labels = host.split(".")
        good = len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)
        # "127.1", "0x7f000001" and "017700000001" are names by grammar and addresses by resolver.
        if _NUMBER.fullmatch(labels[-1]):
            good = _is_address(host)
    _refuse(kind, text, host=not good)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_loopback_name(host: str) -> bool:
    name = host.lower().strip("[]")
    if _is_address(name):
        return ipaddress.ip_address(name).is_loopback
    return name == "localhost" or name.endswith(".localhost")


def _loopback_redirect(text: str) -> Parts | None:
    try:
        parts = read_url("redirect_uri", text)
    except UrlError:
        return None
    loopback = parts.scheme == "http" and parts.host in LOOPBACK_HOSTS and parts.fragment is None
    return parts if loopback else None


def _normal_percent(text: str) -> str:
    def normal(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0].upper()

    return _PERCENT.sub(normal, text)


def _without_dot_segments(path: str) -> str:
    if not path:
        return path
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in {".", ".."}:
        kept.append("")
    return "/" + "/".join(kept)
