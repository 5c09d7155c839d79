"""Rules that say which workloads of an issuer get in, and for what: read strictly, matched as text. Pure.

    {"name": "router", "subject": "system:serviceaccount:agents:router",
     "claims": {"kubernetes.io": {"namespace": "agents"}},
     "resources": ["https://mcp.example/mcp"], "roles": ["developer"]}

Decisions:
- Deny by default. A workload that no rule matches gets nothing, and neither does one that two rules match: the order
  of a list would decide what it may do, and whoever adds a line to it would not see that.
- A `*` in a subject stands for exactly one whole segment; segments end at `:` and at `/`. There are no prefixes and no
  regular expressions: what looks like a repository would be its branches, its tags and its pull requests.
- Claims are written nested, as they stand in the token, because names hold dots (`kubernetes.io`). At the end of each
  way stands a text, or a list of which one has to be there. Only text equals text: a number, a list or `true` in the
  token meets nothing (ATK-28).
- What a rule gives is roles, or scopes; one of them, so that it has one reading. Either is for its servers alone.
- The name of the rule names the workload. Whoever it matches is that workload, so whoever is to be told apart needs a
  rule of their own.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from authz.errors import Invalid
from authz.policy.scopes import is_scope_name
from authz.tenants import is_slug

ANY_SEGMENT = "*"
MAX_RULES = 200
MAX_SUBJECT_CHARS = 512
_MAX_VALUES = 50
_MAX_DEPTH = 5
_MEMBERS = frozenset({"name", "subject", "claims", "resources", "roles", "scopes"})
_JUDGED_ELSEWHERE = frozenset({"iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
_SEPARATORS = re.compile("([:/])")

Condition = tuple[tuple[str, ...], frozenset[str]]
"""The names on the way to a claim, and the values that will do."""


@dataclass(frozen=True)
class WorkloadRule:
    """One kind of caller, and what it gets."""

    name: str
    subject: str
    resources: tuple[str, ...]
    """Identifiers of the MCP servers it gets tokens for."""
    roles: tuple[str, ...] = ()
    """Names; a role that is gone gives nothing."""
    scopes: tuple[str, ...] = ()
    claims: Mapping[str, Any] = field(default_factory=dict)
    conditions: frozenset[Condition] = frozenset()
    """`claims`, as they are compared."""

    def matches(self, claims: Mapping[str, Any]) -> bool:
        """Whether the verified claims of a token are of this workload."""
        return subject_matches(self.subject, claims["sub"]) and all(
            _text_at(claims, path) in values for path, values in self.conditions
        )

    def pins(self, *path: str) -> bool:
        """Whether it demands certain values of a claim."""
        return any(names == path for names, _ in self.conditions)

    def as_json(self) -> dict[str, Any]:
        """As an operator writes it."""
        written: dict[str, Any] = {"name": self.name, "subject": self.subject}
        if self.claims:
            written["claims"] = dict(self.claims)
        written["resources"] = list(self.resources)
        for name, values in (("roles", self.roles), ("scopes", self.scopes)):
            if values:
                written[name] = list(values)
        return written


def subject_matches(pattern: str, subject: str) -> bool:
    """Compare segment by segment, letter by letter."""
    wanted, found = _SEPARATORS.split(pattern), _SEPARATORS.split(subject)
    return len(wanted) == len(found) and all(
        there == want or (want == ANY_SEGMENT and there != "")
        for want, there in zip(wanted, found, strict=True)
    )


def segments(subject: str) -> list[str]:
    """What a `*` stands for one of."""
    return _SEPARATORS.split(subject)[::2]


def read_rules(given: object) -> tuple[WorkloadRule, ...]:
    """The rules of a trust entry. Raises Invalid naming the rule and the member."""
    if not isinstance(given, (list, tuple)) or len(given) > MAX_RULES:
        raise Invalid(
            f"rules of a trusted issuer is a list of objects, at most {MAX_RULES}", field="rules"
        )
    rules = tuple(read_rule(it) for it in given)
    names = [rule.name for rule in rules]
    if len(set(names)) != len(names):
        doubled = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"there are two rules {doubled!r}; each names a workload of its own")
    seen: dict[tuple[str, frozenset[Condition]], str] = {}
    for rule in rules:
        place = rule.subject, rule.conditions
        if place in seen:
            raise Invalid(
                f"the rules {seen[place]!r} and {rule.name!r} match the same workloads, which would get nothing"
            )
        seen[place] = rule.name
    return rules


def read_rule(given: object) -> WorkloadRule:
    """One rule. Raises Invalid."""
    if not isinstance(given, Mapping):
        raise Invalid("a rule of a trusted issuer is an object")
    name = given.get("name")
    if not isinstance(name, str) or not is_slug(name):
        raise Invalid(
            f"{name!r} is not a name for a workload: lower-case letters, digits and inner hyphens, at most 63",
            field="name",
        )
    unknown = sorted(given.keys() - _MEMBERS, key=str)
    if unknown:
        raise Invalid(
            f"{unknown[0]!r} is no member of the rule {name!r}; known are {', '.join(sorted(_MEMBERS))}"
        )
    subject = given.get("subject")
    if not isinstance(subject, str) or not _is_text(subject, MAX_SUBJECT_CHARS):
        raise Invalid(f"subject of the rule {name!r} is the `sub` of its tokens", field="subject")
    if any(ANY_SEGMENT in it and it != ANY_SEGMENT for it in segments(subject)):
        raise Invalid(
            f"subject {subject!r} of the rule {name!r} has a * inside a segment; it is a whole one, between : or /",
            field="subject",
        )
    if all(it == ANY_SEGMENT for it in segments(subject)):
        raise Invalid(f"subject {subject!r} of the rule {name!r} names nobody", field="subject")
    claims = given.get("claims", {})
    roles, scopes = (_texts(given, member, name) for member in ("roles", "scopes"))
    if bool(roles) == bool(scopes):
        raise Invalid(f"the rule {name!r} gives roles or scopes, one of them", field="roles")
    for scope in scopes:
        if not is_scope_name(scope):
            raise Invalid(
                f"{scope!r} in the rule {name!r} is not a scope of an MCP server", field="scopes"
            )
    resources = _texts(given, "resources", name)
    if not resources:
        raise Invalid(f"the rule {name!r} names no MCP server; add resources", field="resources")
    return WorkloadRule(
        name=name,
        subject=subject,
        resources=resources,
        roles=roles,
        scopes=scopes,
        claims=claims if isinstance(claims, Mapping) else {},
        conditions=_conditions(claims, name),
    )


def _conditions(claims: object, rule: str) -> frozenset[Condition]:
    if not isinstance(claims, Mapping):
        raise Invalid(f"claims of the rule {rule!r} is an object", field="claims")
    clash = sorted(_JUDGED_ELSEWHERE & claims.keys())
    if clash:
        raise Invalid(
            f"claims of the rule {rule!r} cannot say anything of {clash[0]!r}", field="claims"
        )
    found = frozenset(_walk(claims, (), rule))
    if len(found) > _MAX_VALUES:
        raise Invalid(f"the rule {rule!r} has more than {_MAX_VALUES} claims", field="claims")
    return found


def _walk(claims: Mapping[str, Any], path: tuple[str, ...], rule: str) -> Iterator[Condition]:
    for name, wanted in claims.items():
        way = (*path, name)
        shown = ".".join(map(str, way))
        if not isinstance(name, str) or not _is_text(name, 256) or len(way) > _MAX_DEPTH:
            raise Invalid(f"{shown} in the rule {rule!r} is not a name of a claim", field="claims")
        if isinstance(wanted, Mapping) and wanted:
            yield from _walk(wanted, way, rule)
            continue
        values = [wanted] if isinstance(wanted, str) else wanted
        if (
            not isinstance(values, (list, tuple))
            or not 1 <= len(values) <= _MAX_VALUES
            or not all(isinstance(it, str) and _is_text(it, 512) for it in values)
        ):
            raise Invalid(
                f"{shown} of the rule {rule!r} is a text, a list of texts, or an object",
                field="claims",
            )
        yield way, frozenset(values)


def _texts(given: Mapping[str, Any], member: str, rule: str) -> tuple[str, ...]:
    values = given.get(member, ())
    if (
        not isinstance(values, (list, tuple))
        or len(values) > _MAX_VALUES
        or not all(isinstance(it, str) and _is_text(it, 2048) for it in values)
        or len(set(values)) != len(values)
    ):
        raise Invalid(
            f"{member} of the rule {rule!r} is a list of text, each once, at most {_MAX_VALUES}",
            field=member,
        )
    return tuple(values)


def _is_text(value: str, most: int) -> bool:
    return 1 <= len(value) <= most and value.isprintable()


def _text_at(claims: Mapping[str, Any], path: Iterable[str]) -> str | None:
    found: object = claims
    for name in path:
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found if isinstance(found, str) else None
