"""People of a company: a connection of the tenant under test to a fake OpenID provider, and the ways there and back."""

from typing import Any
from urllib.parse import urlencode, urlsplit

from authz.admin import connections, mappings
from tests.support.fake_idp import FakeIdp
from tests.support.harness import Browser, Harness, Page


class Corporate:
    """One connection. The secret is `env:IDP_SECRET`, so the environment has to have it."""

    def __init__(
        self,
        harness: Harness,
        slug: str = "corp",
        *,
        preset: str = "generic",
        path: str = "",
        settings: dict[str, Any] | None = None,
        **flags: Any,
    ) -> None:
        self.harness, self.slug = harness, slug
        self.idp = FakeIdp(harness.web, harness.clock, f"{slug}.{harness.host}", path)
        self.details: Any = harness.change(
            connections.add,
            harness.server.edge.connectors,
            slug=slug,
            kind="oidc",
            preset=preset,
            name=slug.title(),
            settings=self.idp.settings(**(settings or {})),
            issuer=harness.issuer,
            **{"provisions": True, **flags},
        )

    def map(self, claim: str, value: str, role: str) -> Any:
        """Whoever has this value gets this role."""
        return self.harness.change(
            mappings.add, connection=self.slug, claim=claim, value=value, role=role
        )

    def leave(self, browser: Browser, page: Page) -> Page:
        """Press the button of this connection on the sign-in page; answers the redirect to the provider."""
        fields = {name: page.field(name) for name in ("continue", "then")}
        if 'name="needed"' in page.text:
            fields["needed"] = page.field("needed")
        return browser.post(
            f"{self.harness.issuer}/login/start", {**fields, "connection": self.slug}
        )

    def callback(self, params: dict[str, str]) -> str:
        """Where the provider sends the browser back to."""
        return f"{self.harness.issuer}/federation/{self.slug}/callback?{urlencode(params)}"

    def back(self, browser: Browser, left: Page) -> Page:
        """The person signs in at the provider, and the browser comes back; answers what the callback says."""
        assert left.status == 303, (left.reason, left.text)
        return browser.get(self.callback(self.idp.authorize(left.location)))

    def sign_in(self, browser: Browser, page: Page) -> Page:
        """Both ways, and on to where they were going."""
        back = self.back(browser, self.leave(browser, page))
        if back.status != 303:
            return back
        assert not urlsplit(back.location).netloc, back.location
        return browser.get(self.harness.server.base + back.location)

    def authorize(self, browser: Browser, **parameters: Any) -> Page:
        """The whole way of a client's request: sign in here if asked, consent if asked."""
        page = browser.start(**parameters)
        if "/login/start" in page.text:
            page = self.sign_in(browser, page)
        if page.is_consent:
            page = browser.decide(page)
        return page
