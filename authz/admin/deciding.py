"""What administrators decide about changes of policy, by name, like the operations that the changes are of.

Apart from `operations`, because a change is of one of those, and no change is of a decision.
"""

from collections.abc import Mapping
from functools import partial

from authz.admin import changes, operations
from authz.admin.operations import Operation
from authz.admin.supplies import Supply, Surroundings, Values
from authz.policy.administration import Permission


def _tried(around: Surroundings, given: Values) -> Values:
    named = given["operation"], given["arguments"]
    return {"trial": changes.try_ahead(around.database, around.operator, around.tenant_id, *named)}


def _tried_again(around: Surroundings, given: Values, *, if_stale: bool = False) -> Values:
    where = around.database, around.operator, around.tenant_id
    return {"trial": changes.try_again_ahead(*where, given["change_id"], if_stale=if_stale)}


_TRIAL = Supply(frozenset({"trial"}), _tried)
_TRIAL_AGAIN = Supply(frozenset({"trial"}), _tried_again)
_TRIAL_IF_STALE = Supply(frozenset({"trial"}), partial(_tried_again, if_stale=True))

DECISIONS: Mapping[str, Operation] = {
    # Asking takes what the change itself takes, but for the second person.
    "changes.propose": Operation(changes.propose, Permission.READ, supply=_TRIAL),
    "changes.withdraw": Operation(changes.withdraw, Permission.READ),
    # Of whoever may write or approve policy, or asked for it.
    "changes.foresee": Operation(changes.foresee, Permission.READ, supply=_TRIAL_AGAIN),
    "changes.approve": Operation(
        changes.approve, Permission.POLICY_APPROVE, supply=_TRIAL_IF_STALE
    ),
    "changes.refuse": Operation(changes.refuse, Permission.POLICY_APPROVE),
}


def load(name: str) -> Operation:
    """A decision or an operation. Raises NotFound."""
    return DECISIONS[name] if name in DECISIONS else operations.load(name)
