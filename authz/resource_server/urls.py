"""Checks for the two URLs an operator writes down, and the well-known addresses derived from them (pure).

Identifiers are compared as strings everywhere; nothing here repairs or normalises one.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

# RFC 3986 characters, without the quotes and backslash that would break a challenge.
_URL = re.compile(r"[A-Za-z0-9\-._~:/\[\]@!$&'()*+,;=%]+")


def require_identifier(url: str, name: str) -> SplitResult:
    """Return the parts of an issuer or resource URL; raises ValueError if it cannot serve as one.

    https, or http on loopback for development; no query, fragment or credentials.
    """
    if not _URL.fullmatch(url):
        raise ValueError(f"{name} must be a URL without query or fragment")
    parts = urlsplit(url)
    if not parts.hostname or "@" in parts.netloc:
        raise ValueError(f"{name} must have a host and no credentials")
    if not is_secure(parts):
        raise ValueError(f"{name} must be https, or http on loopback")
    return parts


def is_secure(parts: SplitResult) -> bool:
    """True for https, and for http to this machine."""
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and _is_loopback(parts.hostname or "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def origin(parts: SplitResult) -> str:
    """The scheme and authority, as written."""
    return f"{parts.scheme}://{parts.netloc}"


def issuer_metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where the metadata of `issuer` may be, in the order in which MCP clients try (RFC 8414 section 3.1)."""
    parts = urlsplit(issuer)
    root, path = origin(parts), parts.path.rstrip("/")
    urls = [
        f"{root}/.well-known/oauth-authorization-server{path}",
        f"{root}/.well-known/openid-configuration{path}",
    ]
    if path:
        urls.append(f"{root}{path}/.well-known/openid-configuration")
    return tuple(urls)


def resource_metadata_path(resource: str) -> str:
    """The path of the metadata document of `resource` (RFC 9728 section 3.1)."""
    path = urlsplit(resource).path
    return "/.well-known/oauth-protected-resource" + ("" if path == "/" else path)
