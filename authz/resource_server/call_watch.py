"""A block in which one call of a tool is served: how it ends is what is reported."""

import time
from types import TracebackType
from typing import Self

from authz.resource_server.access_token import AccessToken
from authz.resource_server.errors import AccessError
from authz.resource_server.messages import ToolCall
from authz.resource_server.outcome import DENIED, ERROR, OK, Began
from authz.resource_server.reporting import Reporter


class CallWatch:
    """One call under way. Without a reporter it watches nothing."""

    def __init__(self, reporter: Reporter | None, token: AccessToken, call: ToolCall) -> None:
        self._reporter, self._token, self._call = reporter, token, call
        self._began = None if reporter is None else Began(reporter.clock(), time.monotonic())
        self.is_error = False
        """Set it when the tool has answered, and its answer says that it failed."""

    def __enter__(self) -> Self:
        """The clock runs since the watch was made."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Report how it ended."""
        if self._reporter is None:
            return
        outcome, reason = OK, None
        if isinstance(error, AccessError):
            outcome, reason = DENIED, error.reason
        elif error is not None or self.is_error:
            is_failure = error is None or isinstance(error, Exception)
            outcome, reason = ERROR, "tool_error" if is_failure else "cancelled"
        self._reporter.report(self._token, self._call, outcome, reason, self._began)
