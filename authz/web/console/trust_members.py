"""What is asked of an administrator about an issuer, a workload and a target: one line for each setting (pure)."""

from collections.abc import Sequence
from datetime import timedelta

from authz.jose import ASYMMETRIC
from authz.oauth.assertion_subjects import SAML_NAME_ID, SUB
from authz.oauth.targets import MAX_LIFETIME as LONGEST_FOR_TARGETS
from authz.oauth.targets import TargetSettings
from authz.oauth.trust import MAX_LIFETIME, TrustSettings
from authz.web.console.members import Member
from authz.web.console.tables import FormField

MOST_BOXES = 40
"""Choices beyond it are typed instead of ticked."""
_DEFAULT = TrustSettings()
_REUSES = (("deny", "once"), ("until_exp", "again until it runs out; every time is an event"))
_SUBJECTS = (
    ("", "what names people when they sign in there"),
    (SUB, "its claim sub"),
    (SAML_NAME_ID, "the SAML name in its claim sub_id"),
)

Choices = Sequence[tuple[str, str]]


def picked(name: str, label: str, choices: Choices, *, hint: str = "", unsaid: str = "") -> Member:
    """Some of the choices: ticked where they are few, typed where they are many."""
    if len(choices) <= MOST_BOXES:
        return Member(name, label, "picks", hint, (), choices, unsaid)
    return Member(name, label, "lines", f"{hint} One a line.".strip(), (), unsaid=unsaid)


def keys() -> list[Member]:
    """Where an issuer's keys are, or what they are."""
    return [
        Member(
            "jwks_uri",
            "Address of its keys",
            hint="Its jwks_uri, which its metadata names. The keys are fetched from there, and again when they change.",
            unsaid="its keys are pinned",
        ),
        Member(
            "jwks",
            "Or its keys, pinned",
            "keys",
            "Only for an issuer whose keys cannot be fetched: paste the key set it publishes. You renew it by hand.",
            unsaid="fetched from its address",
        ),
    ]


def of_people(servers: Choices) -> list[Member]:
    """Of an issuer of ID-JAGs: what is asked first, then what is seldom needed (`FIRST`)."""
    return [
        *keys(),
        picked(
            "resources",
            "MCP servers it may speak of",
            servers,
            hint="None ticked: all of them.",
            unsaid="all of them",
        ),
        Member(
            "scope_ceiling",
            "Scopes it can lead to",
            "bound",
            "One a line. The roles of the person bound them as well.",
            unsaid="whatever the roles of the person give",
        ),
        Member(
            "clients",
            "Clients that may redeem its assertions",
            "lines",
            "Identifiers, one a line. Empty: whoever is registered for the grant.",
            (),
            unsaid="whoever is registered for the grant",
        ),
        Member(
            "tenants",
            "Our tenant at it",
            "lines",
            "For an issuer of many customers: the values of the claim tenant that are ours, one a line. Empty: "
            "an assertion must not have the claim.",
            (),
            unsaid="none: it has us alone as its customer",
        ),
        Member("subject", "What names the person", "choice", choices=_SUBJECTS, unsaid=_SUBJECTS[0][1]),
        Member(
            "saml_issuer",
            "Entity ID whose names they are",
            hint="With SAML names alone, where the connection does not say it.",
            unsaid="that of the connection",
        ),
        *_limits(),
        Member(
            "allow_public_cimd_clients",
            "Also clients without a key",
            "flag",
            "Clients that only their published document vouches for. Each assertion is then good once.",
            default=False,
        ),
        Member(
            "strict_subset",
            "Refuse more scopes than are asked for",
            "flag",
            "No: what an assertion holds beyond the request is left out.",
            default=False,
        ),
    ]  # fmt: skip


def of_workloads() -> list[Member]:
    """Of a platform whose tokens name programs."""
    return [
        *keys(),
        Member(
            "audiences",
            "Audiences that mean this server",
            "lines",
            "One a line. Empty: the issuer of this server alone, which is safest.",
            (),
            unsaid="the issuer of this server alone",
        ),
        *_limits(),
    ]


def of_rule(servers: Choices, roles: Choices) -> list[Member]:
    """Which program gets what."""
    return [
        Member(
            "name",
            "Name of the rule",
            hint="It names the workload in tokens and in the audit trail. A rule of the same name is replaced.",
            required=True,
        ),
        Member(
            "subject",
            "Subject",
            hint="The claim sub of its tokens. A * stands for one whole part between : or /.",
            required=True,
        ),
        Member(
            "claims",
            "What its tokens have to say besides",
            "claims",
            "CLAIM = VALUE, one a line; a claim inside another as OUTER > INNER = VALUE. Two lines of one claim: "
            "either will do.",
            {},
            unsaid="nothing",
        ),
        picked("resources", "MCP servers", servers, hint="It gets tokens for these."),
        picked("roles", "Roles", roles, hint="What they hold at these servers; or say scopes instead."),
        Member("scopes", "Or scopes", "lines", "One a line, instead of roles.", ()),
    ]  # fmt: skip


def of_target() -> list[Member]:
    """Of another authorization server that ID-JAGs are issued for."""
    default = TargetSettings()
    return [
        Member(
            "scope_ceiling",
            "Scopes an assertion for it can hold",
            "bound",
            unsaid="whatever the roles of the person give",
        ),
        Member(
            "tells_email",
            "Tell it the person’s address",
            "flag",
            "Where its accounts are found by address.",
            default.tells_email,
        ),
        Member(
            "resource_required",
            "Refuse requests that name no MCP server",
            "flag",
            "Also where it has only one.",
            default.resource_required,
        ),
        Member(
            "allow_cimd_clients",
            "Clients with a published document are the same there",
            "flag",
            "Without an entry in the list of clients.",
            default.allow_cimd_clients,
        ),
        Member(
            "lifetime_seconds",
            "An assertion is good for, in seconds",
            "number",
            f"30 to {_seconds(LONGEST_FOR_TARGETS)}.",
            default.lifetime_seconds,
        ),
    ]


FIRST = frozenset({"jwks_uri", "jwks", "resources", "scope_ceiling", "scope_ceiling_bound"})
"""Fields that stand in sight; the others are folded away."""


def split(fields: Sequence[FormField]) -> tuple[list[FormField], list[FormField]]:
    """What stands in sight, and what is folded away."""
    return [it for it in fields if it.name in FIRST], [it for it in fields if it.name not in FIRST]


def _limits() -> list[Member]:
    return [
        Member(
            "algorithms",
            "Signed with",
            "picks",
            default=_DEFAULT.algorithms,
            choices=[(it, it) for it in ASYMMETRIC],
        ),
        Member(
            "max_lifetime_seconds",
            "Longest lifetime, in seconds",
            "number",
            f"From its iat to its exp; {_seconds(MAX_LIFETIME)} at most.",
            _DEFAULT.max_lifetime_seconds,
        ),
        Member(
            "assertion_reuse",
            "Each one is good",
            "choice",
            default=_DEFAULT.assertion_reuse,
            choices=_REUSES,
        ),
    ]


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
