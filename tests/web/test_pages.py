import asyncio
import importlib.util
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import UndefinedError, meta, nodes
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from authz.web.headers import PAGE_HEADERS, SecurityHeaders
from authz.web.templating import Pages

PREVIEW = Path(__file__).parent.parent / "browser" / "preview.py"
_spec = importlib.util.spec_from_file_location("page_samples", PREVIEW)
preview = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(preview)

EVERY = {**preview.SAMPLES, **preview.HOSTILE}
TEMPLATES = sorted({template for template, _ in preview.SAMPLES.values()})


class Document(HTMLParser):
    """The elements of a page in order, each with its attributes and the text inside it."""

    VOID = frozenset({"meta", "link", "img", "input", "path", "circle"})

    def __init__(self, html):
        super().__init__()
        self.elements = []
        self._open = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {[e['tag'] for e in self._open]}"

    def handle_starttag(self, tag, attrs):
        assert len(attrs) == len(dict(attrs)), f"an attribute twice on {tag}"
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in self.VOID:
            self._open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attrs": dict(attrs), "text": ""})

    def handle_endtag(self, tag):
        assert self._open.pop()["tag"] == tag

    def handle_data(self, data):
        for element in self._open:
            element["text"] += data

    def all(self, tag, **attrs):
        wanted = {name.rstrip("_"): value for name, value in attrs.items()}
        return [
            e for e in self.elements if e["tag"] == tag and wanted.items() <= e["attrs"].items()
        ]

    def text(self, css_class):
        found = [e for e in self.elements if css_class in (e["attrs"].get("class") or "").split()]
        return [" ".join(e["text"].split()) for e in found]

    @property
    def words(self):
        return " ".join(self.all("main")[0]["text"].split())


@pytest.fixture(scope="module")
def pages():
    return Pages()


@pytest.fixture
def show(pages):
    def show(sample, **changes):
        template, context = EVERY[sample]
        return Document(bytes(pages.render(template, **{**context, **changes}).body).decode())

    return show


@pytest.mark.parametrize("sample", EVERY)
def test_a_page_stands_without_script_or_inline_style(show, sample):
    page = show(sample)
    tags = {element["tag"] for element in page.elements}
    names = {name for element in page.elements for name in element["attrs"]}
    assert not tags & {"script", "style", "iframe", "object", "base"}
    assert not [name for name in names if name == "style" or name.startswith("on")]
    assert {form["attrs"]["method"] for form in page.all("form")} <= {"post"}


@pytest.mark.parametrize("sample", EVERY)
def test_a_page_has_one_heading_a_language_and_unique_ids(show, sample):
    page = show(sample)
    ids = [element["attrs"]["id"] for element in page.elements if "id" in element["attrs"]]
    assert page.all("html")[0]["attrs"]["lang"] == "en-GB"
    assert [len(page.all(tag)) for tag in ("h1", "main", "title")] == [1, 1, 1]
    assert page.all("h1")[0]["text"].strip()
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("sample", EVERY)
def test_every_field_and_button_has_a_name(show, sample):
    page = show(sample)
    labels = {e["attrs"]["for"]: e["text"].strip() for e in page.all("label")}
    fields = [e for e in page.all("input") if e["attrs"].get("type") != "hidden"]
    assert all(labels[field["attrs"]["id"]] for field in fields)
    assert all(button["text"].strip() for button in page.all("button"))
    assert all("alt" in image["attrs"] for image in page.all("img"))


@pytest.mark.parametrize("sample", EVERY)
def test_a_page_loads_only_from_our_origin(show, sample):
    page = show(sample)
    loaded = [e["attrs"]["src"] for e in page.all("img")] + [
        e["attrs"]["href"] for e in page.all("link")
    ]
    assert all(url.startswith("/static/") for url in loaded)


