"""What the authorization details of a token allow a tool to be called with (RFC 9396, RAR-04). Pure.

    {"type": "mcp_tool", "locations": ["https://mcp.example/mcp"], "tool": "trigger_incident",
     "arguments": {"service": ["payments", "search"]}}

A tool that some detail names may be called only as one of them says; every named argument has to be there
and hold one of the listed values, and the others are free. Scopes are needed as ever. A detail that is not
understood, or is of another place, permits nothing, but still limits the tool that it names.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from authz.resource_server.errors import InvalidToken

TYPE = "mcp_tool"
_MEMBERS = frozenset({"type", "locations", "tool", "arguments"})

Scalar = str | int | float | bool | None
# Argument -> the values that it may have.
Limits = Mapping[str, Sequence[Scalar]]
# Tool -> the alternatives; without any, it may not be called.
ToolLimits = Mapping[str, Sequence[Limits]]


def read_limits(details: Any, resource: str) -> ToolLimits:
    """The limits in the claim `authorization_details`; raises InvalidToken if it is no list of details."""
    if not isinstance(details, list):
        raise InvalidToken("authorization_details_malformed")
    found: dict[str, list[Limits]] = {}
    for detail in details:
        if not isinstance(detail, dict) or not isinstance(detail.get("type"), str):
            raise InvalidToken("authorization_details_malformed")
        tool = detail.get("tool")
        if not isinstance(tool, str):
            if detail["type"] == TYPE:
                raise InvalidToken("authorization_details_malformed")
            continue
        alternatives = found.setdefault(tool, [])
        limits = _read_detail(detail, resource)
        if limits is not None:
            alternatives.append(limits)
    return MappingProxyType(found)


def permits(alternatives: Sequence[Limits], arguments: Mapping[str, Any]) -> bool:
    """True if `arguments` are within one of `alternatives`."""
    # Some JSON readers take `Service` for `service`, and the last one wins.
    spellings = Counter(name.casefold() for name in arguments)
    return any(_within(limits, arguments, spellings) for limits in alternatives)


def _read_detail(detail: Mapping[str, Any], resource: str) -> Limits | None:
    """The limits of one detail, or None if it says nothing about calls here, or something unknown."""
    # A member that is not known may be one more limit.
    if detail["type"] != TYPE or not detail.keys() <= _MEMBERS:
        return None
    locations, arguments = detail.get("locations"), detail.get("arguments", {})
    if not isinstance(locations, list) or resource not in locations:
        return None
    if not isinstance(arguments, dict):
        return None
    for values in arguments.values():
        if not isinstance(values, list) or not all(_is_scalar(value) for value in values):
            return None
    return MappingProxyType(arguments)


def _within(limits: Limits, arguments: Mapping[str, Any], spellings: Mapping[str, int]) -> bool:
    return all(
        name in arguments
        and spellings[name.casefold()] == 1
        and any(_same(arguments[name], allowed) for allowed in values)
        for name, values in limits.items()
    )


def _same(value: Any, allowed: Scalar) -> bool:
    # For Python True == 1 == 1.0, for a server they are three values.
    return type(value) is type(allowed) and value == allowed


def _is_scalar(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float)
