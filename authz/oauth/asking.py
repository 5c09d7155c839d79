"""One authorization request of a signed-in person, with everything that is known about it."""

from dataclasses import dataclass

from authz.clients.client import Client
from authz.clients.resolution import FetchedClient
from authz.directory.sessions import SignedIn
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.configuration import TenantConfiguration


@dataclass(frozen=True)
class Asking:
    """Everything known about one authorization request of a signed-in person."""

    configuration: TenantConfiguration
    client: Client
    request: AuthorizationRequest
    address: ReturnAddress
    signed_in: SignedIn
    query: str
    """The request as it arrived, to take it up again after signing in as somebody else."""
    fetched: FetchedClient | None = None
    pushed: str | None = None
    """Digest of the pushed request this is (RFC 9126), to be taken when it is answered."""
