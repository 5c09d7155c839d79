"""JSON arguments of operations: a strict model of each, made from its signature, so that it is written once (pure).

Decisions:
- A dataclass that an operation takes is not an argument; its members are. In lists such values are objects.
- Moments are strings with a zone, durations whole seconds. Nothing is converted: `"3"` is no number.
- A refusal names the member, its value and what is possible. The value of a secret member is never repeated.
"""

import dataclasses
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic_core import ErrorDetails

from authz.errors import Invalid
from authz.net import strict_json
from authz.policy import requirements, roles_file
from authz.policy.requirements import Requirement
from authz.policy.roles_file import RolesFile

GIVEN = frozenset({"tx", "operator", "tenant_id"})
_MAX_SECONDS = 100 * 366 * 24 * 3600
_SHOWN = 80

Members = Mapping[str, tuple[Any, Any]]
"""Name -> annotation and default; `...` is none."""


class Arguments(BaseModel):
    """Of one operation."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


@dataclass(frozen=True)
class Signature:
    """How an operation is called."""

    takes_tenant: bool
    members: Members
    """What it takes, those of dataclasses among them."""
    made: Mapping[str, type]
    """Parameter -> the dataclass that is made of members for it."""

    @classmethod
    def of(cls, function: Callable[..., Any], supplied: frozenset[str]) -> "Signature":
        """Read it; of what is supplied nothing is a member."""
        hints = get_type_hints(function)
        members: dict[str, tuple[Any, Any]] = {}
        made: dict[str, type] = {}
        parameters = inspect.signature(function).parameters
        for name, parameter in parameters.items():
            kind = hints[name]
            if name in GIVEN:
                continue
            if _is_record(kind) and name not in supplied:
                made[name] = kind
                members |= _members_of(kind)
            else:
                default = parameter.default
                members[name] = (kind, ... if default is inspect.Parameter.empty else default)
        return cls("tenant_id" in parameters, members, made)

    def arguments_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """JSON arguments, from what the operation was called with by name; the way back of `call_values`."""
        found: dict[str, Any] = {}
        for name, value in values.items():
            if name in self.made:
                parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
                found |= {_alias(f): _written(part) for f, part in parts.items()}
            else:
                found[_alias(name)] = _written(value)
        return found

    def call_values(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Keyword arguments, from members."""
        taken = {f for kind in self.made.values() for f in _members_of(kind)}
        called = {name: value for name, value in values.items() if name not in taken}
        for name, kind in self.made.items():
            called[name] = kind(**{f: values[f] for f in _members_of(kind) if f in values})
        return called


