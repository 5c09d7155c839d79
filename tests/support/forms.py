"""Forms as a browser finds them on a page, and sends them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

TYPED = {"text", "password", "date", "datetime-local", "textarea"}


@dataclass
class Control:
    """What a form asks for."""

    name: str
    kind: str
    value: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass
class PageForm:
    """One of a page."""

    action: str
    method: str
    controls: list[Control] = field(default_factory=list)

    @property
    def typed(self) -> list[str]:
        """The names of what one writes into."""
        return [it.name for it in self.controls if it.kind in TYPED]

    @property
    def values(self) -> dict[str, list[str]]:
        """As it would be sent untouched."""
        found: dict[str, list[str]] = {}
        for it in self.controls:
            found.setdefault(it.name, []).append(it.value)
        return found


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[PageForm] = []
        self._area: Control | None = None
        self._select: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.found.append(PageForm(given.get("action", ""), given.get("method", "get")))
        elif tag == "option" and self._select is not None:
            # The first one stands there until another one is chosen.
            if "selected" in given or "chosen" not in self._select.attributes:
                self._select.value = self._select.attributes["chosen"] = given["value"]
        elif tag in ("input", "textarea", "select") and self.found and "name" in given:
            self._control(tag, given)

    def _control(self, tag: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text") if tag == "input" else tag
        if kind in ("checkbox", "radio") and "checked" not in given:
            return
        control = Control(given["name"], kind, given.get("value", ""), given)
        self.found[-1].controls.append(control)
        self._area = control if tag == "textarea" else None
        self._select = control if tag == "select" else None

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area.value += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = None
        if tag == "select":
            self._select = None


def forms_of(html: str) -> list[PageForm]:
    """In their order."""
    parser = _Forms()
    parser.feed(html)
    return parser.found


def invalid_in(html: str) -> Iterator[Control]:
    """What is marked as wrong."""
    for form in forms_of(html):
        yield from (it for it in form.controls if it.attributes.get("aria-invalid") == "true")
