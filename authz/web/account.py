"""The page of everybody who signs in: what is connected on their behalf, what they asked for, where they are signed in.

It takes no admin role, and nothing of anybody else is ever on it: `admin.own` asks by the person of the session alone.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.admin import own, sessions
from authz.admin.entry import enter_console
from authz.admin.operator import Operator
from authz.directory.sessions import SignedIn, find_session
from authz.errors import AuthzError, OAuthError, TooManyRequests
from authz.oauth.configuration import TenantConfiguration
from authz.tenants import DEFAULT_SLUG
from authz.urls import is_client_id_url, redirect_host
from authz.web.addresses import peer_address
from authz.web.cookies import read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import read_form
from authz.web.login.continuation import ACCOUNT
from authz.web.login.pages import login_page
from authz.web.problems import problem, too_many
from authz.web.responses import see_other
from authz.web.threads import run_in_threadpool

_DONE = {
    "disconnected": "The application is disconnected. It has to ask you again.",
    "signed-out": "That browser is signed out.",
    "elsewhere": "You are signed out everywhere else.",
}


@dataclass(frozen=True)
class _Person:
    """Somebody at their own page."""

    edge: Edge
    configuration: TenantConfiguration
    signed_in: SignedIn

    @property
    def operator(self) -> Operator:
        """They may nothing but end what is theirs."""
        services = self.edge.services
        return Operator(
            name=self.signed_in.user_id,
            now=services.clock(),
            envelope=services.envelope,
            permissions=frozenset(),
            user_id=self.signed_in.user_id,
        )

    @property
    def url(self) -> str:
        return f"{self.configuration.tenant.path}/account"


_Form = dict[str, str]
_Act = Callable[[_Person, _Form], Response]


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The page and its forms below a prefix."""

    async def show(request: Request) -> Response:
        try:
            edge.limits.admit("account", address=peer_address(edge, request))
        except TooManyRequests as error:
            return too_many(edge, error)
        done = request.query_params.get("done", "")
        return await run_in_threadpool(_answer, edge, _place(edge, request), _page, {"done": done})

    def acting(act: _Act) -> Callable[[Request], Awaitable[Response]]:
        async def take(request: Request) -> Response:
            if not is_own_form(request, edge.services.settings.server.issuer):
                return _refused(edge, "This form came from another site", "foreign_form", 403)
            try:
                edge.limits.admit("account", address=peer_address(edge, request))
                fields = dict(reversed(await read_form(request)))
            except TooManyRequests as error:
                return too_many(edge, error)
            except OAuthError as error:
                return _refused(edge, "This form cannot be read", error.reason, error.status)
            return await run_in_threadpool(_answer, edge, _place(edge, request), act, fields)

        return take

    acts = {"disconnect": _disconnect, "sign-out": _sign_out, "sign-out-elsewhere": _elsewhere}
    return [
        Route(f"{prefix}/account", show, methods=["GET"]),
        *(Route(f"{prefix}/account/{name}", acting(act), methods=["POST"]) for name, act in acts.items()),
    ]  # fmt: skip


def _place(edge: Edge, request: Request) -> tuple[str, str | None]:
    slug = request.path_params.get("slug", DEFAULT_SLUG)
    return slug, read_session(edge, slug, request)


def _answer(edge: Edge, place: tuple[str, str | None], act: _Act, form: _Form) -> Response:
    slug, cookie = place
    configuration = edge.find_configuration(slug)
    if configuration is None:
        return _refused(edge, "There is nothing here", "tenant_unknown", 404)
    with edge.services.database.read() as tx:
        signed_in = find_session(
            tx, tenant_id=configuration.tenant.id, token=cookie, now=edge.services.clock()
        )
    if signed_in is None:
        return login_page(
            edge, configuration, continue_query="", client=None, client_id="", then=ACCOUNT
        )
    try:
        return act(_Person(edge, configuration, signed_in), form)
    except AuthzError as error:
        return problem(
            edge,
            tenant_name=configuration.tenant.name,
            heading="This cannot be done",
            message=f"{str(error)[:1].upper()}{str(error)[1:]}.",
            code="not_found",
            reason="not_theirs",
            status=404,
            again_url=f"{configuration.tenant.path}/account",
        )


def _page(person: _Person, form: _Form) -> Response:
    configuration, tenant = person.configuration, person.configuration.tenant
    signed_in = person.signed_in
    now = person.edge.services.clock()
    with person.edge.services.database.read() as tx:
        found = own.show(tx, tenant.id, configuration.policy, signed_in.user_id, now)
        entry = enter_console(
            tx,
            configuration,
            signed_in,
            envelope=person.edge.services.envelope,
            secrets=person.edge.services.settings.secrets,
            agents_per_owner=person.edge.services.settings.limits.agents_per_owner,
            now=now,
        )
    return _render(
        person,
        "account.html",
        "Your account",
        account=found,
        hosts={
            it.client_id: redirect_host(it.client_id) if is_client_id_url(it.client_id) else ""
            for it in found.connected
        },
        said=_DONE.get(form["done"]),
        here=signed_in.mark,
        login=signed_in.login,
        logout=f"{tenant.path}/logout",
        console=None if entry is None else f"{tenant.path}/console",
    )


def _disconnect(person: _Person, form: _Form) -> Response:
    tenant_id, user_id = person.configuration.tenant.id, person.signed_in.user_id
    client_id, resource_id = form.get("client_id", ""), form.get("resource_id", "")
    if form.get("sure") != "yes":
        with person.edge.services.database.read() as tx:
            now = person.edge.services.clock()
            found = own.show(tx, tenant_id, person.configuration.policy, user_id, now)
        mine = [
            it
            for it in found.connected
            if (it.client_id, it.resource_id) == (client_id, resource_id)
        ]
        if mine:
            return _render(person, "disconnect.html", "Disconnect?", it=mine[0])
    with person.edge.services.database.write() as tx:
        own.disconnect(tx, person.operator, tenant_id, user_id, client_id, resource_id)
    return see_other(f"{person.url}?done=disconnected")


def _sign_out(person: _Person, form: _Form) -> Response:
    user_id = person.signed_in.user_id
    with person.edge.services.database.write() as tx:
        sessions.end_own(
            tx,
            person.operator,
            person.configuration.tenant.id,
            form.get("mark", ""),
            user_id=user_id,
        )
    return see_other(f"{person.url}?done=signed-out")


def _elsewhere(person: _Person, _: _Form) -> Response:
    signed_in = person.signed_in
    with person.edge.services.database.write() as tx:
        own.sign_out_elsewhere(
            tx,
            person.operator,
            person.configuration.tenant.id,
            signed_in.user_id,
            signed_in.mark,
        )
    return see_other(f"{person.url}?done=elsewhere")


def _render(person: _Person, template: str, title: str, **context: Any) -> Response:
    return person.edge.pages.render(
        f"account/{template}",
        tenant_name=person.configuration.tenant.name,
        page_title=title,
        static=f"{person.edge.base_path}/static",
        support_id=None,
        url=person.url,
        **context,
    )


def _refused(edge: Edge, heading: str, reason: str, status: int) -> Response:
    return problem(
        edge,
        tenant_name="",
        heading=heading,
        message="Nothing was changed.",
        code="not_found" if status == 404 else "invalid_request",
        reason=reason,
        status=status,
    )
