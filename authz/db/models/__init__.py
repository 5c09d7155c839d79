"""The tables, one file per aggregate.

Rows are SQLAlchemy and stay inside the transaction that read them; decisions work on frozen values made from them.
Every row carries its tenant. Identifiers of 128 random bits are unique over all tenants, so they are primary keys by
themselves and the tenant is checked on use; names that people choose are unique within their tenant.
"""

from authz.db.models.admin import AdminBinding
from authz.db.models.audit import (
    AuditBurst,
    AuditCheckpoint,
    AuditCursor,
    AuditEvent,
    AuditHead,
    AuditHold,
    AuditRemoval,
    AuditSink,
)
from authz.db.models.authorization import (
    AuthorizationCode,
    AuthorizationRequest,
    DeviceCode,
    PushedRequest,
)
from authz.db.models.base import Base
from authz.db.models.change import AppliedPolicy, ChangeRequest, PolicyVersion
from authz.db.models.client import Client, ClientRequest, ClientTrustRule, InitialAccessToken
from authz.db.models.consent import Consent
from authz.db.models.delegation import Agent, AgentClient, Delegation, TargetServer
from authz.db.models.federation import (
    Connection,
    Departure,
    Domain,
    GroupMapping,
    Identity,
    ScimRecord,
    ScimToken,
    SignalStream,
    SignInAttempt,
)
from authz.db.models.idempotency import IdempotencyKey
from authz.db.models.lease import Lease
from authz.db.models.outcome import OutcomeBatch, ToolOutcome
from authz.db.models.replay import ReplayKey
from authz.db.models.resource import Resource, Scope
from authz.db.models.review import Review, ReviewItem
from authz.db.models.revocation import RevocationEntry, RevocationHead, StatusEntry
from authz.db.models.role import Role, RoleBinding, RoleParent, RoleScope
from authz.db.models.session import Session
from authz.db.models.signing_key import SigningKey
from authz.db.models.tenant import Tenant
from authz.db.models.token import IssuedToken, TokenFamily
from authz.db.models.transmission import EventStream
from authz.db.models.trust import TrustedIssuer
from authz.db.models.upstream_credential import UpstreamCredential
from authz.db.models.user import Group, GroupMember, User

__all__ = [
    "AdminBinding",
    "Agent",
    "AgentClient",
    "AppliedPolicy",
    "AuditBurst",
    "AuditCheckpoint",
    "AuditCursor",
    "AuditEvent",
    "AuditHead",
    "AuditHold",
    "AuditRemoval",
    "AuditSink",
    "AuthorizationCode",
    "AuthorizationRequest",
    "Base",
    "ChangeRequest",
    "Client",
    "ClientRequest",
    "ClientTrustRule",
    "Connection",
    "Consent",
    "Delegation",
    "Departure",
    "DeviceCode",
    "Domain",
    "EventStream",
    "Group",
    "GroupMapping",
    "GroupMember",
    "IdempotencyKey",
    "Identity",
    "InitialAccessToken",
    "IssuedToken",
    "Lease",
    "OutcomeBatch",
    "PolicyVersion",
    "PushedRequest",
    "ReplayKey",
    "Resource",
    "Review",
    "ReviewItem",
    "RevocationEntry",
    "RevocationHead",
    "Role",
    "RoleBinding",
    "RoleParent",
    "RoleScope",
    "ScimRecord",
    "ScimToken",
    "Scope",
    "Session",
    "SignInAttempt",
    "SignalStream",
    "SigningKey",
    "StatusEntry",
    "TargetServer",
    "Tenant",
    "TokenFamily",
    "ToolOutcome",
    "TrustedIssuer",
    "UpstreamCredential",
    "User",
]
