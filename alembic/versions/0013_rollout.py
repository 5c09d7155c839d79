"""how far MCP servers are rolled out

Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

import authz.db.types

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("resources", sa.Column("rollout", authz.db.types.Json(), nullable=True))
    op.create_index("ix_tool_outcomes_resource_id_at", "tool_outcomes", ["resource_id", "at"])
