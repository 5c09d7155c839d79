"""PATCH (RFC 7644 §3.5.2), in the shapes that directories really send (pure).

scim2-models applies operations to a user and to the few attributes of a group. Members are read here into one change,
because a group of thousands is not loaded to add one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError
from scim2_models import Context, PatchOp, Path, Resource, SCIMException
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    LogicalExpr,
    LogicalOperator,
    ValuePath,
)

from authz.scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    TooLarge,
)
from authz.scim.reading import Document, member_ids, split, written
from authz.scim.refusals import refusal_of
from authz.scim.schema import GROUP, POLICY, USER, Group, Person

PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MAX_OPERATIONS = 100
MAX_GROUP_OPERATIONS = 1000
_MAX_PATH_CHARS = 512
# Okta sends the id beside what it changes; elsewhere they come along because the whole resource is sent back.
_OURS = frozenset({"id", "meta", "groups", "schemas"})

Operation = Mapping[str, Any]


@dataclass(frozen=True)
class MemberChange:
    """What becomes of the members of a group: those there were, if they count, less some, and some more."""

    keeps: bool = True
    removed: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()

    def adding(self, ids: frozenset[str]) -> "MemberChange":
        """And then these come in."""
        return replace(self, removed=self.removed - ids, added=self.added | ids)

    def removing(self, ids: frozenset[str]) -> "MemberChange":
        """And then these go out."""
        return replace(self, removed=self.removed | ids, added=self.added - ids)

    @staticmethod
    def exactly(ids: frozenset[str]) -> "MemberChange":
        """These and nobody else."""
        return MemberChange(keeps=False, added=ids)

    def of(self, current: frozenset[str]) -> frozenset[str]:
        """Who is in the group afterwards."""
        return ((current if self.keeps else frozenset()) - self.removed) | self.added


def patch_user(document: Document, body: Mapping[str, Any]) -> Document:
    """The user after all operations of the message, or none of them. Raises ScimError."""
    operations = _operations(body, most=MAX_OPERATIONS)
    return _applied(_USERS, document, operations)


def patch_group(document: Document, body: Mapping[str, Any]) -> tuple[Document, MemberChange]:
    """The group after all operations, and what becomes of its members. Raises ScimError."""
    change, others = MemberChange(), []
    for operation in _operations(body, most=MAX_GROUP_OPERATIONS):
        rest, path, value = operation, operation.get("path"), operation.get("value")
        if path is None and isinstance(value, Mapping):
            value, members = split(value, "members")
            if any(key.lower() == "members" for key in operation["value"]):
                change = _changed(change, operation["op"], members, has_value=True)
            rest = {**operation, "value": value}
            if not value:
                continue
        elif path is not None and (selected := _member_path(path)) is not None:
            change = _member_step(change, operation, selected)
            continue
        others.append(rest)
    if others:
        document = _applied(_GROUPS, document, others)
    return document, change


def _operations(body: Mapping[str, Any], *, most: int) -> list[Document]:
    _, found = split(body, "operations")
    if not isinstance(found, list) or not found:
        raise InvalidSyntax("Operations is a list of operations", reason="operations_missing")
    if len(found) > most:
        raise TooLarge(f"a PATCH has at most {most} operations", reason="operations_too_many")
    return [_operation(it) for it in found]


def _operation(raw: Any) -> Document:
    """By the names of RFC 7644 §3.5.2, with what is ours alone left out of a value without path."""
    if not isinstance(raw, Mapping):
        raise InvalidSyntax("an operation is an object", reason="operation_malformed")
    rest, op = split(raw, "op")
    rest, path = split(rest, "path")
    has_value = any(key.lower() == "value" for key in rest)
    _, value = split(rest, "value")
    if not isinstance(op, str) or op.lower() not in ("add", "remove", "replace"):
        raise InvalidSyntax("op is add, remove or replace", reason="operation_unknown")
    if path is not None and (not isinstance(path, str) or not 1 <= len(path) <= _MAX_PATH_CHARS):
        raise InvalidPath(f"a path has 1 to {_MAX_PATH_CHARS} characters", reason="path_length")
    if path is None and isinstance(value, Mapping):
        value = {key: it for key, it in value.items() if key.lower() not in _OURS}
    made: Document = {"op": op.lower()}
    if path is not None:
        made["path"] = path
    if has_value:
        made["value"] = value
    return made


@dataclass(frozen=True)
class _Patched:
    """A resource type, and the messages about it: made once, because the library makes a class for them."""

    schema: str
    model: type[Resource[Any]]
    message: Any
    """`PatchOp` of it."""


_USERS = _Patched(USER, Person, PatchOp[Person])
_GROUPS = _Patched(GROUP, Group, PatchOp[Group])


def _applied(kind: _Patched, document: Document, operations: Sequence[Operation]) -> Document:
    message = {"schemas": [PATCH_SCHEMA], "Operations": operations}
    try:
        stored = {"schemas": [kind.schema], **document}
        resource = kind.model.model_validate(stored, scim_policy=POLICY)
        patch = kind.message.model_validate(
            message, scim_ctx=Context.RESOURCE_PATCH_REQUEST, scim_policy=POLICY
        )
        patch.patch(resource, scim_policy=POLICY)
    except (ValidationError, SCIMException) as error:
        raise refusal_of(error) from None
    return written(resource)


def _member_path(text: str) -> AttrPath | ValuePath | None:
    """The path, if it leads to members."""
    try:
        node = Path(text).ast
    except SCIMException as error:
        raise refusal_of(error) from None
    path = node if isinstance(node, AttrPath) else getattr(node, "attr_path", None)
    if path is None or path.attr.lower() != "members" or path.uri not in (None, GROUP):
        return None
    if path.sub_attr is not None or not isinstance(node, AttrPath | ValuePath):
        raise InvalidPath("members are added and removed whole", reason="member_path")
    return node


def _member_step(
    change: MemberChange, operation: Operation, selected: AttrPath | ValuePath
) -> MemberChange:
    if isinstance(selected, AttrPath):
        has_value = "value" in operation
        return _changed(change, operation["op"], operation.get("value"), has_value=has_value)
    if operation["op"] != "remove" or selected.sub_attr is not None:
        raise InvalidPath("a member is selected to be removed", reason="member_path")
    return change.removing(_named(selected.val_filter))


def _changed(change: MemberChange, op: str, value: Any, *, has_value: bool) -> MemberChange:
    if op == "remove" and not has_value:
        return MemberChange.exactly(frozenset())
    if not has_value or (op == "add" and value is None):
        raise InvalidValue(f"{op} needs a value", reason="member_value_missing")
    ids = member_ids(value)
    if op == "replace":
        return MemberChange.exactly(ids)
    return change.adding(ids) if op == "add" else change.removing(ids)


def _named(node: FilterNode) -> frozenset[str]:
    """`value eq "id"`, or several of them."""
    if isinstance(node, LogicalExpr) and node.op is LogicalOperator.or_:
        return frozenset[str]().union(*(_named(term) for term in node.terms))
    if (
        isinstance(node, Comparison)
        and node.op is CompareOperator.eq
        and node.attr_path.attr.lower() == "value"
        and isinstance(node.value, str)
    ):
        return member_ids({"value": node.value})
    raise InvalidFilter('members are selected by value eq "id"', reason="member_filter")
