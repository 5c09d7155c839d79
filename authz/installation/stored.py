"""References in the database: of connections, of streams of signals and of events, and of credentials of MCP servers.

Those of the file: `settings`.

Decisions:
- One that fails is something to look at, not bad: the server serves without it, and an entry of one tenant must not say
  that the installation is down.
- Entries that are switched off are passed over; nobody reads their secrets.
"""

from collections.abc import Iterator

from sqlalchemy import select

from authz.admin.installation import GOOD, LOOK, Check
from authz.admin.references import references_in
from authz.db.models import (
    Connection,
    EventStream,
    Resource,
    SignalStream,
    Tenant,
    UpstreamCredential,
)
from authz.errors import AuthzError
from authz.services import Services

NAME = "Stored secrets"
_WAY_OUT = "put the secret where the reference points to, or name another one there"


def check_stored(services: Services) -> Iterator[Check]:
    """Read each once; names the reference and where it is used, never the value."""
    found = _stored(services)
    failed = 0
    for reference, places in found.items():
        try:
            services.secrets.resolve(reference)
        except AuthzError as error:
            failed += 1
            yield Check(NAME, LOOK, f"{', '.join(places)}: {error}", _WAY_OUT)
    if not failed:
        yield Check(
            NAME, GOOD, f"{len(found)} references of connections, streams and credentials are there"
        )


def _stored(services: Services) -> dict[str, list[str]]:
    """Reference -> where it is used. Read before anything is resolved: a store may be slow (D3)."""
    found: dict[str, list[str]] = {}
    with services.database.read() as tx:
        tenants = {it.id: it.slug for it in tx.execute(select(Tenant.id, Tenant.slug))}
        for row in tx.scalars(select(Connection).order_by(Connection.slug)):
            if row.status == "active":
                _note(
                    found, row.settings, f"tenant {tenants[row.tenant_id]}, connection {row.slug}"
                )
        for signals in tx.scalars(select(SignalStream).order_by(SignalStream.slug)):
            if signals.status == "active":
                place = f"tenant {tenants[signals.tenant_id]}, signal stream {signals.slug}"
                _note(found, signals.poll_token, place)
        for events in tx.scalars(select(EventStream).order_by(EventStream.id)):
            if events.status != "disabled":
                place = f"tenant {tenants[events.tenant_id]}, event stream {events.id}"
                _note(found, events.push_authorization, place)
        credentials = select(UpstreamCredential, Resource.identifier).join(
            Resource, Resource.id == UpstreamCredential.resource_id
        )
        for row_, server in tx.execute(
            credentials.where(Resource.status == "active").order_by(UpstreamCredential.id)
        ):
            place = f"tenant {tenants[row_.tenant_id]}, credential {row_.name} of {server}"
            _note(found, row_.reference, place)
    return found


def _note(found: dict[str, list[str]], value: object, place: str) -> None:
    for reference in references_in(value):
        if place not in found.setdefault(reference, []):
            found[reference].append(place)
