"""From a request to a page: session, permission, form, and errors that say what to do."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.admin import effects
from authz.admin.entry import enter_console
from authz.admin.operator import FRESH_FOR
from authz.directory.sessions import find_session
from authz.errors import (
    AuthzError,
    Conflict,
    Forbidden,
    NotFound,
    OAuthError,
    StaleSignIn,
    TooManyRequests,
)
from authz.oauth.asking import Needed
from authz.oauth.configuration import TenantConfiguration
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.console import pages
from authz.web.console.visit import (
    Act,
    Answer,
    Clashed,
    Done,
    Download,
    Foreseen,
    Page,
    Proposed,
    Screen,
    Sheet,
    Sure,
    Visit,
    told,
)
from authz.web.cookies import read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import MAX_BODY_BYTES, read_form
from authz.web.headers import PAGE_HEADERS
from authz.web.login.continuation import CONSOLE, MAX_PLACE_QUERY
from authz.web.login.pages import login_page
from authz.web.problems import problem, too_many
from authz.web.responses import see_other
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

# Scripts and forms of our own alone. Nothing here redirects to a client, so form-action may bind (see `web.headers`).
CONSOLE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
CONSOLE_HEADERS = {**PAGE_HEADERS, "Content-Security-Policy": CONSOLE_POLICY}
MAX_FORM_BYTES = 512 * 1024
"""A roles file is posted as one field."""
_ANYBODYS_BYTES = 16 * 1024
"""Read without a question: whatever is in it, that is cheap."""


def routes(edge: Edge, prefix: str) -> list[Route]:
    """All pages and their forms below a prefix."""
    found = []
    for page in pages.PAGES:
        address = f"{prefix}/console/{page.path}".rstrip("/")
        found.append(Route(address, _showing(edge, page), methods=["GET"]))
        found += [
            Route(f"{address}/{act.name}", _acting(edge, page, act), methods=["POST"])
            for act in page.acts
        ]
    return found


Endpoint = Callable[[Request], Awaitable[Response]]


def _showing(edge: Edge, page: Page) -> Endpoint:
    async def show(request: Request) -> Response:
        try:
            edge.limits.admit("console", address=peer_address(edge, request))
        except TooManyRequests as error:
            return too_many(edge, error)
        call = _Call(edge, page, Act("", page.show), _place(request))
        return await run_in_threadpool(call.answer, _arrived(edge, request), {})

    return show


def _acting(edge: Edge, page: Page, act: Act) -> Endpoint:
    async def run(request: Request) -> Response:
        if not is_own_form(request, edge.services.settings.server.issuer):
            return _foreign(edge)
        try:
            edge.limits.admit("console", address=peer_address(edge, request))
            fields: dict[str, list[str]] = {}
            for name, value in await read_form(request, max_bytes=await _most(edge, request)):
                fields.setdefault(name, []).append(value)
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError as error:
            return problem(
                edge,
                tenant_name="",
                heading="This form cannot be read",
                message="Nothing was changed.",
                code=error.code,
                reason=error.reason,
                status=error.status,
            )
        call = _Call(edge, page, act, _place(request))
        return await run_in_threadpool(call.answer, _arrived(edge, request), fields)

    return run


async def _most(edge: Edge, request: Request) -> int:
    """How large a form may be: a large one only of somebody who is signed in, for reading it is dear (ATK-62)."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced[:20]) <= _ANYBODYS_BYTES:
        return MAX_BODY_BYTES
    is_known = await run_in_threadpool(_is_known, edge, _arrived(edge, request))
    return MAX_FORM_BYTES if is_known else MAX_BODY_BYTES


def _is_known(edge: Edge, arrived: "_Arrived") -> bool:
    configuration = edge.find_configuration(arrived.slug)
    if configuration is None:
        return False
    tenant_id, now = configuration.tenant.id, edge.services.clock()
    with edge.services.database.read() as tx:
        return find_session(tx, tenant_id=tenant_id, token=arrived.cookie, now=now) is not None


@dataclass(frozen=True)
class _Arrived:
    """What the request brought."""

    slug: str
    cookie: str | None
    path: dict[str, str]
    query: dict[str, str]


def _arrived(edge: Edge, request: Request) -> _Arrived:
    slug = request.path_params.get("slug", DEFAULT_SLUG)
    path = {name: value for name, value in request.path_params.items() if name != "slug"}
    return _Arrived(slug, read_session(edge, slug, request), path, dict(request.query_params))


def _place(request: Request) -> str:
    """Where to come back to after signing in: the page below `console/`, and for a GET its query.

    Without a query that the form would not be let bring back.
    """
    below = request.url.path.partition("/console")[2].strip("/")
    if request.method != "GET":
        below = below.rpartition("/")[0]
    query = request.url.query
    return f"{below}?{query}" if query and len(query) <= MAX_PLACE_QUERY else below


