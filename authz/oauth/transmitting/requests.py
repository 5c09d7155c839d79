"""What receivers send, read strictly (OpenID SSF 1.0 §8, RFC 8936 §2.2). Pure; raises InvalidRequest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from authz.errors import InvalidRequest
from authz.oauth.transmitting.events import SUPPORTED

POLL, PUSH = "urn:ietf:rfc:8936", "urn:ietf:rfc:8935"
STATUSES = ("enabled", "paused", "disabled")
MAX_AT_ONCE = 100
_MAX_TEXT = 256
_MAX_LIST = 1_000
_MAX_CODE = 64

Body = Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """What a stream should be; None where the request does not say."""

    requested: tuple[str, ...] | None
    description: str | None
    delivery: Mapping[str, Any] | None = None
    """As it was told; only an operator makes it something else."""


@dataclass(frozen=True)
class Poll:
    """One turn of fetching."""

    most: int
    at_once: bool
    acknowledged: tuple[str, ...]
    refused: Mapping[str, str]
    """`jti`, and the code of the error. Refused is as done as acknowledged."""


def read_wanted(body: Body) -> Wanted:
    """A stream as its receiver asks for it; what the transmitter says is not read."""
    delivery = body.get("delivery")
    if delivery is not None and not isinstance(delivery, dict):
        raise unsupported_delivery()
    requested = body.get("events_requested")
    return Wanted(
        None if requested is None else _texts("events_requested", requested),
        _text(body, "description"),
        delivery,
    )


def unsupported_delivery() -> InvalidRequest:
    """Where events are sent is an operator's decision: a receiver names no address that is called (ATK-41)."""
    return InvalidRequest(
        f"events are fetched ({POLL}), or sent where an operator said",
        reason="delivery_unsupported",
    )


def delivered(requested: tuple[str, ...] | list[str]) -> list[str]:
    """Those of the types asked for that there are; all of them where none was named."""
    return [it for it in SUPPORTED if not requested or it in requested]


def read_stream_id(body: Body) -> str:
    """Which stream it is about."""
    return _required(body, "stream_id")


def read_status(body: Body) -> tuple[str, str | None]:
    """A status, and why."""
    status = _required(body, "status")
    if status not in STATUSES:
        raise InvalidRequest(
            f"status is one of {', '.join(STATUSES)}", reason="stream_status_unknown"
        )
    return status, _text(body, "reason")


def read_state(body: Body) -> str | None:
    """What a verification event repeats."""
    return _text(body, "state")


def read_subject(body: Body, issuer: str) -> str:
    """Whom it is about, among those our tokens are about. Whether there is such a person is nobody's question here."""
    subject = body.get("subject")
    if not isinstance(subject, dict):
        raise InvalidRequest("subject is missing", reason="subject_missing")
    if subject.get("format") == "complex":
        if subject.keys() != {"format", "user"} or not isinstance(subject["user"], dict):
            raise InvalidRequest("a complex subject has a user here", reason="subject_unsupported")
        subject = subject["user"]
    if subject.get("format") != "iss_sub" or subject.keys() != {"format", "iss", "sub"}:
        raise InvalidRequest("the subject format is iss_sub", reason="subject_unsupported")
    if subject["iss"] != issuer:
        raise InvalidRequest("the subject is of another issuer", reason="subject_of_other_issuer")
    return _required(subject, "sub")


def read_poll(body: Body) -> Poll:
    """RFC 8936 §2.2."""
    most, at_once = body.get("maxEvents", MAX_AT_ONCE), body.get("returnImmediately", False)
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
        raise InvalidRequest("maxEvents is a number from 0 on", reason="max_events_malformed")
    if not isinstance(at_once, bool):
        raise InvalidRequest(
            "returnImmediately is true or false", reason="return_immediately_malformed"
        )
    return Poll(
        min(most, MAX_AT_ONCE),
        at_once,
        _texts("ack", body.get("ack", [])),
        _errors(body.get("setErrs", {})),
    )


def _errors(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict) or len(value) > _MAX_LIST:
        raise InvalidRequest(
            f"setErrs is an object of at most {_MAX_LIST} tokens", reason="set_errs_malformed"
        )
    if not all(isinstance(it, dict) for it in value.values()):
        raise InvalidRequest("setErrs has an object for each token", reason="set_errs_malformed")
    return {jti: str(it.get("err", ""))[:_MAX_CODE] for jti, it in value.items()}


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_LIST or not all(map(_is_text, value)):
        raise InvalidRequest(
            f"{name} is a list of at most {_MAX_LIST} texts of 1 to {_MAX_TEXT} characters",
            reason=f"{name}_malformed",
        )
    return tuple(value)


def _text(body: Body, name: str) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not _is_text(value):
        raise InvalidRequest(
            f"{name} is a text of 1 to {_MAX_TEXT} characters", reason="text_malformed"
        )
    return value


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= _MAX_TEXT


def _required(body: Body, name: str) -> str:
    found = _text(body, name)
    if found is None:
        raise InvalidRequest(f"{name} is missing", reason=f"{name}_missing")
    return found
