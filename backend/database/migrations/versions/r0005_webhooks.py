"""What is known of each project's webhook, and when a project was last compared."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "project_webhooks",
        sa.Column("server", sa.String(400), primary_key=True),
        sa.Column("project_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("words", sa.Text, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    op.add_column("projects", sa.Column("synced_at", sa.String(32)))


def downgrade() -> None:
    op.drop_column("projects", "synced_at")
    op.drop_table("project_webhooks")