@dataclass(frozen=True)
class _Call:
    """One request at one page; blocking, so in a thread."""

    edge: Edge
    page: Page
    act: Act
    place: str

    def answer(self, arrived: _Arrived, form: dict[str, list[str]]) -> Response:
        services = self.edge.services
        configuration = self.edge.find_configuration(arrived.slug)
        if configuration is None:
            return self._nothing()
        now = services.clock()
        with services.database.read() as tx:
            signed_in = find_session(
                tx, tenant_id=configuration.tenant.id, token=arrived.cookie, now=now
            )
            if signed_in is None:
                return self._sign_in(configuration)
            entry = enter_console(
                tx,
                configuration,
                signed_in,
                envelope=services.envelope,
                secrets=services.settings.secrets,
                agents_per_owner=services.settings.limits.agents_per_owner,
                now=now,
            )
        if entry is None:
            return self._no_admin(configuration, signed_in.login)
        visit = Visit(
            self.edge,
            configuration,
            entry.operator,
            entry.decision,
            arrived.path,
            arrived.query,
            form,
        )
        try:
            visit.operator.must_see(self.page.permission)
            return self._rendered(visit, self.act.run(visit))
        except Foreseen as foreseen:
            fields = [(k, v) for k, values in visit.form.items() for v in values if k != "effect"]
            context = {
                "effects": effects.counted(foreseen.rehearsed, now),
                "fields": fields,
                "address": self.page.path.format_map(visit.path),
            }
            return self._page(visit, "effect.html", "Who gains and who loses", context)
        except Proposed as proposed:
            context = {
                "operation": proposed.operation,
                "arguments": proposed.arguments,
                "as_json": json.dumps(proposed.arguments),
            }
            return self._page(visit, "propose.html", "Ask for this change", context)
        except StaleSignIn:
            return self._sign_in(configuration, max_age=int(FRESH_FOR.total_seconds()))
        except AuthzError as error:
            return self._refused(visit, error)

    def _rendered(self, visit: Visit, answer: Answer) -> Response:
        if isinstance(answer, Done):
            return see_other(f"{answer.url}{'&' if '?' in answer.url else '?'}done={answer.said}")
        if isinstance(answer, Sheet):
            csv = Download(f"{answer.name}.csv", "text/csv; charset=utf-8", answer.as_csv())
            return _download(csv)
        if isinstance(answer, Download):
            return _download(answer)
        if isinstance(answer, Sure):
            fields = [(k, v) for k, values in visit.form.items() for v in values if k != "sure"]
            context = {"sure": answer, "fields": fields}
            return self._page(visit, "sure.html", answer.title, context)
        if isinstance(answer, Screen):
            return self._page(
                visit, answer.template, self.page.title, answer.context, answer.status
            )
        return answer

    def _page(
        self, visit: Visit, template: str, title: str, context: Any, status: int = 200
    ) -> Response:
        tenant = visit.configuration.tenant
        own = {
            "tenant_name": tenant.name,
            "page_title": title,
            "static": f"{self.edge.base_path}/static",
            "visit": visit,
            "here": self.page,
            "navigation": pages.navigation(visit),
            "said": self.page.done.get(visit.asked("done")) if not visit.form else None,
            "logout": f"{tenant.path}/logout",
            "problem": None,
            "wrong": {},
            "posted": self.act.name,
            "now": visit.now,
        }
        response = self.edge.pages.render(f"console/{template}", status, **{**own, **context})
        response.headers.update(CONSOLE_HEADERS)
        return response

    def _refused(self, visit: Visit, error: AuthzError) -> Response:
        """A form is shown again with what was typed and what is wrong; anything else says so on a page."""
        status = _STATUS.get(type(error), 400)
        log.info("console.refused", page=self.page.path, error=type(error).__name__)
        if isinstance(error, Clashed):
            fields = [(k, v) for k, values in visit.form.items() for v in values]
            clashed = {"clashes": error.clashes, "fields": fields}
            return self._page(visit, "merge.html", "Changed meanwhile", clashed, status)
        # Of what is not there a form cannot be shown, unless it is only named in one.
        is_gone = isinstance(error, NotFound) and not error.field
        if visit.form and not is_gone and not isinstance(error, Forbidden):
            try:
                again = (self.act.again or self.page.show)(visit)
            except AuthzError:
                again = None
            if isinstance(again, Screen):
                name = self.act.fields.get(error.field, error.field)
                context = {
                    **again.context,
                    "problem": told(error),
                    "wrong": {name: told(error)} if name else {},
                }
                return self._page(visit, again.template, self.page.title, context, status)
        context = {"sentence": told(error), "missing": getattr(error, "permission", None)}
        return self._page(visit, "refused.html", "This cannot be done", context, status)

    def _sign_in(
        self, configuration: TenantConfiguration, *, max_age: int | None = None
    ) -> Response:
        needed = Needed() if max_age is None else Needed(max_age=max_age)
        return login_page(
            self.edge,
            configuration,
            continue_query=urlencode({"to": self.place}),
            client=None,
            client_id="",
            then=CONSOLE,
            needed=needed,
        )

    def _no_admin(self, configuration: TenantConfiguration, login: str) -> Response:
        return problem(
            self.edge,
            tenant_name=configuration.tenant.name,
            heading="You do not administer anything here",
            message=f"You are signed in as {login}, and this account holds no admin role.",
            hint="Ask an owner for one. What applications may do for you is on your own page.",
            code="access_denied",
            reason="no_admin_role",
            status=403,
            again_url=f"{configuration.tenant.path}/account",
        )

    def _nothing(self) -> Response:
        return problem(
            self.edge,
            tenant_name="",
            heading="There is nothing here",
            message="Nothing was changed.",
            code="not_found",
            reason="tenant_unknown",
            status=404,
        )


_STATUS: dict[type[AuthzError], int] = {
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Clashed: 409,
}


def _foreign(edge: Edge) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading="This form came from another site",
        message="Nothing was changed.",
        code="invalid_request",
        reason="foreign_form",
        status=403,
    )


def _download(file: Download) -> Response:
    headers = {
        **CONSOLE_HEADERS,
        "Content-Disposition": f'attachment; filename="{file.name}"',
    }
    return Response(file.text, media_type=file.media_type, headers=headers)
