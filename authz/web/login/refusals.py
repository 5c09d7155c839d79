"""Pages for sign-ins at an identity provider that came to nothing, and what the trail says of them."""

import structlog
from starlette.responses import Response

from authz import audit
from authz.audit.events import SignInRefused as Refused
from authz.db.models import Connection
from authz.federation.connector import SignInRefused
from authz.oauth.configuration import TenantConfiguration
from authz.telemetry.metrics import count_denial, sign_in
from authz.web.edge import Edge
from authz.web.login.continuation import AUTHORIZE, Continuation
from authz.web.problems import problem

log = structlog.get_logger()

_RETRY_SECONDS = 30
GONE = "This sign-in is no longer good: it was finished already, is too old, or began in another browser."
_AGAIN = "Try again from the application. If it happens again, give the support id to whoever runs this service."


def refused_page(
    edge: Edge,
    configuration: TenantConfiguration,
    row: Connection,
    refused: SignInRefused,
    continuation: Continuation,
    *,
    is_recorded: bool = False,
) -> Response:
    """An answer that is not believed, or of somebody who is nobody here: the reason stays here.

    `is_recorded` when the trail has it already, as the failure of a known account.
    """
    sign_in(row.kind, row.slug, "refused")
    count_denial("/login", refused.reason)
    log.info("login.refused", connection=row.slug, reason=refused.reason)
    if not is_recorded and edge.limits.may_record_refusal(row.id):
        event = Refused(method=row.kind, connection=row.slug, reason=refused.reason)
        now, tenant_id = edge.services.clock(), configuration.tenant.id
        with edge.services.database.write() as tx:
            audit.record(tx, tenant_id, event, key=configuration.audit_key, now=now)
    return stopped_page(
        edge,
        configuration,
        refused.reason,
        refused.sentence,
        continuation,
        status=503 if refused.is_ours else 403,
    )


def stopped_page(
    edge: Edge,
    configuration: TenantConfiguration,
    reason: str,
    sentence: str,
    continuation: Continuation | None = None,
    *,
    status: int = 403,
) -> Response:
    """Not signed in: why, in a sentence for the person, and the way to try once more."""
    again = None
    if continuation is not None and continuation.then == AUTHORIZE and continuation.query:
        # Unmarked: nobody has signed in for this request yet.
        again = f"{configuration.tenant.path}/authorize?{continuation.query}"
    return problem(
        edge,
        tenant_name=configuration.tenant.name,
        heading="You are not signed in",
        message=sentence,
        code="access_denied" if status == 403 else "temporarily_unavailable",
        reason=reason,
        status=status,
        hint=_AGAIN,
        again_url=again,
        retry_after=None if status == 403 else _RETRY_SECONDS,
    )


def unusable(edge: Edge, heading: str, reason: str, status: int) -> Response:
    """A request nobody of ours made, or an address of nothing."""
    return problem(
        edge,
        tenant_name="",
        heading=heading,
        message="Nothing was changed.",
        code="not_found" if status == 404 else "invalid_request",
        reason=reason,
        status=status,
    )
