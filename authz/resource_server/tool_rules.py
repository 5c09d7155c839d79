"""What each tool needs: scopes, and how its caller has signed in (pure).

A tool that is not named here does not exist for any caller.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from authz.resource_server.access_token import LEEWAY, AccessToken
from authz.resource_server.errors import (
    InsufficientScope,
    LimitedTool,
    UnknownTool,
    WeakAuthentication,
)
from authz.resource_server.messages import ToolCall
from authz.resource_server.tool_limits import permits

# Of a scope (RFC 6749 section 3.3), and of whatever stands in a challenge between quotes.
_WORD = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True)
class Needs:
    """More than scopes: a sign-in within the last `max_age` seconds, one of the kinds `acr_values` (RFC 9470).

    A string holds one word or several with spaces between, as on the wire.
    """

    scopes: str | Iterable[str]
    max_age: int | None = None
    acr_values: str | Iterable[str] = ()


Tools = Mapping[str, str | Iterable[str] | Needs]


@dataclass(frozen=True)
class Rule:
    """`Needs` that have been checked."""

    scopes: frozenset[str]
    max_age: int | None
    acr_values: tuple[str, ...]

    def accepts_sign_in(self, token: AccessToken, now: float) -> bool:
        """True if the person has signed in recently enough, and in one of the ways demanded."""
        if self.acr_values and token.acr not in self.acr_values:
            return False
        if self.max_age is None:
            return True
        # A client that acts on its own has never signed in.
        if token.auth_time is None:
            return False
        age = now - token.auth_time.timestamp()
        return -LEEWAY <= age <= self.max_age + LEEWAY


class ToolRules:
    """Tool -> what it needs, all of it.

        ToolRules({"read_logs": "logs.read", "purge_logs": {"logs.read", "logs.write"},
                   "trigger_incident": Needs("incidents.trigger", max_age=300)})

    A string holds one scope or several with spaces between.
    """

    def __init__(self, tools: Tools) -> None:
        self._rules: Mapping[str, Rule] = MappingProxyType(
            {tool: _read(tool, needs) for tool, needs in tools.items()}
        )
        self.all_scopes = frozenset[str]().union(*(rule.scopes for rule in self._rules.values()))

    def allows(self, tool: str, held: frozenset[str], tools: frozenset[str] | None = None) -> bool:
        """True if a token with the scopes `held` may see `tool`, and call it once its caller has signed in.

        `tools` are those that the token says its scopes open, if it says so.
        """
        if tools is not None and tool not in tools:
            return False
        return tool in self._rules and self._rules[tool].scopes <= held

    def require(self, calls: Sequence[ToolCall], token: AccessToken, now: float) -> None:
        """Raise UnknownTool, WeakAuthentication, InsufficientScope or LimitedTool unless `token` may do `calls`.

        The challenge carries the scopes held and needed together, so that the token which answers it
        opens what the old one did (MCP-RS-05, SEP-2350). Sign-in goes first: the challenge for it names the
        scopes as well, so one authorization brings both.
        """
        if not all(call.tool in self._rules for call in calls):
            raise UnknownTool("tool_undeclared")
        rules = [self._rules[call.tool] for call in calls]
        needed = frozenset[str]().union(*(rule.scopes for rule in rules))
        # offline_access is between the client and the AS (MCP-RS-04).
        scopes = (token.scopes | needed) - {"offline_access"}
        refusing = [rule for rule in rules if not rule.accepts_sign_in(token, now)]
        if refusing:
            raise WeakAuthentication(
                "sign_in_insufficient",
                scopes=scopes,
                max_age=min(
                    (rule.max_age for rule in refusing if rule.max_age is not None), default=None
                ),
                acr_values=next((rule.acr_values for rule in refusing if rule.acr_values), ()),
            )
        if not needed <= token.scopes:
            raise InsufficientScope("scope_missing", scopes=scopes)
        for call in calls:
            # Its scopes came before the tool was in them: nobody has reviewed that yet.
            if token.tools is not None and call.tool not in token.tools:
                raise LimitedTool("tool_not_reviewed", tool=call.tool)
            limits = token.tool_limits.get(call.tool)
            if limits is not None and not permits(limits, call.arguments):
                raise LimitedTool("arguments_not_granted", tool=call.tool)

    def undeclared(self, tools: Iterable[str]) -> list[str]:
        """The names in `tools` that nobody can reach, sorted."""
        return sorted(set(tools) - self._rules.keys())


def _read(tool: str, needs: str | Iterable[str] | Needs) -> Rule:
    if not isinstance(needs, Needs):
        needs = Needs(needs)
    scopes, acr_values = _words(needs.scopes), _words(needs.acr_values)
    if not scopes:
        raise ValueError(f"tool {tool!r} needs at least one scope")
    if not all(_WORD.fullmatch(scope) for scope in scopes):
        raise ValueError(f"tool {tool!r} has a malformed scope")
    if "offline_access" in scopes:
        raise ValueError(f"tool {tool!r}: offline_access is not a scope of a resource")
    if not all(_WORD.fullmatch(value) for value in acr_values):
        raise ValueError(f"tool {tool!r} has a malformed acr value")
    if needs.max_age is not None and needs.max_age <= 0:
        raise ValueError(f"tool {tool!r}: max_age is a number of seconds above 0")
    return Rule(scopes=frozenset(scopes), max_age=needs.max_age, acr_values=acr_values)


def _words(value: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(value.split() if isinstance(value, str) else value)
