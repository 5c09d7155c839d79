"""Errors as pages: what happened, what value it got, the way out, and a support id that leads to the log line."""

from collections.abc import Sequence

import structlog
from starlette.responses import Response

from authz import entropy
from authz.errors import TooManyRequests
from authz.web.edge import Edge

log = structlog.get_logger()

_LONGEST_DETAIL = 300
"""A stranger's values are as long as a request may be."""


def problem(
    edge: Edge,
    *,
    tenant_name: str,
    heading: str,
    message: str,
    code: str,
    reason: str,
    status: int = 400,
    hint: str | None = None,
    detail: Sequence[tuple[str, str]] = (),
    return_url: str | None = None,
    return_host: str | None = None,
    again_url: str | None = None,
    retry_after: int | None = None,
) -> Response:
    """The error page. `return_url` was matched against the client's list; the person decides to follow it.

    `again_url` is of ours: where the person may try once more.
    """
    support_id = entropy.new_id("sup")
    told = [(label, value[:_LONGEST_DETAIL]) for label, value in detail]
    log.info("page.refused", error=code, reason=reason, support_id=support_id, **dict(told))
    page = edge.pages.render(
        "error/error.html",
        status,
        tenant_name=tenant_name,
        page_title=heading,
        static=f"{edge.base_path}/static",
        support_id=support_id,
        heading=heading,
        message=message,
        hint=hint,
        code=code,
        detail=[(label.replace("_", " ").capitalize(), value) for label, value in told],
        return_url=return_url,
        return_host=return_host,
        again_url=again_url,
    )
    if retry_after is not None:
        page.headers["retry-after"] = str(retry_after)
    if status == 413:  # what still arrives is nobody's: the connection ends with the answer
        page.headers["connection"] = "close"
    return page


def too_many(edge: Edge, error: TooManyRequests, *, tenant_name: str = "") -> Response:
    """A budget is used up; the person may simply come back."""
    return problem(
        edge,
        tenant_name=tenant_name,
        heading="Too many requests",
        message="There were too many requests from here within a short time. Nothing was changed.",
        code=error.code,
        reason=error.reason,
        status=error.status,
        hint=f"Wait {error.retry_after} seconds, then try again.",
        retry_after=error.retry_after,
    )
