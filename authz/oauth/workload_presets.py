"""What is peculiar to the platforms that workloads come from: one record each, and what their rules have to say. Pure.

A preset is taken once, when an entry is added: its settings are then the entry's own. Its checks and warnings stay.

Decisions:
- GitHub signs for everybody who has an account there, and names change hands: a rule has to pin the number of the
  repository or of its owner. Pull requests and branches of strangers are warned of, not refused; some repositories have
  no strangers.
- Kubernetes mounts one token for an hour and SPIFFE agents hand out the same one until it is half used. Single use
  would be one access token per hour, so reuse is on, and every reuse is an event.
- JWT-SVIDs have no `jti`: SPIFFE makes it optional, the draft for MCP demands it. Where reuse is on it is not needed,
  where it is off it is (docs/workload-identity.md).
- A SPIFFE trust domain is the reach of its keys: all subjects of an entry are in one.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from authz.errors import Invalid
from authz.oauth.workload_rules import ANY_SEGMENT, WorkloadRule, segments, subject_matches

_SPIFFE = "spiffe://"
_SPIFFE_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})/.")
_OF_NUMBERED_OWNER = re.compile(r"repo:[^@:/]+@[0-9]+[:/]")


@dataclass(frozen=True)
class WorkloadPreset:
    """One platform."""

    product: str
    words: tuple[str, ...]
    """The steps over there; `{issuer}` in them is ours."""
    example: Mapping[str, Any]
    """A rule."""
    issuer: str | None = None
    """Of everybody who uses it."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    check: Callable[[str, Sequence[WorkloadRule]], None] = lambda _issuer, _rules: None
    """Raises Invalid for a rule that cannot be meant."""
    warn: Callable[[WorkloadRule], Iterator[str]] = lambda _rule: iter(())
    """What a rule lets in that its author may not have thought of."""


def _check_github(_: str, rules: Sequence[WorkloadRule]) -> None:
    for rule in rules:
        if (
            not _OF_NUMBERED_OWNER.match(rule.subject)
            and not rule.pins("repository_id")
            and not rule.pins("repository_owner_id")
        ):
            raise Invalid(
                f"the rule {rule.name!r} goes by names that somebody else can take over later; "
                "add the claim repository_id, or repository_owner_id",
                field="claims",
            )


def _warn_github(rule: WorkloadRule) -> Iterator[str]:
    kind, *names = segments(rule.subject)
    if kind != "repo" or len(names) < 2:
        return
    owner, repository = names[:2]
    if ANY_SEGMENT in (owner, repository) and not rule.pins("repository_id"):
        yield "every repository there matches, also one that somebody makes tomorrow"
    place = f"repo:{owner}/{repository}"
    requests = (f"{place}:pull_request", f"{place}:ref:refs/pull/1/merge")
    if any(subject_matches(rule.subject, it) for it in requests) and not rule.pins("event_name"):
        yield "pull requests match: whoever may open one runs code that gets in"
    if subject_matches(rule.subject, f"{place}:ref:refs/heads/x") and rule.subject.endswith(
        ANY_SEGMENT
    ):
        yield "every branch matches: whoever may push one, protected or not, gets in"


def _check_kubernetes(_: str, rules: Sequence[WorkloadRule]) -> None:
    for rule in rules:
        if segments(rule.subject)[:2] != ["system", "serviceaccount"] or (
            len(segments(rule.subject)) != 4
        ):
            raise Invalid(
                f"subject of the rule {rule.name!r} is not system:serviceaccount:NAMESPACE:NAME",
                field="subject",
            )


def _warn_kubernetes(rule: WorkloadRule) -> Iterator[str]:
    if segments(rule.subject)[2] == ANY_SEGMENT and not rule.pins("kubernetes.io", "namespace"):
        yield "every namespace of the cluster matches, also one that somebody makes tomorrow"


def _check_spiffe(issuer: str, rules: Sequence[WorkloadRule]) -> None:
    domains = {issuer.removeprefix(_SPIFFE)} if issuer.startswith(_SPIFFE) else set()
    for rule in rules:
        found = _SPIFFE_ID.match(rule.subject)
        if found is None:
            raise Invalid(
                f"subject of the rule {rule.name!r} is not spiffe://TRUST-DOMAIN/PATH",
                field="subject",
            )
        domains.add(found[1])
    if len(domains) > 1:
        raise Invalid(
            f"the rules are about the trust domains {', '.join(sorted(domains))}; "
            "keys speak for one, so each has an entry of its own"
        )


PRESETS: Mapping[str, WorkloadPreset] = {
    "github-actions": WorkloadPreset(
        product="GitHub Actions",
        issuer="https://token.actions.githubusercontent.com",
        settings={
            "jwks_uri": "https://token.actions.githubusercontent.com/.well-known/jwks",
            "algorithms": ["RS256"],
        },
        words=(
            "Give the job `permissions: id-token: write`.",
            "Ask for a token with the audience {issuer} (`core.getIDToken`) right before it is used: it is good once.",
        ),
        example={
            "name": "release-notes",
            "subject": "repo:acme/tools:ref:refs/heads/main",
            "claims": {"repository_id": "123456789", "repository_owner_id": "9876543"},
            "resources": ["https://mcp.example/mcp"],
            "roles": ["developer"],
        },
        check=_check_github,
        warn=_warn_github,
    ),
    "kubernetes": WorkloadPreset(
        product="Kubernetes service accounts",
        settings={
            "algorithms": ["RS256", "ES256"],
            "max_lifetime_seconds": 3600,
            "assertion_reuse": "until_exp",
        },
        words=(
            "Issuer and keys of the cluster: kubectl get --raw /.well-known/openid-configuration, and /openid/v1/jwks.",
            "Mount a projected serviceAccountToken with the audience {issuer} and expirationSeconds of 3600 at most.",
        ),
        example={
            "name": "router",
            "subject": "system:serviceaccount:agents:router",
            "claims": {"kubernetes.io": {"namespace": "agents"}},
            "resources": ["https://mcp.example/mcp"],
            "roles": ["developer"],
        },
        check=_check_kubernetes,
        warn=_warn_kubernetes,
    ),
    "spiffe": WorkloadPreset(
        product="SPIFFE JWT-SVIDs",
        settings={
            "algorithms": ["ES256", "ES384", "RS256", "PS256"],
            "assertion_reuse": "until_exp",
        },
        words=(
            "Have `iss` written (SPIRE: `jwt_issuer`) and the keys served (SPIRE: its OIDC Discovery Provider).",
            "Fetch the JWT-SVID with the audience {issuer}, alone.",
        ),
        example={
            "name": "router",
            "subject": "spiffe://prod.acme.example/ns/agents/sa/router",
            "resources": ["https://mcp.example/mcp"],
            "roles": ["developer"],
        },
        check=_check_spiffe,
    ),
}
