"""One authorization request of a signed-in person, with everything that is known about it."""

from dataclasses import dataclass

from authz.clients.client import Client
from authz.clients.resolution import FetchedClient
from authz.directory.sessions import SignedIn
from authz.oauth.authorization_request import AuthorizationRequest, ReturnAddress
from authz.oauth.configuration import TenantConfiguration


@dataclass(frozen=True)
class Needed:
    """How a person has to sign in for a request; every member holds, an empty one demands nothing.

    A page that lets people sign in offers the ways that can do it and passes this on to the one that is chosen. What
    came of it is judged afterwards, by the session it made (SUA-01).
    """

    acr_values: tuple[str, ...] = ()
    """Any of them will do; the one that is liked best stands first."""
    max_age: int | None = None
    """Seconds since they last proved who they are, at most."""
    connections: tuple[str, ...] = ()
    """Any of these, by slug; `local` is the local directory."""


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
