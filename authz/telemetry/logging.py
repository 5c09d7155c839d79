"""structlog to standard error, one JSON object a line, with names that could carry a secret blanked out.

Redaction is the second line of defence; the first is that nobody logs a token (V7, ATK-66).
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

_SECRET_NAMES = frozenset(
    {
        "access_token", "refresh_token", "code", "code_verifier", "client_secret", "client_assertion",
        "assertion", "password", "token", "cookie", "authorization", "secret", "private_key",
    }
)  # fmt: skip


def configure(*, level: str, style: str) -> None:
    """Set up structlog, and make the standard library's records look the same."""
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
        structlog.processors.format_exc_info,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose name could be a secret's."""
    for name in event:
        if name in _SECRET_NAMES:
            event[name] = "***"
    return event
