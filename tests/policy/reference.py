"""The policy in the plainest words there are, to hold the engine against: no prose, no snapshot, no cleverness."""


def roles_reached(role, includes):
    """The role and everything it includes, however often."""
    reached, todo = set(), [role]
    while todo:
        one = todo.pop()
        if one not in reached:
            reached.add(one)
            todo += [parent for child, parent in includes if child == one]
    return reached


def reason(world, scope):
    """None when granted, else why not; the first that applies."""
    if not world["user_enabled"]:
        return "subject_disabled"
    if world["connection"] is not None and world["connection"] not in world["connections"]:
        return "connection_disabled"
    if not world["resource_enabled"]:
        return "resource_disabled"
    if scope not in world["declared"]:
        return "scope_unknown"
    bindings = list(world["user_roles"])
    bindings += [(r, until) for g, r, until in world["group_roles"] if g in world["groups"]]
    holding = [
        until
        for role, until in bindings
        for one in roles_reached(role, world["includes"])
        if (one, world["resource"], scope) in world["role_scopes"]
        or (one, "*", scope) in world["role_scopes"]
    ]
    if not holding:
        return "role_missing"
    if all(until is not None and until <= world["now"] for until in holding):
        return "role_expired"
    for name in ("device_ceiling", "client_ceiling", "consent_withheld", "grant_ceiling"):
        if world[name] is not None and scope not in world[name]:
            return name
    return None
