"""Which scopes each tool needs (pure). A tool that is not named here does not exist for any caller."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from authz.resource_server.errors import InsufficientScope, UnknownTool

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class ToolScopes:
    """Tool -> the scopes that it needs, all of them.

        ToolScopes({"read_logs": "logs.read", "purge_logs": {"logs.read", "logs.write"}})

    A string holds one scope or several with spaces between, as on the wire.
    """

    def __init__(self, tools: Mapping[str, str | Iterable[str]]) -> None:
        self.needed: Mapping[str, frozenset[str]] = MappingProxyType(
            {tool: _read(tool, scopes) for tool, scopes in tools.items()}
        )
        self.all_scopes = frozenset[str]().union(*self.needed.values())

    def allows(self, tool: str, held: frozenset[str]) -> bool:
        """True if a token with the scopes `held` may see and call `tool`."""
        return tool in self.needed and self.needed[tool] <= held

    def require(self, called: Iterable[str], held: frozenset[str]) -> None:
        """Raise UnknownTool or InsufficientScope unless `held` covers every tool in `called`.

        The challenge carries the scopes held and needed together, so that the token which
        answers it opens what the old one did (MCP-RS-05, SEP-2350).
        """
        needed: frozenset[str] = frozenset()
        for tool in called:
            if tool not in self.needed:
                raise UnknownTool("tool_undeclared")
            needed |= self.needed[tool]
        if not needed <= held:
            # offline_access is between the client and the AS (MCP-RS-04).
            raise InsufficientScope("scope_missing", scopes=(held | needed) - {"offline_access"})

    def undeclared(self, tools: Iterable[str]) -> list[str]:
        """The names in `tools` that nobody can reach, sorted."""
        return sorted(set(tools) - self.needed.keys())


def _read(tool: str, scopes: str | Iterable[str]) -> frozenset[str]:
    found = frozenset(scopes.split() if isinstance(scopes, str) else scopes)
    if not found:
        raise ValueError(f"tool {tool!r} needs at least one scope")
    if not all(_SCOPE.fullmatch(scope) for scope in found):
        raise ValueError(f"tool {tool!r} has a malformed scope")
    if "offline_access" in found:
        raise ValueError(f"tool {tool!r}: offline_access is not a scope of a resource")
    return found
