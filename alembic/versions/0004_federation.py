"""sign-in through identity providers: connections, identities, provisioning, conditions, the end of access

Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = authz.db.types.UTCDateTime()


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("preset", sa.String(length=32), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("settings", authz.db.types.Json(), nullable=False),
        sa.Column("is_listed", sa.Boolean(), nullable=False),
        sa.Column("provisions", sa.Boolean(), nullable=False),
        sa.Column("links_by_email", sa.Boolean(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connections")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_connections_tenant_id_slug")),
    )
    op.create_table(
        "departures",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=32), nullable=False),
        sa.Column("because", sa.String(length=64), nullable=False),
        sa.Column("signalled_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("occurred_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("ended_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("families", sa.Integer(), nullable=False),
        sa.Column("codes", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_departures")),
    )
    with op.batch_alter_table("departures", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_departures_tenant_id_ended_at"), ["tenant_id", "ended_at"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_departures_user_id"), ["user_id"], unique=False)

    op.create_table(
        "scim_records",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("provisioner", sa.String(length=64), nullable=False),
        sa.Column("external_id", sa.String(length=512), nullable=True),
        sa.Column("made_here", sa.Boolean(), nullable=False),
        sa.Column("may_reopen", sa.Boolean(), nullable=False),
        sa.Column("attributes", authz.db.types.Json(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_records")),
        sa.UniqueConstraint(
            "tenant_id",
            "kind",
            "provisioner",
            "external_id",
            name=op.f("uq_scim_records_tenant_id_kind_provisioner_external_id"),
        ),
    )
    op.create_table(
        "domains",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("challenge", sa.Text(), nullable=False),
        sa.Column("is_mandatory", sa.Boolean(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("verified_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_domains_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_domains")),
    )
    op.create_table(
        "group_mappings",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("claim", sa.String(length=256), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.Column("group_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_group_mappings_connection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["group_id"], ["groups.id"], name=op.f("fk_group_mappings_group_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_group_mappings")),
        sa.UniqueConstraint(
            "connection_id",
            "claim",
            "value",
            "group_id",
            name=op.f("uq_group_mappings_connection_id_claim_value_group_id"),
        ),
    )
    with op.batch_alter_table("group_mappings", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_group_mappings_group_id"), ["group_id"], unique=False)

    op.create_table(
        "identities",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=512), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("linked_by", sa.String(length=16), nullable=False),
        sa.Column("linked_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("last_sign_in_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_identities_connection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_identities_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "connection_id", "subject", name=op.f("pk_identities")
        ),
    )
    with op.batch_alter_table("identities", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_identities_user_id"), ["user_id"], unique=False)

    op.create_table(
        "scim_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("last_used_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_scim_tokens_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scim_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_scim_tokens_digest")),
    )
    op.create_table(
        "sign_in_attempts",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("continuation", authz.db.types.Json(), nullable=False),
        sa.Column("asked", authz.db.types.Json(), nullable=False),
        sa.Column("kept", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_sign_in_attempts_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sign_in_attempts")),
    )
    with op.batch_alter_table("sign_in_attempts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_sign_in_attempts_expires_at"), ["expires_at"], unique=False
        )

    op.create_table(
        "signal_streams",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("jwks_uri", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), nullable=False),
        sa.Column("delivery", sa.String(length=8), nullable=False),
        sa.Column("secret_digest", sa.String(length=64), nullable=True),
        sa.Column("poll_url", sa.Text(), nullable=True),
        sa.Column("poll_token", sa.Text(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("last_event_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name=op.f("fk_signal_streams_connection_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_signal_streams")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_signal_streams_tenant_id_slug")),
    )
    with op.batch_alter_table("authorization_codes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("connection_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("session_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("signed_in_at", authz.db.types.UTCDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("upstream_expires_at", authz.db.types.UTCDateTime(), nullable=True)
        )
        batch_op.create_index(
            batch_op.f("ix_authorization_codes_user_id"), ["user_id"], unique=False
        )

    with op.batch_alter_table("device_codes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("connection_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("session_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("signed_in_at", authz.db.types.UTCDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("upstream_expires_at", authz.db.types.UTCDateTime(), nullable=True)
        )
        batch_op.create_index(batch_op.f("ix_device_codes_user_id"), ["user_id"], unique=False)

    with op.batch_alter_table("group_members", schema=None) as batch_op:
        batch_op.add_column(sa.Column("source", sa.String(length=64), nullable=True))

    with op.batch_alter_table("roles", schema=None) as batch_op:
        batch_op.add_column(sa.Column("requires", authz.db.types.Json(), nullable=True))

    with op.batch_alter_table("scopes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("requires", authz.db.types.Json(), nullable=True))

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("connection_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("upstream_session", sa.String(length=256), nullable=True))
        batch_op.add_column(
            sa.Column("upstream_expires_at", authz.db.types.UTCDateTime(), nullable=True)
        )
        batch_op.create_index(
            batch_op.f("ix_sessions_connection_id_upstream_session"),
            ["connection_id", "upstream_session"],
            unique=False,
        )

    with op.batch_alter_table("token_families", schema=None) as batch_op:
        batch_op.add_column(sa.Column("connection_id", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("session_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("signed_in_at", authz.db.types.UTCDateTime(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_token_families_session_digest"), ["session_digest"], unique=False
        )

    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("email", sa.String(length=254), nullable=True))
        batch_op.add_column(sa.Column("is_break_glass", sa.Boolean(), nullable=True))
        batch_op.add_column(sa.Column("cut_at", authz.db.types.UTCDateTime(), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_users_tenant_id_email"), ["tenant_id", "email"], unique=False
        )

    # Who signed in before this existed signed in when they authenticated.
    op.execute("UPDATE authorization_codes SET signed_in_at = auth_time")
    op.execute("UPDATE device_codes SET signed_in_at = auth_time")
    op.execute("UPDATE token_families SET signed_in_at = auth_time")
    for table in ("authorization_codes", "token_families"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.alter_column("signed_in_at", existing_type=TIME, nullable=False)

    op.execute("UPDATE group_members SET source = 'local'")
    with op.batch_alter_table("group_members", schema=None) as batch_op:
        batch_op.drop_constraint("pk_group_members", type_="primary")
        batch_op.alter_column("source", existing_type=sa.String(length=64), nullable=False)
        batch_op.create_primary_key("pk_group_members", ["group_id", "user_id", "source"])

    op.execute(sa.text("UPDATE users SET is_break_glass = :no").bindparams(no=False))
    with op.batch_alter_table("users", schema=None) as batch_op:
        batch_op.alter_column("is_break_glass", existing_type=sa.Boolean(), nullable=False)
