"""Why a scope was removed, and how people are told."""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why a scope was removed. The order is the order of the checks; the first that applies is given.

    What a sign-in lacks comes after everything that no sign-in would mend, so nobody is asked to sign in anew for what
    they would not get anyhow; and before what a person or an earlier authorization left out, because neither was asked
    about a scope that policy had removed by then.
    """

    SUBJECT_DISABLED = "subject_disabled"
    CONNECTION_DISABLED = "connection_disabled"
    RESOURCE_DISABLED = "resource_disabled"
    CLIENT_GROUPS = "client_groups"
    SCOPE_UNKNOWN = "scope_unknown"
    ROLLOUT = "rollout"
    ROLE_MISSING = "role_missing"
    ROLE_EXPIRED = "role_expired"
    ASSERTION_CEILING = "assertion_ceiling"
    TRUST_CEILING = "trust_ceiling"
    TARGET_CEILING = "target_ceiling"
    DELEGATION_CEILING = "delegation_ceiling"
    AGENT_ENDED = "agent_ended"
    AGENT_CEILING = "agent_ceiling"
    DEVICE_CEILING = "device_ceiling"
    CLIENT_CEILING = "client_ceiling"
    CONNECTION_NOT_ALLOWED = "connection_not_allowed"
    ACR_INSUFFICIENT = "acr_insufficient"
    AUTHENTICATION_TOO_OLD = "authentication_too_old"
    CONSENT_WITHHELD = "consent_withheld"
    GRANT_CEILING = "grant_ceiling"


RANKS: Mapping[Reason, int] = {reason: rank for rank, reason in enumerate(Reason)}
"""The place of each in the order of the checks."""

OF_AUTHENTICATION = frozenset(
    {Reason.CONNECTION_NOT_ALLOWED, Reason.ACR_INSUFFICIENT, Reason.AUTHENTICATION_TOO_OLD}
)
"""What another sign-in may mend."""

SENTENCES: Mapping[Reason, str] = {
    Reason.SUBJECT_DISABLED: "the account is disabled",
    Reason.CONNECTION_DISABLED: "the identity provider they signed in with is switched off here",
    Reason.RESOURCE_DISABLED: "the MCP server is disabled here",
    Reason.CLIENT_GROUPS: "this client is limited to groups that this person is not in",
    Reason.SCOPE_UNKNOWN: "the MCP server does not declare this scope",
    Reason.ROLLOUT: "the MCP server is being rolled out, and they only read there so far",
    Reason.ROLE_MISSING: "no role of this person holds it",
    Reason.ROLE_EXPIRED: "the role that holds it has expired",
    Reason.ASSERTION_CEILING: "the identity provider did not allow it",
    Reason.TRUST_CEILING: "assertions of this issuer never lead to it here",
    Reason.TARGET_CEILING: "assertions for that authorization server never carry it",
    Reason.DELEGATION_CEILING: "the exchanged token does not carry it",
    Reason.AGENT_ENDED: "the agent is switched off, asleep or past its end",
    Reason.AGENT_CEILING: "this agent is not allowed to have it",
    Reason.DEVICE_CEILING: "it is destructive, and another device never gets that",
    Reason.CLIENT_CEILING: "this client is not allowed to have it",
    Reason.CONNECTION_NOT_ALLOWED: "it takes a sign-in through another identity provider",
    Reason.ACR_INSUFFICIENT: "it takes a stronger sign-in",
    Reason.AUTHENTICATION_TOO_OLD: "it takes a more recent sign-in",
    Reason.CONSENT_WITHHELD: "the person did not allow it",
    Reason.GRANT_CEILING: "it is more than the original authorization held",
}
