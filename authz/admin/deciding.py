"""What administrators decide about changes of policy, by name, like the operations that the changes are of.

Apart from `operations`, because a change is of one of those, and no change is of a decision.
"""

from collections.abc import Mapping

from authz.admin import changes, operations
from authz.admin.operations import Operation
from authz.policy.administration import Permission

DECISIONS: Mapping[str, Operation] = {
    # Asking takes what the change itself takes, but for the second person.
    "changes.propose": Operation(changes.propose, Permission.READ),
    "changes.withdraw": Operation(changes.withdraw, Permission.READ),
    "changes.foresee": Operation(changes.foresee, Permission.READ),
    "changes.approve": Operation(changes.approve, Permission.POLICY_APPROVE),
    "changes.refuse": Operation(changes.refuse, Permission.POLICY_APPROVE),
}


def load(name: str) -> Operation:
    """A decision or an operation. Raises NotFound."""
    return DECISIONS[name] if name in DECISIONS else operations.load(name)
