"""The policy in the plainest words there are, to hold the engine against: no prose, no snapshot, no cleverness."""

from datetime import timedelta

NEAREST_LAST = ["connection_not_allowed", "acr_insufficient", "authentication_too_old"]


def ways_down(role, includes, above=()):
    """Every chain of roles from this one down that names none twice."""
    chain = (*above, role)
    yield chain
    for child, parent in includes:
        if child == role and parent not in chain:
            yield from ways_down(parent, includes, chain)


def lacks(world, demands):
    """What the sign-in lacks, the first of the three that any demand names; None when it does."""
    at, acr, place = world["signed_in"] or (None, None, None)
    for name, why, is_met in (
        ("connection", "connection_not_allowed", lambda these: place in these),
        ("acr", "acr_insufficient", lambda these: acr in these),
        (
            "max_age",
            "authentication_too_old",
            lambda s: at and world["now"] - at <= timedelta(0, s),
        ),
    ):
        if not all(is_met(demand[name]) for demand in demands if name in demand):
            return why
    return None


IN_FROM = 60
"""The first percentage that the person `usr_1` is in with at `res_1`."""


def is_in(world):
    """Whether the server is rolled out to the person."""
    rollout = world["rollout"]
    if rollout is None or rollout == "read_only":
        return rollout is None
    return rollout in world["groups"] if isinstance(rollout, str) else rollout >= IN_FROM


def reason(world, scope):
    """None when granted, else why not; the first that applies."""
    if not world["user_enabled"]:
        return "subject_disabled"
    place = world["signed_in"] and world["signed_in"][2]
    if place not in (None, "local") and place not in world["connections"]:
        return "connection_disabled"
    if not world["resource_enabled"]:
        return "resource_disabled"
    limited_to = world["limited_to"] if world["signed_in"] else None
    if limited_to is not None and not limited_to & world["groups"]:
        return "client_groups"
    if scope not in world["declared"]:
        return "scope_unknown"
    if scope not in world["reading"] and not is_in(world):
        return "rollout"
    bindings = list(world["user_roles"])
    bindings += [(r, until) for g, r, until in world["group_roles"] if g in world["groups"]]
    holding = [
        (until, lacks(world, [world["requires"].get(it, {}) for it in (*chain, scope)]))
        for role, until in bindings
        for chain in ways_down(role, world["includes"])
        if (chain[-1], world["resource"], scope) in world["role_scopes"]
        or (chain[-1], "*", scope) in world["role_scopes"]
    ]
    if not holding:
        return "role_missing"
    lacking = [lack for until, lack in holding if until is None or until > world["now"]]
    if not lacking:
        return "role_expired"
    nearest = None if None in lacking else max(lacking, key=NEAREST_LAST.index)
    policys = (
        *("assertion_ceiling", "trust_ceiling", "target_ceiling", "delegation_ceiling"),
        *("agent_ended", "agent_ceiling", "device_ceiling", "client_ceiling"),
    )
    bounds = (*policys, "consent_withheld", "grant_ceiling")
    out = [name for name in bounds if world[name] is not None and scope not in world[name]]
    if nearest and not set(policys) & set(out):
        return nearest
    return out[0] if out else None
