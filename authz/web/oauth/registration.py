"""POST /register, and what a client does with its own registration (RFC 7591, RFC 7592).

JSON only, and never a cookie: a form on another site cannot register anything. Every request spends a budget, those
that are refused too, so that neither the disk nor the audit trail is a stranger's to fill (ATK-61).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz.admin import initial_tokens, registration
from authz.admin.operator import Operator
from authz.admin.registration import Registered
from authz.clients.registration import client_information, registered_metadata
from authz.errors import InvalidToken, OAuthError, RegistrationRefused
from authz.oauth.configuration import TenantConfiguration
from authz.telemetry.metrics import REGISTRATIONS, count_denial
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.edge import Edge
from authz.web.forms import read_json
from authz.web.responses import json_answer, no_content, oauth_error, preflight
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,512})", re.IGNORECASE)


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The registration endpoint and the address of each registration, below a prefix."""
    desk = _Desk(edge)

    async def register(request: Request) -> Response:
        return await answered(request, desk.register, with_body=True)

    async def read(request: Request) -> Response:
        return await answered(request, desk.read)

    async def replace(request: Request) -> Response:
        return await answered(request, desk.replace, with_body=True)

    async def remove(request: Request) -> Response:
        return await answered(request, desk.remove)

    async def answered(
        request: Request, work: Callable[..., Response], *, with_body: bool = False
    ) -> Response:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        network = peer_address(edge, request)
        try:
            edge.limits.registering(slug, network)
            call = _Call(
                slug=slug,
                network=network,
                client_id=request.path_params.get("client_id", ""),
                token=_bearer(request.headers.getlist("authorization")),
                body=await read_json(request) if with_body else {},
            )
            response = await run_in_threadpool(work, call)
        except OAuthError as error:
            log.info("registration.refused", error=error.code, reason=error.reason)
            REGISTRATIONS.labels(error.code).inc()
            count_denial("/register", error.reason)
            return _refused(error)
        REGISTRATIONS.labels("answered").inc()
        return response

    async def options(_: Request) -> Response:
        return preflight("POST, OPTIONS")

    async def own_options(_: Request) -> Response:
        return preflight("GET, PUT, DELETE, OPTIONS")

    path, own = f"{prefix}/register", f"{prefix}/register/{{client_id}}"
    return [
        Route(path, register, methods=["POST"]),
        Route(path, options, methods=["OPTIONS"]),
        Route(own, read, methods=["GET"]),
        Route(own, replace, methods=["PUT"]),
        Route(own, remove, methods=["DELETE"]),
        Route(own, own_options, methods=["OPTIONS"]),
    ]


@dataclass(frozen=True)
class _Call:
    """One request, read but not judged."""

    slug: str
    network: str
    client_id: str
    token: str | None = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)


class _Desk:
    """What is done for each request; blocking, so in a thread."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._services = edge.services

    def register(self, call: _Call) -> Response:
        """RFC 7591 §3."""
        configuration = self._open(call)
        tenant = configuration.tenant
        token = None
        if tenant.registration == "token":
            token = _required(call.token)
            # Said before the metadata is judged; spent with the registration, or not at all.
            with self._services.database.read() as tx:
                initial_tokens.check(tx, tenant.id, token, self._services.clock())
        metadata = self._metadata(configuration, call.body)
        with self._services.database.write() as tx:
            made = registration.register(
                tx,
                self._operator("registration"),
                tenant.id,
                metadata,
                network=call.network,
                limits=self._services.settings.registration,
                initial_token=token,
            )
        log.info("client.registered", client_id=made.client_id, is_new=made.is_new)
        return self._told(configuration, made, status=201)

    def read(self, call: _Call) -> Response:
        """RFC 7592 §2.1."""
        configuration, token = self._find(call), _required(call.token)
        with self._services.database.read() as tx:
            row = registration.load_own(tx, configuration.tenant.id, call.client_id, token)
            found = registration.read(row, token)
        return self._told(configuration, found)

    def replace(self, call: _Call) -> Response:
        """RFC 7592 §2.2."""
        configuration, token = self._open(call), _required(call.token)
        with self._services.database.write() as tx:
            row = registration.load_own(tx, configuration.tenant.id, call.client_id, token)
            registration.check_replacement(row, call.body)
            metadata = self._metadata(configuration, call.body)
            made = registration.replace(tx, self._operator(row.id), row, metadata, token)
        return self._told(configuration, made)

    def remove(self, call: _Call) -> Response:
        """RFC 7592 §2.3."""
        configuration, token = self._find(call), _required(call.token)
        with self._services.database.write() as tx:
            row = registration.load_own(tx, configuration.tenant.id, call.client_id, token)
            registration.remove(tx, self._operator(row.id), row, token)
        return no_content()

    def _find(self, call: _Call) -> TenantConfiguration:
        configuration = self._edge.find_configuration(call.slug)
        if configuration is None:
            raise _NoTenant("there is no such issuer here", reason="tenant_unknown")
        return configuration

    def _open(self, call: _Call) -> TenantConfiguration:
        """Reading and leaving are always possible; what adds or changes anything is not."""
        configuration = self._find(call)
        if configuration.tenant.registration == "off":
            raise RegistrationRefused(
                "clients cannot register here; use a client identifier that is the URL of a metadata document, or "
                "one from an administrator",
                reason="registration_off",
            )
        return configuration

    def _metadata(
        self, configuration: TenantConfiguration, body: Mapping[str, Any]
    ) -> dict[str, Any]:
        return registered_metadata(
            body,
            self._edge.rules,
            is_invited=configuration.tenant.registration == "token",
            scope_ceiling=self._services.settings.registration.scope_ceiling,
        )

    def _operator(self, name: str) -> Operator:
        return Operator.local(name, self._services.clock(), self._services.envelope)

    @staticmethod
    def _told(
        configuration: TenantConfiguration, made: Registered, *, status: int = 200
    ) -> Response:
        body = client_information(
            made.client_id,
            made.metadata,
            issued_at=made.issued_at,
            issuer=configuration.tenant.issuer,
            token=made.token,
            secret=made.secret,
        )
        return json_answer(body, status=status)


class _NoTenant(OAuthError):
    code = "not_found"
    status = 404


def _bearer(headers: list[str]) -> str | None:
    """The token, or None when there is no header. Raises InvalidToken for anything else."""
    if not headers:
        return None
    found = _BEARER.fullmatch(headers[0])
    if len(headers) > 1 or found is None:
        raise InvalidToken("send one bearer token", reason="bearer_malformed")
    return found[1]


def _required(token: str | None) -> str:
    if token is None:
        raise InvalidToken("an access token is required", reason="bearer_missing")
    return token


def _refused(error: OAuthError) -> Response:
    response = oauth_error(error, authorization_sent=False)
    if isinstance(error, InvalidToken):
        # RFC 6750 §3.1: no error code for a request that carried no credentials.
        told = "" if error.reason == "bearer_missing" else ', error="invalid_token"'
        response.headers["www-authenticate"] = f'Bearer realm="authz"{told}'
    return response
