"""The installation's configuration: one file, environment over it, command line over that.

`authz.toml` <- `AUTHZ__SECTION__KEY` <- command line. Unknown keys are errors, secrets are references
(`authz.secretstores`), and everything is frozen once loaded. What changes at run time (clients, roles, resources,
trust) lives in the database instead.

    a section    a class in the module of its subject, and a member of `Settings`
"""

from authz.settings.budgets import LimitSettings
from authz.settings.clients import ConfiguredClient, Registration
from authz.settings.custody import Keys, Pkcs11
from authz.settings.installation import Database, Server
from authz.settings.loading import load
from authz.settings.tokens import Tokens
from authz.settings.trail import AlertRule, AuditSettings, AuditSink
from authz.settings.whole import Settings

__all__ = [
    "AlertRule",
    "AuditSettings",
    "AuditSink",
    "ConfiguredClient",
    "Database",
    "Keys",
    "LimitSettings",
    "Pkcs11",
    "Registration",
    "Server",
    "Settings",
    "Tokens",
    "load",
]
