"""The approval file: who let access grow, and by which plan.

plan: sha256:0f5c…
approved_by: ada@corp.example
approved_at: 2026-11-26T08:00:00Z
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from yaml.nodes import Node, ScalarNode

from authz.errors import Invalid
from authz.policy.yaml_nodes import check_keys, compose, mapping_of, text_of, wrong

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MEMBERS = ("plan", "approved_by", "approved_at")
_LEEWAY = timedelta(minutes=5)
"""Between the clocks of two machines."""


@dataclass(frozen=True)
class Approval:
    """One file."""

    plan: str
    """The digest that `authz plan` printed."""
    approved_by: str
    approved_at: datetime


def read(text: str, now: datetime) -> Approval:
    """Raises Invalid naming the line."""
    root = compose(text, "the approval file")
    if root is None:
        raise Invalid("the approval file is empty; it has `plan`, `approved_by` and `approved_at`")
    members = mapping_of(root, "the approval file")
    check_keys(root, set(_MEMBERS), "the approval file")
    for name in _MEMBERS:
        if name not in members:
            raise wrong(root, f"the approval file has no `{name}`")
    digest = text_of(members["plan"], "`plan`")
    if _DIGEST.fullmatch(digest) is None:
        raise wrong(members["plan"], f"`plan` is {digest[:80]!r}, not a digest that a plan printed")
    by = text_of(members["approved_by"], "`approved_by`").strip()
    if not 1 <= len(by) <= 254 or not by.isprintable():
        raise wrong(members["approved_by"], "`approved_by` says who: 1 to 254 characters")
    at = _moment(members["approved_at"])
    if at > now + _LEEWAY:
        raise wrong(members["approved_at"], "`approved_at` is in the future")
    return Approval(digest, by, at)


def _moment(node: Node) -> datetime:
    text = node.value if isinstance(node, ScalarNode) else ""
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    raise wrong(node, f"`approved_at` is {text!r}; write date, time and zone: 2026-12-31T00:00:00Z")
