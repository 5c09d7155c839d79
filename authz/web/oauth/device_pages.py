"""The pages on which a person allows a device (RFC 8628 §3.3): type the code, look at who asks, answer.

Everything here is blocking and runs in a thread. A link never answers and never even looks a code up: it fills in the
field, and the person presses the button (DEV-02, ATK-21). Before sign-in nothing is said about a code.
"""

from collections.abc import Mapping
from urllib.parse import urlencode

import structlog
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from authz import audit
from authz.audit.events import SessionEnded
from authz.directory.sessions import SignedIn, end_session, find_session, hold
from authz.errors import OAuthError, TooManyRequests
from authz.oauth import device_approval as engine
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.device_approval import Answer, WaitingDevice
from authz.oauth.devices import shown_user_code, user_code_digest
from authz.oauth.pending import find_pending_device, store_pending_device, take_pending
from authz.telemetry.metrics import DEVICE_ANSWERS
from authz.tenants import DEFAULT_SLUG
from authz.web.addresses import peer_address
from authz.web.cookies import drop_session, read_session
from authz.web.csrf import is_own_form
from authz.web.edge import Edge
from authz.web.forms import read_form, read_query
from authz.web.login.continuation import DEVICE
from authz.web.login.pages import login_page
from authz.web.oauth.consent_page import READING, reading
from authz.web.oauth.device_views import answered_page, confirm_page, enter_page
from authz.web.oauth.stops import answered_already, foreign_form, no_tenant, unreadable
from authz.web.problems import too_many
from authz.web.responses import see_other
from authz.web.threads import run_in_threadpool

log = structlog.get_logger()

NOT_GOOD = "There is no such code, or it is no longer good. Compare it with your device."
"""One sentence for codes that never were, have expired, were answered, or are another tenant's."""

Fields = list[tuple[str, str]]


def routes(edge: Edge, prefix: str) -> list[Route]:
    """The pages below a prefix. No CORS here, ever."""

    async def enter(request: Request) -> Response:
        try:
            edge.limits.admit("device", address=peer_address(edge, request))
            params, _ = read_query(request)
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError as error:
            return unreadable(edge, error)
        visit = _visit(request)
        return await run_in_threadpool(visit.enter, params.find("user_code") or "")

    async def look_up(request: Request) -> Response:
        return await _posted(request, "look_up")

    async def confirm(request: Request) -> Response:
        return await _posted(request, "confirm")

    async def switch(request: Request) -> Response:
        return await _posted(request, "switch")

    async def _posted(request: Request, step: str) -> Response:
        if not is_own_form(request, edge.services.settings.server.issuer):
            return foreign_form(edge)
        try:
            edge.limits.admit("device", address=peer_address(edge, request))
            fields = await read_form(request)
        except TooManyRequests as error:
            return too_many(edge, error)
        except OAuthError as error:
            return unreadable(edge, error)
        return await run_in_threadpool(getattr(_visit(request), step), fields)

    def _visit(request: Request) -> _Visit:
        slug = request.path_params.get("slug", DEFAULT_SLUG)
        return _Visit(edge, slug, read_session(edge, slug, request), peer_address(edge, request))

    return [
        Route(f"{prefix}/device", enter, methods=["GET"]),
        Route(f"{prefix}/device", look_up, methods=["POST"]),
        Route(f"{prefix}/device/confirm", confirm, methods=["POST"]),
        Route(f"{prefix}/device/switch", switch, methods=["POST"]),
    ]


