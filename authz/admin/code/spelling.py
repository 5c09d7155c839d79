"""MCP servers as they are spelled where they are registered: files may spell the same server otherwise."""

from collections.abc import Mapping

from sqlalchemy import select

from authz.admin.code.kind import Site
from authz.db.models import Resource
from authz.urls import UrlError, canonical_resource

Servers = Mapping[str, str]
"""Identifiers by their canonical form."""


def servers_of(site: Site) -> Servers:
    """Those that are there, and those that the directory brings."""
    brought = {}
    for url in site.written.entries.get("resources", ()):
        try:
            brought[canonical_resource(url)] = url
        except UrlError:
            continue  # the operation says what is wrong with it
    rows = site.tx.execute(
        select(Resource.canonical, Resource.identifier).where(Resource.tenant_id == site.tenant_id)
    )
    return brought | dict(rows.all())


def spelled(url: str, servers: Servers) -> str:
    """As it is registered; one that is not known as it is written."""
    try:
        return servers.get(canonical_resource(url), url)
    except UrlError:
        return url
