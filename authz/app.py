"""The ASGI application: routes, the security headers round everything, and errors that tell strangers nothing."""

import asyncio
import gc
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Lifespan

from authz import __version__, entropy, settings
from authz.admin.secret_readings import LoggedReadings, ReadingsTrail
from authz.db.availability import FAILURES, is_unavailable
from authz.installation import refuse_to_start, watching_address
from authz.jobs.memory import use_one_heap
from authz.jobs.runner import JobRunner
from authz.scim import PATH
from authz.services import open_services
from authz.telemetry.logging import configure
from authz.telemetry.logging import drain as drain_log
from authz.web import account, health, signals, ssf
from authz.web.api import serving as api
from authz.web.console import serving as console
from authz.web.edge import TENANT_PATH, Edge, make_edge
from authz.web.headers import SecurityHeaders
from authz.web.later import Later
from authz.web.login import federation
from authz.web.login import pages as login
from authz.web.oauth import (
    approval,
    authorize,
    device_authorization,
    device_pages,
    discovery,
    introspection,
    logo,
    outcomes,
    par,
    registration,
    revocation_feed,
    status_list,
    token,
    userinfo,
)
from authz.web.observed import Observed
from authz.web.responses import json_answer
from authz.web.shortcuts import Shortcuts
from authz.web.unavailable import unavailable

log = structlog.get_logger()

_LAST_LINES_SECONDS = 2.0
_THREADS_YIELD_AFTER_SECONDS = 0.0005
"""A page or a job that computes in a thread makes the event loop wait this long for the interpreter, each time it wants
it back: after every look at a socket. By the default of 5 ms, token requests became ten times slower."""
_SCIM = Later("authz.web.scim", PATH)


def create_app() -> ASGIApp:
    """The factory a server process calls: settings from file and environment."""
    use_one_heap()
    sys.setswitchinterval(_THREADS_YIELD_AFTER_SECONDS)
    loaded = settings.load()
    configure(level=loaded.log.level, style=loaded.log.format)

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        with ExitStack() as stack:
            # In a thread: secrets may come from far away, and the loop is not to wait for them.
            services = await asyncio.to_thread(stack.enter_context, open_services(loaded))
            await asyncio.to_thread(refuse_to_start, services)
            edge = make_edge(services)
            shortcuts.add(busiest_routes(edge))
            app.router.routes.extend(routes(edge))
            address = watching_address(services)
            drain = edge.drain.on_sigterm(loaded.server.drain_for)
            async with edge.running(), JobRunner(services).running(), address, drain:
                trail = ReadingsTrail(services.database, services.configurations, "server")
                services.secrets.report_to(LoggedReadings(trail))
                # What start-up made stays for ever; unless it is set apart, the collector walks through all
                # of it again and again, and every request under way waits for it.
                gc.collect()
                gc.freeze()
                yield _state(edge)
        drain_log(_LAST_LINES_SECONDS)

    application, shortcuts = _application(life, loaded.server.issuer)
    return application


def build_app(edge: Edge) -> ASGIApp:
    """The application of an edge over services somebody else opened and will close; without the periodic jobs."""

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        shortcuts.add(busiest_routes(edge))
        app.router.routes.extend(routes(edge))
        async with edge.running():
            yield _state(edge)

    application, shortcuts = _application(life, edge.services.settings.server.issuer)
    return application


def _state(edge: Edge) -> dict[str, Any]:
    """What connections are told (`web.connections`)."""
    read_timeout = edge.services.settings.limits.read_timeout.total_seconds()
    return {"read_timeout": read_timeout, "drain": edge.drain}


def busiest_routes(edge: Edge) -> list[BaseRoute]:
    """What clients and servers ask for all day."""
    base = edge.base_path
    return [
        *token.routes(edge, base),
        *introspection.routes(edge, base),
        *authorize.routes(edge, base),
        *discovery.routes(edge),
    ]


def routes(edge: Edge) -> list[BaseRoute]:
    """Everything, the busiest first: routes are tried in order."""
    found: list[BaseRoute] = []
    prefixes = (edge.base_path, f"{edge.base_path}{TENANT_PATH}")
    modules = (
        token,
        introspection,
        outcomes,
        revocation_feed,
        status_list,
        signals,
        ssf,
        par,
        authorize,
        login,
        federation,
        logo,
        approval,
        registration,
        device_authorization,
        device_pages,
        userinfo,
        _SCIM,
        console,
        account,
        api,
    )
    for module in modules:
        for prefix in prefixes:
            found += module.routes(edge, prefix)
        if module is introspection:
            found += discovery.routes(edge)
    static = StaticFiles(directory=Path(__file__).parent / "web" / "static")
    return [*found, *health.routes(edge), Mount(f"{edge.base_path}/static", static)]


def _application(life: Lifespan[FastAPI], issuer: str) -> tuple[ASGIApp, Shortcuts]:
    # No generated documentation pages: they load scripts from elsewhere.
    app = FastAPI(
        title="authz", version=__version__, lifespan=life, openapi_url=None, docs_url=None
    )
    app.router.redirect_slashes = False  # a redirect is one more URL that is almost the right one
    app.add_exception_handler(Exception, _failed)
    for failure in FAILURES:
        app.add_exception_handler(failure, _unanswered)
    shortcuts = Shortcuts(app, failed=_failed)
    observed = Observed(shortcuts, base_path=urlsplit(issuer).path)
    return SecurityHeaders(observed, https=issuer.startswith("https://")), shortcuts


async def _unanswered(request: Request, error: Exception) -> Response:
    """The database failed a good request: it may be sent again, and the answer says when."""
    if not is_unavailable(error):
        raise error
    log.warning("request.unavailable", path=request.url.path, error=type(error).__name__)
    return unavailable(request)


async def _failed(request: Request, error: Exception) -> Response:
    if is_unavailable(error):
        return await _unanswered(request, error)
    support_id = entropy.new_id("sup")
    log.error(
        "request.failed",
        support_id=support_id,
        path=request.url.path,
        exc_info=(type(error), error, error.__traceback__),
    )
    return json_answer({"error": "server_error", "support_id": support_id}, status=500)
