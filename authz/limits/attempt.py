"""One request that presents secrets, and what it costs."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from authz import entropy
from authz.errors import InvalidClient, InvalidGrant, OAuthError
from authz.limits.bucket import Bucket
from authz.limits.guesses import Guesses
from authz.limits.refusal import limited

_LONGEST_NAME = 128


@dataclass(frozen=True)
class Work:
    """The budgets of one kind of work; its endpoints share them."""

    name: str
    address: Bucket
    client: Bucket
    """Of clients that authenticated."""
    public: Bucket
    """Of all clients that cannot, together."""
    user: Bucket
    agent: Bucket | None = None
    """Of agents, whichever of their clients asks."""


class Attempt:
    """A request that presents secrets.

        with limits.attempt("par", address) as attempt:
            ...                                     # read credentials
            attempt.names(tenant_id, client_id)     # before anything is judged
            ...                                     # authenticate
            attempt.authenticated(is_confidential=client.is_confidential)

    `invalid_client` and `invalid_grant` that leave the block are wrong guesses; leaving it without an error is proof.
    """

    __slots__ = (
        "_acts",
        "_address",
        "_endpoint",
        "_guesses",
        "_has_authenticated",
        "_now",
        "_subject",
        "_work",
    )

    def __init__(
        self, guesses: Guesses, work: Work, endpoint: str, address: str, now: float
    ) -> None:
        self._guesses = guesses
        self._work = work
        self._endpoint = endpoint
        self._address = address
        self._now = now
        self._subject: str | None = None
        self._has_authenticated = False
        self._acts = False

    def __enter__(self) -> Self:
        return self

    def names(self, tenant_id: str, client_id: str) -> None:
        """Who the request says it is. Raises TooManyRequests. Said twice, it counts once."""
        if self._subject is None:
            self._subject = f"{tenant_id}\x00{short(client_id)}"
            self._guesses.check(self._endpoint, self._subject, self._address, self._now)

    def asserts(self, tenant_id: str, issuer: str) -> None:
        """Whose assertion it brings, where nobody else says who asks. Raises TooManyRequests. Said twice, it is once.

        What is wrong counts at this address alone: signatures are not guessed, and a budget of all addresses would be
        a way to shut out everybody whom the issuer names.
        """
        self.names(tenant_id, f"{short(issuer)} at {self._address}")

    def authenticated(self, *, is_confidential: bool, name: str | None = None) -> None:
        """It is who it says, as far as that can be known. Raises TooManyRequests. Said twice, it counts once.

        `name` is who it turned out to be, where the request did not say.
        """
        if self._has_authenticated or self._subject is None:
            return
        self._has_authenticated = True
        work = self._work
        if is_confidential:
            if wait := work.client.take(name or self._subject, self._now):
                raise limited(self._endpoint, f"{work.name}_per_client", wait)
        elif wait := work.public.take("", self._now):
            raise limited(self._endpoint, f"{work.name}_of_public_clients", wait)

    def acts_for(self, agent_id: str) -> None:
        """Whose client it turned out to be. Raises TooManyRequests (M13). Said twice, it counts once."""
        bucket = self._work.agent
        if bucket is None or self._acts:
            return
        self._acts = True
        if wait := bucket.take(agent_id, self._now):
            raise limited(self._endpoint, "tokens_per_agent", wait)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            if self._subject is not None:
                self._guesses.proven(self._subject, self._address)
        elif isinstance(error, OAuthError) and error.code in _WRONG_GUESSES:
            if self._subject is not None:
                self._guesses.failed(self._subject, self._address, self._now)
            else:
                self._guesses.failed_unnamed(self._address, self._now)


_WRONG_GUESSES = frozenset({InvalidClient.code, InvalidGrant.code, "invalid_token"})


def short(name: str) -> str:
    """A name to count by: whatever a stranger calls itself takes no more room than this."""
    return name if len(name) <= _LONGEST_NAME else entropy.digest(name)