@pytest.mark.parametrize("sample", [name for name in preview.HOSTILE if name.endswith("-script")])
def test_hostile_values_arrive_as_text(pages, show, sample):
    template, context = EVERY[sample]
    html = bytes(pages.render(template, **context).body).decode()
    assert "<script" not in html
    assert "&#34;&gt;&lt;script&gt;alert(1)" in html
    assert "alert(1)" in show(sample).all("body")[0]["text"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_reads_exactly_the_documented_context(pages, template):
    documented = next(context for name, context in preview.SAMPLES.values() if name == template)
    read = set()
    for name in ("base.html", template):
        source = pages.environment.loader.get_source(pages.environment, name)[0]
        tree = pages.environment.parse(source)
        # What the top of a template defines looks undeclared from inside its blocks.
        own = {name for found in tree.find_all(nodes.FromImport) for name in found.names}
        own |= {found.target.name for found in tree.find_all(nodes.Assign)}
        read |= meta.find_undeclared_variables(tree) - own
    assert read == set(documented)


@pytest.mark.parametrize(
    ("template", "variable"),
    sorted(
        {(t, v) for t, context in preview.SAMPLES.values() for v in context if (v != "status")},
    ),
)
def test_a_missing_variable_is_an_error(pages, template, variable):
    samples = [dict(context) for name, context in preview.SAMPLES.values() if name == template]

    def fails(context):
        del context[variable]
        try:
            pages.render(template, **context)
        except UndefinedError:
            return True
        return False

    assert any(fails(context) for context in samples)


def test_a_page_carries_the_headers(pages):
    template, context = EVERY["error"]
    response = pages.render(template, **{**context, "status": 403})
    assert response.status_code == 403
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert PAGE_HEADERS.items() <= {k.title(): v for k, v in response.headers.items()}.items()
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]
    assert "form-action" not in response.headers["content-security-policy"]


def test_an_operator_may_override_a_template(tmp_path):
    (tmp_path / "index.html").write_text("ours: {{ issuer }}")
    response = Pages([tmp_path]).render("index.html", issuer="<https://as.example>")
    assert response.body == b"ours: &lt;https://as.example&gt;"


def test_sign_in_helps_a_password_manager_and_keeps_the_request(show):
    page = show("login")
    (login,), (password,) = page.all("input", name="login"), page.all("input", name="password")
    assert login["attrs"]["autocomplete"] == "username"
    assert (password["attrs"]["autocomplete"], password["attrs"]["type"]) == (
        "current-password",
        "password",
    )
    (kept,) = page.all("input", name="continue")
    assert kept["attrs"]["value"] == preview.LOGIN["continue_query"]
    assert page.text("host") == ["claude.ai"]


def test_a_refused_sign_in_ties_the_sentence_to_the_fields(show):
    page = show("login-refused")
    (alert,) = page.all("div", role="alert")
    assert "Wait 30\xa0seconds" in alert["text"]
    for name in ("login", "password"):
        assert page.all("input", name=name)[0]["attrs"]["aria-describedby"] == alert["attrs"]["id"]
    assert page.all("input", name="login")[0]["attrs"]["value"] == "ada@northwind.example"
    assert "value" not in page.all("input", name="password")[0]["attrs"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1\xa0second,"), (89, "89\xa0seconds"), (90, "2\xa0minutes"), (600, "10\xa0minutes")],
)
def test_the_wait_is_said_in_words(show, seconds, words):
    assert words in show("login-refused", retry_after=seconds).all("div", role="alert")[0]["text"]


def test_consent_leads_with_the_hosts(show):
    page = show("consent-phishing")
    asked_by, answer, again = page.text("host")
    assert asked_by == preview.LONG
    assert answer == again == "collect.evil.example"
    assert "Calls itself “Claude by Anthropic (Official, verified)”" in page.words
    assert "Not reviewed by an administrator" in page.words
    assert "This is not the address that asks." in page.words


def test_consent_shows_the_client_id_of_a_registered_client(show):
    page = show("consent-registered")
    assert page.text("host")[0] == "reporting-desktop"
    assert "Approved by an administrator" in page.words
    assert "Calls itself" not in page.words


def test_consent_warns_of_loopback_only_when_told(show):
    sentence = "Any program on this computer could be asking."
    assert sentence in show("consent-loopback").words
    assert "at port 33418" in show("consent-loopback").words
    assert sentence not in show("consent").words


def test_consent_offers_every_scope_ticked_and_one_by_one(show):
    page = show("consent-forty")
    boxes = page.all("input", name="scope")
    assert {box["attrs"]["value"] for box in boxes} == {s.name for s in preview.FORTY_SCOPES}
    assert all("checked" in box["attrs"] for box in boxes)
    assert len(page.text("tag-danger")) == 6
    assert [" ".join(e["text"].split()) for e in page.all("legend")] == [
        "Read",
        "Change",
        "Delete or overwrite",
    ]


def test_consent_says_what_the_role_does_not_allow_and_what_stays(show):
    page = show("consent")
    assert page.text("removed") == [
        "Not possible with your role: 1 pages:admin Your role, Editor, does not include managing spaces."
    ]
    assert "while you are away" in page.words
    assert "while you are away" not in show("consent", offline=False).words


@pytest.mark.parametrize("page", ["consent", "device-confirm"])
def test_enter_on_a_page_that_asks_denies(show, page):
    # A browser presses the first submit button of the form when Enter is pressed in a checkbox.
    buttons = [e["attrs"]["value"] for e in show(page).all("button", name="decision")]
    assert buttons == ["deny", "read", "allow"]


