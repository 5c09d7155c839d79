"""What is done for each request that was let in; blocking, so in a thread."""

from collections.abc import Mapping, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy.orm import Session
from starlette.responses import Response

from authz.admin import idempotency, supplies
from authz.admin.bearer import scopes_left
from authz.admin.deciding import load
from authz.admin.entry import enter_api
from authz.admin.idempotency import Claim
from authz.admin.paging import DEFAULT_LIMIT, MAX_LIMIT
from authz.admin.supplies import Surroundings
from authz.db.leases import wait_for
from authz.errors import AuthzError, Invalid, InvalidToken
from authz.oauth.administering import Admitted
from authz.oauth.configuration import TenantConfiguration
from authz.oauth.own_bearer import REFUSED
from authz.policy.administration import ADMIN_PATH, Permission
from authz.web.api.addresses import address, number_of
from authz.web.api.kit import TENANT, Change, Listing, Look, Route, Thing, Window
from authz.web.api.problems import NO_STORE, Refused
from authz.web.api.representations import Shown, check_seen, is_known, shown
from authz.web.edge import Edge

VERSION = "/v1"
MEDIA_TYPE = "application/json"
_PAGING = frozenset({"limit", "cursor"})
_LIMIT_DIGITS = 9


@dataclass(frozen=True)
class Sent:
    """A request, read but not judged."""

    method: str
    target: str
    """Path and query as they came."""
    path: Mapping[str, str]
    """Segments of the address by name."""
    query: Mapping[str, str]
    body: Mapping[str, Any] = field(repr=False)
    raw: bytes = field(repr=False)
    if_match: str | None = None
    if_none_match: str | None = None
    idempotency_key: str | None = None


