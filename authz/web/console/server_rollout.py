"""How far an MCP server is rolled out: its state, what speaks for the next one, and the step (S17, E6)."""

from sqlalchemy.orm import Session

from authz.admin import rollouts
from authz.errors import Invalid
from authz.policy.rollout import CANARY, STATES
from authz.web.console.visit import Act, Answer, Done, Sure, Visit

_LABELS = {"state": "State", "groups": "Groups that are in", "percent": "Percent of all others"}
_MOST_DIGITS = 3


def step(visit: Visit) -> Answer:
    """POST …/rollout: on, or back."""
    server_id, state = visit.path["id"], visit.given("state")
    percent, cut_now = visit.given("percent") or "0", visit.given("cut_now") == "yes"
    back = visit.url(f"servers/{server_id}")
    if state not in STATES:
        raise Invalid("Choose how far it is rolled out", field="state")
    if not (percent.isascii() and percent.isdecimal() and len(percent) <= _MOST_DIGITS):
        raise Invalid("Give a whole number from 0 to 100", field="percent")
    before = visit.read(rollouts.show, server_id, visit.now)
    if not visit.is_sure and (cut_now or STATES.index(state) < STATES.index(before.state)):
        affected = [
            f"Whoever holds more at {before.identifier} than {_words(state)} admits loses it at the next refresh.",
            *(["The access tokens for this server end at once."] if cut_now else []),
        ]
        return Sure(f"Go to {_words(state)}?", "Go to it", affected, back)
    # The fields of a canary stay filled in when another state is chosen.
    is_canary = state == CANARY
    names = [it.strip() for it in visit.given("groups").splitlines() if it.strip()]
    visit.edit(
        _LABELS,
        lambda tx: _now(tx, visit, server_id),
        rollouts.set_rollout,
        server_id,
        state=state,
        groups=names if is_canary else [],
        percent=int(percent) if is_canary else 0,
        cut_now=cut_now,
    )
    return Done(back, "rollout")


def _now(tx: Session, visit: Visit, server_id: str) -> dict[str, str]:
    line = rollouts.show(tx, visit.tenant_id, server_id, visit.now)
    return {"state": line.state, "groups": "\n".join(line.groups), "percent": str(line.percent)}


def _words(state: str) -> str:
    return state.replace("_", " ")


ACT = Act("rollout", step)