@pytest.mark.parametrize("page", ["consent", "device-confirm"])
def test_reading_alone_is_offered_where_there_is_more(show, page):
    few = [it for it in preview.FORTY_SCOPES if it.risk == "read"]
    page = show(page, scopes=few)
    assert [e["attrs"]["value"] for e in page.all("button", name="decision")] == ["deny", "allow"]


def test_what_changed_since_it_was_allowed_is_named(show):
    """MCP-AS-72, EMA-07: in words, and beside the scope."""
    page = show("consent-changed")
    assert "You allowed pages:write before. What that lets it do has changed since." in page.words
    assert "Changed since you allowed it" in page.words
    assert "Allowed before, and not asked again" in page.words
    assert "has changed since" not in show("consent").words
    several = [replace(it, is_changed=True) for it in preview.FORTY_SCOPES[:3]]
    first, second, third = (it.name for it in several)
    told = f"You allowed {first}, {second} and {third} before. What those let it do has changed"
    assert told in show("consent", scopes=several).words


def test_the_client_learns_nothing_from_a_followed_link(show):
    links = [e for e in show("consent").all("a") if e["attrs"]["href"].startswith("https://")]
    assert len(links) == 3
    assert {link["attrs"]["rel"] for link in links} == {"noopener noreferrer"}
    assert not [
        e
        for e in show("consent", client_uri=None, policy_uri=None, tos_uri=None).all("a")
        if not e["attrs"]["href"].startswith("#")
    ]


@pytest.mark.parametrize(
    ("sample", "offers"),
    [("approval", True), ("approval-asked", False), ("approval-closed", False)],
)
def test_an_unapproved_client_may_be_asked_for_once(show, sample, offers):
    page = show(sample)
    assert [e["attrs"]["value"] for e in page.all("input", name="request_id")] == [
        "r_19af"
    ] * offers
    assert page.text("host") == ["notes-assistant.example"]


def test_an_error_names_the_value_the_way_out_and_the_support_id(show):
    page = show("error")
    for words in (
        "http://localhost:33418/callback/",
        "What you can do",
        "invalid_request 400",
        preview.SUPPORT_ID,
    ):
        assert words in page.words


def test_static_files_bring_nothing_from_elsewhere():
    assert sorted(path.name for path in preview.STATIC.iterdir()) == [
        "authz.css",
        "console.css",
        "console.js",
        "mark.svg",
    ]
    css = "".join((preview.STATIC / it).read_text() for it in ("authz.css", "console.css"))
    svg = (preview.STATIC / "mark.svg").read_text()
    assert not re.search(r"url\(|@import|@font-face|javascript:|expression\(", css)
    assert not re.search(r"<script|<style|style=|href=|\son\w+=", svg)


def _answer(app, path):
    """Status and header pairs that `app` sends for a GET of `path`."""
    sent = []

    async def run():
        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [],
            "scheme": "https",
            "server": ("as.example", 443),
        }
        try:
            await app(scope, receive, send)
        except ZeroDivisionError:
            assert path == "/broken"

    asyncio.run(run())
    start = next(message for message in sent if message["type"] == "http.response.start")
    return start["status"], [(name.decode(), value.decode()) for name, value in start["headers"]]


def _application(pages):
    template, context = EVERY["signed-out"]
    return Starlette(
        routes=[
            Route("/page", lambda request: pages.render(template, **context)),
            Route("/plain", lambda request: PlainTextResponse("ok")),
            Route("/broken", lambda request: 1 / 0),
        ]
    )


@pytest.mark.parametrize(("path", "status"), [("/plain", 200), ("/nowhere", 404), ("/broken", 500)])
def test_every_response_has_the_baseline(pages, path, status):
    answered, headers = _answer(SecurityHeaders(_application(pages), https=True), path)
    assert answered == status
    assert {
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("strict-transport-security", "max-age=31536000"),
    } <= set(headers)


def test_a_page_keeps_its_own_headers_once(pages):
    _, headers = _answer(SecurityHeaders(_application(pages), https=True), "/page")
    names = [name for name, _ in headers]
    assert len(names) == len(set(names))
    assert dict(headers)["content-security-policy"] == PAGE_HEADERS["Content-Security-Policy"]


def test_hsts_is_promised_only_for_an_https_issuer(pages):
    _, headers = _answer(SecurityHeaders(_application(pages), https=False), "/plain")
    assert "strict-transport-security" not in dict(headers)


def test_other_traffic_passes_untouched():
    seen = []

    async def app(scope, receive, send):
        seen.append((scope["type"], send))

    send = object()
    asyncio.run(SecurityHeaders(app, https=True)({"type": "lifespan"}, None, send))
    assert seen == [("lifespan", send)]
