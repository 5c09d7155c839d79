"""The phase before `prepare`, of grants that redeem what somebody signed."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Grant, TokenRequest


class Gathering(Grant, Protocol):
    """A grant that has to look at what it redeems."""

    async def gather(self, request: TokenRequest, assertions: Assertions) -> TokenRequest:
        """The request with what was found. Raises OAuthError."""

    def cure(
        self, request: TokenRequest, assertions: Assertions
    ) -> Callable[[], Awaitable[None]] | None:
        """What to do for a subject that has no account, before the request is decided once more; None for nothing."""
