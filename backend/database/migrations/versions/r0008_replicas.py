"""Who shares the database, and when a project's last comparison began."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replicas",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("machine", sa.String(200), nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
    )
    op.add_column("projects", sa.Column("sync_begun", sa.Float))


def downgrade() -> None:
    op.drop_column("projects", "sync_begun")
    op.drop_table("replicas")
