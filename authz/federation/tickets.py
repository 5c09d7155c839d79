"""A verified answer on its way from the request that brought it to the browser it belongs to, as JSON."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from authz.directory.linking import UpstreamIdentity
from authz.federation.connector import Finished

_MOMENTS = ("auth_time", "session_expires_at")


def as_json(finished: Finished) -> dict[str, Any]:
    """Every field, moments as text."""
    identity = {it.name: getattr(finished.identity, it.name) for it in fields(UpstreamIdentity)}
    identity["claims"] = {name: list(values) for name, values in finished.identity.claims.items()}
    identity["amr"] = list(finished.identity.amr)
    for name in _MOMENTS:
        if identity[name] is not None:
            identity[name] = identity[name].isoformat()
    once = finished.once and [finished.once[0], finished.once[1].isoformat()]
    return {"identity": identity, "once": once}


def of_json(kept: Mapping[str, Any]) -> Finished:
    """The same again."""
    identity = dict(kept["identity"])
    identity["claims"] = {name: tuple(values) for name, values in identity["claims"].items()}
    identity["amr"] = tuple(identity["amr"])
    for name in _MOMENTS:
        if identity[name] is not None:
            identity[name] = datetime.fromisoformat(identity[name])
    once = kept["once"] and (kept["once"][0], datetime.fromisoformat(kept["once"][1]))
    return Finished(UpstreamIdentity(**identity), once)
