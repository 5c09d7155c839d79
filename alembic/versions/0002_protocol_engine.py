"""the complete protocol engine: devices, pushed requests, registration, key binding

Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_codes",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_code", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("resource_id", sa.String(length=64), nullable=False),
        sa.Column("requested", authz.db.types.ScopeSet(), nullable=True),
        sa.Column("offline_access", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("scopes", authz.db.types.ScopeSet(), nullable=True),
        sa.Column("auth_time", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("acr", sa.Text(), nullable=True),
        sa.Column("amr", authz.db.types.Json(), nullable=True),
        sa.Column("poll_interval", sa.Integer(), nullable=False),
        sa.Column("polled_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("asked_from", sa.String(length=64), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("family_id", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_device_codes")),
        sa.UniqueConstraint(
            "tenant_id", "user_code", name=op.f("uq_device_codes_tenant_id_user_code")
        ),
    )
    with op.batch_alter_table("device_codes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_device_codes_expires_at"), ["expires_at"], unique=False
        )

    op.create_table(
        "initial_access_tokens",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("remaining", sa.Integer(), nullable=True),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("revoked_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_initial_access_tokens")),
        sa.UniqueConstraint("digest", name=op.f("uq_initial_access_tokens_digest")),
    )
    op.create_table(
        "pushed_requests",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_pushed_requests")),
    )
    with op.batch_alter_table("pushed_requests", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_pushed_requests_expires_at"), ["expires_at"], unique=False
        )

    with op.batch_alter_table("authorization_codes", schema=None) as batch_op:
        batch_op.add_column(sa.Column("openid", authz.db.types.ScopeSet(), nullable=True))
        batch_op.add_column(sa.Column("nonce", sa.Text(), nullable=True))
        batch_op.add_column(
            sa.Column("authorization_details", authz.db.types.Json(), nullable=True)
        )
        batch_op.add_column(sa.Column("dpop_jkt", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("acr", sa.Text(), nullable=True))

    with op.batch_alter_table("clients", schema=None) as batch_op:
        batch_op.add_column(sa.Column("registration_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("software_digest", sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column("registered_from", sa.String(length=64), nullable=True))
        batch_op.create_index(
            batch_op.f("ix_clients_tenant_id_registered_from"),
            ["tenant_id", "registered_from"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_clients_tenant_id_software_digest"),
            ["tenant_id", "software_digest"],
            unique=False,
        )

    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.add_column(sa.Column("client_id", sa.String(length=2048), nullable=True))

    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("acr", sa.Text(), nullable=True))

    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.add_column(sa.Column("registration", sa.String(length=16), nullable=True))
    op.execute("UPDATE tenants SET registration = 'off'")
    with op.batch_alter_table("tenants", schema=None) as batch_op:
        batch_op.alter_column("registration", existing_type=sa.String(length=16), nullable=False)

    with op.batch_alter_table("token_families", schema=None) as batch_op:
        batch_op.add_column(sa.Column("acr", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("confirmation", authz.db.types.Json(), nullable=True))
        batch_op.add_column(
            sa.Column("authorization_details", authz.db.types.Json(), nullable=True)
        )
