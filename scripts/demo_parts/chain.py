"""What each server of the chain says of the token it was called with."""

import json
from collections.abc import Mapping
from typing import Any

_TOLD = ("aud", "sub", "client_id", "scope", "act", "grant_id")


def told(claims: Mapping[str, Any]) -> str:
    """One line of JSON."""
    return json.dumps({name: claims[name] for name in _TOLD if name in claims})


def actors(told_claims: Mapping[str, Any]) -> list[str]:
    """Who acted, the last one first."""
    found, act = [], told_claims.get("act")
    while act:
        found.append(act["sub"])
        act = act.get("act")
    return found
