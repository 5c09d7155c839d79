"""A form made from the settings model of a connector, and what was filled in (pure)."""

import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from authz.sections import SecretReference
from authz.web.console.tables import FormField

BY_REFERENCE = "A reference such as env:AUTHZ_SECRET_NAME or vault:PATH#KEY. The secret itself is never typed here."
_END = "-----END CERTIFICATE-----"
_LABELS = {
    "client_id": "Client identifier there",
    "client_auth": "How we authenticate there",
    "entity_id": "Entity ID of the provider",
    "sso_url": "Sign-on address",
    "tenant": "Tenant or domain there",
    "scopes": "Scopes to ask for",
    "issuer": "Issuer",
}


def fields_of(
    model: type[BaseModel], values: Mapping[str, Any], *, is_kept: bool = False
) -> list[FormField]:
    """One for each member; what has no value is left to the preset."""
    return [
        _field(name, info, values.get(name), is_kept=is_kept)
        for name, info in model.model_fields.items()
    ]


def shown(value: Any) -> str:
    """A stored value as a form has it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return str(value)


def read(model: type[BaseModel], given: Mapping[str, str]) -> dict[str, Any]:
    """Settings as JSON, from what was typed; what is empty is None."""
    return {
        name: _read(_kind(info), given.get(name, "").strip())
        for name, info in model.model_fields.items()
        if name in given
    }


def _read(kind: str, text: str) -> Any:
    if not text:
        return None
    if kind == "flag":
        return text == "yes"
    if kind == "list":
        if _END in text:
            return [f"{it.strip()}\n{_END}" for it in text.split(_END) if it.strip()]
        return text.split()
    return text


def _field(name: str, info: FieldInfo, value: Any, *, is_kept: bool) -> FormField:
    label = _LABELS.get(name, name.replace("_", " ").capitalize())
    kind, text = _kind(info), shown(value)
    if kind in ("flag", "choice"):
        options = ["yes", "no"] if kind == "flag" else list(get_args(_bare(info.annotation)))
        choices = [("", "as the preset says"), *((it, it) for it in options)]
        return FormField(name, label, "choice", value=text, choices=choices, is_kept=is_kept)
    hint = BY_REFERENCE if kind == "secret" else ""
    if kind == "list":
        hint = "One a line."
    shape = "area" if kind == "list" or "certificate" in name else kind
    return FormField(name, label, shape, hint=hint, value=text, is_kept=is_kept)


def _kind(info: FieldInfo) -> str:
    bare = _bare(info.annotation)
    if get_origin(bare) is Literal:
        return "choice"
    if bare is bool:
        return "flag"
    if get_origin(bare) in (tuple, list) or bare in (tuple, list):
        return "list"
    return "secret" if _is_secret(info) else "text"


def _bare(annotation: Any) -> Any:
    """Without None and without what is checked of it."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [it for it in get_args(annotation) if it is not type(None)]
        return _bare(inner[0]) if len(inner) == 1 else annotation
    return annotation


def _is_secret(info: FieldInfo) -> bool:
    options: Sequence[Any] = (info.annotation, *get_args(info.annotation))
    return SecretReference in options