@dataclass(frozen=True)
class Reader:
    """Reads the arguments of one operation."""

    operation: str
    members: Members
    secret: frozenset[str] = frozenset()

    @cached_property
    def model(self) -> type[Arguments]:
        """Made when first needed: a command needs one, not all of them."""
        return create_model(
            f"{self.operation} arguments", __base__=Arguments, **_fields(self.members)
        )

    @property
    def schema(self) -> dict[str, Any]:
        """As JSON Schema."""
        return self.model.model_json_schema(by_alias=True)

    def read(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """By member, in the types that the operation takes. Raises Invalid for the first that is wrong."""
        given = dict(arguments)
        try:
            strict_json.check_text_in(given)
        except strict_json.NotStrict as error:
            raise Invalid(
                f"what {self.operation} is given {error}, or has a NUL character"
            ) from None
        try:
            read = self.model.model_validate_json(json.dumps(given))
        except ValidationError as error:
            found = self._first(error)
            raise Invalid(self._sentence(found), field=str(found["loc"][0])) from None
        return {name: getattr(read, name) for name in self.members}

    @staticmethod
    def _first(error: ValidationError) -> ErrorDetails:
        found = error.errors(include_url=False, include_context=False)
        # A misspelt member comes first: it is why another one is missing.
        return next((it for it in found if it["type"] == "extra_forbidden"), found[0])

    def _sentence(self, first: ErrorDetails) -> str:
        place = ".".join(str(it) for it in first["loc"])
        known = ", ".join(_alias(it) for it in self.members) or "nothing"
        if first["type"] == "extra_forbidden":
            return f"{self.operation} knows no `{place[:_SHOWN]}`; it takes: {known}"
        if first["type"] == "missing":
            return f"`{place}` is missing; {self.operation} takes: {known}"
        said = str(first["msg"]).removeprefix("Value error, ")
        if str(first["loc"][0]) in self.secret:
            return f"`{place}` is refused: {said}"
        shown = repr(first["input"])
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
        return f"`{place}` is {shown}: {said}"


def _written(value: Any) -> Any:
    """As the reader reads it."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return int(value.total_seconds())
    if isinstance(value, Requirement):
        return requirements.as_json(value)
    if isinstance(value, RolesFile):
        return roles_file.dump(value)
    if dataclasses.is_dataclass(value):
        return {_alias(f.name): _written(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _written(it) for name, it in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(map(_written, value))
    if isinstance(value, list | tuple):
        return [_written(it) for it in value]
    return value


def _is_record(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and kind not in (Requirement, RolesFile)


def _members_of(record: Any) -> dict[str, tuple[Any, Any]]:
    hints = get_type_hints(record)
    found = {}
    for field in dataclasses.fields(record):
        if field.default_factory is not MISSING:
            default: Any = field.default_factory()
        else:
            default = ... if field.default is MISSING else field.default
        found[field.name] = (hints[field.name], default)
    return found


def _fields(members: Members) -> dict[str, Any]:
    return {
        name: (
            Annotated[_as_json(kind), Field(validation_alias=_alias(name))],
            default,
        )
        for name, (kind, default) in members.items()
    }


def _alias(name: str) -> str:
    """A parameter that would hide a module ends in an underscore; JSON has none."""
    return name.rstrip("_")


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("it is too far from now") from None


def _seconds(value: object) -> timedelta:
    if type(value) is not int or not 0 <= value <= _MAX_SECONDS:
        raise ValueError(f"a duration is whole seconds, 0 to {_MAX_SECONDS}")
    return timedelta(seconds=value)


def _requirement(value: object) -> Requirement:
    """`{}` demands nothing."""
    try:
        return Requirement() if value == {} else requirements.parse(value)
    except Invalid as error:
        raise ValueError(str(error)) from None


def _roles(value: object) -> RolesFile:
    """The text of a roles file, or the same as JSON, which is YAML."""
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False, indent=1)
    if not isinstance(value, str):
        # Not a TypeError: pydantic makes refusals of this kind alone.
        raise ValueError("roles are an object, or the text of a roles file")  # noqa: TRY004
    try:
        return roles_file.parse(value)
    except Invalid as error:
        raise ValueError(str(error)) from None


_Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
_Seconds = Annotated[
    timedelta,
    PlainValidator(_seconds),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": _MAX_SECONDS}),
]
_Required = Annotated[
    Requirement,
    PlainValidator(_requirement),
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "acr": {"type": "array", "items": {"type": "string"}},
                "max_age": {
                    "type": "integer",
                    "minimum": requirements.MIN_MAX_AGE,
                    "maximum": requirements.MAX_MAX_AGE,
                },
                "connection": {"type": "array", "items": {"type": "string"}},
            },
            "additionalProperties": False,
        }
    ),
]
_Roles = Annotated[
    RolesFile, PlainValidator(_roles), WithJsonSchema({"type": ["object", "string"]})
]
_KINDS: Mapping[Any, Any] = {
    datetime: _Moment,
    timedelta: _Seconds,
    Requirement: _Required,
    RolesFile: _Roles,
}


def _as_json(kind: Any) -> Any:
    """The same annotation, of what JSON can say."""
    if kind in _KINDS:
        return _KINDS[kind]
    if _is_record(kind):
        return _record(kind)
    parts = tuple(_as_json(it) for it in get_args(kind))
    origin = get_origin(kind)
    if not parts or origin is None:
        return kind
    if origin in (Union, UnionType):
        return Union[parts]  # noqa: UP007 -- made, not written
    return (list if origin is Iterable else origin)[parts]


def _record(kind: type) -> Any:
    """An object that becomes the dataclass."""
    members = _members_of(kind)
    model = create_model(kind.__name__, __base__=Arguments, **_fields(members))

    def made(read: Any) -> Any:
        return kind(**{name: getattr(read, name) for name in members})

    return Annotated[model, AfterValidator(made)]
