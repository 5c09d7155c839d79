"""structlog to standard error, one JSON object a line, with what could be a secret blanked out.

Nobody waits for whoever reads the lines (`telemetry.sink`).

Redaction is the second line of defence; the first is that nobody logs a token (V7, ATK-66). It goes by name, at any
depth, and by form: what looks like a JWT, a credential of a header, a secret of ours or a password in a URL is blanked
wherever it stands, in the text of an exception as well.
"""

import atexit
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from authz.telemetry.sink import LogStream

BLANK = "***"
_SECRET_NAMES = frozenset(
    {
        "access_token", "refresh_token", "id_token", "logout_token", "subject_token", "actor_token", "id_token_hint",
        "code", "code_verifier", "device_code", "user_code", "client_secret", "client_assertion", "assertion",
        "password", "passwd", "token", "tokens", "cookie", "set_cookie", "authorization", "proxy_authorization",
        "secret", "secrets", "private_key", "api_key", "dpop", "nonce", "state", "saml_response", "samlresponse",
        "request_uri", "registration_access_token", "initial_access_token", "encryption_key", "bearer", "pin",
    }
)  # fmt: skip
_SECRETS = (
    # From a boundary on: what begins everywhere in a long text of a stranger's takes the square of its length.
    (re.compile(r"(?<![\w-])eyJ[\w-]{6,}(?:\.[\w-]*){1,4}(?<!\.)"), BLANK),
    (re.compile(r"(?i)\b(bearer|basic|dpop)\s+[\w.~+/=-]{8,}"), rf"\1 {BLANK}"),
    # `entropy.new_token`: a prefix of ours and 256 bits.
    (re.compile(r"\b([a-z]{2,8})_[\w-]{43}(?![\w-])"), rf"\1_{BLANK}"),
    (re.compile(r"(?<=://)([^/\s:@]*):[^/\s@]+@"), rf"\1:{BLANK}@"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|\Z)", re.DOTALL), BLANK),
)  # fmt: skip
_DEEPEST = 6


_stream: LogStream | None = None


def configure(*, level: str, style: str) -> None:
    """Set up structlog, and make the standard library's records look the same."""
    global _stream
    stream = _stream = LogStream(sys.stderr)
    atexit.register(stream.drain, 1.0)
    number = getattr(logging, level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        # After the traceback became text: it is the part that nobody wrote with care.
        redact,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(stream),  # type: ignore[arg-type]
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)


def drain(seconds: float) -> None:
    """Before the process ends: have written what was logged, if somebody reads it."""
    if _stream is not None:
        _stream.drain(seconds)


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank every value whose name could be a secret's, and every part of a text that looks like one."""
    for name, value in event.items():
        event[name] = _redacted(name, value, 0)
    return event


def _redacted(name: object, value: object, depth: int) -> object:
    if isinstance(name, str) and name.lower().replace("-", "_") in _SECRET_NAMES:
        return BLANK
    if isinstance(value, str):
        return without_secrets(value)
    if isinstance(value, bytes):
        return BLANK  # nothing of ours logs bytes
    if depth >= _DEEPEST:
        return BLANK
    if isinstance(value, Mapping):
        return {it: _redacted(it, inner, depth + 1) for it, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_redacted(None, inner, depth + 1) for inner in value]
    return value


def without_secrets(text: str) -> str:
    """The text, with everything blanked that has the form of a secret."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
