"""Administrators at the console."""

from typing import Any

from authz.admin import admins
from tests.support.harness import Browser, Harness

EVIL = "\"><script>alert(1)</script>'"


def administrator(
    harness: Harness, role: str | None = "owner", login: str = "dev@example.com"
) -> Any:
    """Somebody with an admin role, signed in at the console; `landed` is what they see first."""
    if role is not None:
        harness.change(admins.grant, role=role, kind="user", holder=login)
    browser: Any = harness.browser(login)
    page = browser.get(f"{harness.issuer}/console")
    browser.landed = browser.sign_in(page)
    return browser


def at(browser: Browser, address: str, **fields: Any) -> Any:
    """A page of the console, or a form posted to it when there are fields."""
    url = f"{browser.harness.issuer}/console/{address}"
    return browser.post(url, fields) if fields else browser.get(url)
