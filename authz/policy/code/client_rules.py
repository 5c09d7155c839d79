"""`client_rules`: whose metadata documents are admitted: exact URLs, hosts, or `*.` and a domain.

client_rules: {https://editor.example/client.json: allow, "*.bad.example": deny}
"""

from typing import Annotated, Literal

from pydantic import Field

from authz.policy.code.entries import Change, Shape


def widens(change: Change) -> bool:
    """One more is allowed, or one less is denied."""
    was = None if change.before is None else change.before["verdict"]
    is_ = None if change.after is None else change.after["verdict"]
    return is_ == "allow" or was == "deny"


SHAPE = Shape(
    dict[Annotated[str, Field(min_length=1, max_length=2048)], Literal["allow", "deny"]],
    widens,
    scalar="verdict",
)
