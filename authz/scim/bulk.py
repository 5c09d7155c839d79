"""Bulk (RFC 7644 §3.7): many operations in one request, each in a transaction of its own.

What one refers to by `bulkId` is done before it, wherever it stands; a circle cannot be done, and is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from authz.errors import InvalidToken
from authz.scim.calls import Answer, Call, Caller
from authz.scim.errors import (
    ERROR_SCHEMA,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    ScimError,
    TooLarge,
    Unresolved,
)
from authz.scim.reading import Document

log = structlog.get_logger()

BULK = "Bulk"
MAX_OPERATIONS = 1000
MAX_PAYLOAD_BYTES = 1024 * 1024
RESPONSE_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
_METHODS = ("POST", "PUT", "PATCH", "DELETE")
_KINDS = ("Users", "Groups")
_REFERENCE = "bulkId:"

Handle = Callable[[Caller, Call], Answer]


@dataclass
class _Operation:
    """One of them, as it was sent, and then what came of it."""

    method: str
    path: str
    bulk_id: str | None
    version: str | None
    data: Mapping[str, Any] | None
    defect: ScimError | None = None
    result: Document | None = field(default=None)

    @property
    def failed(self) -> bool:
        return self.result is not None and int(self.result["status"]) >= 400

    def references(self) -> set[str]:
        """The bulk ids it needs."""
        texts = [it for it in self.path.split("/") if it.startswith(_REFERENCE)]
        return {it.removeprefix(_REFERENCE) for it in (*texts, *_references(self.data))}


def run(handle: Handle, caller: Caller, call: Call) -> Answer:
    """Do them. Raises ScimError for the request as a whole; what is wrong with one operation is its own result."""
    body = {name.lower(): value for name, value in call.message().items()}
    operations = _read(body.get("operations"))
    most_errors = body.get("failonerrors")
    if most_errors is not None and (
        isinstance(most_errors, bool) or not isinstance(most_errors, int) or most_errors < 1
    ):
        raise InvalidValue("failOnErrors is a number of errors", reason="bulk_fail_on_errors")
    ids: dict[str, str | None] = {}
    errors = 0
    for operation in _ordered(operations):
        if most_errors is not None and errors >= most_errors:
            break
        operation.result = _result(handle, caller, call, operation, ids)
        errors += operation.failed
    results = [it.result for it in operations if it.result is not None]
    return Answer(200, {"schemas": [RESPONSE_SCHEMA], "Operations": results})


def _read(raw: Any) -> list[_Operation]:
    if not isinstance(raw, list) or not raw:
        raise InvalidSyntax("Operations is a list of operations", reason="bulk_operations_missing")
    if len(raw) > MAX_OPERATIONS:
        raise TooLarge(f"a request has at most {MAX_OPERATIONS} operations", reason="bulk_too_many")
    operations = [_operation(it) for it in raw]
    named = [it.bulk_id for it in operations if it.bulk_id is not None]
    if len(set(named)) < len(named):
        raise InvalidValue("a bulkId is there twice", reason="bulk_id_twice")
    return operations


def _operation(raw: Any) -> _Operation:
    if not isinstance(raw, Mapping):
        raise InvalidSyntax("an operation is an object", reason="bulk_operation_malformed")
    sent = {name.lower(): value for name, value in raw.items()}
    texts = {}
    for name in ("method", "path", "bulkid", "version"):
        value = sent.get(name)
        if value is not None and (not isinstance(value, str) or len(value) > 256):
            raise InvalidSyntax(f"{name} is a text", reason="bulk_operation_malformed")
        texts[name] = value
    data = sent.get("data")
    made = _Operation(
        method=(texts["method"] or "").upper(),
        path=(texts["path"] or "").removeprefix("/"),
        bulk_id=texts["bulkid"],
        version=texts["version"],
        data=data if isinstance(data, Mapping) else None,
    )
    kind, _, id_ = made.path.partition("/")
    if made.method not in _METHODS:
        made.defect = InvalidSyntax(
            "method is POST, PUT, PATCH or DELETE", reason="bulk_method_unknown"
        )
    elif kind not in _KINDS or bool(id_) == (made.method == "POST") or id_ == ".search":
        made.defect = InvalidPath("path is /Users, /Groups, or one of them", reason="bulk_path")
    elif made.method == "POST" and made.bulk_id is None:
        made.defect = InvalidValue("a POST has a bulkId", reason="bulk_id_missing")
    return made


def _ordered(operations: list[_Operation]) -> Iterator[_Operation]:
    """In their order, each after those it refers to; what stands in a circle comes last, undone."""
    makers = {it.bulk_id: it for it in operations if it.bulk_id is not None}
    waiting = list(operations)
    while waiting:
        later = []
        for operation in waiting:
            needed = [makers[name] for name in operation.references() if name in makers]
            if any(it.result is None for it in needed):
                later.append(operation)
            else:
                yield operation
        if len(later) == len(waiting):
            for operation in later:
                operation.defect = _unresolved()
                yield operation
            return
        waiting = later


def _result(
    handle: Handle, caller: Caller, call: Call, operation: _Operation, ids: dict[str, str | None]
) -> Document:
    told: Document = {"method": operation.method or None, "bulkId": operation.bulk_id}
    try:
        answer = handle(caller, _call(call, operation, ids))
    except ScimError as error:
        return _present(
            told, status=error.status, response=error.body(), location=_at(caller, operation)
        )
    except InvalidToken as error:
        refused = {
            "schemas": [ERROR_SCHEMA],
            "status": str(error.status),
            "detail": error.description,
        }
        return _present(
            told, status=error.status, response=refused, location=_at(caller, operation)
        )
    except Exception:
        # The operations before it stand, and the client has to know which.
        log.exception("scim.bulk_operation_failed", method=operation.method)
        failed = {"schemas": [ERROR_SCHEMA], "status": "500", "detail": "the server failed"}
        return _present(told, status=500, response=failed, location=_at(caller, operation))
    location = answer.location or _at(caller, operation)
    if operation.bulk_id is not None and location is not None:
        ids[operation.bulk_id] = location.rpartition("/")[2]
    return _present(told, status=answer.status, location=location, version=answer.etag)


def _call(call: Call, operation: _Operation, ids: Mapping[str, str | None]) -> Call:
    if operation.defect is not None:
        raise operation.defect
    if operation.references() - ids.keys():
        raise _unresolved()
    path = "/".join(_resolved(it, ids) for it in operation.path.split("/"))
    data = None if operation.data is None else _resolved(operation.data, ids)
    return Call(
        method=operation.method,
        path=path,
        received_at=call.received_at,
        body=data,
        if_match=operation.version,
    )


def _resolved(value: Any, ids: Mapping[str, str | None]) -> Any:
    if isinstance(value, str) and value.startswith(_REFERENCE):
        return ids[value.removeprefix(_REFERENCE)]
    if isinstance(value, Mapping):
        return {name: _resolved(it, ids) for name, it in value.items()}
    if isinstance(value, list):
        return [_resolved(it, ids) for it in value]
    return value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if value.startswith(_REFERENCE):
            yield value
    elif isinstance(value, Mapping):
        for it in value.values():
            yield from _references(it)
    elif isinstance(value, list):
        for it in value:
            yield from _references(it)


def _at(caller: Caller, operation: _Operation) -> str | None:
    return None if operation.method == "POST" else f"{caller.base}/{operation.path}"


def _present(told: Document, *, status: int, **more: Any) -> Document:
    made = {**told, **more, "status": str(status)}
    return {name: value for name, value in made.items() if value is not None}


def _unresolved() -> Unresolved:
    return Unresolved("the operation it refers to was not done", reason="bulk_id_unresolved")
