"""Trust entries about workloads: whose tokens name them, and which of them get in (WIF-02). Pure.

An issuer is trusted for workloads or for people (`oauth.trust`), never for both (CONF-05): the values of the two kinds
are of two types, so neither can be read as the other.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cached_property
from typing import Any

from authz import entropy
from authz.errors import Invalid
from authz.jose import Key, import_jwks
from authz.oauth.trust import (
    DEFAULT_LIFETIME,
    REUSE,
    check_keys,
    check_lifetime,
    check_url,
    is_list_of_text,
)
from authz.oauth.workload_presets import PRESETS
from authz.oauth.workload_rules import WorkloadRule, read_rules

WORKLOAD = "workload"
ID_PREFIX = "wkl"
"""Of the `sub` of workloads: never a person's, a client's or an agent's (decisions.md, Subjects)."""
_TRUST_DOMAIN = re.compile(r"spiffe://[a-z0-9._-]{1,255}")


@dataclass(frozen=True)
class WorkloadSettings:
    """What an operator says of an issuer."""

    preset: str | None = None
    """The platform, which knows what its rules have to say."""
    jwks_uri: str | None = None
    jwks: Mapping[str, Any] | None = None
    """Pinned keys; exactly one of the two is set. Few clusters let strangers read theirs."""
    algorithms: tuple[str, ...] = ("ES256", "RS256", "PS256", "EdDSA")
    audiences: tuple[str, ...] = ()
    """The values of `aud` that mean this server; the issuer if empty (WIF-03, CONF-04)."""
    max_lifetime_seconds: int = int(DEFAULT_LIFETIME.total_seconds())
    """Between `iat` and `exp`."""
    assertion_reuse: str = "deny"
    """`until_exp`: a token may be presented again; every time is an event, and `jti` is not needed."""
    rules: tuple[WorkloadRule, ...] = ()

    @property
    def is_single_use(self) -> bool:
        """Whether a token is good for one access token."""
        return self.assertion_reuse == "deny"

    def as_json(self) -> dict[str, Any]:
        """As it is stored: what differs from the defaults."""
        found = {it.name: getattr(self, it.name) for it in fields(self)}
        found["rules"] = tuple(rule.as_json() for rule in self.rules)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value != _DEFAULTS[name]
        }


_DEFAULTS = {it.name: it.default for it in fields(WorkloadSettings)}


@dataclass(frozen=True)
class WorkloadTrust:
    """One enabled trust entry."""

    id: str
    slug: str
    issuer: str
    settings: WorkloadSettings

    @cached_property
    def pinned_keys(self) -> tuple[Key, ...] | None:
        """Read once, not once per assertion."""
        if self.settings.jwks is None:
            return None
        return import_jwks(self.settings.jwks, algorithms=self.settings.algorithms)

    @property
    def max_lifetime(self) -> timedelta:
        """Between `iat` and `exp`."""
        return timedelta(seconds=self.settings.max_lifetime_seconds)

    def id_of(self, rule: WorkloadRule) -> str:
        """What tokens call the workload of a rule: the same as long as entry and rule keep their names.

        Of the entry's id rather than its name, so that one that is added anew under an old name has new workloads.
        """
        return entropy.derived_id(ID_PREFIX, self.id, rule.name)


@dataclass(frozen=True)
class Workloads:
    """All enabled entries about workloads of a tenant."""

    by_issuer: Mapping[str, WorkloadTrust] = field(default_factory=dict)
    by_id: Mapping[str, WorkloadRule] = field(default_factory=dict)
    """The rule behind each workload that may act now."""

    def of(self, issuer: object) -> WorkloadTrust | None:
        """The entry for this issuer, compared as text."""
        return self.by_issuer.get(issuer) if isinstance(issuer, str) else None

    @classmethod
    def build(cls, entries: Mapping[str, WorkloadTrust]) -> "Workloads":
        """From entries by issuer."""
        rules = {it.id_of(rule): rule for it in entries.values() for rule in it.settings.rules}
        return cls(entries, rules)


def is_workload(subject: str) -> bool:
    """Whether a `sub` of ours is a workload's."""
    return subject.startswith(f"{ID_PREFIX}_")


def settings_of(stored: Mapping[str, Any]) -> WorkloadSettings:
    """From `as_json`. Raises Invalid for what was never checked."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
    }
    return WorkloadSettings(**{**values, "rules": read_rules(values.get("rules", ()))})


def check_settings(given: Mapping[str, Any], issuer: str) -> WorkloadSettings:
    """What an operator wrote, member by member. Raises Invalid naming the member."""
    unknown = given.keys() - _DEFAULTS.keys()
    if unknown:
        raise Invalid(
            f"{sorted(unknown)[0]!r} is no setting of an issuer of workloads; known are {', '.join(sorted(_DEFAULTS))}"
        )
    for name in ("algorithms", "audiences"):
        if name in given and not is_list_of_text(given[name]):
            raise Invalid(f"{name} of a trusted issuer is a list of text", field=name)
    settings = settings_of(given)
    if settings.preset is not None and settings.preset not in PRESETS:
        raise Invalid(f"preset of a trusted issuer is one of {', '.join(PRESETS)}", field="preset")
    check_keys(settings)
    check_lifetime(settings.max_lifetime_seconds)
    if settings.assertion_reuse not in REUSE:
        raise Invalid(
            f"assertion_reuse of a trusted issuer is one of {', '.join(REUSE)}",
            field="assertion_reuse",
        )
    if settings.preset is not None:
        PRESETS[settings.preset].check(issuer, settings.rules)
    return settings


def check_issuer(issuer: str) -> None:
    """An https URL, or the name of a SPIFFE trust domain, as the draft for MCP has them. Raises Invalid."""
    if not issuer.startswith("spiffe://"):
        check_url("issuer", issuer)
        return
    if not _TRUST_DOMAIN.fullmatch(issuer):
        raise Invalid(f"issuer {issuer!r} is not spiffe://TRUST-DOMAIN", field="issuer")


def warnings_of(settings: WorkloadSettings) -> tuple[str, ...]:
    """What an operator should look at again."""
    found = []
    if not settings.rules:
        found.append("there are no rules, so nobody gets in: authz trust allow")
    if settings.audiences:
        found.append(
            "audiences are set: a token made for one of them is good here, whoever else takes it too"
        )
    if settings.preset is not None:
        warn = PRESETS[settings.preset].warn
        found += [f"rule {rule.name}: {text}" for rule in settings.rules for text in warn(rule)]
    return tuple(found)
