"""Groups of somebody who has more of them than Entra ID writes into a token: Microsoft Graph knows them.

The token then says where to ask, and nobody goes there: the place is configured, because a token that says where its
bearer token is to be sent would be obeyed by whoever believes it. Bounded in pages and in time.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from authz.federation.connector import UNREACHABLE, SignInRefused
from authz.federation.oidc_requests import ask
from authz.net import Network
from authz.urls import UrlError, read_url

MAX_PAGES = 60
"""Of 999 groups each."""
DEADLINE = timedelta(seconds=20)
_QUERY = "/me/transitiveMemberOf/microsoft.graph.group?$select=id&$count=true&$top=999"
# A cast to one type of object is an "advanced query", which Graph answers from an index.
_HEADERS = {"ConsistencyLevel": "eventual"}


def is_overage(claims: Mapping[str, Any], groups_claim: str) -> bool:
    """Whether the token points at the groups instead of naming them."""
    named = claims.get("_claim_names")
    points = isinstance(named, Mapping) and groups_claim in named
    return points or claims.get("hasgroups") in (True, "true")


def load_groups(network: Network, graph_url: str, access_token: str | None) -> tuple[str, ...]:
    """The ids of all groups of the signed-in person, nested ones too. Raises SignInRefused with `graph_...`.

    Part of them would be a guess about what somebody may do, so it is all or nothing.
    """
    if access_token is None:
        raise SignInRefused("graph_without_token")
    return network.run_blocking(_all_pages(network, graph_url, access_token))


async def _all_pages(network: Network, graph_url: str, access_token: str) -> tuple[str, ...]:
    found: list[str] = []
    url = graph_url + _QUERY
    try:
        async with asyncio.timeout(DEADLINE.total_seconds()):
            for _ in range(MAX_PAGES):
                told = await ask(network, "graph", url, bearer=access_token, headers=_HEADERS)
                if told.status != 200:
                    raise SignInRefused("graph_refused")
                found += _ids(told.members)
                link = told.members.get("@odata.nextLink")
                if link is None:
                    return tuple(found)
                url = _next(link, graph_url)
    except TimeoutError as error:
        raise SignInRefused("graph_timeout", UNREACHABLE) from error
    raise SignInRefused("graph_too_many_pages")


def _ids(page: Mapping[str, Any]) -> list[str]:
    entries = page.get("value")
    if not isinstance(entries, list):
        raise SignInRefused("graph_malformed")
    ids = [entry.get("id") if isinstance(entry, Mapping) else None for entry in entries]
    if not all(isinstance(it, str) for it in ids):
        raise SignInRefused("graph_malformed")
    return [str(it) for it in ids]


def _next(link: object, graph_url: str) -> str:
    """The next page, which has to be where the first one was: the access token goes there."""
    try:
        place, base = read_url("link", str(link)), read_url("graph_url", graph_url)
    except UrlError:
        raise SignInRefused("graph_link") from None
    same = (place.scheme, place.host, place.port) == (base.scheme, base.host, base.port)
    if not same or not place.path.startswith(f"{base.path}/") or place.has_dot_segments:
        raise SignInRefused("graph_link")
    return str(link)
