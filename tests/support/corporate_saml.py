"""People of a company with a SAML provider: a connection of the tenant under test, and the ways there and back."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from authz.admin import connections, mappings
from authz.federation.connector import Upstream
from tests.support.harness import Browser, Harness, Page
from tests.support.saml_idp import Said, SamlIdp, key_of, read_request

CROSS_SITE = {"Origin": "https://idp.example", "Sec-Fetch-Site": "cross-site"}


class CorporateSaml:
    """One connection. `said` is changed by tests and goes into every answer."""

    def __init__(
        self,
        harness: Harness,
        slug: str = "corp",
        *,
        preset: str = "generic",
        settings: dict[str, Any] | None = None,
        **flags: Any,
    ) -> None:
        self.harness, self.slug = harness, slug
        now = harness.clock()
        self.idp = SamlIdp(f"https://{slug}.{harness.host}/saml", key=key_of(slug), now=now)
        self.details: Any = harness.change(
            connections.add,
            harness.server.edge.connectors,
            slug=slug,
            kind="saml",
            preset=preset,
            name=slug.title(),
            settings=self.idp.settings(**(settings or {})),
            issuer=harness.issuer,
            **{"provisions": True, **flags},
        )
        base = f"{harness.issuer}/federation/{slug}"
        self.place = Upstream("", harness.tenant_id, slug, preset, {}, base)
        self.said: dict[str, Any] = {}
        self.asked: list[Any] = []
        """The AuthnRequests that came."""

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

    def answer(self, left: Page, **said: Any) -> dict[str, str]:
        """What the provider has the browser post to us."""
        assert left.status == 303, (left.reason, left.text)
        request, parameters = read_request(left.location)
        self.asked.append(request)
        sent = self.respond(in_response_to=request.get("ID"), **said)
        return {"SAMLResponse": sent, "RelayState": parameters["RelayState"]}

    def respond(self, place: Upstream | None = None, **said: Any) -> str:
        """A signed response, now; for another place than ours if one is given."""
        now, few = self.harness.clock(), timedelta(minutes=5)
        whole = Said(
            now=now,
            issuer=self.idp.entity_id,
            response_issuer=self.idp.entity_id,
            not_before=now - few,
            not_on_or_after=now + few,
            confirmed_not_on_or_after=now + few,
            authn_instant=now,
            response_id=f"_r{len(self.asked)}",
            assertion_id=f"_a{len(self.asked)}",
        )
        return self.idp.respond(place or self.place, whole, **{**self.said, **said})

    def post(self, fields: Any) -> Page:
        """As the provider's page does it from its own site: without any cookie of ours."""
        return self.harness.browser().post(self.place.acs_url, fields, **CROSS_SITE)

    def back(self, browser: Browser, left: Page, **said: Any) -> Page:
        """The provider answers, and the browser is at our finish; answers what that says."""
        posted = self.post(self.answer(left, **said))
        if posted.status != 303:
            return posted
        assert posted.location.startswith(f"{self.place.base}/finish?ticket="), posted.location
        return browser.get(posted.location)

    def sign_in(self, browser: Browser, page: Page, **said: Any) -> Page:
        """Both ways, and on to where they were going."""
        back = self.back(browser, self.leave(browser, page), **said)
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
