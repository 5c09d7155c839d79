"""What an MCP server says of itself: its protected resource metadata (RFC 9728), read before it is registered.

Network only, no rows: it happens before the transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authz.admin.resources import WELL_KNOWN, metadata_url
from authz.admin.scopes import NewScope
from authz.errors import Invalid
from authz.net import Documents, Network, NetworkError, Profile
from authz.policy.scopes import PROTOCOL_SCOPES, is_scope_name
from authz.urls import UrlError, canonical_resource, read_url

_MAX_BYTES = 64 * 1024
_NEVER_KEPT = timedelta(0)
_ELSEWHERE = frozenset({"status", "content_type", "json"})
"""Failures after which the other address may still hold the document."""


@dataclass(frozen=True)
class Discovered:
    """A server's metadata that fits this issuer."""

    identifier: str
    """As the server spells it: what it expects in `aud`."""
    name: str
    scopes: tuple[NewScope, ...]
    document_url: str


def discover(network: Network, documents: Documents, url: str, *, issuer: str) -> Discovered:
    """Read and check the metadata of the server at `url`.

    Raises Invalid or NetworkError with a sentence that says what was found and how to mend it.
    """
    try:
        places = _places(url)
    except UrlError as error:
        raise Invalid(str(error)) from None
    failures = []
    for place in places:
        try:
            document = network.run_blocking(_load(documents, place))
        except NetworkError as error:
            failures.append(str(error))
            if error.reason not in _ELSEWHERE:
                break
            continue
        return _checked(document, url, place, issuer)
    raise Invalid(
        f"the server publishes no metadata that can be read: {'; '.join(failures)}. Publish it at "
        f"{places[0]}, or name the scopes yourself with --scope"
    )


async def _load(documents: Documents, place: str) -> Mapping[str, Any]:
    document = await documents.load(
        place,
        profile=Profile.OPERATOR,
        max_bytes=_MAX_BYTES,
        floor=_NEVER_KEPT,
        ceiling=_NEVER_KEPT,
        parse=_object,
    )
    return document.value


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _places(url: str) -> list[str]:
    """The path-inserted address first, then the root of the host (MCP authorization, RFC 9728 §3.1)."""
    canonical_resource(url)
    parts = read_url("resource", url)
    authority = parts.host if parts.port is None else f"{parts.host}:{parts.port}"
    return list(dict.fromkeys([metadata_url(url), f"{parts.scheme}://{authority}{WELL_KNOWN}"]))


def _checked(document: Mapping[str, Any], url: str, place: str, issuer: str) -> Discovered:
    resource = document.get("resource")
    if not isinstance(resource, str) or not _same(resource, url):
        raise Invalid(
            f"the metadata at {place} is of the resource {_shown(resource)}, not {url!r}; register the "
            "server under the URL it names, or correct `resource` in its configuration"
        )
    servers = document.get("authorization_servers")
    if not isinstance(servers, list) or issuer not in servers:
        close = isinstance(servers, list) and f"{issuer}/" in servers
        hint = " (without the slash at the end)" if close else ""
        raise Invalid(
            f"the metadata at {place} names the authorization servers {_shown(servers)}, and not {issuer!r}; "
            f"add exactly this string to `authorization_servers`{hint}, so that clients come here"
        )
    name = document.get("resource_name")
    return Discovered(
        identifier=resource,
        name=name.strip() if isinstance(name, str) and name.isprintable() else "",
        scopes=tuple(_scopes(document.get("scopes_supported"), place)),
        document_url=place,
    )


def _scopes(listed: object, place: str) -> list[NewScope]:
    """Their risk is what nobody declared it to be: `write`. Protocol scopes are not the server's."""
    if listed is None:
        return []
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise Invalid(f"`scopes_supported` at {place} is not a list of strings: {_shown(listed)}")
    names = [name for name in dict.fromkeys(listed) if name not in PROTOCOL_SCOPES]
    bad = [name for name in names if not is_scope_name(name)]
    if bad:
        raise Invalid(
            f"`scopes_supported` at {place} holds names that cannot be registered: {_shown(bad)} "
            "(wildcards and blanks are not read); correct them, or name the scopes with --scope"
        )
    return [NewScope(name=name) for name in names]


def _same(left: str, right: str) -> bool:
    try:
        return canonical_resource(left) == canonical_resource(right)
    except UrlError:
        return False


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
