"""A device without a browser, and the person who answers it on another screen (RFC 8628)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authz.oauth.devices import DEVICE_GRANT
from tests.support.harness import RESOURCE, Answer, Browser, Harness, Page


@dataclass
class Asked:
    """A device that waits for a person."""

    harness: Harness
    client_id: str
    answer: Answer

    @property
    def user_code(self) -> str:
        """What it shows."""
        return str(self.answer.json["user_code"])

    @property
    def device_code(self) -> str:
        """What it keeps."""
        return str(self.answer.json["device_code"])

    @property
    def polling(self) -> dict[str, str]:
        """The form of a poll."""
        return {
            "grant_type": DEVICE_GRANT,
            "client_id": self.client_id,
            "device_code": self.device_code,
        }

    def poll(self, headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
        """Ask whether the person has answered."""
        return self.harness.token({**self.polling, **fields}, **(headers or {}))


def add_device_client(harness: Harness, **values: Any) -> str:
    """A public client that an operator registered for the grant; answers its identifier."""
    grants = values.pop("grant_types", (DEVICE_GRANT, "refresh_token"))
    made = harness.add_client(
        **{"name": "Build agent", "redirect_uris": (), "grant_types": grants, **values}
    )
    return str(made.client.id)


def ask(harness: Harness, client_id: str | None = None, **fields: Any) -> Asked:
    """POST /device_authorization; a field of None is left out."""
    client_id = client_id or add_device_client(harness)
    sent = {"client_id": client_id, "resource": RESOURCE, "scope": "logs.read", **fields}
    present = {name: value for name, value in sent.items() if value is not None}
    return Asked(harness, client_id, harness.post("/device_authorization", present))


def open_page(browser: Browser, user_code: str | None = None) -> Page:
    """Go to the page, signing in if asked."""
    url = f"{browser.harness.issuer}/device"
    page = browser.get(f"{url}?user_code={user_code}" if user_code else url)
    return browser.sign_in(page) if page.is_login else page


def type_code(browser: Browser, user_code: str) -> Page:
    """Type the code; answers the page that asks, or what is wrong with it."""
    open_page(browser)
    return browser.post(f"{browser.harness.issuer}/device", {"user_code": user_code})


def answer(
    browser: Browser,
    page: Page,
    *,
    allow: bool = True,
    scopes: list[str] | None = None,
    decision: str | None = None,
) -> Page:
    """Answer the page that asks; `decision` presses another button than these two."""
    fields = [("confirm_id", page.field("confirm_id"))]
    fields += [("scope", scope) for scope in (page.offered if scopes is None else scopes)]
    fields.append(("decision", decision or ("allow" if allow else "deny")))
    return browser.post(f"{browser.harness.issuer}/device/confirm", fields)


def allow(asked: Asked, login: str = "dev@example.com", **choice: Any) -> Page:
    """The whole way: sign in, type the code, allow."""
    browser = asked.harness.browser(login)
    return answer(browser, type_code(browser, asked.user_code), **choice)
