"""How much one address, client, person or agent may ask for."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from authz.sections import Seconds, Section

PerMinute = Annotated[int, Field(ge=0, le=100_000_000)]
AtMost = Annotated[int, Field(ge=0, le=1_000_000)]


class LimitSettings(Section):
    """Budgets of this process, per minute; as many may come at once, and 0 is no limit. Quotas are totals.

    The defaults are far above a company behind one address and a vendor's servers that speak for thousands of people.
    """

    failures_per_client_and_address: PerMinute = 600
    """Wrong secrets, codes and refresh tokens of one client at one address."""
    failures_per_address: PerMinute = 1_800
    """The same of all clients at an address; where a client has proven itself, only its own count."""
    failures_per_client: PerMinute = 12_000
    """The same of one client at all addresses where it has never proven itself."""
    requests_per_address: PerMinute = 60_000
    """Token, introspection and revocation requests."""
    requests_per_client: PerMinute = 60_000
    """The same of one client that authenticated."""
    tokens_per_agent: PerMinute = 0
    """Token requests of all clients of one agent together."""
    grants_per_agent: AtMost = 0
    """How many live grants an agent may have, in every process together; who asks for one more gets `access_denied`."""
    agents_per_owner: AtMost = 0
    """How many agents one person may answer for, those that sleep among them; killed ones do not count."""
    pushes_per_address: PerMinute = 3_000
    """Requests that leave a row before a person is asked: PAR, device authorization."""
    pushes_per_client: PerMinute = 12_000
    """The same of one client that authenticated."""
    pushes_of_public_clients: PerMinute = 30_000
    """The same of all clients that cannot authenticate, together."""
    pages_per_address: PerMinute = 12_000
    """Pages and forms for people."""
    pages_per_user: PerMinute = 300
    """Authorization requests and answers of one signed-in person."""
    provisioning_per_address: PerMinute = 60_000
    """SCIM requests, right or wrong."""
    provisioning_per_client: PerMinute = 60_000
    """The same of one token."""
    fetches_per_user: PerMinute = 30
    """Metadata documents and images fetched because of one signed-in person."""
    fetches_per_host: PerMinute = 60
    """Documents fetched from one host that a stranger named."""
    read_timeout: Seconds = timedelta(seconds=10)
    """How long the head and the body of one request may take to arrive."""
