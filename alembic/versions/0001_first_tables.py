"""first tables

Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:

    op.create_table(
        "audit_checkpoints",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("statement", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "position", name=op.f("pk_audit_checkpoints")),
    )
    op.create_table(
        "audit_events",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("strand", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "strand", "position", name=op.f("pk_audit_events")),
    )
    with op.batch_alter_table("audit_events", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_audit_events_tenant_id_at"), ["tenant_id", "at"], unique=False
        )

    op.create_table(
        "audit_heads",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("strand", sa.String(length=64), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "strand", name=op.f("pk_audit_heads")),
        postgresql_with={"fillfactor": 25},
    )
    op.create_table(
        "authorization_codes",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("code_challenge", sa.String(length=128), nullable=False),
        sa.Column("scopes", authz.db.types.ScopeSet(), nullable=False),
        sa.Column("requested", authz.db.types.ScopeSet(), nullable=True),
        sa.Column("offline_access", sa.Boolean(), nullable=False),
        sa.Column("auth_time", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("amr", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("spent_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("family_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_authorization_codes")),
    )
    with op.batch_alter_table("authorization_codes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_authorization_codes_expires_at"), ["expires_at"], unique=False
        )

    op.create_table(
        "authorization_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("session_digest", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("parameters", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_authorization_requests")),
    )
    with op.batch_alter_table("authorization_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_authorization_requests_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_authorization_requests_session_digest"), ["session_digest"], unique=False
        )

    op.create_table(
        "client_requests",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("decided_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name=op.f("pk_client_requests")),
    )
    with op.batch_alter_table("client_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_client_requests_tenant_id_user_id"),
            ["tenant_id", "user_id"],
            unique=False,
        )

    op.create_table(
        "client_trust_rules",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("pattern", sa.String(length=2048), nullable=False),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "pattern", name=op.f("pk_client_trust_rules")),
    )
    op.create_table(
        "clients",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=2048), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("metadata", authz.db.types.Json(), nullable=False),
        sa.Column("secrets", authz.db.types.Json(), nullable=False),
        sa.Column("scope_ceiling", authz.db.types.ScopeSet(), nullable=True),
        sa.Column("fetched_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("fresh_until", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_clients")),
    )
    op.create_table(
        "consents",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", authz.db.types.ScopeSet(), nullable=False),
        sa.Column("redirect_uris", authz.db.types.Json(), nullable=False),
        sa.Column("client_digest", sa.String(length=64), nullable=False),
        sa.Column("remembered", sa.Boolean(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint(
            "tenant_id", "user_id", "client_id", "resource_id", name=op.f("pk_consents")
        ),
    )
    op.create_table(
        "groups",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=254), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_groups")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_groups_tenant_id_name")),
    )
    op.create_table(
        "issued_tokens",
        sa.Column("jti", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("family_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", authz.db.types.ScopeSet(), nullable=False),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.Column("issued_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("jti", name=op.f("pk_issued_tokens")),
    )
    with op.batch_alter_table("issued_tokens", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_issued_tokens_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_issued_tokens_family_id"), ["family_id"], unique=False)

    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "replay_keys",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "key", name=op.f("pk_replay_keys")),
    )
    with op.batch_alter_table("replay_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_replay_keys_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "resources",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("identifier", sa.String(length=2048), nullable=False),
        sa.Column("canonical", sa.String(length=2048), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resources")),
        sa.UniqueConstraint(
            "tenant_id", "canonical", name=op.f("uq_resources_tenant_id_canonical")
        ),
    )
    op.create_table(
        "roles",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_roles")),
        sa.UniqueConstraint("tenant_id", "name", name=op.f("uq_roles_tenant_id_name")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("auth_time", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("amr", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("ended_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_expires_at"), ["expires_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_sessions_tenant_id_user_id"), ["tenant_id", "user_id"], unique=False
        )

    op.create_table(
        "signing_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("public_jwk", authz.db.types.Json(), nullable=False),
        sa.Column("private_key", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("publish_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("activate_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("retire_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("gone_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signing_keys")),
    )
    with op.batch_alter_table("signing_keys", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_signing_keys_tenant_id"), ["tenant_id"], unique=False)

    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("config_version", sa.BigInteger(), nullable=False),
        sa.Column("client_trust", sa.String(length=16), nullable=False),
        sa.Column("token_secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("slug", name=op.f("uq_tenants_slug")),
    )
    op.create_table(
        "token_families",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("scopes", authz.db.types.ScopeSet(), nullable=False),
        sa.Column("refreshable", sa.Boolean(), nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("rotated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("auth_time", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("amr", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("idle_expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("revoked_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("revoked_because", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token_families")),
        postgresql_with={"fillfactor": 70},
    )
    with op.batch_alter_table("token_families", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_token_families_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_token_families_tenant_id_client_id"),
            ["tenant_id", "client_id"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_token_families_tenant_id_user_id"),
            ["tenant_id", "user_id"],
            unique=False,
        )

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("login", sa.String(length=254), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("tenant_id", "login", name=op.f("uq_users_tenant_id_login")),
    )
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_members_group_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_group_members_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("group_id", "user_id", name=op.f("pk_group_members")),
    )
    with op.batch_alter_table("group_members", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_group_members_user_id"), ["user_id"], unique=False)

    op.create_table(
        "role_bindings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=8), nullable=False),
        sa.Column("subject_id", sa.String(length=64), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_role_bindings_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_role_bindings")),
        sa.UniqueConstraint(
            "role_id",
            "subject_kind",
            "subject_id",
            name=op.f("uq_role_bindings_role_id_subject_kind_subject_id"),
        ),
    )
    with op.batch_alter_table("role_bindings", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_role_bindings_subject_id"), ["subject_id"], unique=False
        )

    op.create_table(
        "role_parents",
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.Column("parent_id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["roles.id"], name=op.f("fk_role_parents_parent_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_role_parents_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_id", "parent_id", name=op.f("pk_role_parents")),
    )
    op.create_table(
        "role_scopes",
        sa.Column("role_id", sa.String(length=64), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["role_id"], ["roles.id"], name=op.f("fk_role_scopes_role_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("role_id", "resource_id", "scope", name=op.f("pk_role_scopes")),
    )
    op.create_table(
        "scopes",
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("risk", sa.String(length=16), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.Column("tools", authz.db.types.Json(), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["resources.id"],
            name=op.f("fk_scopes_resource_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("resource_id", "name", name=op.f("pk_scopes")),
    )
