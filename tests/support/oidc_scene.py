"""The OpenID connector of one installation, and fake providers it is connected to, over real sockets."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from authz.errors import ConfigurationError
from authz.federation.connector import Answer, Finished, SignInRefused, Start, Tools, Upstream, Wish
from authz.federation.oidc import OidcConnector
from authz.net import Documents, Network
from tests.support.fake_idp import SECRET, FakeIdp
from tests.support.harness import TestClock
from tests.support.web import FakeWeb

DIRECTORY = "7a1b2c3d-0000-4000-8000-00000000000a"
"""The id of a customer of Entra ID, and of one of their people."""
OBJECT = "0b1ec700-0000-4000-8000-000000000001"


@dataclass
class Scene:
    """One installation's connector, and the providers it was set up for."""

    web: FakeWeb
    network: Network
    clock: TestClock = field(default_factory=TestClock)
    secrets: dict[str, bytes] = field(default_factory=lambda: {"env:IDP_SECRET": SECRET.encode()})

    def __post_init__(self) -> None:
        self.tools = Tools(self.network, Documents(self.network, self.clock), self._resolve)
        self.connector = OidcConnector(self.tools)

    def _resolve(self, reference: str) -> bytes:
        if reference not in self.secrets:
            raise ConfigurationError(f"the secret {reference} is not set")
        return self.secrets[reference]

    def idp(self, host: str = "idp.example", path: str = "", **values: Any) -> FakeIdp:
        """A provider."""
        return FakeIdp(self.web, self.clock, host, path, **values)

    def upstream(
        self, idp: FakeIdp, slug: str = "corp", preset: str = "generic", **settings: Any
    ) -> Upstream:
        """A connection to it, as it would be stored."""
        return Upstream(
            id=f"con-{slug}",
            tenant_id="ten-1",
            slug=slug,
            preset=preset,
            settings=self.connector.check(idp.settings(**settings), preset),
            base=f"https://as.example/federation/{slug}",
        )

    def start(self, upstream: Upstream, wish: Wish = Wish()) -> Start:  # noqa: B008 -- frozen
        """Out."""
        return self.connector.start(upstream, wish, "state-1", self.clock())

    def answer(
        self,
        params: dict[str, str],
        start: Start,
        wish: Wish = Wish(),  # noqa: B008 -- frozen
        wanted: frozenset[str] = frozenset(),
    ) -> Answer:
        """What the callback hands over."""
        return Answer(params, start.kept, wish, self.clock(), wanted)

    def sign_in(
        self,
        idp: FakeIdp,
        upstream: Upstream | None = None,
        wish: Wish = Wish(),  # noqa: B008 -- frozen
        wanted: frozenset[str] = frozenset(),
        away: timedelta = timedelta(),
    ) -> Finished:
        """Out and back; the person takes as long as `away`."""
        upstream = upstream or self.upstream(idp)
        start = self.start(upstream, wish)
        began_at = self.clock()
        self.clock.now += away
        params = idp.authorize(start.url)
        answer = Answer(params, start.kept, wish, began_at, wanted)
        return self.connector.finish(upstream, answer, self.clock())

    def refusal(self, idp: FakeIdp, upstream: Upstream | None = None, **how: Any) -> SignInRefused:
        """Why the same was refused."""
        with pytest.raises(SignInRefused) as refused:
            self.sign_in(idp, upstream, **how)
        return refused.value
