"""What a browser does with the page of a SAML identity provider: read its form, and fill in what a person would."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import httpx2


@dataclass
class Form:
    """The first form of a page."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.forms.append(Form(said.get("action", "")))
        if tag == "input" and self.forms and "name" in said:
            self.forms[-1].fields[said["name"]] = said.get("value", "")


def form_of(page: httpx2.Response) -> Form:
    """The form of a page, its address complete."""
    reader = _Reader()
    reader.feed(page.text)
    assert reader.forms, page.text[:2000]
    form = reader.forms[0]
    form.action = urljoin(str(page.url), form.action)
    return form
