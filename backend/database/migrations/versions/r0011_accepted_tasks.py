"""Tasks that were accepted in bulk, and those that people check."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accepted_tasks",
        sa.Column("rule", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("task_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("prediction_id", sa.Integer),
        sa.Column("annotation_id", sa.Integer),
        sa.Column("made_at", sa.String(64)),
    )


def downgrade() -> None:
    op.drop_table("accepted_tasks")