class _Visit:
    """One request of one browser."""

    def __init__(self, edge: Edge, slug: str, cookie: str | None, address: str) -> None:
        self.edge = edge
        self.slug = slug
        self.cookie = cookie
        self.address = address
        self.database = edge.services.database
        self.now = edge.services.clock()

    def enter(self, user_code: str) -> Response:
        """GET /device."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        if signed_in is None:
            return self._sign_in(configuration, user_code)
        return enter_page(self.edge, configuration, signed_in, user_code)

    def look_up(self, fields: Fields) -> Response:
        """POST /device: which device has this code?"""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        typed = _only(fields, "user_code")
        if signed_in is None:
            return self._sign_in(configuration, typed)
        digest = user_code_digest(typed)
        if digest is None:
            # Not a guess: it cannot be anybody's code.
            return self._not_good(configuration, signed_in, typed, "user_code_malformed")
        try:
            self.edge.limits.guess_user_code(signed_in.user_id, self.address)
        except TooManyRequests as error:
            return self._too_many(configuration, signed_in, error)
        with self.database.read() as tx:
            device = engine.find_by_user_code(tx, configuration, digest, self.now)
            if device is not None:
                decision = engine.decide_for(tx, configuration, signed_in, device, self.now)
        if device is None:
            return self._not_good(configuration, signed_in, typed, "user_code_not_pending")
        with self.database.write() as tx:
            confirm_id = store_pending_device(
                tx,
                configuration.tenant.id,
                signed_in,
                device.client,
                device.digest,
                device.resource.versions_of(decision.granted),
                self.now,
            )
        DEVICE_ANSWERS.labels("shown").inc()
        return confirm_page(
            self.edge,
            configuration,
            signed_in,
            device,
            decision,
            confirm_id=confirm_id,
            user_code=typed,
            address=self.address,
            now=self.now,
        )

    def confirm(self, fields: Fields) -> Response:
        """POST /device/confirm: the person's answer, once."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        decision = [value for name, value in fields if name == "decision"]
        if signed_in is None or decision not in (["allow"], [READING], ["deny"]):
            return self._gone(configuration)
        chosen = frozenset(value for name, value in fields if name == "scope")
        with self.database.write() as tx:
            taken = self._take(tx, configuration, signed_in, _only(fields, "confirm_id"))
            if taken is None:
                return self._gone(configuration)
            device, seen = taken
            if decision == [READING]:
                chosen = reading(device.resource, chosen)
            if decision != ["deny"]:
                answer = engine.allow(
                    tx, configuration, signed_in, device, chosen, seen=seen, now=self.now
                )
            else:
                answer = engine.deny(tx, configuration, signed_in, device, self.now)
        if answer is None:
            return self._gone(configuration)
        allowed = answer is Answer.ALLOWED
        DEVICE_ANSWERS.labels(answer.value).inc()
        return answered_page(self.edge, configuration, device, allowed=allowed)

    def switch(self, fields: Fields) -> Response:
        """POST /device/switch: sign out, and type the code again as somebody else."""
        configuration = self.edge.find_configuration(self.slug)
        if configuration is None:
            return no_tenant(self.edge)
        signed_in = self._signed_in(configuration)
        if signed_in is not None:
            with self.database.write() as tx:
                end_session(tx, signed_in.digest, self.now)
                event = SessionEnded(subject=signed_in.user_id)
                audit.record(
                    tx, configuration.tenant.id, event, key=configuration.audit_key, now=self.now
                )
        query = _query(_only(fields, "user_code"))
        response = see_other(f"{configuration.tenant.path}/device{'?' if query else ''}{query}")
        drop_session(self.edge, self.slug, response)
        return response

    def _take(
        self, tx: Session, configuration: TenantConfiguration, signed_in: SignedIn, confirm_id: str
    ) -> tuple[WaitingDevice, Mapping[str, int]] | None:
        """The device this session was shown, if it still waits and its client is who it was (CIMD-28).

        With it which version of each scope was shown.
        """
        if not hold(tx, signed_in.digest):
            return None
        pending = find_pending_device(tx, confirm_id, signed_in, self.now)
        if pending is None or not take_pending(tx, confirm_id, signed_in, self.now):
            return None
        device = engine.find_by_digest(tx, configuration, pending.device, self.now)
        if device is None or device.client.digest != pending.client_digest:
            return None
        return device, pending.versions

    def _signed_in(self, configuration: TenantConfiguration) -> SignedIn | None:
        with self.database.read() as tx:
            return find_session(
                tx, tenant_id=configuration.tenant.id, token=self.cookie, now=self.now
            )

    def _sign_in(self, configuration: TenantConfiguration, user_code: str) -> Response:
        return login_page(
            self.edge,
            configuration,
            continue_query=_query(user_code),
            client=None,
            client_id="",
            then=DEVICE,
        )

    def _gone(self, configuration: TenantConfiguration) -> Response:
        DEVICE_ANSWERS.labels("gone").inc()
        return answered_already(self.edge, configuration)

    def _not_good(
        self, configuration: TenantConfiguration, signed_in: SignedIn, typed: str, reason: str
    ) -> Response:
        DEVICE_ANSWERS.labels("unknown").inc()
        log.info("device.refused", reason=reason, user=signed_in.user_id)
        return enter_page(self.edge, configuration, signed_in, typed, error=NOT_GOOD, status=400)

    def _too_many(
        self, configuration: TenantConfiguration, signed_in: SignedIn, error: TooManyRequests
    ) -> Response:
        DEVICE_ANSWERS.labels("limited").inc()
        log.info("device.refused", reason=error.reason, user=signed_in.user_id)
        sentence = f"Too many codes were tried. Wait {error.retry_after} seconds, then try again."
        page = enter_page(
            self.edge, configuration, signed_in, "", error=sentence, status=error.status
        )
        page.headers["retry-after"] = str(error.retry_after)
        return page


def _only(fields: Fields, name: str) -> str:
    """The first value of a field of our own form; empty when it has none."""
    return next((value for given, value in fields if given == name), "")


def _query(user_code: str) -> str:
    """What of a link is kept: a code, in one spelling, and nothing else."""
    shown = shown_user_code(user_code)
    return urlencode({"user_code": shown}) if shown else ""
