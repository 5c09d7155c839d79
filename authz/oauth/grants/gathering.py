"""The phase before `prepare`, of grants that redeem what somebody signed."""

from typing import Protocol

from authz.oauth.assertions import Assertions
from authz.oauth.authorization import Grant, Submit, TokenRequest


class Gathering(Grant, Protocol):
    """A grant that has to look at what it redeems."""

    async def gather(
        self, request: TokenRequest, assertions: Assertions, submit: Submit
    ) -> TokenRequest:
        """The request with what was found. Raises OAuthError."""
