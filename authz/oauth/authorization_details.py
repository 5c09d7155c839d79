"""Authorization details (RFC 9396) of the one type there is here, `mcp_tool`: limits on single tools. Pure.

    {"type": "mcp_tool", "locations": ["https://mcp.example/mcp"], "tool": "trigger_incident",
     "arguments": {"service": ["payments", "search"]}}

The tool may be called only with each of these arguments present and equal to one of its values; other arguments are
free, and without `arguments` so are all. Several details of one tool are alternatives.

Decisions:
- A detail limits the tool it names and never adds a right: the tool's scope has to be granted like any other. Tools
  that no detail names are as their scopes say. So a client that can do without details is never given more by them,
  and a server that does not read them is as safe as it was.
- Without `scope`, a request asks for the scopes whose tools it names.
- A detail falls with its scope. A detail of a tool that no scope declares (any more) stays: a limit does no harm.
- A refresh may narrow, never widen: each detail asked for lies within a granted one, and a limit cannot be dropped
  while the scope it limits stays.
- Values are strings, compared as strings. Unknown members are refused (RAR-01): what somebody wrote as a limit and we
  did not understand must not turn into none.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from authz.errors import InvalidAuthorizationDetails
from authz.net.strict_json import NotStrict, read_array
from authz.policy.snapshot import Resource
from authz.urls import UrlError, canonical_resource

TYPE = "mcp_tool"
TYPES = (TYPE,)
MAX_CHARS = 4096
"""Of the parameter: details travel in every access token, and tokens in headers."""
MAX_DETAILS = 20
_MAX_ARGUMENTS = 20
_MAX_VALUES = 50
_MAX_NAME_CHARS = 128
_MAX_VALUE_CHARS = 256
_REQUIRED = frozenset({"type", "locations", "tool"})
_MEMBERS = _REQUIRED | {"arguments"}


@dataclass(frozen=True)
class ToolLimit:
    """One detail."""

    location: str
    """The identifier of the MCP server, as it is registered."""
    tool: str
    arguments: Mapping[str, tuple[str, ...]]

    def as_json(self) -> dict[str, Any]:
        """As it is stored and sent."""
        made: dict[str, Any] = {"type": TYPE, "locations": [self.location], "tool": self.tool}
        if self.arguments:
            made["arguments"] = {name: list(values) for name, values in self.arguments.items()}
        return made

    def is_within(self, other: "ToolLimit") -> bool:
        """Whether every call this one allows is allowed by the other."""
        return (self.location, self.tool) == (other.location, other.tool) and all(
            name in self.arguments and set(self.arguments[name]) <= set(values)
            for name, values in other.arguments.items()
        )

    @property
    def conditions(self) -> list[tuple[str, str]]:
        """Each argument with its values in words, for people."""
        return [(name, " or ".join(values)) for name, values in self.arguments.items()]


def parse(text: str | None, resource: Resource) -> tuple[ToolLimit, ...]:
    """The details asked for at this resource; none when the parameter is absent.

    Raises InvalidAuthorizationDetails.
    """
    if text is None:
        return ()
    if len(text) > MAX_CHARS:
        raise _refusal("authorization_details is too long", "details_too_long")
    try:
        found = read_array(text.encode())
    except (NotStrict, UnicodeEncodeError):
        raise _refusal("authorization_details is not a JSON array", "details_not_json") from None
    # Empty is no way to say "no limits" where there are some.
    if not 1 <= len(found) <= MAX_DETAILS:
        raise _refusal("authorization_details has 1 to 20 members", "details_count")
    limits = [_limit(member, resource) for member in found]
    return tuple(limit for n, limit in enumerate(limits) if limit not in limits[:n])


def of_json(stored: Iterable[Mapping[str, Any]] | None) -> tuple[ToolLimit, ...]:
    """What `as_json` made."""
    return tuple(
        ToolLimit(
            one["locations"][0],
            one["tool"],
            {name: tuple(values) for name, values in one.get("arguments", {}).items()},
        )
        for one in stored or ()
    )


def as_json(limits: Iterable[ToolLimit]) -> list[dict[str, Any]] | None:
    """For rows and claims; None where there is nothing to say."""
    return [limit.as_json() for limit in limits] or None


def scopes_of(limits: Iterable[ToolLimit], resource: Resource) -> frozenset[str]:
    """The scopes whose tools are named."""
    tools = {limit.tool for limit in limits}
    return frozenset(n for n, scope in resource.scopes.items() if not tools.isdisjoint(scope.tools))


def standing(
    limits: Iterable[ToolLimit], resource: Resource, granted: frozenset[str]
) -> tuple[ToolLimit, ...]:
    """Those whose scope is granted."""
    return tuple(limit for limit in limits if _stands(limit, resource, granted))


def narrowed(
    asked: Sequence[ToolLimit],
    held: Sequence[ToolLimit],
    resource: Resource,
    scopes: frozenset[str],
) -> tuple[ToolLimit, ...]:
    """What a refresh for `scopes` carries instead of what its grant holds. Raises InvalidAuthorizationDetails."""
    if any(not any(one.is_within(other) for other in held) for one in asked):
        raise _refusal("authorization_details is more than was granted", "details_widened")
    still_limited = {limit.tool for limit in standing(held, resource, scopes)}
    if not still_limited <= {limit.tool for limit in asked}:
        raise _refusal("authorization_details drops a limit", "details_dropped")
    return tuple(asked)


def _stands(limit: ToolLimit, resource: Resource, granted: frozenset[str]) -> bool:
    declaring = scopes_of([limit], resource)
    return not declaring or not declaring.isdisjoint(granted)


def _limit(member: object, resource: Resource) -> ToolLimit:
    if not isinstance(member, dict):
        raise _refusal("a member of authorization_details is not an object", "details_member")
    if member.get("type") != TYPE:
        raise _refusal("the type of authorization_details is not supported", "details_type")
    if not _REQUIRED <= member.keys() <= _MEMBERS:
        raise _refusal("mcp_tool has type, locations, tool and arguments", "details_members")
    if not _is_at(member["locations"], resource):
        raise _refusal("locations is not the resource asked for", "details_location")
    tool = member["tool"]
    if not isinstance(tool, str) or not any(tool in s.tools for s in resource.scopes.values()):
        raise _refusal("the resource declares no such tool", "details_tool")
    arguments = member.get("arguments", {})
    if not _are_arguments(arguments):
        raise _refusal("arguments is an object of lists of strings", "details_arguments")
    return ToolLimit(
        resource.identifier,
        tool,
        {name: tuple(dict.fromkeys(values)) for name, values in sorted(arguments.items())},
    )


def _is_at(locations: object, resource: Resource) -> bool:
    if not isinstance(locations, list) or len(locations) != 1 or not isinstance(locations[0], str):
        return False
    try:
        return canonical_resource(locations[0]) == resource.canonical
    except UrlError:
        return False


def _are_arguments(arguments: object) -> bool:
    return (
        isinstance(arguments, dict)
        and len(arguments) <= _MAX_ARGUMENTS
        and all(_is_text(name, _MAX_NAME_CHARS) for name in arguments)
        and all(
            isinstance(values, list)
            and 1 <= len(values) <= _MAX_VALUES
            and all(_is_text(value, _MAX_VALUE_CHARS) for value in values)
            for values in arguments.values()
        )
    )


def _is_text(value: object, max_chars: int) -> bool:
    # People read it on the consent page: nothing that rearranges a line.
    return isinstance(value, str) and 1 <= len(value) <= max_chars and value.isprintable()


def _refusal(description: str, reason: str) -> InvalidAuthorizationDetails:
    return InvalidAuthorizationDetails(description, reason=reason)