class Desk:
    """One per process."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self._services = edge.services

    def answer(self, route: Route, admitted: Admitted, sent: Sent) -> Response:
        """Do it. Raises AuthzError, OAuthError, Refused."""
        try:
            if isinstance(route, Change):
                return self._changed(route, admitted, sent)
            return self._read(route, admitted, sent)
        except AuthzError as error:
            # What the address says is no member, and neither is what is missing.
            error.field = error.field if error.field in sent.body else ""
            raise

    def _read(self, route: Thing | Listing, admitted: Admitted, sent: Sent) -> Response:
        with self._services.database.read() as tx:
            look = self._look(tx, admitted, sent)
            look.operator.must_see(route.permission)
            if isinstance(route, Thing):
                _refuse_unknown(sent.query, route.asks.keys())
                return _represented(shown(route.load(look), route.omit), sent)
            return self._part(route, look, sent)

    def _look(self, tx: Session, admitted: Admitted, sent: Sent) -> Look:
        """Who asks, as of this transaction."""
        configuration = self._current(tx, admitted)
        now = self._services.clock()
        claims = admitted.claims
        operator = enter_api(
            tx,
            configuration,
            claims,
            scopes_left(tx, configuration, claims, now),
            envelope=self._services.envelope,
            secrets=self._services.settings.secrets,
            agents_per_owner=self._services.settings.limits.agents_per_owner,
            now=now,
        )
        return Look(
            tx=tx,
            configuration=configuration,
            operator=operator,
            base=self._services.settings.server.issuer,
            path={**sent.path, TENANT: configuration.tenant.slug},
            query=sent.query,
        )

    def _current(self, tx: Session, admitted: Admitted) -> TenantConfiguration:
        slug = admitted.configuration.tenant.slug
        found = self._services.configurations.find(tx, slug)
        if found is None:
            raise InvalidToken(REFUSED, reason="tenant_disabled")
        return found

    def _part(self, route: Listing, look: Look, sent: Sent) -> Response:
        known = _PAGING | route.filters.keys() | ({"q"} if route.searches else set())
        _refuse_unknown(sent.query, known)
        window = Window(
            after=sent.query.get("cursor"),
            limit=_limit(sent.query.get("limit")),
            matching=sent.query.get("q", ""),
            filters={n: v for n, v in sent.query.items() if n in route.filters},
        )
        part = route.page(look, window)
        answer = _represented(shown({"items": part.rows, "next": part.next}), sent)
        if part.next is not None:
            path = sent.target.partition("?")[0]
            others = {**sent.query, "cursor": part.next}
            answer.headers["link"] = f'<{path}?{urlencode(others)}>; rel="next"'
        return answer

    def _changed(self, route: Change, admitted: Admitted, sent: Sent) -> Response:
        _refuse_unknown(sent.query, frozenset())
        arguments = _arguments(route, sent, admitted.configuration.tenant.slug)
        with self._services.database.read() as tx:
            look = self._look(tx, admitted, sent)
        around = self._surroundings(look)
        supplied = load(route.operation).prepare(look.operator, arguments, around)
        claim = self._claim(route, admitted, sent, look)
        if isinstance(claim, idempotency.Answer):
            return _replayed(claim)
        try:
            with self._services.database.write() as tx:
                answer = self._perform(tx, route, admitted, sent, arguments, supplied)
                if claim is not None:
                    kept = replace(answer, body=None) if _shows_secret(route) else answer
                    idempotency.finish(tx, claim, kept)
        except BaseException:
            self._let_go(claim)
            raise
        return _sent(answer)

    def _claim(
        self, route: Change, admitted: Admitted, sent: Sent, look: Look
    ) -> Claim | idempotency.Answer | None:
        if sent.idempotency_key is None:
            return None
        with self._services.database.write() as tx:
            found = idempotency.begin(
                tx,
                look.tenant_id,
                caller=f"{admitted.claims['client_id']}\x00{admitted.claims['sub']}",
                key=sent.idempotency_key,
                request=b"\x00".join((sent.method.encode(), sent.target.encode(), sent.raw)),
                secret=admitted.configuration.audit_key,
                now=look.now,
            )
        if isinstance(found, idempotency.Answer) and _shows_secret(route):
            raise Refused(
                409,
                "secret_shown_once",
                "this was done, and its answer had a secret in it that is shown once and not kept; "
                "make a new secret if it was lost",
            )
        return found

    def _let_go(self, claim: Claim | None) -> None:
        if claim is not None:
            with suppress(Exception), self._services.database.write() as tx:
                idempotency.forget(tx, claim)

    def _perform(
        self,
        tx: Session,
        route: Change,
        admitted: Admitted,
        sent: Sent,
        arguments: Mapping[str, Any],
        supplied: supplies.Values,
    ) -> idempotency.Answer:
        if route.thing is not None:
            # Before any other lock: of two who saw the same, the second finds what the first made of it.
            wait_for(tx, f"admin_api:{admitted.configuration.tenant.id}", self._services.clock())
        look = self._look(tx, admitted, sent)
        operation = load(route.operation)
        operation.admit(look.operator)
        if route.thing is not None:
            before = shown(route.thing.load(look), route.thing.omit)
            may_see = look.operator.may(Permission.READ)
            check_seen(sent.if_match, before, may_see=may_see)
        done = operation.run(tx, look.operator, look.tenant_id, arguments, supplied)
        return _answered(route, look, done)

    def _surroundings(self, look: Look) -> Surroundings:
        return Surroundings(
            tenant_id=look.tenant_id,
            issuer=look.tenant.issuer,
            settings=self._services.settings,
            database=self._services.database,
            connectors=self._edge.connectors,
            custody=self._services.custody,
            now=look.now,
            operator=look.operator,
        )


def _answered(route: Change, look: Look, done: Any) -> idempotency.Answer:
    if route.made is not None:
        way = [
            look.path[it[1:-1]] if it.startswith("{") else it for it in route.path[1:].split("/")
        ]
        place = f"{look.tenant.issuer}{ADMIN_PATH}{VERSION}/{address(*way, *route.made(done))}"
        what = done if route.told is None else route.told(look, done)
        return idempotency.Answer(201, shown(what).text, place)
    if route.thing is not None and route.method != "DELETE":
        now = route.thing.load(look) if route.told is None else route.told(look, done)
        after = shown(now, route.thing.omit)
        return idempotency.Answer(200, after.text, etag=after.tag)
    if route.answer is not None:
        return idempotency.Answer(200, shown({route.answer: done}).text)
    return (
        idempotency.Answer(204, "") if done is None else idempotency.Answer(200, shown(done).text)
    )


def _shows_secret(route: Change) -> bool:
    return load(route.operation).shows_secret


def _arguments(route: Change, sent: Sent, tenant: str) -> dict[str, Any]:
    """Of the address, of the route and of the body; the body says nothing that the address says. Raises Invalid."""
    path = {**sent.path, TENANT: tenant}
    given = {
        argument: _said(route, argument, path[segment])
        for segment, argument in route.inputs.items()
    }
    if route.body is not None:
        return {**given, route.body: sent.body}
    twice = sorted(given.keys() & sent.body.keys())
    if twice:
        raise Invalid(f"`{twice[0]}` is said by the address; leave it out of the body")
    return {**sent.body, **given}


def _said(route: Change, argument: str, text: str) -> Any:
    """A segment of the address, as a number where the operation takes one. Raises NotFound."""
    kind, _ = load(route.operation).reader.members.get(argument, (str, None))
    return number_of(argument, text) if kind is int else text


def _refuse_unknown(query: Mapping[str, str], known: Set[str]) -> None:
    for name in query:
        if name not in known:
            there_are = ", ".join(sorted(known)) or "none"
            raise Invalid(f"the parameter {name[:80]!r} is not known here; there are: {there_are}")


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    wanted = int(text) if text.isascii() and text.isdecimal() and len(text) <= _LIMIT_DIGITS else 0
    if not 1 <= wanted <= MAX_LIMIT:
        raise Invalid(f"limit {text[:80]!r} is not a number from 1 to {MAX_LIMIT}")
    return wanted


def _represented(what: Shown, sent: Sent) -> Response:
    headers = {**NO_STORE, "etag": what.tag}
    if is_known(sent.if_none_match, what):
        return Response(status_code=304, headers=headers)
    return Response(what.text, headers=headers, media_type=MEDIA_TYPE)


def _sent(answer: idempotency.Answer) -> Response:
    headers = dict(NO_STORE)
    if answer.location is not None:
        headers["location"] = answer.location
    if answer.etag is not None:
        headers["etag"] = answer.etag
    if answer.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(answer.body, answer.status, headers, MEDIA_TYPE)


def _replayed(answer: idempotency.Answer) -> Response:
    response = _sent(answer)
    response.headers["idempotency-replayed"] = "true"
    return response
