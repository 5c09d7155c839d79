"""A person's browser without a screen: it follows links and redirects, keeps cookies, fills in and posts forms.

Nothing in it knows the server: it reads the forms of the page it is shown, as any browser does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urljoin, urlsplit

import httpx2

_MAX_REDIRECTS = 10


@dataclass
class Form:
    """A form as the page has it: fields in order, boxes that are ticked among them, and the buttons."""

    action: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    visible: set[str] = field(default_factory=set)
    """The names of the fields that one can type into."""

    def has(self, name: str) -> bool:
        """Whether it has a field or button of this name."""
        return any(name == known for known, _ in (*self.fields, *self.boxes, *self.buttons))


@dataclass(frozen=True)
class Page:
    """What is on the screen."""

    url: str
    status: int
    text: str
    heading: str
    forms: Sequence[Form]
    words: Mapping[str, str]
    """Of each box by its value: the words of its label."""

    def form(self, name: str) -> Form:
        """The form with a field of this name. Raises LookupError naming the page."""
        for form in self.forms:
            if form.has(name):
                return form
        raise LookupError(f"{self.url} ({self.status}, {self.heading!r}) has no form with {name!r}")

    @property
    def asks_for_password(self) -> bool:
        """Whether one has to sign in."""
        return any(form.has("password") for form in self.forms)

    @property
    def asks_for_consent(self) -> bool:
        """Whether it is the consent page."""
        return any(form.has("decision") for form in self.forms)

    @property
    def asks_for_code(self) -> bool:
        """Whether it asks for the code that a device shows."""
        return any("user_code" in form.visible for form in self.forms)

    @property
    def offered(self) -> list[str]:
        """The scopes that can be ticked."""
        return [value for name, value in self.form("decision").boxes if name == "scope"]


class Browser:
    """One browser profile."""

    def __init__(self) -> None:
        self._http = httpx2.Client(follow_redirects=False, trust_env=False, timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def open(self, url: str) -> Page:
        """Go to an address."""
        return self._land(self._http.get(url))

    def submit(
        self,
        page: Page,
        form: Form,
        *,
        typed: Mapping[str, str] | None = None,
        ticked: Sequence[str] | None = None,
        button: str | None = None,
    ) -> Page:
        """Post a form: its fields, what is typed, the boxes (as they are, or only `ticked`), one button."""
        typed = typed or {}
        pairs = [(name, typed.get(name, value)) for name, value in form.fields]
        pairs += [(n, v) for n, v in form.boxes if ticked is None or v in ticked]
        pairs += [(n, v) for n, v in form.buttons if v == button and n]
        place = urlsplit(page.url)
        response = self._http.post(
            urljoin(page.url, form.action),
            content=urlencode(pairs),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Origin": f"{place.scheme}://{place.netloc}",
            },
        )
        return self._land(response)

    def sign_in(self, page: Page, login: str, password: str) -> Page:
        """Fill in the login page."""
        form = page.form("password")
        return self.submit(page, form, typed={"login": login, "password": password})

    def confirm_code(self, page: Page) -> Page:
        """Send the code of a device as the page has it."""
        form = next(form for form in page.forms if "user_code" in form.visible)
        return self.submit(page, form)

    def decide(self, page: Page, decision: str, *, ticked: Sequence[str] | None = None) -> Page:
        """Answer the consent page."""
        return self.submit(page, page.form("decision"), ticked=ticked, button=decision)

    def _land(self, response: httpx2.Response) -> Page:
        for _ in range(_MAX_REDIRECTS):
            if not response.is_redirect:
                return read_page(str(response.url), response.status_code, response.text)
            target = urljoin(str(response.url), response.headers["location"])
            response = self._http.get(target)
        raise LookupError(f"{response.url} redirects without end")


def read_page(url: str, status: int, text: str) -> Page:
    """Take a page apart."""
    reader = _Reader()
    reader.feed(text)
    return Page(url, status, text, " ".join(reader.heading.split()), reader.forms, reader.words)


class _Reader(HTMLParser):
    """Forms, the first heading, and the labels."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.heading = ""
        self.words: dict[str, str] = {}
        self._form: Form | None = None
        self._in_heading = False
        self._boxes: dict[str, str] = {}
        self._label: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "h1":
            self._in_heading = True
        elif tag == "form":
            self._form = Form(found.get("action", ""))
            self.forms.append(self._form)
        elif tag == "label":
            self._label = found.get("for")
        elif tag in ("input", "button") and self._form is not None:
            pair = (found.get("name", ""), found.get("value", ""))
            if tag == "button":
                self._form.buttons.append(pair)
            elif found.get("type") == "checkbox":
                self._boxes[found.get("id", "")] = pair[1]
                if "checked" in found:
                    self._form.boxes.append(pair)
            else:
                self._form.fields.append(pair)
                if found.get("type") != "hidden":
                    self._form.visible.add(pair[0])

    def handle_endtag(self, tag: str) -> None:
        if tag == "h1":
            self._in_heading = False
        elif tag == "form":
            self._form = None
        elif tag == "label":
            self._label = None

    def handle_data(self, data: str) -> None:
        if self._in_heading:
            self.heading += data
        if self._label in self._boxes and data.strip():
            value = self._boxes[self._label or ""]
            self.words[value] = f"{self.words.get(value, '')} {data.strip()}".strip()
