"""agents, rules of token exchange, and authorization servers that ID-JAGs are issued for

Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "target_servers",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("issuer", sa.String(length=2048), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("settings", authz.db.types.Json(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_target_servers")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_target_servers_tenant_id_slug")),
        sa.UniqueConstraint("tenant_id", "issuer", name=op.f("uq_target_servers_tenant_id_issuer")),
    )
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.add_column(sa.Column("identity", sa.String(length=16), nullable=True))
        batch_op.add_column(sa.Column("server_id", sa.String(length=64), nullable=True))
        batch_op.create_foreign_key(
            op.f("fk_resources_server_id"),
            "target_servers",
            ["server_id"],
            ["id"],
            ondelete="RESTRICT",
        )
    op.execute("UPDATE resources SET identity = 'service_allowed'")
    with op.batch_alter_table("resources", schema=None) as batch_op:
        batch_op.alter_column("identity", existing_type=sa.String(length=16), nullable=False)
    op.create_table(
        "agents",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("slug", sa.String(length=63), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.String(length=64), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("resources", authz.db.types.Json(), nullable=False),
        sa.Column("scope_ceiling", authz.db.types.Json(), nullable=True),
        sa.Column("expires_at", authz.db.types.UTCDateTime(), nullable=True),
        sa.Column("dormant_after_days", sa.Integer(), nullable=False),
        sa.Column("used_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.Column("updated_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_id"], ["users.id"], name=op.f("fk_agents_owner_id"), ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("tenant_id", "slug", name=op.f("uq_agents_tenant_id_slug")),
    )
    op.create_table(
        "agent_clients",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_agent_clients_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "client_id", name=op.f("pk_agent_clients")),
    )
    op.create_index(op.f("ix_agent_clients_agent_id"), "agent_clients", ["agent_id"])
    op.create_table(
        "delegations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=2048), nullable=False),
        sa.Column("from_id", sa.String(length=64), nullable=False),
        sa.Column("to_id", sa.String(length=64), nullable=False),
        sa.Column("carries", authz.db.types.Json(), nullable=False),
        sa.Column("max_depth", sa.Integer(), nullable=False),
        sa.Column("created_at", authz.db.types.UTCDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["from_id"], ["resources.id"], name=op.f("fk_delegations_from_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["to_id"], ["resources.id"], name=op.f("fk_delegations_to_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delegations")),
        sa.UniqueConstraint(
            "tenant_id",
            "client_id",
            "from_id",
            "to_id",
            name=op.f("uq_delegations_tenant_id_client_id_from_id_to_id"),
        ),
    )
